"""Tokens of a home's own instance, signed with the home's key."""

from datetime import UTC, datetime, timedelta

from services.runtime.identity.api_keys import mint_token, read_keys
from services.stack.home import Home

DEFAULT_LIFETIME = timedelta(hours=24)


def token(home: Home, user_id: str | None, *, su: bool = False, lifetime: timedelta = DEFAULT_LIFETIME) -> str:
    """Return a token of a user, or of a superuser."""
    instance = home.instance
    key = read_keys(home.keys_file)[0]
    return mint_token(key, instance, user_id, su, lifetime, datetime.now(UTC))


def bearer(home: Home, user_id: str | None, *, su: bool = False) -> tuple[tuple[str, str], ...]:
    """Return a token as gRPC metadata."""
    return (("authorization", f"Bearer {token(home, user_id, su=su)}"),)

"""Tokens of a home's own instance, signed with the home's key."""

import argparse
import re
from datetime import UTC, datetime, timedelta

from services.runtime.identity.api_keys import mint_token, read_keys
from services.stack.home import Home
from services.stack.trouble import Trouble

DEFAULT_LIFETIME = timedelta(hours=24)
# A hundred years: an end that a clock can show.
_LONGEST = timedelta(days=36_500)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")


def token(home: Home, user_id: str | None, *, su: bool = False, lifetime: timedelta = DEFAULT_LIFETIME) -> str:
    """Return a token of a user, or of a superuser."""
    instance = home.instance
    key = read_keys(home.keys_file)[0]
    return mint_token(key, instance, user_id, su, lifetime, datetime.now(UTC))


def bearer(home: Home, user_id: str | None, *, su: bool = False) -> tuple[tuple[str, str], ...]:
    """Return a token as gRPC metadata."""
    return (("authorization", f"Bearer {token(home, user_id, su=su)}"),)


def parse_lifetime(text: str) -> timedelta:
    """Read `90s`, `15m`, `24h` or `7d`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Trouble(f"{text!r} is not a time such as 90s, 15m, 24h or 7d")
    lifetime = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    if lifetime > _LONGEST:
        raise Trouble(f"{text!r} is longer than {_LONGEST.days}d")
    return lifetime


def run(home: Home, arguments: argparse.Namespace) -> int:
    """`chatkit token`."""
    if not arguments.user and not arguments.su:
        raise Trouble("say whose token it is with --user ID, or ask for a superuser's with --su")
    print(token(home, arguments.user or None, su=arguments.su, lifetime=parse_lifetime(arguments.ttl)))
    return 0

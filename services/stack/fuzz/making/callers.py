"""Who calls: users, superusers, and those whose token is none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from chatkit.contract.v1 import method_policy_pb2

from services.runtime.contract.policies import MethodContract
from services.runtime.identity.api_keys import ApiKey, mint_token, read_keys
from services.stack.fuzz.making.chance import Chance
from services.stack.fuzz.making.known import USERS
from services.stack.home import Home

SUPERUSER = "superuser"
_ACTING = "superuser as "
_OFTEN, _SELDOM = 0.9, 0.8
_HOUR = timedelta(hours=1)
_FOREIGN = ApiKey("local", "a secret that nobody has given to anybody")


def choose(chance: Chance, method: MethodContract | None) -> str:
    """Choose who calls a method: mostly somebody who may."""
    is_for_superusers = method is not None and method.policy.audience == method_policy_pb2.AUDIENCE_SUPERUSER
    luck = chance.random()
    if luck < (0.1 if is_for_superusers else _SELDOM):
        return chance.choice(USERS)
    if luck < _OFTEN:
        return chance.choice((SUPERUSER, _ACTING + chance.choice(USERS)))
    return chance.choice(tuple(_BAD))


class Signing:
    """Signs the tokens of a home's callers, each at the time of its call: users are made anew now and then."""

    def __init__(self, home: Home) -> None:
        self._instance = home.instance
        self._key = read_keys(home.keys_file)[0]
        self._service_key = read_keys(home.service_keys_file)[0]

    def token(self, caller: str) -> str:
        """Return the token of a caller."""
        if caller in _BAD:
            return _BAD[caller](self)
        if caller == SUPERUSER:
            return self.minted(None, superuser=True)
        if caller.startswith(_ACTING):
            return self.minted(caller.removeprefix(_ACTING), superuser=True)
        return self.minted(caller)

    def minted(self, user_id: str | None, *, superuser: bool = False, lifetime: timedelta = _HOUR) -> str:
        """Sign a token that is right."""
        return mint_token(self._key, self._instance, user_id, superuser, lifetime, datetime.now(UTC))

    def signed_with(self, key: ApiKey | None, instance: str = "") -> str:
        """Sign a token of alice with another key, the services' where none is named, or for another instance."""
        signing = key or self._service_key
        return mint_token(signing, instance or self._instance, "alice", True, _HOUR, datetime.now(UTC))


_BAD: dict[str, Callable[[Signing], str]] = {
    "nobody": lambda _: "",
    "garbage": lambda _: "a.b.c",
    "a long token": lambda _: "x" * 9_000,
    "forged": lambda signing: signing.signed_with(_FOREIGN),
    "signed by a service": lambda signing: signing.signed_with(None),
    "of another instance": lambda signing: signing.signed_with(_FOREIGN, "another"),
    "expired": lambda signing: signing.minted("alice", lifetime=-_HOUR),
    "altered": lambda signing: signing.minted("alice")[:-3] + "AAA",
    "unknown user": lambda signing: signing.minted("unknown"),
    "user with a control character": lambda signing: signing.minted("a\nb"),
}

"""What a servicer needs beside its use cases, without a network: keys, limits, and somebody who knows the rooms."""

import pytest
from chatkit.contract.v1 import method_policy_pb2

from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.observing import Observer
from services.runtime.calls.paging import PageTokens
from services.runtime.clock import SystemClock
from services.runtime.contract.errors import PermissionDenied
from services.runtime.contract.policies import Limits
from services.runtime.metrics.registry import Metrics
from services.runtime.streaming.open_streams import Streams
from tests.support import tokens
from tests.support.peers import room_uid_of, user_uid_of


class Doorkeeper:
    """Knows one room, lobby, of which alice is a member."""

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Let alice and superusers in."""
        if not query.room_id or query.membership == method_policy_pb2.MEMBERSHIP_NOT_REQUIRED:
            return AccessGrant(7, None, None)
        if query.room_id != "lobby" or not (query.superuser or query.user_id == "alice"):
            raise PermissionDenied("ROOM_ACCESS_DENIED", "no access", metadata={"room_id": query.room_id})
        user_uid = user_uid_of("alice") if query.user_id == "alice" else None
        return AccessGrant(7, room_uid_of("lobby"), user_uid)


@pytest.fixture
def limits() -> Limits:
    """Return the limits as declared."""
    return Limits()


@pytest.fixture
def page_tokens() -> PageTokens:
    """Return page tokens of the tests' key."""
    return PageTokens([tokens.SERVICE_KEY])


@pytest.fixture
def handlers(limits: Limits) -> Handlers:
    """Compose handlers as a service called `tested` does."""
    verifier = tokens.verifier(SystemClock(), limits=limits)
    return Handlers(
        verifier=verifier,
        limits=limits,
        streams=Streams(limits, SystemClock()),
        access=Doorkeeper(),
        observer=Observer(Metrics()),
    )

"""What a servicer needs beside its use cases, without a network: keys, limits, and somebody who knows the rooms."""

import pytest
from chatkit.contract.v1 import limit_pb2

from services.runtime.access import AccessQuery, RoomGrant
from services.runtime.clock import SystemClock
from services.runtime.contract import Limits
from services.runtime.errors import PermissionDenied
from services.runtime.handlers import Handlers
from services.runtime.identity import TokenVerifier
from services.runtime.paging import PageTokens
from tests.messages.peers import uid_of
from tests.support import tokens


class Doorkeeper:
    """Knows one room, lobby, of which alice is a member."""

    async def check(self, query: AccessQuery) -> RoomGrant:
        """Let alice and superusers in."""
        if query.room_id != "lobby" or not (query.superuser or query.user_id == "alice"):
            raise PermissionDenied("ROOM_ACCESS_DENIED", "no access", metadata={"room_id": query.room_id})
        user_uid = uid_of("alice") if query.user_id == "alice" else None
        return RoomGrant(uid_of("lobby"), user_uid, 7)


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
    verifier = TokenVerifier(
        keys=[tokens.KEY],
        service_keys=[tokens.SERVICE_KEY],
        instance=tokens.INSTANCE,
        service="tested",
        subject_chars=limits[limit_pb2.LIMIT_ID_CHARS],
        clock=SystemClock(),
    )
    return Handlers(verifier=verifier, limits=limits, access=Doorkeeper())

"""What rooms knows of users, compared with what users says: every member must be a user, with the same uid."""

from collections.abc import AsyncIterator

from chatkit.contract.v1 import limit_pb2

from services.rooms.roll_call.store import Member, RollCallStore
from services.runtime.clock import Clock
from services.runtime.deadline import Deadline
from services.runtime.peers.directory import DirectoryClient
from services.runtime.process.command import Tools
from services.runtime.process.verifying import Finding, unnoticed, verify_command
from services.runtime.settings import Settings

_SECONDS = 5.0


async def compare(settings: Settings, tools: Tools, _clock: Clock) -> AsyncIterator[Finding]:
    """Find what does not fit."""
    async for finding in unnoticed("rooms", tools):
        yield finding
    store, users = RollCallStore(tools.database), DirectoryClient(tools.peer("users", settings.users_address))
    size, after = settings.limits[limit_pb2.LIMIT_USERS_PER_GET], ""
    while page := await store.page(after, size):
        known = await users.find([member.user_id for member in page], Deadline.after(_SECONDS))
        for member in page:
            if member.user_id not in known:
                yield _finding(member, "MEMBER_UNKNOWN", "is a member of rooms, and users does not know them")
            elif any(uid != known[member.user_id] for uid in member.uids):
                yield _finding(member, "MEMBER_IS_ANOTHER", "is a member of rooms, and was created anew in users since")
        after = page[-1].user_id


def _finding(member: Member, kind: str, detail: str) -> Finding:
    return Finding("rooms", kind, member.user_id, detail)


verify = verify_command("rooms", compare)

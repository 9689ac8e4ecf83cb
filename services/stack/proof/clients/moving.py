"""How users come into rooms and go, by themselves and by others, and lose the right to write and get it back."""

import asyncio
from typing import Any

from chatkit_client.types import (
    AddMembersRequest,
    AssignRoleRequest,
    CreateRoleRequest,
    DeleteRoleRequest,
    JoinRoomRequest,
    LeaveRoomRequest,
    RemoveMembersRequest,
    UnassignRoleRequest,
)
from services.stack.proof.clients.work import Person, Work, now
from services.stack.proof.history import MemberChange, Muting, Outcome, Removal

# Who has it reads, and writes nothing.
_READING = (
    "room:messages:get",
    "room:join",
    "room:leave",
    "cursors:read:get",
    "cursors:read:set",
    "user:rooms:get",
    "presence:subscribe",
)
_SHORTEST_SECONDS = 0.2


def reader_role(work: Work) -> str:
    """Return the name of the role of those who may only read."""
    return f"{work.name}-reader"


async def make_role(work: Work) -> None:
    """Make the role of those who may only read."""
    await work.make(CreateRoleRequest(scope="ROLE_SCOPE_GLOBAL", name=reader_role(work), permissions=_READING))


async def delete_role(work: Work) -> None:
    """Delete it, when nobody has it any more."""
    await work.must(DeleteRoleRequest(scope="ROLE_SCOPE_GLOBAL", name=reader_role(work)))


async def come_and_go(work: Work, person: Person, room_id: str) -> None:
    """Leave a room, and come back after a while."""
    out: Any
    back: Any
    if work.chance.choice((True, False)):
        by, ids = work.admin, [person.user_id]
        out = RemoveMembersRequest(room_id=room_id, user_ids=ids)
        back = AddMembersRequest(room_id=room_id, user_ids=ids)
    else:
        by, out, back = person.client, LeaveRoomRequest(room_id=room_id), JoinRoomRequest(room_id=room_id)
    if not await _change(work, person, room_id, by, out, is_member=False):
        return
    ended, losses = now(), work.losses
    await _wait(work)
    until = now()
    await _change(work, person, room_id, by, back, is_member=True)
    if work.losses == losses:
        work.history.removals.append(Removal(room_id, person.user_id, ended, until))


async def be_muted(work: Work, person: Person, _: str) -> None:
    """Lose the right to write, and get it back after a while."""
    await work.must(AssignRoleRequest(user_id=person.user_id, role_name=reader_role(work)))
    began, losses = now(), work.losses
    await _wait(work)
    if work.losses == losses:
        work.history.mutings.append(Muting(person.user_id, began, now()))
    await work.must(UnassignRoleRequest(user_id=person.user_id))


async def bring_back(work: Work, person: Person) -> None:
    """Let somebody be a member of all rooms again, with all rights."""
    await work.must(UnassignRoleRequest(user_id=person.user_id))
    for room_id in work.rooms:
        await work.must(AddMembersRequest(room_id=room_id, user_ids=[person.user_id]))
        work.history.member_changes.append(MemberChange(room_id, person.user_id, True, Outcome.ACKNOWLEDGED, now()))


async def _change(work: Work, person: Person, room_id: str, by: Any, request: Any, *, is_member: bool) -> bool:
    is_sure = await work.tried(by, request) is not None
    outcome = Outcome.ACKNOWLEDGED if is_sure else Outcome.UNKNOWN
    work.history.member_changes.append(MemberChange(room_id, person.user_id, is_member, outcome, now()))
    return is_sure


async def _wait(work: Work) -> None:
    await asyncio.sleep(_SHORTEST_SECONDS + work.chance.random())

"""Users and rooms that come, say something and are deleted with it: nothing of that is shown afterwards."""

import asyncio
from contextlib import suppress

from chatkit_client import ChatkitError
from chatkit_client.types import (
    AddMembersRequest,
    CreateRoomRequest,
    CreateUserRequest,
    DeleteRoomRequest,
    DeleteUserRequest,
    Deletion,
    DeletionState,
    SendMessageRequest,
)
from services.stack.proof.clients.work import PATIENCE_SECONDS, Person, Work, now, text
from services.stack.proof.clients.writing import read
from services.stack.proof.history import Erasure

_DONE = DeletionState.Value("DELETION_STATE_DONE")
_POLL_SECONDS = 0.1
_MESSAGES = 5


async def delete_a_user(work: Work, witness: Person, hall: str) -> None:
    """Let a user come into a room that outlives them, write there, and be deleted with what they wrote."""
    ghost = f"{work.name}-ghost-{work.number()}"
    await work.make(CreateUserRequest(id=ghost, name=ghost))
    await work.must(AddMembersRequest(room_id=hall, user_ids=[ghost]))
    contents = await _say(work, hall, ghost)
    deleted = (await work.must(DeleteUserRequest(user_id=ghost))).deletion
    await _done(work, deleted, is_user=True)
    work.history.erasures.append(Erasure(f"the user {ghost}", contents, now()))
    await read(work, witness, hall)


async def delete_a_room(work: Work, witness: Person, _: str) -> None:
    """Make a room, write there, delete it, and make another one of the same id."""
    den = f"{work.name}-den-{work.number()}"
    request = CreateRoomRequest(id=den, name=den, visibility="VISIBILITY_PRIVATE", creator_id=witness.user_id)
    await work.make(request)
    contents = await _say(work, den, witness.user_id)
    deleted = (await work.must(DeleteRoomRequest(room_id=den))).deletion
    await _done(work, deleted, is_user=False)
    work.history.erasures.append(Erasure(f"the room {den}", contents, now()))
    await work.make(request)
    await read(work, witness, den)
    await work.must(DeleteRoomRequest(room_id=den))


async def _say(work: Work, room_id: str, user_id: str) -> tuple[str, ...]:
    contents = [f"ghost {work.number()} of {user_id}" for _ in range(_MESSAGES)]
    for content in contents:
        await work.must(SendMessageRequest(room_id=room_id, sender_id=user_id, parts=text(content), request_id=content))
    return tuple(contents)


async def _done(work: Work, deletion: Deletion, *, is_user: bool) -> None:
    service = work.admin.users if is_user else work.admin.rooms
    async with asyncio.timeout(PATIENCE_SECONDS):
        while deletion.state != _DONE:
            await asyncio.sleep(_POLL_SECONDS)
            with suppress(ChatkitError):
                deletion = (await service.get_deletion(deletion_id=deletion.id)).deletion

"""How all stands at the very end: read again and again until it is as it should be, or does not become so."""

import asyncio
import hashlib
import io
from contextlib import suppress
from dataclasses import replace
from typing import Any

from chatkit_client import ChatkitError
from chatkit_client.types import (
    ListMembersRequest,
    ListReadStatesRequest,
    ListRoomEventsRequest,
    ListRoomSummariesRequest,
    ReadState,
)
from services.stack.proof.clients.reading import Follower
from services.stack.proof.clients.work import PATIENCE_SECONDS, Person, Work, content_of, entry_of
from services.stack.proof.history import Entry, Presence, Standing
from services.stack.proof.standings import check_standings

_POLL_SECONDS = 0.5


async def read_logs(work: Work) -> dict[str, int]:
    """Read each room's log, and return where it ends."""
    for room_id in work.rooms:
        work.history.logs[room_id] = await _log(work, room_id)
    return {room_id: max((entry.seq for entry in log), default=0) for room_id, log in work.history.logs.items()}


async def settle(work: Work, devices: list[Follower]) -> None:
    """Read how all stands, until it is right or has had time enough."""
    await _read_files(work)
    await _look(work, devices)
    with suppress(TimeoutError):
        async with asyncio.timeout(work.patience_seconds):
            while any(check_standings(work.history)):
                await asyncio.sleep(_POLL_SECONDS)
                await _look(work, devices)


async def _look(work: Work, devices: list[Follower]) -> None:
    found = [one for person in work.people for one in await _standings(work, person)]
    members = {room_id: await _members(work, room_id) for room_id in work.rooms}
    work.history.standings[:] = found
    work.history.members.update(members)
    there = {follower.person.user_id for follower in devices}
    work.history.presences[:] = [
        Presence(user_id, f"the device of {follower.person.user_id}", is_online, user_id in there)
        for follower in devices
        for user_id, is_online in follower.online.items()
    ]


async def _log(work: Work, room_id: str) -> list[Entry]:
    entries: list[Entry] = []
    token = ""
    while True:
        request = ListRoomEventsRequest(room_id=room_id, page_size=100, page_token=token)
        answer = await work.admin.call(request, deadline=PATIENCE_SECONDS)
        entries += [entry for event in answer.events if (entry := entry_of(event)) is not None]
        token = answer.next_page_token
        if not token:
            return entries


async def _standings(work: Work, person: Person) -> list[Standing]:
    states = await _listed(person, ListReadStatesRequest, "read_states")
    summaries = [one.read_state for one in await _listed(person, ListRoomSummariesRequest, "summaries")]
    return [
        _standing(person, state, by)
        for by, told in (("ListReadStates", states), ("ListRoomSummaries", summaries))
        for state in told
        if state.room_id in work.rooms
    ]


def _standing(person: Person, state: ReadState, told_by: str) -> Standing:
    last = state.last_message
    told = (state.cursor.seq, state.unread_count, last.seq, content_of(last))
    return Standing(state.room_id, person.user_id, told_by, *told)


async def _members(work: Work, room_id: str) -> frozenset[str]:
    answer = await work.must(ListMembersRequest(room_id=room_id, page_size=100))
    return frozenset(answer.user_ids)


async def _listed(person: Person, request: Any, name: str) -> list[Any]:
    found: list[Any] = []
    token = ""
    while True:
        answer = await person.client.call(request(page_size=100, page_token=token), deadline=PATIENCE_SECONDS)
        found += getattr(answer, name)
        token = answer.next_page_token
        if not token:
            return found


async def _read_files(work: Work) -> None:
    """Download all that was attached."""
    for number, one in enumerate(work.history.attachments):
        content = io.BytesIO()
        found = ""
        try:
            await work.admin.download(one.room_id, one.file_id, content, deadline=PATIENCE_SECONDS)
            found = hashlib.sha256(content.getvalue()).hexdigest()
        except ChatkitError as error:
            if error.is_passing:
                raise
        work.history.attachments[number] = replace(one, found=found)

"""Short ways to move cursors, to fill rooms, and to read what is unread."""

from typing import Any

import psycopg
from chatkit.messages.v1 import message_pb2, read_cursor_pb2, read_state_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import read_states_service_pb2 as pb2

from tests.messages.chat import Chat
from tests.support.databases import TestDatabase
from tests.support.peers import uid_of
from tests.support.tokens import Metadata, su, user


async def set_cursor(
    chat: Chat,
    seq: int,
    who: str = "bob",
    *,
    backward: bool = False,
    user_id: str = "",
    room_id: str = "lobby",
    metadata: Metadata | None = None,
) -> read_cursor_pb2.ReadCursor:
    """Move a user's cursor, and return it."""
    request = pb2.SetReadCursorRequest(room_id=room_id, seq=seq, allow_backward=backward, user_id=user_id)
    answer: pb2.SetReadCursorResponse = await chat.suite.read_states.SetReadCursor(
        request, metadata=metadata or user(who)
    )
    return answer.cursor


async def read_states(
    chat: Chat, who: str = "bob", *, metadata: Metadata | None = None, **fields: Any
) -> list[read_state_pb2.ReadState]:
    """Read all pages of a user's read states."""
    request = pb2.ListReadStatesRequest(**fields)
    states: list[read_state_pb2.ReadState] = []
    while True:
        page = await chat.suite.read_states.ListReadStates(request, metadata=metadata or user(who))
        states.extend(page.read_states)
        if not page.next_page_token:
            return states
        request.page_token = page.next_page_token


async def unread_in_lobby(chat: Chat, who: str = "bob") -> int:
    """Return how many messages of the lobby a user has not read."""
    (state,) = await read_states(chat, who, room_id="lobby")
    return state.unread_count


async def unread_total(chat: Chat, user_id: str = "", metadata: Metadata | None = None) -> tuple[int, bool, int]:
    """Return how many messages are unread in all rooms, whether there are more, and in how many rooms."""
    request = pb2.GetUnreadTotalRequest(user_id=user_id)
    total = await chat.suite.read_states.GetUnreadTotal(request, metadata=metadata or user("bob"))
    return total.unread_count, total.unread_capped, total.unread_room_count


async def delete(chat: Chat, *seqs: int) -> None:
    """Delete messages as a superuser."""
    for seq in seqs:
        await chat.suite.messages.DeleteMessage(
            messages_pb2.DeleteMessageRequest(room_id="lobby", seq=seq), metadata=su("alice")
        )


def fill(database: TestDatabase, room_id: str, count: int, sender_id: str = "somebody") -> None:
    """Let a room have so many messages, those that it has not yet by one sender."""
    room_uid = uid_of(room_id)
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute(
            """
            INSERT INTO messages.heads (room_uid, seq, ordinal) VALUES (%s, %s, %s)
            ON CONFLICT (room_uid) DO UPDATE SET seq = excluded.seq, ordinal = excluded.ordinal
            """,
            (room_uid, count, count),
        )
        rows = [message_pb2.Message(seq=seq).SerializeToString() for seq in range(1, count + 1)]
        connection.execute(
            """
            INSERT INTO messages.messages
                (room_uid, seq, ordinal, sender_uid, request_id, content_hash, create_time, message)
            SELECT %s, n, n, %s, n::text, '', now(), message FROM unnest(%s::bytea[]) WITH ORDINALITY AS m (message, n)
            ON CONFLICT DO NOTHING
            """,
            (room_uid, uid_of(sender_id), rows),
        )

"""Rows in bulk: copies of what the services themselves have written, with ids of their own.

One user, one room and one message are made through the services; their rows are the templates, so columns that this
file does not know hold what a service puts there. Caches and changes know nothing of the copies: seed before anybody
asks.
"""

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from chatkit.messages.v1 import message_pb2, messages_service_pb2, part_pb2
from chatkit.rooms.v1 import room_pb2, rooms_service_pb2
from chatkit.users.v1 import users_service_pb2

TEMPLATE = "template"
# The length of an ordinary message's text.
TEXT_BYTES = 64
_SECONDS = 10.0
Metadata = tuple[tuple[str, str], ...]
_Connection = psycopg.Connection[tuple[Any, ...]]

_USERS = """
    INSERT INTO users.users
    SELECT copy.* FROM users.users AS template, generate_series(0, %(count)s - 1) AS number,
    jsonb_populate_record(template, jsonb_build_object(
        'uid', gen_random_uuid(),
        'id', %(prefix)s || lpad(number::text, 6, '0'),
        'create_time', template.create_time - (%(count)s - number) * interval '1 millisecond',
        'update_time', template.create_time - (%(count)s - number) * interval '1 millisecond'
    )) AS copy
    WHERE template.id = %(template)s
"""
_ROOMS = """
    INSERT INTO rooms.rooms
    SELECT copy.* FROM rooms.rooms AS template, generate_series(0, %(count)s - 1) AS number,
    jsonb_populate_record(template, jsonb_build_object(
        'uid', gen_random_uuid(),
        'id', %(prefix)s || lpad(number::text, 6, '0'),
        'creator_id', %(creator)s::text,
        'member_count', %(members)s::int
    )) AS copy
    WHERE template.id = %(template)s
"""
# As a generator of load counts them.
_OPEN = """
    UPDATE rooms.rooms SET visibility = %(public)s, id = %(prefix)s || lpad(to_hex(right(id, 6)::int), 12, '0')
    WHERE id LIKE %(prefix)s || '%%'
"""
_MEMBERSHIPS = """
    INSERT INTO rooms.memberships
    SELECT copy.* FROM rooms.memberships AS template, unnest(%(room_ids)s::text[], %(user_ids)s::text[])
        AS pair (room_id, user_id)
    JOIN rooms.rooms AS room ON room.id = pair.room_id
    JOIN users.users AS member ON member.id = pair.user_id,
    jsonb_populate_record(template, jsonb_build_object(
        'room_uid', room.uid, 'room_id', room.id, 'user_uid', member.uid, 'user_id', member.id
    )) AS copy
    WHERE template.room_id = %(template)s AND template.user_id = %(template)s
"""
# All that says where a message stands is its seq, under whatever name a column has it.
_MESSAGES = """
    INSERT INTO messages.messages
    SELECT copy.* FROM messages.messages AS template, seeded,
    jsonb_populate_record(template, jsonb_build_object(
        'room_uid', seeded.room_uid,
        'seq', seeded.seq,
        'ordinal', seeded.seq,
        'sender_uid', %(sender_uid)s::uuid,
        'request_id', 'seed-' || seeded.seq,
        'create_time', seeded.create_time,
        'message', seeded.message
    )) AS copy
    WHERE template.room_uid = %(template_uid)s AND template.seq = 1
"""
_SEEDED = "CREATE TEMPORARY TABLE seeded (room_uid uuid, seq bigint, create_time timestamptz, message bytea)"
_HEADS = """
    INSERT INTO messages.heads
    SELECT copy.* FROM messages.heads AS template, unnest(%(room_uids)s::uuid[]) AS room (uid),
    jsonb_populate_record(template, jsonb_build_object(
        'room_uid', room.uid, 'seq', %(count)s::bigint, 'ordinal', %(count)s::bigint,
        'last_time', %(last_time)s::timestamptz
    )) AS copy
    WHERE template.room_uid = %(template_uid)s
"""
_EMPTY_LOGS = """
    INSERT INTO messages.heads (room_uid, seq, oldest_seq, ordinal)
    SELECT uid, 0, 1, 0 FROM rooms.rooms WHERE id LIKE %s
"""
_OLDEST_TRANSACTION = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_LOOK_SECONDS = 0.005
_STEP = timedelta(milliseconds=1)


async def make_templates(users: Any, rooms: Any, messages: Any, *, su: Metadata, own: Metadata) -> None:
    """Make the user, the room and the message through the services; `own` is the metadata of the user's calls."""
    user = users_service_pb2.CreateUserRequest(id=TEMPLATE, name="A user")
    await users.CreateUser(user, metadata=su, timeout=_SECONDS)
    room = rooms_service_pb2.CreateRoomRequest(id=TEMPLATE, name="A room", visibility="VISIBILITY_PRIVATE")
    await rooms.CreateRoom(room, metadata=own, timeout=_SECONDS)
    parts = [part_pb2.Part(content_type="text/plain", content="x" * TEXT_BYTES)]
    message = messages_service_pb2.SendMessageRequest(room_id=TEMPLATE, request_id=TEMPLATE, parts=parts)
    await messages.SendMessage(message, metadata=own, timeout=_SECONDS)


class Seeding:
    """A connection that may write to every schema."""

    def __init__(self, superuser_dsn: str) -> None:
        self._connection: _Connection = psycopg.connect(superuser_dsn)

    def users(self, prefix: str, count: int) -> list[str]:
        """Make users, one a millisecond."""
        self._connection.execute(_USERS, {"prefix": prefix, "count": count, "template": TEMPLATE})
        self._connection.commit()
        return [f"{prefix}{number:06d}" for number in range(count)]

    def rooms(
        self, prefix: str, count: int, members: Sequence[str], *, apart: bool = False, template: str = TEMPLATE
    ) -> list[str]:
        """Make rooms of which all these users are members; `apart` shares the users out among the rooms."""
        size = len(members) // count if apart else len(members)
        told = {"prefix": prefix, "count": count, "members": size, "creator": members[0] if members else TEMPLATE}
        self._connection.execute(_ROOMS, {**told, "template": template})
        room_ids = [f"{prefix}{number:06d}" for number in range(count)]
        pairs = [
            (room_id, user_id)
            for number, room_id in enumerate(room_ids)
            for user_id in (members[number * size : (number + 1) * size] if apart else members)
        ]
        if pairs:
            rooms, users = zip(*pairs, strict=True)
            told_pairs = {"room_ids": list(rooms), "user_ids": list(users), "template": TEMPLATE}
            self._connection.execute(_MEMBERSHIPS, told_pairs)
        self._connection.commit()
        return room_ids

    def open_rooms(self, prefix: str, count: int) -> None:
        """Make public rooms without members, whose ids end with their number in twelve hexadecimal digits."""
        self.rooms(prefix, count, [])
        self._connection.execute(_OPEN, {"prefix": prefix, "public": room_pb2.VISIBILITY_PUBLIC})
        self._connection.commit()

    def messages(self, room_id: str, count: int, sender_id: str = TEMPLATE, *, text_bytes: int = TEXT_BYTES) -> None:
        """Fill a room's log with what one user has said."""
        self.logs([room_id], count, sender_id, text_bytes=text_bytes)

    def logs(
        self, room_ids: Sequence[str], count: int, sender_id: str = TEMPLATE, *, text_bytes: int = TEXT_BYTES
    ) -> None:
        """Fill the logs of rooms, each with as many messages of one user."""
        room_uids, template_uid = {room_id: self._uid(room_id) for room_id in room_ids}, self._uid(TEMPLATE)
        (sender_uid,) = self._one("SELECT uid FROM users.users WHERE id = %s", sender_id)
        row = self._one(
            "SELECT message, create_time FROM messages.messages WHERE room_uid = %s AND seq = 1", template_uid
        )
        message, began = message_pb2.Message.FromString(row[0]), row[1]
        message.sender_id = sender_id
        message.parts[0].content = "x" * text_bytes
        self._connection.execute(_SEEDED)
        with self._connection.cursor().copy("COPY seeded FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["uuid", "int8", "timestamptz", "bytea"])
            for room_id, room_uid in room_uids.items():
                for seeded in _messages(message, room_id, began, count):
                    copy.write_row((room_uid, *seeded))
        self._connection.execute(_MESSAGES, {"template_uid": template_uid, "sender_uid": sender_uid})
        told = {"room_uids": [*room_uids.values()], "template_uid": template_uid, "count": count, "last_time": began}
        self._connection.execute(_HEADS, told)
        self._connection.execute("DROP TABLE seeded")
        self._connection.commit()

    def empty_logs(self, prefix: str) -> None:
        """Let rooms have logs in which nothing has happened."""
        self._connection.execute(_EMPTY_LOGS, (f"{prefix}%",))
        self._connection.commit()

    def memberships(self, prefix: str) -> int:
        """Count the memberships in rooms whose ids begin so."""
        return int(self._one("SELECT count(*) FROM rooms.memberships WHERE room_id LIKE %s || '%%'", prefix)[0])

    def settle(self) -> None:
        """Let the database know what it holds, and write it down, so that neither happens while it is measured."""
        self._connection.autocommit = True
        self._connection.execute("VACUUM (ANALYZE)")
        self._connection.execute("CHECKPOINT")
        self._connection.autocommit = False

    def longest_transaction(self, is_over: threading.Event) -> float:
        """Look again and again until it is over, and return the age of the oldest transaction that was seen."""
        longest = 0.0
        self._connection.autocommit = True
        while not is_over.wait(_LOOK_SECONDS):
            (age,) = self._connection.execute(_OLDEST_TRANSACTION).fetchone() or (0.0,)
            longest = max(longest, float(age))
        self._connection.autocommit = False
        return longest

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _uid(self, room_id: str) -> UUID:
        return UUID(str(self._one("SELECT uid FROM rooms.rooms WHERE id = %s", room_id)[0]))

    def _one(self, query: LiteralString, value: object) -> tuple[Any, ...]:
        row = self._connection.execute(query, (value,)).fetchone()
        if row is None:
            raise LookupError(f"nothing is stored for {value}")
        return row


def _messages(template: message_pb2.Message, room_id: str, began: Any, count: int) -> Iterator[tuple[int, Any, bytes]]:
    message = message_pb2.Message()
    message.CopyFrom(template)
    message.room_id = room_id
    for seq in range(1, count + 1):
        time = began - (count - seq) * _STEP
        message.seq = message.revision = seq
        message.create_time.FromDatetime(time)
        yield seq, time, message.SerializeToString()

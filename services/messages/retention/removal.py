"""The removal of the oldest events of a room's log, a small batch in one transaction, by the rules of `log.append`.

It takes the head's row first, and no other head, so it waits for appends and they for it, and none of them deadlock.
Times within a log never go back, so what is old is the beginning of the log; what is left is dense, and `oldest_seq`
says where it begins. All is one round trip: the head is held for as long as PostgreSQL works, not for as long as this
process is busy with other things.
"""

from datetime import datetime

from services.messages.log.append import Connection
from services.runtime.ids import RoomUid

_LOCK_WAIT_MS = 200
# After a wait for the row the conditions are looked at once more, the clock's included.
_MOVE = """
    UPDATE messages.heads SET oldest_seq = %(stop)s
    WHERE room_uid = %(room_uid)s AND oldest_seq = %(start)s AND clock_timestamp() < %(until)s
"""
# Nothing goes unless the head says so.
_IS_MOVED = "EXISTS (SELECT FROM messages.heads WHERE room_uid = %(room_uid)s AND oldest_seq = %(stop)s)"
_BATCH = f"WHERE room_uid = %(room_uid)s AND seq >= %(start)s AND seq < %(stop)s AND {_IS_MOVED}"
_REMOVE_MESSAGES = f"DELETE FROM messages.messages {_BATCH}"  # noqa: S608 - literals above
_REMOVE_EVENTS = f"DELETE FROM messages.events {_BATCH}"  # noqa: S608 - literals above


async def sweep(connection: Connection, room_uid: RoomUid, seqs: range, until: datetime) -> bool:
    """Remove the oldest events of a room; False when nothing was removed.

    That is so when the log no longer begins with them, because another replica has removed some, and when it is later
    than `until` by the database's clock: what says that they are old may no longer be true then.
    """
    values = {"room_uid": room_uid, "start": seqs.start, "stop": seqs.stop, "until": until}
    async with connection.pipeline():
        await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_WAIT_MS:d}")
        moved = await connection.execute(_MOVE, values)
        await connection.execute(_REMOVE_MESSAGES, values)
        await connection.execute(_REMOVE_EVENTS, values)
        await connection.commit()
    return moved.rowcount == 1

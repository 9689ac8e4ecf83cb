"""Hubs that read as `replays.py` lets them, each for itself."""

from typing import Any

from services.messages.fanout.hub import RoomHub


async def follow(hub: RoomHub, log: Any, most: int = 100) -> None:
    """Let a hub have the end of a log."""
    async with hub.reading:
        hub.take(await log.tail(hub.room_uid, most))


async def recall(hub: RoomHub, log: Any, most: int) -> None:
    """Let a hub have the last messages of a log."""
    async with hub.reading:
        while (wanted := hub.wanted_messages(most)) is not None:
            hub.put_messages(wanted, await log.creations(hub.room_uid, wanted.before_seq, wanted.most))

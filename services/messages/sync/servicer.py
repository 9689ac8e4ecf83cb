"""chatkit.sync.v1.SyncService: protos to the domain and back, and nothing else."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC

from chatkit.internal.sync.v1 import stream_command_pb2 as command_pb2
from chatkit.sync.v1 import room_to_follow_pb2 as room_pb2
from chatkit.sync.v1 import sync_service_pb2 as pb2

from services.messages.follow_rooms import RoomsSubscription
from services.messages.model import Start
from services.messages.starts import Starts, refuse_twins
from services.messages.sync.commands import Commands
from services.messages.sync.service import Devices, DeviceSubscription, Presence
from services.runtime.bus.port import Bus
from services.runtime.calls.call import Call
from services.runtime.clock import Clock
from services.runtime.contract.errors import Unauthenticated, invalid_field
from services.runtime.contract.policies import Limits
from services.runtime.contract.timestamps import timestamp
from services.runtime.identity.keys import Key
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserId

_FOLLOWED = {
    room_pb2.ROOM_DETAIL_UNSPECIFIED: None,
    room_pb2.ROOM_DETAIL_EVENTS: True,
    room_pb2.ROOM_DETAIL_READ_STATE: False,
}


class SyncServicer:
    """chatkit.sync.v1.SyncService. It answers bytes, as the streams do of which it tells."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["SyncService"]

    def __init__(
        self,
        devices: Devices,
        bus: Bus,
        subject: str,
        clock: Clock,
        limits: Limits,
        find_key: Callable[[str], Key | None],
    ) -> None:
        self._devices = devices
        self._starts = Starts(limits)
        self._find_key = find_key
        # Told to other replicas where the stream is theirs.
        self.commands = Commands(devices.has, self._execute, bus, subject, clock)

    async def Subscribe(self, request: pb2.SubscribeRequest, call: Call) -> AsyncIterator[bytes]:
        """Follow all that a device wants."""
        if call.query is None or call.stream is None:
            raise RuntimeError("the method's policy asks for no membership")
        wanted = self._wanted(request)
        # Closed with the call: whoever hangs up is there no longer.
        async with aclosing(self._devices.subscribe(call.query, wanted, call.stream)) as frames:
            async for frame in frames:
                yield frame

    async def UpdateSubscription(
        self, request: pb2.UpdateSubscriptionRequest, call: Call
    ) -> pb2.UpdateSubscriptionResponse:
        """Change what a stream follows."""
        refuse_twins(request.follow_rooms, "follow_rooms")
        command = command_pb2.StreamCommand(stream_id=request.stream_id, user_id=call.acting_user, update=request)
        await self.commands.do(command, call.deadline)
        return pb2.UpdateSubscriptionResponse()

    async def RenewToken(self, request: pb2.RenewTokenRequest, call: Call) -> pb2.RenewTokenResponse:
        """Let a stream live as long as the call's token."""
        caller = call.caller
        renewal = command_pb2.TokenRenewal(
            subject=caller.subject or "",
            superuser=caller.superuser,
            expire_time=timestamp(caller.expire_time),
            token_time=caller.token_time,
            key_id=caller.key.id if caller.key is not None else "",
        )
        command = command_pb2.StreamCommand(stream_id=request.stream_id, user_id=call.acting_user, renewal=renewal)
        answer = await self.commands.do(command, call.deadline)
        return pb2.RenewTokenResponse(token_expire_time=answer.token_expire_time)

    async def _execute(self, command: command_pb2.StreamCommand) -> command_pb2.StreamAnswer:
        if command.HasField("renewal"):
            caller = self._devices.renew(command.stream_id, UserId(command.user_id), self._caller(command.renewal))
            return command_pb2.StreamAnswer(token_expire_time=timestamp(caller.expire_time))
        update = command.update
        await self._devices.update(
            command.stream_id,
            UserId(command.user_id),
            follow={
                room.room_id: (self._start(room, f"follow_rooms[{index}]."), _FOLLOWED.get(room.detail))
                for index, room in enumerate(update.follow_rooms)
            },
            unfollow=update.unfollow_room_ids,
            watch=update.watch_user_ids,
            unwatch=update.unwatch_user_ids,
        )
        return command_pb2.StreamAnswer()

    def _caller(self, renewal: command_pb2.TokenRenewal) -> Caller:
        key = self._find_key(renewal.key_id)
        if key is None:
            # This replica has not read the keys that the other one has, or has read newer ones.
            raise Unauthenticated("TOKEN_INVALID", "the token's key is not in force where the stream is")
        return Caller(
            subject=UserId(renewal.subject) if renewal.subject else None,
            superuser=renewal.superuser,
            service=None,
            expire_time=renewal.expire_time.ToDatetime(UTC),
            token_time=renewal.token_time,
            key=key,
        )

    def _wanted(self, request: pb2.SubscribeRequest) -> DeviceSubscription:
        has_user, has_presence = request.HasField("user"), request.HasField("presence")
        if not (request.rooms or request.follow_memberships or has_user or has_presence):
            raise invalid_field("FIELD_REQUIRED", "rooms", "no part is asked for: rooms, the user, or presence")
        default = self._starts.default_of(request)
        return DeviceSubscription(
            rooms=RoomsSubscription(
                rooms=self._starts.of_rooms(request.rooms, default),
                default_start=default,
                follows_memberships=request.follow_memberships,
                includes_cursors=request.include_cursors,
                includes_read_states=request.include_read_states,
            ),
            sends_events=request.default_detail != room_pb2.ROOM_DETAIL_READ_STATE,
            sends_events_of={
                room.room_id: sends for room in request.rooms if (sends := _FOLLOWED.get(room.detail)) is not None
            },
            has_user=has_user,
            user_after=request.user.after if request.user.HasField("after") else None,
            presence=(Presence(request.presence.online, request.presence.watch_user_ids) if has_presence else None),
        )

    def _start(self, room: room_pb2.RoomToFollow, path: str) -> Start | None:
        # What says nothing starts as the stream does by default.
        says_so = room.WhichOneof("start") is not None or room.HasField("max_snapshot_messages")
        return self._starts.of(room, self._starts.default, path) if says_so else None

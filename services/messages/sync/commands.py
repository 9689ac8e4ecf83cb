"""What calls do to streams, at whichever replica those are: the others are asked over the bus.

A call comes to any replica, and its stream may be at another one. So a command is told to all, again and again until
the one that has the stream answers: what the bus loses is told again, and doing it twice changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog
from chatkit.internal.sync.v1.stream_command_pb2 import StreamAnswer, StreamCommand
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from services.messages.sync.service import stream_not_found
from services.runtime.bus.port import Bus
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, Internal, from_status, to_status
from services.runtime.deadline import Deadline

_log = structlog.get_logger()
_COMMAND, _ANSWER = b"command", b"answer"
# How often a command is told until it is answered, and for how long.
_AGAIN_SECONDS, _MOST_SECONDS = 0.25, 2.0

Execute = Callable[[StreamCommand], Awaitable[StreamAnswer]]


class Commands:
    """Has commands executed where their streams are."""

    def __init__(self, has: Callable[[str], bool], execute: Execute, bus: Bus, subject: str, clock: Clock) -> None:
        self._has = has
        self._execute = execute
        self._bus = bus
        self._subject = subject
        self._clock = clock
        self._answers: dict[bytes, asyncio.Future[StreamAnswer]] = {}
        self._executing: dict[bytes, asyncio.Task[None]] = {}

    async def listen(self) -> None:
        """Hear what other replicas are asked."""
        await self._bus.subscribe(self._subject, self)

    async def do(self, command: StreamCommand, deadline: Deadline) -> StreamAnswer:
        """Execute a command, here or elsewhere. Raises STREAM_NOT_FOUND, and why it was refused."""
        if self._has(command.stream_id):
            return await self._execute(command)
        command.command_id = uuid4().bytes
        answer = asyncio.get_running_loop().create_future()
        self._answers[command.command_id] = answer
        try:
            return await self._ask(command, answer, min(deadline, Deadline.after(_MOST_SECONDS)))
        finally:
            del self._answers[command.command_id]

    async def _ask(
        self, command: StreamCommand, answer: "asyncio.Future[StreamAnswer]", deadline: Deadline
    ) -> StreamAnswer:
        told = command.SerializeToString()
        while seconds := deadline.left():
            self._bus.publish(self._subject, _COMMAND, told)
            await asyncio.wait({answer}, timeout=min(seconds, _AGAIN_SECONDS))
            if answer.done():
                return _answered(answer.result())
        raise stream_not_found(command.stream_id)

    # What other replicas tell.

    def received(self, key: bytes, payload: bytes) -> None:
        """Take a command or an answer; a ValueError for what is neither."""
        try:
            if key == _COMMAND:
                self._begin(StreamCommand.FromString(payload))
            elif key == _ANSWER:
                self._take(StreamAnswer.FromString(payload))
        except DecodeError as error:
            raise ValueError("it is no command and no answer") from error

    def missed(self) -> None:
        """Do nothing: what is not answered is told again."""

    def _take(self, answer: StreamAnswer) -> None:
        waiting = self._answers.get(answer.command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _begin(self, command: StreamCommand) -> None:
        command_id = command.command_id
        if not self._has(command.stream_id) or command_id in self._executing:
            return
        task = asyncio.create_task(self._do(command))
        self._executing[command_id] = task
        task.add_done_callback(lambda _: self._executing.pop(command_id, None))

    async def _do(self, command: StreamCommand) -> None:
        try:
            answer = await self._execute(command)
        except ChatkitError as error:
            answer = StreamAnswer(status=to_status(error).SerializeToString())
        answer.command_id = command.command_id
        self._bus.publish(self._subject, _ANSWER, answer.SerializeToString())


def _answered(answer: StreamAnswer) -> StreamAnswer:
    if answer.status:
        raise from_status(status_pb2.Status.FromString(answer.status)) or Internal(
            "INTERNAL", "a replica has answered without a reason"
        )
    return answer

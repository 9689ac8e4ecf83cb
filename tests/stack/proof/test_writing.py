"""What is recorded of a write is what is known of it, whatever was done to the suite meanwhile."""

import random
from typing import Any

import grpc
import pytest
from chatkit.messages.v1 import message_pb2, messages_service_pb2

from chatkit_client import ChatkitError
from services.stack.proof.clients.work import Person, Work
from services.stack.proof.clients.writing import send_twice
from services.stack.proof.history import Outcome


class _Client:
    """Answers the first of two calls; a database is put back before the other one fails, if one is."""

    def __init__(self) -> None:
        self.work: Work | None = None
        self._calls = 0

    async def call(self, _request: Any, **_options: Any) -> Any:
        self._calls += 1
        if self._calls == 1:
            return messages_service_pb2.SendMessageResponse(message=message_pb2.Message(seq=7, revision=7))
        if self.work is not None:
            self.work.losses += 1
        raise ChatkitError(grpc.StatusCode.UNAVAILABLE, "", "scripted")


@pytest.mark.parametrize("is_put_back", [False, True])
async def test_of_two_attempts_one_may_have_been_answered_before_a_database_was_put_back(is_put_back: bool) -> None:
    client: Any = _Client()
    person = Person("ada", client)
    work = Work([person], client, "run", ["lobby"], random.Random(1))
    client.work = work if is_put_back else None
    await send_twice(work, person, "lobby")
    (one,) = work.history.writes
    expected = (Outcome.UNKNOWN, 0, ()) if is_put_back else (Outcome.ACKNOWLEDGED, 7, (7,))
    assert (one.outcome, one.seq, tuple(one.also_seqs)) == expected

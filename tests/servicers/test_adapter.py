"""The adapter can fail: what grpcio-testing takes for OK, it does not."""

from typing import Any

import grpc
import grpc_testing
import pytest
from chatkit.users.v1 import users_service_pb2 as pb2

from services.runtime.calls.handlers import Handlers
from services.runtime.contract.errors import NotFound
from tests.support.adapter import TestedServicer
from tests.support.tokens import user

_REQUEST = pb2.GetUserRequest(user_id="bob")


class _Servicer:
    """Answers GetUser with what it is told to, or raises it."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["UsersService"]

    def __init__(self, answer: object) -> None:
        self._answer = answer
        self.calls = 0

    def __getattr__(self, _method: str) -> Any:
        return self._respond

    async def _respond(self, _request: object, _call: object) -> object:
        self.calls += 1
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_grpcio_testing_alone_says_ok_to_a_coroutine_that_nobody_awaits() -> None:
    servicer = _Servicer(NotFound("USER_NOT_FOUND", "never raised"))
    server = grpc_testing.server_from_dictionary({servicer.SERVICE: servicer}, grpc_testing.strict_real_time())
    rpc = server.invoke_unary_unary(servicer.SERVICE.methods_by_name["GetUser"], (), _REQUEST, 5)
    response, _, code, _ = rpc.termination()
    assert code is grpc.StatusCode.OK
    assert not isinstance(response, pb2.GetUserResponse)
    assert servicer.calls == 0
    response.close()


def test_through_the_adapter_a_servicer_that_raises_is_refused(handlers: Handlers) -> None:
    servicer = _Servicer(NotFound("USER_NOT_FOUND", "gone", metadata={"user_ids": "[]"}))
    tested = TestedServicer(servicer, handlers)
    with pytest.raises(NotFound, match="gone") as refused:
        tested.call("GetUser", _REQUEST, user("alice"))
    assert refused.value.metadata == {"user_ids": "[]"}
    assert servicer.calls == 1


def test_through_the_adapter_a_bug_is_internal_and_a_wrong_answer_is_none(handlers: Handlers) -> None:
    for answer in (RuntimeError("a secret"), None, 5):
        tested = TestedServicer(_Servicer(answer), handlers)
        with pytest.raises(Exception) as refused:  # noqa: PT011 - that it is not OK is the point
            tested.call("GetUser", _REQUEST, user("alice"))
        assert "a secret" not in str(refused.value)


def test_through_the_adapter_an_answer_is_that_answer(handlers: Handlers) -> None:
    answer = pb2.GetUserResponse()
    answer.user.id = "bob"
    tested = TestedServicer(_Servicer(answer), handlers)
    assert tested.call("GetUser", _REQUEST, user("alice")) == answer

"""Messages in JSON: what is said of one is said as it was, and what is wrong is named as JSON has it."""

from typing import Any

import httpx

from tests.support import tokens
from tests.support.edge import Edge
from tests.support.suite import Suite

_HELLO = [{"contentType": "text/plain", "content": "hello"}]
_KEPT: dict[str, Any] = {"a": [1, 2.5, None, True, {"b": {}}, [], "é"], "c": None}


async def _call(edge: Edge, method: str, **fields: Any) -> httpx.Response:
    path = f"/chatkit.messages.v1.MessagesService/{method}"
    return await edge.json(path, {"roomId": "lobby", **fields}, tokens.token("alice"))


async def _answer(edge: Edge, method: str, **fields: Any) -> Any:
    answer = await _call(edge, method, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _refusal(edge: Edge, method: str, **fields: Any) -> tuple[str, str]:
    """Return the reason, and the field that is wrong."""
    answer = await _call(edge, method, **fields)
    assert answer.status_code == 400, answer.text
    (info,) = [detail for detail in answer.json()["details"] if detail["@type"].endswith("ErrorInfo")]
    return info["reason"], info["metadata"]["field"]


async def test_a_message_is_shown_with_its_request_id_and_its_custom_data(suite: Suite, edge: Edge) -> None:
    sent = (await _answer(edge, "SendMessage", parts=_HELLO, requestId="mine", customData=_KEPT))["message"]
    assert (sent["seq"], sent["requestId"], sent["customData"]) == ("1", "mine", _KEPT)
    assert (await _answer(edge, "BatchGetMessages", seqs=["1", 2]))["messages"] == [sent]
    page = await _answer(edge, "ListMessages", aroundSeq="1")
    assert page["messages"] == [sent]
    edited = (await _answer(edge, "EditMessage", seq=1, parts=_HELLO, customData={}))["message"]
    assert (edited["revision"], edited["requestId"]) == ("2", "mine")
    assert "customData" not in edited


async def test_what_is_wrong_is_named_as_json_has_it(suite: Suite, edge: Edge) -> None:
    too_much = {"a": "x" * 5_120}
    sending = {"parts": _HELLO, "requestId": "1", "customData": too_much}
    assert await _refusal(edge, "SendMessage", **sending) == ("LIMIT_EXCEEDED", "customData")
    assert await _refusal(edge, "ListMessages", aroundSeq="1", fromSeq="1") == ("FIELD_INVALID", "aroundSeq")
    assert await _refusal(edge, "BatchGetMessages", seqs=["1", "-1"]) == ("FIELD_INVALID", "seqs[1]")
    assert await _refusal(edge, "BatchGetMessages", seqs=[]) == ("FIELD_REQUIRED", "seqs")
    too_many = [str(seq) for seq in range(1, 102)]
    assert await _refusal(edge, "BatchGetMessages", seqs=too_many) == ("LIMIT_EXCEEDED", "seqs")

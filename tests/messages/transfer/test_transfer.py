"""`import` and `export` of messages: the log as it would be, had they been said here, but for their times."""

from datetime import datetime
from typing import Any

import pytest
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2
from google.protobuf import json_format

from services.messages.transfer import exporting
from services.runtime.contract.errors import Unavailable
from tests.messages.chat import text
from tests.support.exported import LATER, TIME, a_message, a_room, a_user, alike, part
from tests.support.suite import Suite
from tests.support.tokens import su, user
from tests.support.transferring import run_export, run_import
from tests.support.uploads import add

_MESSAGES = [
    a_message("1"),
    a_message("two", sender_id="bob", custom_data={"of": ["bob", 2, 2.5, None]}),
    # Who has left has said what they have said.
    a_message("3", sender_id="carol", created_at=LATER, updated_at=LATER),
    a_message("4", created_at=LATER, updated_at="2020-01-01T00:00:00Z"),
    a_message("5", created_at="2019-03-04T05:06:09.500000Z", updated_at="2019-03-04T05:06:09.500000Z"),
    a_message("1", room_id="other"),
    a_message(
        "6",
        room_id="other",
        created_at=LATER,
        updated_at=LATER,
        parts=[
            part("inline", type="text/plain", content=""),
            part("url", type="image/png", url="https://example.com/a.png"),
            part("inline", type="application/json", content='{"a": "\u2028🫎"}'),
        ],
    ),
]


def _given(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records as an export has them: ids that are numbers are numbers."""
    return [{**record, "id": int(record["id"]) if record["id"].isdigit() else record["id"]} for record in records]


@pytest.fixture(autouse=True)
async def rooms(suite: Suite) -> None:
    """Have users and rooms."""
    await run_import(suite, "users", [a_user(name) for name in ("alice", "bob", "carol")])
    await run_import(suite, "rooms", [a_room("lobby", "alice", "bob"), a_room("other", "alice")])


async def _history(suite: Suite, room_id: str = "lobby") -> list[Any]:
    request = pb2.ListMessagesRequest(room_id=room_id, direction=pb2.DIRECTION_NEWER, page_size=100)
    return list((await suite.messages.ListMessages(request, metadata=su())).messages)


async def test_what_was_taken_is_given_as_it_was_and_taken_once(suite: Suite) -> None:
    first = await run_import(suite, "messages", _MESSAGES)
    assert (first.counts, first.refused) == ({"taken": 7, "read": 7}, [])
    assert alike(await run_export(suite, "messages")) == alike(_given(_MESSAGES))
    again = await run_import(suite, "messages", _MESSAGES)
    assert (again.counts, again.refused) == ({"already_there": 7, "read": 7}, [])
    assert suite.database.count("messages.messages") == 7


async def test_they_are_read_as_if_they_had_been_sent(suite: Suite) -> None:
    await run_import(suite, "messages", _MESSAGES)
    history = await _history(suite)
    assert [message.seq for message in history] == [1, 2, 3, 4, 5]
    assert [message.revision for message in history] == [1, 2, 3, 4, 5]
    assert [message.sender_id for message in history] == ["alice", "bob", "carol", "alice", "alice"]
    assert history[0].create_time.ToJsonString() == TIME
    assert [message.request_id for message in history] == ["1", "two", "3", "4", "5"]
    assert [message.HasField("edit_time") for message in history] == [False, False, False, True, False]
    sent = await suite.messages.SendMessage(text("now", "now"), metadata=user("alice"))
    assert sent.message.seq == 6
    # What was imported can be sent again by its id, edited and deleted.
    repeated = await suite.messages.SendMessage(text("hello", "1"), metadata=user("alice"))
    assert repeated.message == history[0]
    await suite.messages.DeleteMessage(pb2.DeleteMessageRequest(room_id="lobby", seq=1), metadata=user("alice"))
    edit = pb2.EditMessageRequest(
        room_id="lobby", seq=4, request_id="e", parts=[part_pb2.Part(content_type="text/plain", content="new")]
    )
    await suite.messages.EditMessage(edit, metadata=user("alice"))
    records = {record["id"]: record for record in await run_export(suite, "messages") if record["room_id"] == "lobby"}
    assert records.keys() == {"two", 3, 4, 5, "now"}
    assert records[4]["parts"][0]["payload"]["content"] == "new"
    assert datetime.fromisoformat(records[4]["updated_at"]) > datetime.fromisoformat("2025-01-01T00:00:00Z")


async def test_what_is_imported_twice_after_a_deletion_does_not_come_back(suite: Suite) -> None:
    await run_import(suite, "messages", _MESSAGES[:1])
    await suite.messages.DeleteMessage(pb2.DeleteMessageRequest(room_id="lobby", seq=1), metadata=user("alice"))
    again = await run_import(suite, "messages", _MESSAGES[:1])
    assert again.counts["already_there"] == 1
    assert await _history(suite) == []


async def test_custom_data_comes_along_and_is_part_of_what_was_said(suite: Suite) -> None:
    kept = {"a": 1.5}
    await run_import(suite, "messages", [a_message("1", custom_data=kept), a_message("2", custom_data={})])
    first, second = await _history(suite)
    assert (json_format.MessageToDict(first.custom_data), second.HasField("custom_data")) == (kept, False)
    again = await run_import(suite, "messages", [a_message("1", custom_data={"a": 2}), a_message("2")])
    assert (again.reasons, again.counts["already_there"]) == ([("1", "REQUEST_ID_REUSED")], 1)
    odd = await run_import(suite, "messages", [a_message("3", custom_data={"a": "x" * 6000})])
    assert odd.reasons == [("1", "LIMIT_EXCEEDED")]


async def test_the_time_is_never_earlier_than_that_of_what_is_there(suite: Suite) -> None:
    sent = await suite.messages.SendMessage(text("now", "now"), metadata=user("alice"))
    taken = await run_import(suite, "messages", _MESSAGES[:2])
    assert taken.counts == {"taken": 2, "raised": 2, "read": 2}
    assert [message.create_time for message in await _history(suite)] == [sent.message.create_time] * 3


async def test_an_id_that_stands_for_other_content_is_refused_in_one_batch_and_in_the_next(suite: Suite) -> None:
    other = a_message("1", "other")
    taken = await run_import(
        suite, "messages", [a_message("1"), other, a_message("1"), a_message("1", sender_id="bob")]
    )
    assert taken.reasons == [("2", "REQUEST_ID_REUSED")]
    assert taken.counts == {"taken": 2, "already_there": 1, "read": 4}
    assert (await run_import(suite, "messages", [other])).reasons == [("1", "REQUEST_ID_REUSED")]


async def test_a_stream_that_follows_the_room_finds_them(suite: Suite) -> None:
    call = suite.messages.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("bob"))
    seen: list[int] = []
    await run_import(suite, "messages", _MESSAGES)
    async for frame in call:
        seen += [event.seq for event in frame.events if event.HasField("message_created")]
        if len(seen) == 5:
            break
    call.cancel()
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (a_message("1", sender_id="nobody"), "USER_NOT_FOUND"),
        (a_message("1", room_id="nowhere"), "ROOM_NOT_FOUND"),
        (a_message("1", sender_id=""), "FIELD_REQUIRED"),
        (a_message(""), "FIELD_REQUIRED"),
        (a_message("x" * 65), "LIMIT_EXCEEDED"),
        (a_message("1", "x" * 5_200), "LIMIT_EXCEEDED"),
        (a_message("1", "a\0b"), "FIELD_INVALID"),
        (a_message("1", parts=[]), "FIELD_REQUIRED"),
        (a_message("1", parts=[part("inline", type="text/plain", content="")] * 11), "LIMIT_EXCEEDED"),
        (a_message("1", parts=[part("inline", type="no type", content="")]), "FIELD_INVALID"),
        (a_message("1", parts=[part("url", type="text/plain", url="nowhere")]), "FIELD_INVALID"),
        (a_message("1", parts=[part("attachment", type="text/plain", file_id="none")]), "FILE_NOT_FOUND"),
        (a_message("1", parts=[part("other", type="text/plain")]), "REQUEST_MALFORMED"),
        (a_message("1", parts=[part("inline", type="text/plain")]), "REQUEST_MALFORMED"),
        (a_message("1", created_at="2999-01-01T00:00:00Z"), "FIELD_INVALID"),
        (a_message(1), "REQUEST_MALFORMED"),
    ],
)
async def test_a_record_that_can_not_be_taken_is_refused_and_the_next_one_is_stored(
    suite: Suite, record: dict[str, Any], reason: str
) -> None:
    taken = await run_import(suite, "messages", [record, a_message("next")])
    assert (taken.reasons, taken.counts["taken"]) == ([("1", reason)], 1)


async def test_looking_alone_asks_nobody_and_stores_nothing(suite: Suite) -> None:
    await suite.stop("users")
    await suite.stop("rooms")
    taken = await run_import(suite, "messages", [*_MESSAGES, a_message("")], dry=True)
    assert (taken.counts, taken.reasons) == ({"read": 8}, [("8", "FIELD_REQUIRED")])
    assert suite.database.count("messages.messages") == 0


async def test_it_breaks_off_when_users_is_away_and_goes_on_when_it_is_repeated(suite: Suite) -> None:
    assert (await run_import(suite, "messages", _MESSAGES[:2])).counts["taken"] == 2
    await suite.stop("users")
    with pytest.raises(Unavailable):
        await run_import(suite, "messages", _MESSAGES)
    await suite.start("users", listen=suite.servers["users"].address)
    assert (await run_import(suite, "messages", _MESSAGES)).counts == {"already_there": 2, "taken": 5, "read": 7}


async def test_a_file_is_given_with_what_it_was_and_taken_by_its_id(suite: Suite) -> None:
    file = await add(FilesServiceStub(suite.channel("files")), b"content", user("alice"), name="a.mp4")
    record = a_message("1", parts=[part("attachment", type="video/mp4", file_id=file.id)])
    assert (await run_import(suite, "messages", [record])).counts["taken"] == 1
    (given,) = await run_export(suite, "messages")
    told = {"type": "video/mp4", "name": "a.mp4", "size": 7, "file_id": file.id, "sha256": file.sha256}
    assert given["parts"] == [part("attachment", **told)]
    another = a_message("1", sender_id="bob", parts=[part("attachment", type="video/mp4", file_id=file.id)])
    assert (await run_import(suite, "messages", [another])).reasons == [("1", "FILE_OWNER_REQUIRED")]


async def test_logs_are_given_page_by_page(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_PAGE", 7)
    messages = [a_message(f"{number}") for number in range(700, 750)]
    await run_import(suite, "messages", messages)
    assert await run_export(suite, "messages") == _given(messages)


@pytest.mark.parametrize(
    ("request_id", "shown"),
    [
        ("0", 0),
        ("123456789012345", 123456789012345),
        ("1234567890123456", "1234567890123456"),
        ("007", "007"),
        ("٣", "٣"),
    ],
)
async def test_a_request_id_is_a_number_where_it_is_written_as_one(
    suite: Suite, request_id: str, shown: object
) -> None:
    await run_import(suite, "messages", [a_message(request_id)])
    assert [record["id"] for record in await run_export(suite, "messages")] == [shown]

"""What a look at an export says: what can't be taken, by its file and line, and which limits are too small for it."""

import json
from pathlib import Path
from typing import Any

from tests.stack.transfer.moving import Moving, write
from tests.support.exported import a_message, a_room, a_user, part


async def test_odd_records_are_refused_by_file_and_line_and_the_others_are_taken(moved: Moving, tmp_path: Path) -> None:
    await moved.suite.make_users("there")
    deep = json.loads('{"a":' * 30 + "1" + "}" * 30)
    export: dict[str, list[Any]] = {
        "users": [
            a_user("alice"),
            a_user("surrogate", name="x\ud83d"),
            a_user("numbered", name=7),
            a_user("listed", custom_data=[1]),
            a_user("huge", custom_data={"a": 10**400}),
            a_user("deep", custom_data=deep),
            a_user("alice", name="Another"),
            a_user("alice"),
            a_user("untimed", created_at="Z", updated_at=None),
            a_user("gone", deleted_at="2020-01-01T00:00:00Z"),
            a_user("1", id=1, custom_data=[]),
            "[1]",
            "[",
            '{"id": NaN}',
            a_user("x" * 200),
            a_user("yesterday", created_at="yesterday"),
        ],
        "rooms": [
            a_room("lobby", "alice", "there", "nobody"),
            a_room("2020", "alice", id=2020, name=2020),
            a_room("unflagged", "alice", private="false"),
            a_room("gone", "alice", deleted_at="2020-01-01T00:00:00Z"),
            a_room("long", "alice", name="x" * 61),
        ],
        "messages": [
            a_message(1),
            a_message(2, "a\ud83db"),
            a_message(3, "a\0b"),
            a_message(4, room_id="nowhere"),
            a_message(5, room_id="long"),
            a_message(6, sender_id="nobody"),
            a_message(7, sender_id="there"),
            a_message(8, sender_id="numbered"),
            a_message(9, parts=[part("other")]),
            a_message(10, parts=[]),
            a_message(11, deleted_at="2020-01-01T00:00:00Z"),
            a_message(15, room_id="gone"),
            a_message(12, created_at="2999-01-01T00:00:00Z"),
            a_message(True),
            a_message(
                14, parts=[part("attachment", type="a/b", download_url="https://example.com/f", custom_data=10**400)]
            ),
            a_message(16, custom_data="x"),
            a_message(17, custom_data=deep),
        ],
    }
    write(tmp_path, export)
    report = await moved.take(tmp_path, dry_run=True)
    assert sorted(moved.told, key=lambda told: (told[0].partition(".")[0], int(told[0].rpartition(" ")[2]))) == [
        ("messages.ndjson, line 2", "content is not Unicode text"),
        ("messages.ndjson, line 3", "FIELD_INVALID"),
        ("messages.ndjson, line 4", "its room is not in the export, or was refused"),
        ("messages.ndjson, line 5", "its room is not in the export, or was refused"),
        ("messages.ndjson, line 6", "USER_NOT_FOUND"),
        ("messages.ndjson, line 9", "part_type is 'other'"),
        ("messages.ndjson, line 10", "FIELD_REQUIRED"),
        ("messages.ndjson, line 13", "FIELD_INVALID"),
        ("messages.ndjson, line 14", "id is not text"),
        ("messages.ndjson, line 15", "custom_data can't be sent: int too large to convert to float"),
        ("messages.ndjson, line 16", "custom_data is not an object"),
        ("messages.ndjson, line 17", "FIELD_INVALID"),
        ("rooms.ndjson, line 1", "USER_NOT_FOUND"),
        ("rooms.ndjson, line 3", "private is neither true nor false"),
        ("rooms.ndjson, line 5", "LIMIT_EXCEEDED"),
        ("users.ndjson, line 2", "name is not Unicode text"),
        ("users.ndjson, line 4", "custom_data is not an object"),
        ("users.ndjson, line 5", "custom_data can't be sent: int too large to convert to float"),
        ("users.ndjson, line 6", "FIELD_INVALID"),
        ("users.ndjson, line 7", f"differs from {tmp_path}/users.ndjson, line 1, which has the same id"),
        ("users.ndjson, line 12", "not an object"),
        (
            "users.ndjson, line 13",
            "not JSON: Expecting value: line 1 column 2 (char 1)",
        ),
        ("users.ndjson, line 14", "not JSON: NaN is no number"),
        ("users.ndjson, line 15", "LIMIT_EXCEEDED"),
        ("users.ndjson, line 16", "created_at is no time: 'yesterday'"),
    ]
    assert [refusal.part for refusal in moved.refused if refusal.part] == ["member 'nobody'"]
    assert not report.all_taken
    counts = report.counts
    assert (counts["users"]["deleted"], counts["rooms"]["deleted"], counts["messages"]["deleted"]) == (1, 1, 2)
    assert (counts["users"]["repeated"], counts["rooms"]["taken_in_part"]) == (1, 1)
    # Nothing was written.
    assert moved.suite.database.count("users.users") == 1
    assert moved.suite.database.count("rooms.rooms") == 0
    before = list(moved.refused)
    report = await moved.take(tmp_path)
    assert sorted(map(str, moved.refused)) == sorted(map(str, before))
    assert [report.counts[kind]["taken"] for kind in ("users", "rooms", "messages")] == [4, 2, 3]


async def test_limits_that_are_exceeded_are_told_with_the_largest_and_what_raises_them(
    moved: Moving, tmp_path: Path
) -> None:
    moved.suite.changes["limit_overrides"] = {"ROOM_MEMBERS": 2}
    users = [a_user(name) for name in ("alice", "bob", "carol", "dave")]
    (tmp_path / "large.bin").write_bytes(bytes(5 * 1024 * 1024 + 1))
    large = part("attachment", type="image/png", name="large", download_url="large.bin")
    export = {
        "users": [*users, a_user("e", name="x" * 161)],
        "rooms": [
            a_room("lobby", "alice", "bob", "carol"),
            a_room("other", "alice", "bob", "carol", "dave"),
            a_room("long", "alice", name="x" * 70),
        ],
        "messages": [a_message(1, "x" * 6_000), a_message(2, "x" * 7_000), a_message(3, parts=[large]), a_message(4)],
    }
    report = await moved.take(write(tmp_path, export), dry_run=True)
    limits = {
        limit["name"]: (limit["records"], limit["maximum"], limit["largest"]) for limit in report.as_json()["limits"]
    }
    assert limits == {
        "USER_NAME_CHARS": (1, 160, 161),
        "ROOM_MEMBERS": (2, 2, 4),
        "ROOM_NAME_CHARS": (1, 60, 70),
        "MESSAGE_BYTES": (2, 5120, 7010),
        "FILE_BYTES": (1, 5_242_880, 5_242_881),
    }
    variables = {limit.variable for limit in report.limits.values()}
    assert "CHATKIT_LIMIT_ROOM_MEMBERS" in variables
    assert [refusal.part for refusal in moved.refused if refusal.part] == ["member 'carol'", "members 'carol', 'dave'"]
    counts = report.counts
    assert (counts["users"]["refused"], counts["rooms"]["refused"], counts["messages"]["refused"]) == (1, 1, 3)
    assert counts["rooms"]["taken_in_part"] == 2

"""Records come out in the order of rooms and times, and no more of them is held than is looked at."""

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from services.stack.exports.files import texts
from services.stack.exports.records import record
from services.stack.transfer import records
from services.stack.transfer.staging import Staging
from tests.support.exported import a_message


@pytest.fixture
def staging() -> Iterator[Staging]:
    """Lend an empty one."""
    made = Staging()
    yield made
    made.close()


def test_records_come_out_by_room_and_time_and_else_as_they_came_in(staging: Staging) -> None:
    for room, time, name in [("b", 2, "c"), ("a", 9, "b"), ("b", 1, "d"), ("b", 2, "e"), ("a", -5, "a")]:
        staging.add("messages", "place", "key", json.dumps(name), room=room, time=time)
    staging.add("users", "place", "key", json.dumps("u"))
    assert [json.loads(told) for _, told in staging.records("messages")] == ["a", "b", "d", "c", "e"]
    assert [json.loads(told) for _, told in staging.records("users")] == ["u"]


def test_each_room_is_in_one_lane_and_in_its_order() -> None:
    with closing(Staging(3)) as staging:
        for number in range(40):
            room = f"room {number % 10}"
            staging.add("messages", "place", "key", room, room=room, time=-number)
        lanes = [list(staging.lane("messages", lane)) for lane in range(3)]
        assert sorted(number for lane in lanes for number, _ in lane) == list(range(1, 41))
        rooms = [{room for _, room in lane} for lane in lanes]
        assert sum(map(len, rooms)) == 10
        assert len([lane for lane in lanes if lane]) > 1
        for lane in lanes:
            # By time, which goes back here.
            assert lane == sorted(lane, key=lambda told: (told[1], -told[0]))
        assert list(staging.records("messages")) == [one for lane in lanes for one in lane]


def test_what_is_removed_is_not_there_and_says_where_it_was(staging: Staging) -> None:
    place = "odd \udcff path, line 1"
    first = staging.add("messages", place, "alice", "{}")
    second = staging.add("messages", "line 2", "bob", "{}")
    staging.remove(first)
    assert [number for number, _ in staging.records("messages")] == [second]
    assert staging.count("messages") == 1
    assert list(staging.keys("messages")) == ["bob"]
    assert staging.find(first).place == place
    assert list(staging.of_keys("messages", ["bob", "alice"])) == [(second, "line 2")]


@pytest.mark.parametrize("form", ["ndjson", "json"])
def test_what_is_held_does_not_grow_with_the_messages(tmp_path: Path, form: str) -> None:
    def held(count: int) -> int:
        lines = [json.dumps(a_message(number, "x" * 200)) for number in range(count)]
        text = "\n".join(lines) if form == "ndjson" else f"[{','.join(lines)}]"
        (tmp_path / f"messages.{form}").write_text(text)
        del lines, text
        staging = Staging()
        tracemalloc.start()
        for place, line in texts(tmp_path, "messages"):
            told = records.message(record(line))
            staging.add("messages", place, told["sender_id"], json.dumps(told), room=told["room_id"], time=1)
        assert sum(1 for _ in staging.records("messages")) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        staging.close()
        return most

    held(10)
    assert held(5_000) < held(500) + 200_000

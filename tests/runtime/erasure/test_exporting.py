"""How records are put into frames and pages, without a service."""

from datetime import UTC, datetime

import pytest
from google.protobuf import json_format

from services.runtime.contract.errors import NotFound
from services.runtime.erasure.exporting import PIECE_BYTES, Records, frames, paged, record
from services.runtime.streaming.event_queue import FRAME_BYTES


async def test_frames_hold_many_small_records_and_a_large_one_alone() -> None:
    sizes = [10, 10, 30_000, 30_000, 30_000, 2 * FRAME_BYTES, 10]

    async def records() -> Records:
        for number, size in enumerate(sizes):
            yield record("files", "file_content", {"offset": str(number)}, bytes(size))

    found = [[len(one.content) for one in frame] async for frame in frames(records())]
    assert found == [[10, 10, 30_000, 30_000], [30_000], [2 * FRAME_BYTES], [10]]


async def test_a_piece_of_a_file_fits_into_a_frame_beside_what_names_it() -> None:
    async def records() -> Records:
        for _ in range(2):
            yield record("files", "file_content", {"file_id": "x" * 36, "offset": "9" * 19}, bytes(PIECE_BYTES))

    assert [sum(one.ByteSize() for one in frame) <= FRAME_BYTES async for frame in frames(records())] == [True, True]


async def test_no_record_is_no_frame() -> None:
    async def records() -> Records:
        for _ in range(0):
            yield record("users", "user", {})

    assert [frame async for frame in frames(records())] == []


async def test_what_came_before_an_error_goes_before_it() -> None:
    async def records() -> Records:
        yield record("users", "user", {})
        raise NotFound("USER_NOT_FOUND", "the user does not exist")

    found = frames(records())
    assert [one.kind for one in await anext(found)] == ["user"]
    with pytest.raises(NotFound):
        await anext(found)


async def test_closing_the_frames_closes_the_records() -> None:
    closed = []

    async def records() -> Records:
        try:
            while True:
                yield record("files", "file_content", {}, bytes(PIECE_BYTES))
        finally:
            closed.append(True)

    found = frames(records())
    await anext(found)
    await found.aclose()
    assert closed == [True]


async def test_pages_are_read_one_after_the_other_up_to_an_empty_one() -> None:
    asked: list[int] = []

    async def read(after: int) -> list[int]:
        asked.append(after)
        return [number for number in range(1, 6) if number > after][:2]

    assert [row async for row in paged(read, 0, lambda row: row)] == [1, 2, 3, 4, 5]
    assert asked == [0, 2, 4, 5]


def test_times_are_rfc_3339_and_what_is_not_there_is_left_out() -> None:
    made = record("files", "upload", {"start_time": datetime(2026, 1, 2, tzinfo=UTC), "attach_time": None, "n": "1"})
    assert json_format.MessageToDict(made.record) == {"start_time": "2026-01-02T00:00:00Z", "n": "1"}

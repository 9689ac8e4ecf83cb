"""pages: the first, a middle and the last page of long listings, each read again and again by one caller.

The cost of a page must not grow with its number. Every listing is walked once from end to end before, for the tokens of
its pages, and to see that all is there.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import grpc
from chatkit.rooms.v1 import rooms_service_pb2
from chatkit.users.v1 import users_service_pb2

from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import calls
from benchmarks.load.jobs import Caller, CallsJob
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite

NAME = "pages"
_PAGE = 100
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing: who reads it where, and how many items it has."""

    name: str
    service: str
    path: str
    request: Any
    answer: type[Any]
    items: Callable[[Any], Any]
    token: str
    count: int


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Fill the suite, walk each listing, and read its pages."""
    figures = []
    for listing in await asyncio.to_thread(_fill, suite, options):
        figures += await _measure(suite, options, listing)
    return figures


def _fill(suite: Suite, options: Options) -> list[Listing]:
    many, some = options.size(100_000, 2_000), options.size(1_000, 300)
    suite.say(f"{NAME}: {many:,} users, {many:,} rooms, a user's {some:,} rooms")
    seeding = suite.seeding
    user_id = seeding.users("pages-user-", many)[0]
    seeding.rooms("pages-room-", many - some, [])
    seeding.rooms("pages-own-", some, [user_id])
    seeding.settle()
    users, rooms = "/chatkit.users.v1.UsersService/", "/chatkit.rooms.v1.RoomsService/"
    su = suite.superuser_token
    own_rooms = rooms_service_pb2.ListUserRoomsRequest(user_id=user_id, page_size=_PAGE)
    return [
        Listing(
            f"ListUsers of {many:,}",
            "users",
            f"{users}ListUsers",
            users_service_pb2.ListUsersRequest(page_size=_PAGE),
            users_service_pb2.ListUsersResponse,
            lambda answer: answer.users,
            su,
            many,
        ),
        all_rooms(suite, many),
        Listing(
            f"ListUserRooms of {some:,}",
            "rooms",
            f"{rooms}ListUserRooms",
            own_rooms,
            rooms_service_pb2.ListUserRoomsResponse,
            lambda answer: answer.rooms,
            suite.token(user_id),
            some,
        ),
    ]


def all_rooms(suite: Suite, count: int) -> Listing:
    """Return the listing of all rooms, as an operator reads it."""
    return Listing(
        f"ListRooms of {count:,}",
        "rooms",
        "/chatkit.rooms.v1.RoomsService/ListRooms",
        rooms_service_pb2.ListRoomsRequest(include_private=True, page_size=_PAGE),
        rooms_service_pb2.ListRoomsResponse,
        lambda answer: answer.rooms,
        suite.superuser_token,
        count,
    )


async def _measure(suite: Suite, options: Options, listing: Listing) -> list[Figure]:
    suite.say(f"{NAME}: {listing.name}")
    tokens, walked = await walk(suite, listing)
    # The last page that is full, so that all pages are of one size.
    numbers = {"first": 0, "middle": len(tokens) // 2, "last": max(0, walked // _PAGE - 1)}
    figures = []
    for name, number in numbers.items():
        found = await _read(suite, options, listing, tokens[number])
        case = f"{listing.name}, {name} page"
        figures.append(replace(of_calls(NAME, case, "services", "page", found)))
    growth = {"walked": walked, "seeded": listing.count, "pages": len(tokens), **_growth(figures)}
    figures[-1] = replace(figures[-1], details={**figures[-1].details, **growth})
    return figures


def _growth(figures: list[Figure]) -> Mapping[str, float]:
    first, last = figures[0], figures[-1]
    return {
        "last_to_first_p50": last.p50_ms / first.p50_ms if first.p50_ms else 0.0,
        "last_to_first_cpu": last.server_us / first.server_us if first.server_us else 0.0,
    }


async def walk(suite: Suite, listing: Listing) -> tuple[list[str], int]:
    """Read every page, and return their tokens and the number of items."""
    tokens, walked = [""], 0
    metadata = (("authorization", f"Bearer {listing.token}"),)
    async with grpc.aio.insecure_channel(suite.address(listing.service)) as channel:
        call: Any = channel.unary_unary(
            listing.path,
            request_serializer=type(listing.request).SerializeToString,
            response_deserializer=listing.answer.FromString,
        )
        while True:
            answer = await call(at(listing, tokens[-1]), metadata=metadata, timeout=_SECONDS)
            walked += len(listing.items(answer))
            if not answer.next_page_token:
                return tokens, walked
            tokens.append(answer.next_page_token)


async def _read(suite: Suite, options: Options, listing: Listing, page_token: str) -> dict[str, Any]:
    job = CallsJob(
        address=suite.address(listing.service),
        path=listing.path,
        callers=[Caller(listing.token, at(listing, page_token).SerializeToString())],
        groups=suite.groups,
        seconds=options.seconds / 4,
        warm_up_seconds=options.warm_up / 4,
    )
    return await in_own_process(calls.run, job)


def at(listing: Listing, page_token: str) -> Any:
    """Return the request of a page."""
    request = type(listing.request)()
    request.CopyFrom(listing.request)
    request.page_token = page_token
    return request

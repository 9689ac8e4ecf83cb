"""A thing is serialized again when it is another than it was, and what is kept is bounded."""

from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from chatkit.users.v1 import user_pb2

from services.runtime.contract.serialized import Serialized


@dataclass(frozen=True)
class _Thing:
    uid: UUID
    name: str


class _World:
    def __init__(self, most_bytes: int = 1_000) -> None:
        self.made: list[str] = []
        self.serialized = Serialized(self._proto, most_bytes=most_bytes)

    def _proto(self, thing: _Thing) -> user_pb2.User:
        self.made.append(thing.name)
        return user_pb2.User(name=thing.name)

    def of(self, thing: _Thing) -> str:
        return user_pb2.User.FromString(self.serialized.of(thing.uid, thing)).name


def test_what_is_as_it_was_is_not_serialized_again_and_what_has_changed_is() -> None:
    world, thing = _World(), _Thing(uuid4(), "fern")
    assert [world.of(one) for one in (thing, replace(thing), replace(thing, name="moss"), thing)] == [
        "fern",
        "fern",
        "moss",
        "fern",
    ]
    assert world.made == ["fern", "moss", "fern"]


def test_what_was_kept_first_is_forgotten_where_it_is_too_much() -> None:
    # Ten bytes each, as they are serialized.
    world, things = _World(most_bytes=30), [_Thing(uuid4(), f"thing {number:02}") for number in range(5)]
    for thing in things:
        assert world.of(thing) == thing.name
    world.made.clear()
    for thing in things[:1:-1]:
        world.of(thing)
    assert world.made == []
    world.of(things[1])
    assert world.made == ["thing 01"]


def test_what_is_larger_than_all_that_may_be_kept_is_served_all_the_same() -> None:
    world, thing = _World(most_bytes=30), _Thing(uuid4(), "x" * 100)
    assert [world.of(thing) for _ in range(2)] == [thing.name] * 2

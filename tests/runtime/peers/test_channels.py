"""Whose turn it is among the replicas of a peer."""

from collections.abc import Callable
from typing import Any, cast

import grpc
import pytest

from services.runtime.peers import channels
from services.runtime.peers.channels import SpreadChannel

_READY, _IDLE = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE


class _Call:
    def __init__(self, replica: str) -> None:
        self.replica = replica


class _Replica:
    """A channel that says what it is told to say of its connection."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.state = _READY

    def get_state(self, *, try_to_connect: bool) -> grpc.ChannelConnectivity:
        assert try_to_connect
        return self.state

    def unary_unary(self, _method: str) -> Callable[..., _Call]:
        return lambda _request: _Call(self._name)


class _Time:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> _Time:
    """Let no time pass by itself."""
    passing = _Time()
    monkeypatch.setattr(channels, "time", passing)
    return passing


def test_a_replica_that_lost_a_call_is_passed_over_although_its_channel_does_not_know_it_yet(time: _Time) -> None:
    replicas = [_Replica("a"), _Replica("b")]
    spread = SpreadChannel(cast("Any", replicas))
    method = spread.unary_unary("x")
    lost = method(None)
    assert (lost.replica, method(None).replica) == ("a", "b")
    spread.lost(lost)
    assert [method(None).replica for _ in range(3)] == ["b", "b", "b"]
    # There is no other one.
    replicas[1].state = _IDLE
    assert method(None).replica == "a"
    replicas[1].state = _READY
    time.now += 0.5
    assert [method(None).replica for _ in range(2)] == ["b", "a"]

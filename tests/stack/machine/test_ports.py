"""Ports that an `up` holds for its children."""

import socket
import sys

import pytest

from services.stack.machine.ports import Port
from services.stack.trouble import Trouble


def _listen(address: str, *options: int) -> socket.socket:
    host, _, port = address.rpartition(":")
    listener = socket.socket()
    for option in options:
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listener.bind((host, int(port)))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def test_a_held_port_can_be_listened_on_by_a_child_and_by_nobody_else() -> None:
    held = Port("127.0.0.1")
    with pytest.raises(OSError, match="in use"):
        _listen(held.address, socket.SO_REUSEADDR)
    with _listen(held.address, socket.SO_REUSEPORT) as listener:
        connection = socket.create_connection(listener.getsockname(), timeout=5)
        accepted, _ = listener.accept()
        connection.close()
        accepted.close()
    held.release()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such a port is chosen and not held")
def test_a_port_for_a_child_that_reuses_addresses_is_held_for_it_again_and_again() -> None:
    held = Port("127.0.0.1", child="reuses address")
    with pytest.raises(OSError, match="in use"):
        _listen(held.address)
    for _ in range(2):
        with _listen(held.address, socket.SO_REUSEADDR) as listener:
            socket.create_connection(listener.getsockname(), timeout=5).close()
            listener.accept()[0].close()
    held.release()


def test_a_taken_port_is_one_sentence_that_names_it() -> None:
    taken = socket.create_server(("127.0.0.1", 0), reuse_port=True)
    number = taken.getsockname()[1]
    with taken, pytest.raises(Trouble, match=f"port {number} is taken: choose another"):
        Port("127.0.0.1", number)


def test_a_free_port_that_was_asked_for_is_held() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number = probe.getsockname()[1]
    held = Port("127.0.0.1", number)
    assert held.address == f"127.0.0.1:{number}"
    held.release()

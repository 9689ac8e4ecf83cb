"""Ports that an `up` holds for its children."""

import socket

import pytest

from services.stack.ports import Port
from services.stack.trouble import Trouble


def _listen(address: str, *, reuse: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    listener = socket.socket()
    if reuse:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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
        _listen(held.address, reuse=False)
    with _listen(held.address, reuse=True) as listener:
        connection = socket.create_connection(listener.getsockname(), timeout=5)
        accepted, _ = listener.accept()
        connection.close()
        accepted.close()
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

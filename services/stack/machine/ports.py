"""Ports that belong to one `up`: held by a bound socket that never listens, so that a restarted child keeps its port.

A child may bind a held port because both sides set SO_REUSEPORT, and connections go only to sockets that listen. Go's
programs set SO_REUSEADDR alone: Linux admits them beside such a socket that sets it too, and macOS does not.
"""

import errno
import socket
import sys
from typing import Literal

from services.stack.trouble import Trouble

Child = Literal["reuses port", "reuses address"]


class Port:
    """A held port on loopback or on another address."""

    def __init__(self, host: str, number: int = 0, *, child: Child = "reuses port") -> None:
        if number:
            _refuse_if_taken(host, number)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        option = socket.SO_REUSEPORT if child == "reuses port" else socket.SO_REUSEADDR
        self._socket.setsockopt(socket.SOL_SOCKET, option, 1)
        self._socket.bind((host, number))
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        if child == "reuses address" and sys.platform != "linux":
            # It can't be held, only chosen.
            self.release()

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()


def _refuse_if_taken(host: str, number: int) -> None:
    # Without SO_REUSEPORT, which would admit us beside another one of ours.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Trouble(f"port {number} is taken: choose another with --port, or any free one with 0") from None
            raise Trouble(f"{host}:{number} can't be used: {error.strerror}") from None

"""Asks a process over HTTP, and nobody's proxy: that is why it is not urllib."""

from http.client import HTTPConnection, HTTPException

SECONDS = 2.0


def ask(address: str, path: str, seconds: float = SECONDS, *, accept: str = "*/*") -> tuple[int, str] | None:
    """Return the status and the text with which a process answers; None where it does not."""
    connection = HTTPConnection(address, timeout=seconds)
    try:
        connection.request("GET", path, headers={"accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()

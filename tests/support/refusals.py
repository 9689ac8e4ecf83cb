"""How tests read what a call was refused with."""

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest

from services.runtime.contract.errors import ChatkitError, class_of, from_rpc_error


async def refused(call: Awaitable[Any], reason: str) -> ChatkitError:
    """Await a call that must be refused with this reason and the code that the contract gives it; return the error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return check(caught.value, reason)


def check(error: grpc.aio.AioRpcError, reason: str) -> ChatkitError:
    """Check an error against a reason, and return it with its details."""
    decoded = decode(error)
    assert decoded.reason == reason, f"{decoded.reason}: {decoded.message}"
    assert isinstance(decoded, class_of(reason))
    return decoded


def decode(error: grpc.aio.AioRpcError) -> ChatkitError:
    """Return an error with its details, which must be of the same code."""
    decoded = from_rpc_error(error, "the service")
    assert error.code() == decoded.code
    return decoded

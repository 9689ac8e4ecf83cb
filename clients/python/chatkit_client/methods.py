"""The method that takes a request, found in the contract: no two methods take the same."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chatkit_client.proto.contract.v1 import method_policy_pb2


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is called."""

    path: str
    # Whether a call may be repeated without doing its work twice.
    is_repeatable: bool
    # "unary_unary" and its likes: the channel's name for it.
    kind: str
    decode: Callable[[bytes], Any]


@cache
def method_of(request: Descriptor) -> Method:
    """Return the method that takes this request; raises TypeError if none does."""
    for service in request.file.services_by_name.values():
        for method in service.methods:
            if method.input_type is request:
                options: Any = method.GetOptions()
                return Method(
                    f"/{service.full_name}/{method.name}",
                    bool(options.Extensions[method_policy_pb2.method].repeatable),
                    f"{_kind(is_stream=method.client_streaming)}_{_kind(is_stream=method.server_streaming)}",
                    GetMessageClass(method.output_type).FromString,
                )
    raise TypeError(f"no method takes a {request.full_name}")


def encode(request: Message) -> bytes:
    """Return a request as it is sent."""
    return request.SerializeToString()


def _kind(*, is_stream: bool) -> str:
    return "stream" if is_stream else "unary"

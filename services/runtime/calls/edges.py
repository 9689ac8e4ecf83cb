"""Which edge a stream came through, and the ending of its streams when that edge is about to end.

An edge is named by the hash of a secret, which it shows to end what it has brought. So it needs no key of the suite,
and nobody else can end its streams.
"""

from hashlib import sha256

from chatkit.internal.edges.v1 import edges_service_pb2 as pb2

from services.runtime.calls.call import Call, Context, header_of
from services.runtime.calls.edge_header import EDGE_HEADER
from services.runtime.contract.errors import Unavailable, invalid_field
from services.runtime.streaming.open_streams import Streams, spread_delay

SECRET_BYTES = 32


def name_of(secret: bytes) -> str:
    """Return the name of the edge that has a secret."""
    return sha256(secret).hexdigest()


def edge_of(context: Context) -> str:
    """Return the name of the edge that has brought a call; empty for none."""
    return header_of(context, EDGE_HEADER)


class EdgesServicer:
    """chatkit.internal.edges.v1.EdgesService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["EdgesService"]

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def EndStreams(self, request: pb2.EndStreamsRequest, _call: Call) -> pb2.EndStreamsResponse:
        """End the subscriptions that came through the edge."""
        if len(request.secret) != SECRET_BYTES:
            raise invalid_field("FIELD_INVALID", "secret", f"must have {SECRET_BYTES} bytes")
        return pb2.EndStreamsResponse(ended=await self._streams.end_of_edge(name_of(request.secret), _edge_ends))


def _edge_ends() -> Unavailable:
    return Unavailable(
        "SHUTTING_DOWN", "the edge is shutting down: subscribe through another one", retry_after=spread_delay()
    )

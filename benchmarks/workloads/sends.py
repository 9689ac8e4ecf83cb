"""The send that workloads make: its bytes once, with a placeholder where each has a number of its own."""

from chatkit.messages.v1 import messages_service_pb2, part_pb2

from benchmarks.seeding import TEXT_BYTES

PLACEHOLDER = b"NUMBER-OF-A-SEND"


def send_of(room_id: str, text_bytes: int = TEXT_BYTES) -> messages_service_pb2.SendMessageRequest:
    """Return the request of a send."""
    parts = [part_pb2.Part(content_type="text/plain", content="x" * text_bytes)]
    return messages_service_pb2.SendMessageRequest(room_id=room_id, request_id=PLACEHOLDER.decode(), parts=parts)


def call_body(room_id: str, text_bytes: int = TEXT_BYTES) -> bytes:
    """Return what SendMessage is called with."""
    return send_of(room_id, text_bytes).SerializeToString()


def stream_body(room_id: str, text_bytes: int = TEXT_BYTES) -> bytes:
    """Return what goes on a stream of SendMessages."""
    return messages_service_pb2.SendMessagesRequest(requests=[send_of(room_id, text_bytes)]).SerializeToString()

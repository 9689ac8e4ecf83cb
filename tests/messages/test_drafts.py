"""What is recognised when it is said again is what was said, and not what files says by then."""

from uuid import UUID

from chatkit.messages.v1 import attached_file_pb2, message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages.drafts import draft_of, edit_of
from services.runtime.ids import RoomUid, UserId, UserUid

_ROOM, _SENDER = RoomUid(UUID(int=1)), UserUid(UUID(int=2))


def test_the_hash_covers_a_files_id_and_what_is_stored_has_the_file() -> None:
    said = [part_pb2.Part(content_type="image/gif", file_id="cat")]
    stored = [part_pb2.Part(content_type="image/gif", file_id="cat", file=attached_file_pb2.AttachedFile(name="cat"))]
    send = pb2.SendMessageRequest(room_id="lobby", parts=said, request_id="1")
    draft = draft_of(send, _ROOM, UserId("alice"), _SENDER, stored)
    assert list(message_pb2.Message.FromString(draft.unplaced).parts) == stored
    assert draft.content_hash == draft_of(send, _ROOM, UserId("alice"), _SENDER, send.parts).content_hash
    edit = pb2.EditMessageRequest(room_id="lobby", seq=1, parts=said)
    edited = edit_of(edit, _ROOM, "2", stored)
    assert list(message_pb2.Message.FromString(edited.parts).parts) == stored
    # An edit back to what was sent changes nothing.
    assert edited.content_hash == draft.content_hash

"""The services of the contract, called with names and types, and the messages that the client brings along."""

import subprocess
import sys
from pathlib import Path

import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import message_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor

from chatkit_client import ChatkitError, Reason, connect, pages, services, text, types
from chatkit_client.sync import services as sync_services
from tests.contract.descriptors import ROOT
from tests.contract.descriptors import services as all_services
from tests.support.edge import Edge
from tests.support.tokens import token

# What is called with more than one request has a method of the client instead.
_OF_THE_CLIENT = {"UploadFile": "upload", "SendMessages": "send"}


def _public() -> list[MethodDescriptor]:
    services_of_clients = [one for one in all_services() if ".internal." not in one.full_name]
    return [method for service in services_of_clients for method in service.methods]


@pytest.mark.parametrize("module", [services, sync_services], ids=["async", "sync"])
def test_every_method_of_the_contract_can_be_called(module: object) -> None:
    public = _public()
    assert len(public) > 40
    for method in public:
        if method.name not in _OF_THE_CLIENT:
            name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in method.name).lstrip("_")
            assert callable(getattr(getattr(module, method.containing_service.name), name))


def test_every_reason_of_the_contract_has_its_name() -> None:
    names = {name for name in error_reason_pb2.ErrorReason.keys() if not name.startswith("ERROR_REASON_")}  # noqa: SIM118
    assert set(Reason) == names


async def test_each_service_is_called_with_names(edge: Edge) -> None:
    async with connect(edge.address, token("alice", su=True)) as client:
        assert (await client.users.get_user(user_id="bob")).user.id == "bob"
        made = await client.rooms.create_room(
            name="Hall", visibility=types.Visibility.VISIBILITY_PUBLIC, custom_data={"kind": ["a", 1]}
        )
        room_id = made.room.id
        changed = await client.rooms.update_room(room_id=room_id, name="Attic", update_mask=["name"])
        assert (changed.room.name, json_format.MessageToDict(changed.room.custom_data)) == ("Attic", {"kind": ["a", 1]})
        await client.memberships.add_members(room_id=room_id, user_ids=["bob"])
        assert list((await client.memberships.list_members(room_id=room_id)).user_ids) == ["alice", "bob"]
        await client.roles.create_role(scope="ROLE_SCOPE_ROOM", name="guest", permissions=["message:create"])
        assert (await client.roles.get_role(scope="ROLE_SCOPE_ROOM", name="guest")).role.name == "guest"
        hello = types.Part(content_type="text/plain", content="Hello")
        sent = (await client.messages.send_message(room_id=room_id, parts=[hello])).message
        assert list((await client.messages.list_messages(room_id=room_id)).messages) == [sent]
        assert (await client.read_states.set_read_cursor(room_id=room_id, seq=sent.seq)).cursor.seq == sent.seq
        file = await client.files.create_file(
            room_id=room_id, content_type="text/plain", size_bytes=0, custom_data=["anything", {"is": True}]
        )
        assert file.file.custom_data.list_value[0] == "anything"
        exported = [
            record.kind async for answer in client.users.export_user(user_id="bob") for record in answer.records
        ]
        assert exported[-1] == "complete"


async def test_all_pages_of_a_list_are_read_one_after_the_other(edge: Edge) -> None:
    async with connect(edge.address, token("alice", su=True)) as client:
        for number in range(5):
            await client.messages.send_message(room_id="lobby", parts=[text(f"{number}")])
        found = [page async for page in pages(client.messages.list_messages, room_id="lobby", page_size=2)]
        assert [[message.seq for message in page.messages] for page in found] == [[5, 4], [3, 2], [1]]
        token_of_second = found[0].next_page_token
        rest = pages(client.messages.list_messages, room_id="lobby", page_size=4, page_token=token_of_second)
        assert [[message.seq for message in page.messages] async for page in rest] == [[3, 2, 1]]
        users = [user.id async for page in pages(client.users.list_users, page_size=1) for user in page.users]
        assert sorted(users) == ["alice", "bob"]


async def test_a_refusal_has_its_reason_and_its_facts(edge: Edge) -> None:
    async with connect(edge.address, token("alice")) as client:
        with pytest.raises(ChatkitError) as refused:
            await client.messages.get_message(room_id="lobby", seq=7)
        assert refused.value.reason is Reason.MESSAGE_NOT_FOUND
        assert refused.value.metadata == {"room_id": "lobby", "seq": "7"}
        with pytest.raises(ChatkitError) as refused:
            [answer async for answer in client.users.export_user(user_id="bob")]
        assert refused.value.reason is Reason.SUPERUSER_REQUIRED


def test_whoever_generated_the_same_contract_has_the_same_messages() -> None:
    assert types.Message.DESCRIPTOR is message_pb2.Message.DESCRIPTOR
    assert id(types.Message) == id(message_pb2.Message)


@pytest.mark.parametrize("order", [("chatkit", "chatkit_client"), ("chatkit_client", "chatkit")])
def test_whoever_generated_another_contract_is_told_so(order: tuple[str, str], tmp_path: Path) -> None:
    changed = tmp_path / "chatkit/messages/v1/position_pb2.py"
    changed.parent.mkdir(parents=True)
    source = ROOT / "protos/gen/chatkit/messages/v1/position_pb2.py"
    changed.write_text(source.read_text().replace("x05\\x65poch", "x05\\x65poc8"))
    imports = {"chatkit": "chatkit.messages.v1.position_pb2", "chatkit_client": "chatkit_client"}
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {imports[order[0]]}; import {imports[order[1]]}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "duplicate file name chatkit/messages/v1/position.proto" in done.stderr
    if order[1] == "chatkit_client":
        assert "ImportError: this process has the messages of another release of Chatkit" in done.stderr

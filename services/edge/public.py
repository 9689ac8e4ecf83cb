"""The public part of the contract: the services that clients may call, and their descriptor set."""

from collections.abc import Iterator
from pathlib import Path

from chatkit.files.v1 import files_service_pb2
from chatkit.messages.v1 import messages_service_pb2, read_states_service_pb2
from chatkit.rooms.v1 import memberships_service_pb2, roles_service_pb2, rooms_service_pb2
from chatkit.sync.v1 import sync_service_pb2
from chatkit.users.v1 import presence_service_pb2, users_service_pb2
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from services.runtime.contract.policies import MethodContract, methods_of

# Each service process, and what it serves to the public.
_FILES: dict[str, tuple[FileDescriptor, ...]] = {
    "users": (users_service_pb2.DESCRIPTOR, presence_service_pb2.DESCRIPTOR),
    "rooms": (rooms_service_pb2.DESCRIPTOR, memberships_service_pb2.DESCRIPTOR, roles_service_pb2.DESCRIPTOR),
    "messages": (
        messages_service_pb2.DESCRIPTOR,
        read_states_service_pb2.DESCRIPTOR,
        sync_service_pb2.DESCRIPTOR,
    ),
    "files": (files_service_pb2.DESCRIPTOR,),
}
CLUSTERS = tuple(_FILES)
# Where files takes and gives content over HTTP, at signed URLs below this path.
CONTENT_CLUSTER, CONTENT_PATH = "files_http", "/files/"
# gRPC's server reflection, which the edge answers itself. The older version is what many tools ask for first.
REFLECTION_CLUSTER = "reflection"
REFLECTION_PATHS = tuple(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")
)
# Where the reference is read, and its documents: the front page, one for each package, and the reasons of errors.
DOCS_PATH = "/docs"
DOCS = ("", *CLUSTERS, "sync", "contract", "errors")
# Written by protos/generate.py. It has google.rpc, too: without it the edge could not turn the details of an error into
# JSON.
_CONTRACT = Path(__file__).with_name("contract.binpb")


def services() -> list[tuple[str, ServiceDescriptor]]:
    """List every public service with the process that serves it."""
    return [
        (cluster, service)
        for cluster, files in _FILES.items()
        for file in files
        for service in file.services_by_name.values()
    ]


def methods() -> Iterator[tuple[str, MethodContract]]:
    """List every method that clients may call, with the process that serves it."""
    for cluster, service in services():
        for method in methods_of(service):
            if method.is_public:
                yield cluster, method


def descriptor_set() -> bytes:
    """Return the public contract as a serialized FileDescriptorSet with comments, what is imported before its users."""
    return _CONTRACT.read_bytes()

"""The checks of the contract find what they look for: each is shown a contract that is wrong."""

from typing import Any

import pytest
from chatkit.contract.v1 import field_policy_pb2, limit_pb2, method_policy_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FieldDescriptor, ServiceDescriptor

from services.runtime.contract.policies import field_policy, methods_of
from tests.contract.bounds import unbounded

_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_ONE = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_MANY = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED


def _option(described: Any, extension: Any) -> Any:
    return described.options.Extensions[extension]


def _field(label: descriptor_pb2.FieldDescriptorProto.Label.ValueType, **policy: Any) -> FieldDescriptor:
    file = descriptor_pb2.FileDescriptorProto(name="wrong.proto", package="wrong", syntax="proto3")
    field = file.message_type.add(name="Request").field.add(name="text", number=1, type=_STRING, label=label)
    _option(field, field_policy_pb2.field).CopyFrom(field_policy_pb2.FieldPolicy(**policy))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindFileByName("wrong.proto").message_types_by_name["Request"].fields_by_name["text"]


def _service(audience: method_policy_pb2.Audience) -> ServiceDescriptor:
    file = descriptor_pb2.FileDescriptorProto(name="wrong.proto", package="wrong", syntax="proto3")
    file.message_type.add(name="Message")
    method = file.service.add(name="Service").method.add(name="Do", input_type="Message", output_type="Message")
    _option(method, method_policy_pb2.method).audience = audience
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("wrong.Service")


@pytest.mark.parametrize(
    ("label", "policy", "lacks"),
    [
        (_ONE, {}, ["max_chars"]),
        (_ONE, {"max_items": limit_pb2.LIMIT_PAGE_SIZE}, ["max_chars"]),
        (_MANY, {"max_chars": limit_pb2.LIMIT_ID_CHARS}, ["max_items"]),
        (_MANY, {}, ["max_items", "max_chars"]),
        (_ONE, {"max_chars": limit_pb2.LIMIT_ID_CHARS}, []),
    ],
)
def test_a_text_or_list_without_a_limit_is_found(
    label: descriptor_pb2.FieldDescriptorProto.Label.ValueType, policy: dict[str, int], lacks: list[str]
) -> None:
    field = _field(label, **policy)
    assert unbounded(field, field_policy(field)) == lacks


def test_a_method_without_a_policy_is_found() -> None:
    with pytest.raises(ValueError, match=r"wrong\.Service\.Do has no audience"):
        methods_of(_service(method_policy_pb2.AUDIENCE_UNSPECIFIED))
    (method,) = methods_of(_service(method_policy_pb2.AUDIENCE_USER))
    assert method.path == "/wrong.Service/Do"

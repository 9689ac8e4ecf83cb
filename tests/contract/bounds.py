"""What bounds a field of a request, and what does not."""

from chatkit.contract.v1 import field_policy_pb2
from google.protobuf.descriptor import FieldDescriptor

from tests.contract import descriptors


def is_well_known(field: FieldDescriptor, well_known: str) -> bool:
    """Tell whether a field is of one of the types that come with protobuf."""
    return field.message_type is not None and field.message_type.full_name == descriptors.WELL_KNOWN + well_known


def unbounded(field: FieldDescriptor, policy: field_policy_pb2.FieldPolicy) -> list[str]:
    """Name the limits that a field of a request lacks."""
    lacks = []
    if field.is_repeated and not policy.max_items:
        lacks.append("max_items")
    if field.type == FieldDescriptor.TYPE_BYTES and not policy.max_bytes:
        lacks.append("max_bytes")
    if field.type == FieldDescriptor.TYPE_STRING and not (policy.max_chars or policy.counted_in):
        lacks.append("max_chars")
    if (is_well_known(field, "Struct") or is_well_known(field, "Value")) and not policy.max_json_bytes:
        lacks.append("max_json_bytes")
    if is_well_known(field, "FieldMask") and not policy.max_items:
        lacks.append("max_items")
    return lacks

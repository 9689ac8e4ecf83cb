"""Limits: what is in force by default, and how a deployment overrides it."""

import re

import pytest
from chatkit.contract.v1 import limit_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.contract.policies import Limits, field_policy, limit_definition, limit_name, limits_table
from tests.contract import descriptors

VALUES = [value for value in limit_pb2.Limit.DESCRIPTOR.values if value.number]
DEFAULTS = {
    "ROOM_MEMBERS": 100,
    "MESSAGE_BYTES": 5_120,
    "CUSTOM_DATA_BYTES": 5_120,
    "RESUME_MESSAGES": 100,
    "MEMBERS_PER_REQUEST": 10,
    "ROOM_NAME_CHARS": 60,
    "ID_CHARS": 160,
    "USER_NAME_CHARS": 160,
    "USERS_PER_BATCH": 10,
    "USERS_PER_GET": 250,
    "PARTS_PER_MESSAGE": 10,
    "PAGE_SIZE_DEFAULT": 20,
    "PAGE_SIZE": 100,
    "REQUEST_ID_CHARS": 64,
    "URL_CHARS": 2_048,
    "CONTENT_TYPE_CHARS": 255,
    "PAGE_TOKEN_CHARS": 2_048,
    "ETAG_CHARS": 64,
    "UPDATE_MASK_PATHS": 16,
    "REQUEST_BYTES": 65_536,
    "BATCH_REQUEST_BYTES": 1_048_576,
    "STREAMS_PER_USER": 100,
    "STREAMS_PER_PROCESS": 20_000,
    "TOKEN_CHARS": 8_192,
    "HEADERS_BYTES": 32_768,
    "REQUESTS_PER_USER_PER_SECOND": 100,
    "SENDS_PER_USER_PER_SECOND": 20,
    "RETENTION_DAYS": 7,
    "MESSAGES_PER_BATCH": 100,
    "ROOMS_PER_SUBSCRIPTION": 1_000,
    "WATCHED_USERS": 1_000,
    "FILE_BYTES": 5_242_880,
    "STORAGE_BYTES_PER_USER": 1_073_741_824,
    "EPOCH_CHARS": 64,
    "STREAMS_PER_CONNECTION": 1_000,
    "ROLE_NAME_CHARS": 160,
    "PERMISSIONS_PER_REQUEST": 64,
    "PERMISSION_CHARS": 64,
    "PUSH_TITLE_CHARS": 160,
    "FILE_NAME_CHARS": 255,
    "FILE_CHUNK_BYTES": 262_144,
    "UPLOADS_PER_USER": 20,
    "UPLOADS_PER_PROCESS": 200,
    "SHA256_CHARS": 64,
    "FILES_PER_CALL": 250,
    "DOWNLOADS_PER_PROCESS": 1_000,
    "ROOMS_CREATED_PER_USER": 1_000,
    "ROOMS_CREATED_PER_USER_PER_DAY": 100,
    "ROOMS_PER_USER": 1_000,
    "ROOMS_GIVEN_PER_USER": 500,
    "DOWNLOADS_PER_FILE": 100,
    "TRANSFER_BYTES_PER_SECOND": 1_024,
}


def test_the_defaults_are_those_that_were_promised() -> None:
    assert {row.name: row.value for row in limits_table({})} == DEFAULTS
    assert [row.name for row in limits_table({})] == [value.name.removeprefix("LIMIT_") for value in VALUES]


def test_every_limit_says_what_it_counts_and_bounds() -> None:
    for value in VALUES:
        definition = limit_definition(value)
        assert definition.default_value > 0, value.name
        assert definition.unit in {"bytes", "code points", "items", "days"}, value.name
        assert definition.description, value.name
        assert definition.description[0].islower(), value.name


def test_a_limit_is_planned_if_and_only_if_nothing_enforces_it() -> None:
    enforced = {method.policy.request_bytes for method in descriptors.methods()}
    for field in descriptors.request_fields():
        if field.full_name.startswith("chatkit.internal."):
            continue
        policy = field_policy(field)
        enforced |= {policy.max_chars, policy.max_items, policy.max_json_bytes, policy.sum.limit}
        enforced |= {policy.max_value, policy.min_value}
        enforced |= {policy.max_bytes}
        enforced |= {policy.page_size.default_size, policy.page_size.maximum}
    names = {limit_name(limit) for limit in enforced if limit}
    for path in (descriptors.ROOT / "services").rglob("*.py"):
        names |= set(re.findall(r"limit_pb2\.LIMIT_([A-Z_]+)", path.read_text()))
    assert {row.name for row in limits_table({}) if not row.planned} == names


@given(name=st.sampled_from(sorted(DEFAULTS)), value=st.integers(1, 2**62))
def test_a_deployment_overrides_a_limit_and_only_that_one(name: str, value: int) -> None:
    environ = {f"CHATKIT_LIMIT_{name}": str(value), "CHATKIT_LISTEN": "0.0.0.0:1", "PATH": "/bin"}
    assert {row.name: row.value for row in limits_table(environ)} == {**DEFAULTS, name: value}
    assert {row.name: row.default for row in limits_table(environ)} == DEFAULTS
    assert Limits.from_environ(environ)[limit_pb2.Limit.Value(f"LIMIT_{name}")] == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", " 5", "5k", "\u0665", "1_000", "0x10"])
def test_a_value_that_is_no_positive_whole_number_is_refused_by_the_settings_name(text: str) -> None:
    with pytest.raises(ValueError, match="CHATKIT_LIMIT_ROOM_MEMBERS must be a positive whole number"):
        Limits.from_environ({"CHATKIT_LIMIT_ROOM_MEMBERS": text})


def test_a_limit_that_does_not_exist_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="no such limit: ROOM_MEMBER"):
        Limits.from_environ({"CHATKIT_LIMIT_ROOM_MEMBER": "5"})

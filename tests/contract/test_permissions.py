"""Permissions and the two predefined roles: the contract against what Chatkit had and what was decided beside it."""

import re

from chatkit.contract.v1 import permission_pb2

from services.runtime.contract.policies import permissions

# Chatkit's `default`, as its clients' own test suites made it.
CHATKIT_DEFAULT = {
    "message:create",
    "room:join",
    "room:leave",
    "room:members:add",
    "room:members:remove",
    "room:get",
    "room:create",
    "room:messages:get",
    "room:typing_indicator:create",
    "presence:subscribe",
    "user:get",
    "user:rooms:get",
    "file:get",
    "file:create",
    "cursors:read:get",
    "cursors:read:set",
}
DEFAULT = CHATKIT_DEFAULT | {"message:edit", "message:delete"}
ADMIN = DEFAULT | {"message:moderate", "room:update", "room:delete", "user:update", "user:search"}
# Chatkit's, the cursors' included, and those for messages.
IN_ROOMS = {
    "room:join",
    "room:leave",
    "room:members:add",
    "room:members:remove",
    "room:delete",
    "room:update",
    "message:create",
    "room:typing_indicator:create",
    "room:messages:get",
    "file:get",
    "file:create",
    "cursors:read:get",
    "cursors:read:set",
    "message:edit",
    "message:delete",
    "message:moderate",
}
DECLARED = permissions()


def test_default_is_chatkits_and_ones_own_messages() -> None:
    assert {permission.name for permission in DECLARED if permission.in_default_role} == DEFAULT


def test_admin_has_every_permission_that_there_is() -> None:
    assert {permission.name for permission in DECLARED if permission.in_admin_role} == ADMIN
    assert {permission.name for permission in DECLARED} == ADMIN


def test_roles_of_rooms_can_have_what_is_about_one_room() -> None:
    assert {permission.name for permission in DECLARED if permission.in_rooms} == IN_ROOMS


def test_names_have_chatkits_form_are_unique_and_are_the_values_names() -> None:
    names = [permission.name for permission in DECLARED]
    assert len(set(names)) == len(names)
    for name, value in zip(names, permission_pb2.Permission.DESCRIPTOR.values[1:], strict=True):
        assert re.fullmatch(r"[a-z]+(:[a-z_]+)+", name), name
        assert value.name == "PERMISSION_" + name.upper().replace(":", "_")

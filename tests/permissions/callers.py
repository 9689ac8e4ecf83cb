"""The callers of the matrix: who they are in the room that a method acts on, and what the options say they get."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatkit.contract.v1 import method_policy_pb2

from services.runtime.contract.policies import MethodContract, permissions
from tests.support import tokens

OK: Final = "ok"
# The call is OK, and tells nothing of what the caller may not see.
LEFT_OUT: Final = "left out"
# A global role that grants nothing, so that only the role in the room counts.
NOTHING: Final = "nothing"
_PERMISSIONS = {permission.name: permission for permission in permissions()}


@dataclass(frozen=True)
class Caller:
    """One column: the global role, whether they are a member, and whether they have, or had, a role in the room."""

    name: str
    global_role: str = ""
    is_member: bool = False
    was_member: bool = False
    # A role in the room whose one permission is the one that the method asks for.
    has_room_role: bool = False
    # The token to sign in with, when it is not the user's own.
    token: Callable[[str], str | None] | None = None

    @property
    def place(self) -> str:
        """Say how the caller stands to the room."""
        role = " with a role of one permission: it" if self.has_room_role else ""
        return f"member{role}" if self.is_member else f"was a member{role}" if self.was_member else ""

    def sign_in(self, user_id: str) -> str | None:
        """Return the token that the caller sends; None sends none."""
        return self.token(user_id) if self.token is not None else tokens.token(user_id)

    def grants(self, permission: str, *, in_room: bool) -> bool:
        """Tell whether a role of the caller grants the permission that is asked for."""
        known = _PERMISSIONS[permission]
        of_room = in_room and self.has_room_role and self.is_member and known.in_rooms
        return of_room or {"default": known.in_default_role, "admin": known.in_admin_role}.get(self.global_role, False)


CALLERS = (
    Caller("nobody", token=lambda _: None),
    Caller("outsider", "default"),
    Caller("member", "default", is_member=True),
    Caller("bare member", NOTHING, is_member=True),
    Caller("member with it", NOTHING, is_member=True, has_room_role=True),
    Caller("ex-member with it", NOTHING, was_member=True, has_room_role=True),
    Caller("admin outside", "admin"),
    Caller("admin inside", "admin", is_member=True),
    Caller("su", token=lambda _: tokens.token(None, su=True)),
    Caller("service", token=lambda _: tokens.service_token("messages", "rooms")),
)


def asked_for(policy: method_policy_pb2.MethodPolicy, *, is_own: bool) -> str:
    """Return the permission that a method asks for, on what is the caller's own or on what is another's."""
    return policy.permission if is_own else policy.permission_for_others or policy.permission


def expected(method: MethodContract, caller: Caller, *, room_is_public: bool, is_own: bool) -> str:
    """Return what the options of the contract say that the edge and the services answer."""
    policy = method.policy
    if not method.is_public:
        return "METHOD_NOT_FOUND"
    if caller.name in {"nobody", "service"}:
        return "TOKEN_MISSING" if caller.name == "nobody" else "TOKEN_INVALID"
    if caller.name == "su":
        return OK
    if policy.audience == method_policy_pb2.AUDIENCE_SUPERUSER:
        return "SUPERUSER_REQUIRED"
    in_room = policy.HasField("room")
    refusal = ""
    if in_room and not _may_enter(policy.room.membership, caller, room_is_public=room_is_public):
        refusal = "ROOM_ACCESS_DENIED"
    elif (permission := asked_for(policy, is_own=is_own)) and not caller.grants(permission, in_room=in_room):
        refusal = "PERMISSION_MISSING"
    return LEFT_OUT if refusal and leaves_out(method) else refusal or OK


def leaves_out(method: MethodContract) -> bool:
    """Tell whether a method leaves out what is in rooms that are refused, instead of saying so for each of them."""
    return method.policy.room.membership == method_policy_pb2.MEMBERSHIP_REQUIRED_PER_ROOM and not method.streams


def _may_enter(membership: method_policy_pb2.Membership, caller: Caller, *, room_is_public: bool) -> bool:
    if membership == method_policy_pb2.MEMBERSHIP_NOT_REQUIRED:
        return True
    unless_public = membership == method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC
    return caller.is_member or (unless_public and room_is_public)

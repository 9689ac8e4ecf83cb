"""The rule of access without a database: membership first, then the permission, and `su` past both."""

import itertools

import pytest

from services.rooms.model import HeldRole, MembershipRule, Refusal, RoleScope, Standing, Visibility, refusal
from tests.support.peers import room_uid_of, user_uid_of

REQUIRED, UNLESS_PUBLIC, NOT_REQUIRED = MembershipRule
UNKNOWN, DENIED, MISSING = Refusal
ROOM, USER = room_uid_of("room"), user_uid_of("user")
YES, NO = HeldRole("yes", grants=True), HeldRole("no", grants=False)


def _standing(where: str, global_role: HeldRole = NO, room_role: HeldRole | None = None) -> Standing:
    if where == "nowhere":
        return Standing(7, None, None, None, global_role, room_role)
    visibility = Visibility.PUBLIC if "public" in where else Visibility.PRIVATE
    return Standing(7, ROOM, visibility, USER if "member" in where else None, global_role, room_role)


# Where the user stands, what is asked, who has the permission, and the answer to users.
TABLE = [
    ("nowhere", REQUIRED, YES, None, DENIED),
    ("nowhere", REQUIRED, NO, None, DENIED),
    ("nowhere", UNLESS_PUBLIC, YES, None, DENIED),
    ("nowhere", NOT_REQUIRED, YES, None, None),
    ("nowhere", NOT_REQUIRED, NO, None, MISSING),
    ("outside private", REQUIRED, YES, None, DENIED),
    ("outside private", REQUIRED, NO, YES, DENIED),
    ("outside private", UNLESS_PUBLIC, YES, None, DENIED),
    ("outside private", NOT_REQUIRED, YES, None, None),
    ("outside private", NOT_REQUIRED, NO, YES, MISSING),
    ("outside public", REQUIRED, YES, None, DENIED),
    ("outside public", UNLESS_PUBLIC, YES, None, None),
    ("outside public", UNLESS_PUBLIC, NO, None, MISSING),
    ("outside public", UNLESS_PUBLIC, NO, YES, MISSING),
    ("member private", REQUIRED, YES, None, None),
    ("member private", REQUIRED, NO, None, MISSING),
    ("member private", REQUIRED, NO, NO, MISSING),
    ("member private", REQUIRED, NO, YES, None),
    ("member private", REQUIRED, YES, NO, None),
    ("member private", UNLESS_PUBLIC, NO, YES, None),
    ("member private", NOT_REQUIRED, NO, YES, None),
    ("member public", UNLESS_PUBLIC, NO, NO, MISSING),
    ("member public", REQUIRED, YES, YES, None),
]


@pytest.mark.parametrize(("where", "rule", "global_role", "room_role", "answer"), TABLE)
def test_membership_comes_first_and_then_the_permission(
    where: str, rule: MembershipRule, global_role: HeldRole, room_role: HeldRole | None, answer: Refusal | None
) -> None:
    standing = _standing(where, global_role, room_role)
    assert refusal(standing, rule, superuser=False, asks_permission=True) == answer
    without = None if answer is MISSING else answer
    assert refusal(standing, rule, superuser=False, asks_permission=False) == without


def test_superusers_are_refused_nothing_but_a_room_that_is_not_there() -> None:
    places = ("nowhere", "outside private", "outside public", "member private", "member public")
    for where, rule, role in itertools.product(places, MembershipRule, (YES, NO)):
        expected = UNKNOWN if where == "nowhere" and rule is not NOT_REQUIRED else None
        assert refusal(_standing(where, role), rule, superuser=True, asks_permission=True) == expected


def test_the_role_in_a_room_counts_for_members_only() -> None:
    assert _standing("member private", NO, YES).roles == ((RoleScope.GLOBAL, "no"), (RoleScope.ROOM, "yes"))
    assert _standing("outside private", NO, YES).roles == ((RoleScope.GLOBAL, "no"),)
    assert _standing("member private", NO).roles == ((RoleScope.GLOBAL, "no"),)

"""What there is in the suite, as inputs name it. What the suite names itself is told when all has been made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Those who may be named as callers are never deleted for long: they are made again.
USERS = ("alice", "bob", "carol", "dave", "erin", "frank", "greta", "zoë 🫎")
ROOMS = ("lobby", "attic", "cellar", "garden", "kitchen", "a/b ?#%2F")
ROLES = ("guide", "visitor", "default", "admin")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Known:
    """Values that mean something, by the names of the fields that hold them."""

    # Of page tokens by method; of the others by field.
    told: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Paths with queries, which are signed.
    urls: Sequence[str] = ()

    def of_text(self, name: str, method: str) -> Sequence[str]:
        """Return the texts that a field of a method's request may name; nothing where it names nothing."""
        if name == "page_token":
            return self.told.get(method, ())
        if name in {"id", "name"}:
            return _OF_SERVICES.get(method.split(".")[1] if "." in method else "", ())
        return _BY_NAME.get(name) or self.told.get(name.removesuffix("s"), ())


_OF_SERVICES = {"users": USERS, "rooms": ROOMS}
_USER_FIELDS = ("user_id", "user_ids", "sender_id", "creator_id", "other_user_id", "watch_user_ids", "unwatch_user_ids")
_BY_NAME: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(_USER_FIELDS, USERS),
    **dict.fromkeys(("room_id", "after_room_id", "unfollow_room_ids"), ROOMS),
    "role_name": ROLES,
    "prefix": ("a", "b", "zo"),
}

"""The services that have a schema, and the names of their roles: one that owns the schema, and one that uses it."""

SERVICES = ("users", "rooms", "messages", "files")
# Those of which others keep positions, which an epoch is part of.
EPOCHS = ("users", "rooms", "messages")


def role_names(service: str) -> tuple[str, str]:
    """Return the names of a service's runtime role and of its migrate role."""
    return f"chatkit_{service}", f"chatkit_{service}_migrate"


def all_roles() -> list[str]:
    """List every role of the suite."""
    return [role for service in SERVICES for role in role_names(service)]

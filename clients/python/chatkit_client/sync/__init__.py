"""The same client for programs without an event loop, with the same names and the same behaviour.

It is the async client, run in a thread: a second one on gRPC's blocking calls would have all of the resuming twice.
"""

from chatkit_client.sync.client import Client, connect
from chatkit_client.sync.following import (
    Connection,
    PresenceSubscription,
    RoomsSubscription,
    Subscription,
    UserSubscription,
)
from chatkit_client.sync.paging import pages
from chatkit_client.sync.session import Session

__all__ = [
    "Client",
    "Connection",
    "PresenceSubscription",
    "RoomsSubscription",
    "Session",
    "Subscription",
    "UserSubscription",
    "connect",
    "pages",
]

"""A client of the suite that resumes its streams by itself."""

from chatkit_client.client import Client, connect
from chatkit_client.connection import Connection, ConnectionState, ConnectionStatus, StreamPart
from chatkit_client.errors import ChatkitError, SignedOut, TokenError
from chatkit_client.messages import Messages
from chatkit_client.paging import pages
from chatkit_client.reasons import Reason
from chatkit_client.sending.outcomes import Sent, text
from chatkit_client.session import Change, ChangeKind, Pending, RoomView, Session
from chatkit_client.streams.room_log import Gap
from chatkit_client.streams.rooms_subscription import RoomsSubscription
from chatkit_client.streams.state_subscriptions import PresenceSubscription, UserSubscription
from chatkit_client.streams.subscription import Subscription

__all__ = [
    "Change",
    "ChangeKind",
    "ChatkitError",
    "Client",
    "Connection",
    "ConnectionState",
    "ConnectionStatus",
    "Gap",
    "Messages",
    "Pending",
    "PresenceSubscription",
    "Reason",
    "RoomView",
    "RoomsSubscription",
    "Sent",
    "Session",
    "SignedOut",
    "StreamPart",
    "Subscription",
    "TokenError",
    "UserSubscription",
    "connect",
    "pages",
    "text",
]

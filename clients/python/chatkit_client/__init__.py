"""A client of the suite that resumes its streams by itself."""

from chatkit_client.client import Client, connect
from chatkit_client.connection import Connection, ConnectionState, ConnectionStatus
from chatkit_client.errors import ChatkitError, SignedOut, TokenError
from chatkit_client.messages import Messages
from chatkit_client.reasons import Reason
from chatkit_client.room_log import Gap
from chatkit_client.rooms_subscription import RoomsSubscription
from chatkit_client.sending import Sent, text
from chatkit_client.state_subscriptions import PresenceSubscription, UserSubscription
from chatkit_client.subscription import Subscription

__all__ = [
    "ChatkitError",
    "Client",
    "Connection",
    "ConnectionState",
    "ConnectionStatus",
    "Gap",
    "Messages",
    "PresenceSubscription",
    "Reason",
    "RoomsSubscription",
    "Sent",
    "SignedOut",
    "Subscription",
    "TokenError",
    "UserSubscription",
    "connect",
    "text",
]

"""A small client of the suite that resumes its streams by itself."""

from clients.python.client import Client, connect
from clients.python.errors import ChatkitError
from clients.python.messages import Messages
from clients.python.room_log import Gap
from clients.python.rooms_subscription import RoomsSubscription
from clients.python.subscription import Subscription

__all__ = ["ChatkitError", "Client", "Gap", "Messages", "RoomsSubscription", "Subscription", "connect"]

"""One device: what its user's rooms are like, kept current by one stream that resumes by itself."""

from chatkit_client.session.device import SessionOptions
from chatkit_client.session.session import Session
from chatkit_client.session.views import Change, ChangeKind, Pending, RoomView

__all__ = ["Change", "ChangeKind", "Pending", "RoomView", "Session", "SessionOptions"]

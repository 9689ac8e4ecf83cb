"""The settings of each process."""

from services.edge.settings import EdgeSettings
from services.files.settings import FilesSettings
from services.messages.settings import MessagesSettings
from services.rooms.settings import RoomsSettings
from services.runtime.settings import Settings
from services.users.settings import UsersSettings

SETTINGS: dict[str, type[Settings]] = {
    "users": UsersSettings,
    "rooms": RoomsSettings,
    "messages": MessagesSettings,
    "files": FilesSettings,
    "edge": EdgeSettings,
}

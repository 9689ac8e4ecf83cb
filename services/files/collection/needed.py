"""Which content without a row messages still need: what a backup of the tables that was brought back does not know.

The keys of content name their files, and a message names its files, so messages can be asked. Nothing in the store is
removed before.
"""

from collections.abc import Iterable

from services.files.model import file_of_key
from services.files.peers import MessagesClient
from services.files.store import FileStore


class Needed:
    """Asks messages about content that nothing else refers to."""

    def __init__(self, store: FileStore, messages: MessagesClient) -> None:
        self._store = store
        self._messages = messages

    async def among(self, keys: Iterable[str]) -> set[str]:
        """Return those keys whose files a message refers to and that have no other content.

        At most FILES_PER_CALL of them. Raises SERVICE_UNAVAILABLE when messages does not say.
        """
        file_of = {key: uid for key in keys if (uid := file_of_key(key)) is not None}
        elsewhere = await self._store.with_content_among(set(file_of.values()))
        wanted = {str(uid) for uid in file_of.values() if uid not in elsewhere}
        used = await self._messages.referenced(sorted(wanted))
        return {key for key, uid in file_of.items() if str(uid) in used}

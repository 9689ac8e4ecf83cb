"""The parts of the service beside a running one, each of which a test may hold up or replace."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from services.files.collection.collector import Collector
from services.files.content.blobs import open_blobs
from services.files.content.incoming import Incoming
from services.files.content.places import Bounds
from services.files.content.uploads import Uploads
from services.files.content.urls import FileUrls
from services.files.http.transfers import FilesHttp
from services.files.service import Files
from services.files.store import FileStore
from services.runtime.data.database import Database, create_engine
from services.runtime.deadline import NEVER, Deadline
from tests.files.library import Library
from tests.support.suite import settings
from tests.support.tokens import INSTANCE, SERVICE_KEY

_DAY = timedelta(days=1)
# Whoever would know who may read what: nobody asks here.
_NOBODY = cast("Any", None)


class Asked:
    """Messages, answering each question as a test wants."""

    def __init__(self, *answers: set[str] | Exception) -> None:
        self.answers = list(answers)

    async def referenced(self, file_ids: Sequence[str], _deadline: Deadline = NEVER) -> set[str]:
        if not file_ids:
            return set()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class World:
    """A second process of the service, so to speak; it works by the library's clock."""

    def __init__(self, shelf: Library, **told: Any) -> None:
        self.clock = shelf.clock
        self.database = Database(create_engine(shelf.database.dsn("files"), connections=2))
        self.store = FileStore(self.database)
        self.blobs = open_blobs(settings(shelf.database, shelf.folder, "files", **told))

    def collector(self, messages: Asked) -> Collector:
        """Return a collector that asks `messages`."""
        urls = FileUrls("http://x", "x", timedelta(hours=1), self.clock)
        asked, incoming = cast("Any", messages), self.incoming()
        files = Files(self.store, self.blobs, incoming, urls, asked, _NOBODY, unattached_for=_DAY, most_bytes=1 << 30)
        return Collector(
            files, self.store, self.blobs, incoming, asked, self.clock, interval=60, unattached_for=_DAY, batch=10
        )

    def incoming(self) -> Incoming:
        """Return what takes over content from a bucket."""
        return Incoming(self.store, self.blobs, self.uploads(self.store), unattached_for=_DAY)

    def files(self) -> tuple[Files, FileUrls]:
        """Return the use cases, and URLs as the running service takes them."""
        urls = FileUrls("http://x", INSTANCE, timedelta(hours=1), self.clock)
        urls.use([SERVICE_KEY])
        asked = cast("Any", Asked())
        incoming = self.incoming()
        files = Files(self.store, self.blobs, incoming, urls, asked, _NOBODY, unattached_for=_DAY, most_bytes=1 << 30)
        return files, urls

    def http(self, bounds: Bounds, files: Files | None = None) -> FilesHttp:
        """Return the routes of a process that goes on, with so many places for downloads."""
        own, urls = self.files()
        return FilesHttp(
            files or own,
            self.uploads(self.store),
            urls,
            self.clock,
            is_ending=lambda: False,
            bounds=bounds,
            file_bytes=5_242_880,
        )

    def uploads(self, store: FileStore, bounds: Bounds = Bounds(10, 10, 10, 1)) -> Uploads:  # noqa: B008 - it is frozen
        """Return a writer over a store."""
        return Uploads(
            store,
            self.blobs,
            self.clock,
            new_uid=uuid4,
            unattached_for=_DAY,
            bounds=bounds,
        )

"""The composition root: the only place that names the concrete parts of the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from chatkit.contract.v1 import limit_pb2

from services.files.collection import figures
from services.files.collection.collector import Collector
from services.files.content.blobs import open_blobs
from services.files.content.incoming import Incoming
from services.files.content.places import Bounds
from services.files.content.uploads import Uploads
from services.files.content.urls import FileUrls
from services.files.erasure.eraser import FilesEraser
from services.files.erasure.store import UNLOCKED, ErasureStore
from services.files.export.exporter import UserExporter
from services.files.export.store import UserExportStore
from services.files.http.listener import HttpListener
from services.files.http.transfers import FilesHttp
from services.files.peers import MessagesClient
from services.files.service import Files
from services.files.servicer import AttachmentsServicer, FilesServicer
from services.files.settings import FilesSettings
from services.files.store import FileStore
from services.runtime.clock import Clock
from services.runtime.data.writers import Writers
from services.runtime.erasure.servicer import ErasureServicer
from services.runtime.peers.directory import DirectoryClient
from services.runtime.process.server import Server, open_server


@asynccontextmanager
async def build(settings: FilesSettings, clock: Clock) -> AsyncIterator[Server]:
    """Serve files for as long as the context is open."""
    async with open_server("files", settings, clock) as server:
        access = server.rooms_access()
        users_peer = server.peer("users", settings.users_address)
        users = DirectoryClient(users_peer)
        messages = MessagesClient(server.peer("messages", settings.messages_address))
        store = FileStore(server.database)
        blobs = open_blobs(settings)
        lifetime = timedelta(seconds=settings.file_url_lifetime_seconds)
        urls = FileUrls(settings.public_url, settings.instance, lifetime, clock)
        server.on_keys(urls.use)
        bytes_per_second = server.limits[limit_pb2.LIMIT_TRANSFER_BYTES_PER_SECOND]
        uploads = Uploads(
            store,
            blobs,
            clock,
            new_uid=uuid4,
            unattached_for=settings.file_unattached_for,
            bounds=Bounds(
                server.limits[limit_pb2.LIMIT_UPLOADS_PER_PROCESS],
                server.limits[limit_pb2.LIMIT_UPLOADS_PER_USER],
                settings.file_stall_seconds,
                bytes_per_second,
            ),
        )
        incoming = Incoming(store, blobs, uploads, unattached_for=settings.file_unattached_for)
        files = Files(
            store,
            blobs,
            incoming,
            urls,
            messages,
            access,
            unattached_for=settings.file_unattached_for,
            most_bytes=server.limits[limit_pb2.LIMIT_STORAGE_BYTES_PER_USER],
        )
        collector = Collector(
            files,
            store,
            blobs,
            incoming,
            messages,
            clock,
            interval=settings.file_collect_interval_seconds,
            unattached_for=settings.file_unattached_for,
            batch=server.limits[limit_pb2.LIMIT_FILES_PER_CALL],
        )
        server.add(FilesServicer(files, uploads, users, server.page_tokens, server.limits, uuid4))
        server.add(AttachmentsServicer(files))
        writers = Writers(server.database, clock, UNLOCKED)
        eraser = FilesEraser(ErasureStore(server.database), writers, blobs, incoming)
        exporter = UserExporter(UserExportStore(server.database), files)
        server.add(ErasureServicer(room=eraser.erase_room, user=eraser.erase_user, export=exporter.export_user))
        http = FilesHttp(
            files,
            uploads,
            urls,
            clock,
            is_ending=lambda: server.readiness.is_ending,
            file_bytes=server.limits[limit_pb2.LIMIT_FILE_BYTES],
            bounds=Bounds(
                server.limits[limit_pb2.LIMIT_DOWNLOADS_PER_PROCESS],
                server.limits[limit_pb2.LIMIT_DOWNLOADS_PER_FILE],
                settings.file_stall_seconds,
                bytes_per_second,
            ),
        )
        listener = HttpListener(http.app, settings.http_listen, server)
        server.lifetime.run("http", listener.run())
        server.lifetime.run("uploads", uploads.places.run())
        server.lifetime.run("downloads", http.downloads.run())
        figures.measure(server.metrics, collector)
        server.lifetime.run("collector", collector.run())
        server.lifetime.on_stop(listener.stop)
        # Messages is asked by the collector alone, which waits for it.
        await server.start(access, {"rooms": access.ready, "users": users_peer.check, "blobs": blobs.check})
        yield server
        await incoming.close()
        await uploads.close()

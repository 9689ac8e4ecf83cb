"""`chatkit export`: everything that the suite holds of a user, as a folder that a person can read."""

import argparse
import asyncio
import json
from pathlib import Path

import grpc
from chatkit.users.v1 import users_service_pb2 as pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub
from rich.progress import TextColumn

from services.runtime.contract import json_values
from services.runtime.contract.errors import from_rpc_error
from services.stack.export_folder import INCOMPLETE, ExportFolder, new_folder
from services.stack.home import Home
from services.stack.progress import progress_of
from services.stack.sign_in import bearer
from services.stack.terminal import columns
from services.stack.trouble import Trouble

_OPTIONS = (("grpc.enable_http_proxy", 0),)


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Export a user into a folder; the exit status is 1 when the export is not complete."""
    path = Path(arguments.folder)
    with new_folder(path) as folder:
        problem = asyncio.run(_receive(home, arguments.user, folder))
    if arguments.json:
        print(json.dumps({"complete": folder.is_complete, "counts": folder.counts, "problem": problem}))
    elif folder.is_complete:
        rows = [(kind, f"{count:,}") for kind, count in folder.counts.items()]
        print(columns(("kind", "records"), rows))
    if folder.is_complete:
        return 0
    rest = f"What came of it is in {path / INCOMPLETE}" if folder.counts else "Nothing came of it"
    raise Trouble(f"the export is not complete: {problem}. {rest}")


async def _receive(home: Home, user_id: str, folder: ExportFolder) -> str:
    """Write what comes, and return why it is not complete; empty when it is."""
    request = pb2.ExportUserRequest(user_id=user_id)
    try:
        async with grpc.aio.insecure_channel(home.running_address(), options=_OPTIONS) as channel:
            with progress_of(TextColumn("{task.fields[records]} records")) as progress:
                task = progress.add_task("", total=None, records=0)
                async for frame in UsersServiceStub(channel).ExportUser(request, metadata=bearer(home, None, su=True)):
                    for one in frame.records:
                        folder.add(one.service, one.kind, json_values.plain(one.record), one.content)
                    progress.update(task, records=folder.counts.total())
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error, "the edge").message
    return "" if folder.is_complete else "the stream ended before the last record"

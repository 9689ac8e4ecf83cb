"""Somebody sends at a steady rate: first alone, then while a user with very many messages is deleted."""

import asyncio
import time
from typing import Any

import grpc
from chatkit.contract.v1 import deletion_pb2
from chatkit.users.v1 import users_service_pb2 as pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub

from benchmarks.load import steady
from benchmarks.load.jobs import ErasingJob
from benchmarks.load.timing import Window

_CALL_SECONDS = 15.0
_LOOK_SECONDS = 0.5


async def run(job: ErasingJob) -> dict[str, Any]:
    """Return what was found alone and beside the deletion, and how long that took."""
    async with (
        grpc.aio.insecure_channel(job.messages_address, options=steady.OWN_CONNECTION) as sending,
        grpc.aio.insecure_channel(job.users_address, options=steady.OWN_CONNECTION) as deleting,
    ):
        alone = Window(job.groups)
        alone.begin()
        refused = await steady.send(
            sending, job.room, job.per_second, alone, f"{job.namespace}-alone", lambda seconds: seconds >= job.seconds
        )
        alone.end()
        beside = Window(job.groups)
        deletion = asyncio.create_task(_delete(job, deleting))
        beside.begin()
        refused += await steady.send(
            sending, job.room, job.per_second, beside, f"{job.namespace}-beside", lambda _: deletion.done()
        )
        beside.end()
        return {
            "alone": alone.report(),
            "beside": {**beside.report(), "refused": refused, "erasing_seconds": await deletion},
        }


async def _delete(job: ErasingJob, channel: Any) -> float:
    """Delete the user, wait until that is done, and return how long it took."""
    users: Any = UsersServiceStub(channel)
    kept = deletion_pb2.MESSAGE_ERASURE_KEEP_ANONYMOUS
    messages = kept if job.keeps_messages else deletion_pb2.MESSAGE_ERASURE_ERASE
    told = {"metadata": steady.bearer(job.superuser_token), "timeout": _CALL_SECONDS}
    began = time.monotonic()
    request = pb2.DeleteUserRequest(user_id=job.user_id, messages=messages)
    deletion = (await users.DeleteUser(request, **told)).deletion
    while deletion.state != deletion_pb2.DELETION_STATE_DONE:
        await asyncio.sleep(_LOOK_SECONDS)
        deletion = (await users.GetDeletion(pb2.GetDeletionRequest(deletion_id=deletion.id), **told)).deletion
    return time.monotonic() - began

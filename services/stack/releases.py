"""Asks processes which release they are of; one that does not say it, or does not answer, is of an unknown one."""

import asyncio
import json

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.release import COMMIT_HEADER, VERSION_HEADER, label
from services.stack.figures.asking import ask

_SECONDS = 5.0


async def service_release(address: str) -> str:
    """Return what a service says beside its health; empty for nothing."""
    async with grpc.aio.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        call = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
        try:
            told = dict(await call.initial_metadata())
        except grpc.aio.AioRpcError:
            return ""
    return label(str(told.get(VERSION_HEADER, "")), str(told.get(COMMIT_HEADER, "")))


async def edge_release(address: str) -> str:
    """Return what the edge says of itself; empty for nothing."""
    answer = await asyncio.to_thread(ask, address, "/", _SECONDS)
    try:
        told = json.loads(answer[1]) if answer is not None else {}
        return label(str(told.get("version", "")), str(told.get("commit", "")))
    except (ValueError, AttributeError):
        return ""

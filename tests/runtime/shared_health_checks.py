"""Bring back the crash of gRPC for which channels to one address have connections of their own (runtime/peers.py).

    .venv/bin/python -m tests.runtime.shared_health_checks            # dies of SIGSEGV, mostly within a minute
    .venv/bin/python -m tests.runtime.shared_health_checks --apart    # goes on to the end

Two channels of a process with client-side health checking connect to one address at the same moment. They share the
subchannel, and so its HealthProducer (health_check_client.cc): `SetSubchannel` puts it into the subchannel under a
lock and calls `Start`, which gives it the subchannel, after that. The second channel finds it in between, and
`HealthChecker` reads the event engine of a subchannel that is not there yet. Seen with grpcio 1.85.1; 1.85.3 has the
same lines. They are so since https://github.com/grpc/grpc/pull/30931.
"""

import argparse
import asyncio

import grpc

from services.runtime.peers.peer import OPTIONS

_SHARED = tuple(option for option in OPTIONS if option[0] != "grpc.use_local_subchannel_pool")


async def _connect(options: tuple[tuple[str, object], ...]) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(2)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    for channel in channels:
        await channel.close()
    await server.stop(None)


async def main() -> None:
    """Connect again and again."""
    parser = argparse.ArgumentParser(description="two channels that connect at once, with gRPC's health checking")
    parser.add_argument("--apart", action="store_true", help="give each its own connection, as services do")
    parser.add_argument("--times", type=int, default=20_000, help="how often (default: %(default)s)")
    told = parser.parse_args()
    for number in range(1, told.times + 1):
        await _connect(OPTIONS if told.apart else _SHARED)
        if number % 1000 == 0:
            print(f"{number} times, and alive", flush=True)


if __name__ == "__main__":
    asyncio.run(main())

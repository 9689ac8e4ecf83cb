"""What a command of a service needs beside `serve`: its database, and the services that it asks, without serving."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.runtime.clock import Clock
from services.runtime.data.database import Database, create_engine
from services.runtime.identity.keys import Keyring
from services.runtime.identity.tls import Certificates
from services.runtime.identity.tokens import ServiceTokens
from services.runtime.peers.peer import Peer
from services.runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """One connection to the service's database, and channels to other services by name and address."""

    database: Database
    peer: Callable[[str, str], Peer]


@asynccontextmanager
async def opened(service: str, settings: Settings, clock: Clock) -> AsyncIterator[Tools]:
    """Open them for a command of a service; they are closed on the way out."""
    keyring = Keyring(
        settings.keys_file,
        settings.jwks_file,
        settings.service_keys_file,
        allow_sample_secrets=settings.allow_sample_secrets,
    )
    tokens = ServiceTokens(service, keyring.keys.service[0], clock)
    certificates = Certificates(settings.tls) if settings.tls is not None else None
    async with AsyncExitStack() as stack:
        database = Database(create_engine(settings.database_url.get_secret_value(), connections=1))
        stack.push_async_callback(database.close)

        made: dict[tuple[str, str], Peer] = {}

        def peer(name: str, address: str) -> Peer:
            if (name, address) not in made:
                made[name, address] = Peer(name, address, tokens, certificates)
                stack.push_async_callback(made[name, address].close)
            return made[name, address]

        yield Tools(database, peer)

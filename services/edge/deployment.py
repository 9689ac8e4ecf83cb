"""What the rendering needs to know of a deployment: addresses, files and the instance. Nothing secret is among it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# The name of Envoy's configuration in the run folder.
RENDERING = "envoy.json"
# What a browser calls the origin of a page.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its private key, in PEM files that may be replaced while the edge runs."""

    certificate_file: Path
    key_file: Path

    @property
    def files(self) -> list[Path]:
        """Both files."""
        return [self.certificate_file, self.key_file]


@dataclass(frozen=True, slots=True)
class ServicesTls:
    """What services see of the edge, and who must have signed what they show."""

    certificate: Certificate
    ca_file: Path


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where the edge listens, where its files are, whom it serves, and the endpoints of each service."""

    listen: str
    # Empty for no metrics.
    metrics_listen: str
    run_folder: Path
    # The instance that tokens must name.
    instance: str
    upstreams: Mapping[str, Sequence[str]]
    # By which services know whose streams they carry; empty where no edge runs.
    name: str = ""
    # The commit that the edge was built from; empty where it is not known.
    commit: str = ""
    # How many clients may be connected at once, and how much memory Envoy may have.
    connections: int = 9_000
    heap_bytes: int = 1 << 30
    # Who may call from a browser's page of another origin; "*" is anyone.
    cors_origins: tuple[str, ...] = ()
    # Whether browsers are shown the web console at /.
    has_console: bool = True
    # What clients see; without one the listener is not encrypted.
    certificate: Certificate | None = None
    # Without it the connections to services are not encrypted.
    services_tls: ServicesTls | None = None
    # Who takes spans, as host:port, and of how many calls it is told that say nothing of that; empty where nobody does.
    collector: str = ""
    trace_percent: float = 1.0

    @property
    def hosts(self) -> tuple[str, ...]:
        """The origins whose pages may show the console in a frame, and hand it tokens: never just any."""
        return tuple(origin for origin in self.cors_origins if _ORIGIN.fullmatch(origin))

    @property
    def rendering(self) -> Path:
        """What Envoy reads when it starts."""
        return self.run_folder / RENDERING

    @property
    def descriptor(self) -> Path:
        """The descriptor set of the public contract."""
        return self.run_folder / "descriptor.binpb"

    @property
    def openapi(self) -> Path:
        """The document of the calls in JSON."""
        return self.run_folder / "openapi.json"

    @property
    def docs(self) -> Path:
        """The folder of the reference's documents."""
        return self.run_folder / "docs"

    @property
    def console_folder(self) -> Path:
        """The folder of the web console's files."""
        return self.run_folder / "console"

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface, for this process's owner only."""
        return self.run_folder / "admin.sock"

    @property
    def crowding_file(self) -> Path:
        """How full the edge is, from 0 to 1, as Envoy reads it."""
        return self.run_folder / "crowding"

    @property
    def keys_socket(self) -> Path:
        """Where Envoy fetches the keys of tokens, for this process's owner only."""
        return self.run_folder / "keys.sock"

    @property
    def reflection_socket(self) -> Path:
        """Where this process answers what tools ask of the contract."""
        return self.run_folder / "reflection.sock"

    @property
    def tls_folder(self) -> Path:
        """The descriptions of certificates; Envoy reads the certificates again when a file is moved into it."""
        return self.run_folder / "tls"

    @property
    def tls_files(self) -> list[Path]:
        """Every file of certificates and keys that is in use."""
        own = self.certificate.files if self.certificate is not None else []
        if self.services_tls is None:
            return own
        return [*own, *self.services_tls.certificate.files, self.services_tls.ca_file]


# What stands in the checked-in rendering, where no deployment's addresses are.
EXAMPLE = Deployment(
    listen="0.0.0.0:8080",
    metrics_listen="127.0.0.1:9901",
    run_folder=Path("/run/chatkit"),
    instance="the instance's id",
    name="the edge's name",
    upstreams={
        "users": ["users:50051"],
        "rooms": ["rooms:50052"],
        "messages": ["messages:50053"],
        "files": ["files:50054"],
        "files_http": ["files:50055"],
    },
)

"""What the edge is told by the environment, beside what every process is told."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from services.edge import public
from services.edge.deployment import Certificate, Deployment, ServicesTls
from services.runtime.settings import Settings
from services.runtime.tracing.spans import endpoint


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class EdgeSettings(Settings):
    """The edge's settings; the address of a service may be a list of endpoints with commas between them."""

    listen: str = Field(default="127.0.0.1:8080", description="host:port of the one public listener")
    metrics_listen: str = Field(
        default="127.0.0.1:9901", description="host:port where Prometheus finds /stats/prometheus; empty for none"
    )
    run_dir: Path = Field(default=Path("/run/chatkit"), description="folder of the rendering and the sockets")
    files_http_address: str = Field(
        default="127.0.0.1:50055", description="host:port where files takes and gives content, like that of users"
    )
    concurrency: int = Field(
        default_factory=_cores, ge=1, description="Envoy's worker threads; by default as many as the process has cores"
    )
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        description="how long an edge that was told to end (SIGTERM) goes on as before, while GET / tells load"
        " balancers that it is about to end",
    )
    shutdown_grace_seconds: float = Field(
        default=30.0,
        ge=0,
        description="how long open calls, uploads and downloads may go on after clients were sent away",
    )
    edge_heap_megabytes: int = Field(
        default=1024, ge=256, description="memory at which Envoy refuses everything; before that it sheds, from 50 % on"
    )
    cors_origins: str = Field(
        default="", description="origins whose pages may call, with commas between them; * for any"
    )
    console: bool = Field(default=True, description="whether browsers are shown the web console at /")
    edge_tls_certificate_file: Path | None = Field(default=None, description="the certificate that clients see")
    edge_tls_key_file: Path | None = Field(default=None, description="the private key of that certificate")

    @property
    def deployment(self) -> Deployment:
        """What the rendering needs to know of them; settings that do not go together are a ValueError."""
        if not self.instance:
            raise ValueError("CHATKIT_INSTANCE must say which instance's tokens are taken")
        return Deployment(
            listen=self.listen,
            metrics_listen=self.metrics_listen,
            run_folder=self.run_dir,
            instance=self.instance,
            upstreams={
                name: getattr(self, f"{name}_address").split(",") for name in (*public.CLUSTERS, public.CONTENT_CLUSTER)
            },
            commit=self.commit,
            heap_bytes=self.edge_heap_megabytes << 20,
            cors_origins=tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip()),
            has_console=self.console,
            certificate=_pair("CHATKIT_EDGE_TLS", self.edge_tls_certificate_file, self.edge_tls_key_file),
            services_tls=self._services_tls,
            collector=_collector(),
            trace_percent=self.trace_percent,
        )

    @property
    def _services_tls(self) -> ServicesTls | None:
        files = self.tls
        if files is None:
            return None
        return ServicesTls(Certificate(files.certificate.absolute(), files.key.absolute()), files.ca.absolute())


def _collector() -> str:
    """Return the host:port of whoever takes spans; the standard variables say it, for every process."""
    told = endpoint()
    if told is None:
        return ""
    name, url = told
    wrong = ValueError(f"{name} must be http://host:port, where spans are taken in OTLP over gRPC")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if not host or port is None or url.rstrip("/") != f"http://{parts.netloc}" or parts.username is not None:
        raise wrong
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _pair(prefix: str, certificate_file: Path | None, key_file: Path | None) -> Certificate | None:
    if certificate_file is None and key_file is None:
        return None
    if certificate_file is None or key_file is None:
        raise ValueError(f"{prefix}_CERTIFICATE_FILE and {prefix}_KEY_FILE go together")
    return Certificate(certificate_file.absolute(), key_file.absolute())

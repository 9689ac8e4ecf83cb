"""compose.yaml as compose reads it: merged, with the variables of an .env file in their places."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"
ENV_SAMPLE = ROOT / ".env.example"
# The variables of the sample whose values are nobody's secret.
NO_SECRETS = {
    *(
        "CHATKIT_COMMIT",
        "CHATKIT_PORT",
        "CHATKIT_PUBLIC_URL",
        "CHATKIT_RETENTION_DAYS",
        "CHATKIT_UNREAD_WITHOUT_OWN_MESSAGES",
        "CHATKIT_CORS_ORIGINS",
        "BUCKET_IS_INSIDE",
    ),
    *("CHATKIT_JWKS_FILE", "CHATKIT_EDGE_TLS_CERTIFICATE_FILE", "CHATKIT_EDGE_TLS_KEY_FILE"),
    *("CHATKIT_TLS_CERTIFICATE_FILE", "CHATKIT_TLS_KEY_FILE", "CHATKIT_TLS_CA_FILE"),
    *("CHATKIT_S3_BUCKET", "CHATKIT_S3_ENDPOINT", "CHATKIT_S3_PUBLIC_ENDPOINT", "CHATKIT_S3_REGION"),
    *("CHATKIT_S3_VIRTUAL_HOSTS", "CHATKIT_S3_ACCESS_KEY_ID"),
    *("PYTHON_IMAGE", "POSTGRES_IMAGE", "NATS_IMAGE"),
    *("USERS_REPLICAS", "ROOMS_REPLICAS", "MESSAGES_REPLICAS", "FILES_REPLICAS"),
    *("CHATKIT_DATABASE_PROCESSES", "CHATKIT_DATABASE_CONNECTIONS"),
    # Of a bucket that is there already, so that nobody can make it here.
    "CHATKIT_S3_SECRET_ACCESS_KEY",
}
SETTINGS_SAMPLE = ROOT / "compose" / "settings.example.env"
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")

Json = dict[str, Any]


def read_env(path: Path) -> dict[str, str]:
    """Read an .env file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def variables(text: str) -> set[str]:
    """List the variables that compose.yaml takes from its environment."""
    return {found[1] for found in _VARIABLE.finditer(text)}


def load(environ: Mapping[str, str], text: str = COMPOSE.read_text()) -> Json:
    """Return the whole file, with the values of an environment."""

    def value(found: re.Match[str]) -> str:
        name, operator, rest = found.groups()
        if name in environ:
            return environ[name]
        assert operator == ":-", f"{name} is not set"
        return str(rest)

    read: Json = yaml.safe_load(_VARIABLE.sub(value, text))
    # Anchors share their objects; whoever changes one must not change the others.
    own: Json = json.loads(json.dumps(read))
    return {key: part for key, part in own.items() if not key.startswith("x-")}


def sample() -> Json:
    """Return the file with the values of the sample."""
    return load(read_env(ENV_SAMPLE))

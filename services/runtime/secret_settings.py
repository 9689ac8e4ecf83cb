"""Secrets as files, and passwords beside the URLs that they belong to.

`X_FILE` in the place of a secret `X` names the file that holds it, as orchestrators mount them. It is read once, as the
environment is; a process that shall use another secret is started again.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

_USER = re.compile(r"(?P<begin>\w+://[^/@:]+)@")


def read_secret(environ: Mapping[str, str], name: str) -> str:
    """Return a secret, from its file where `<name>_FILE` says so; empty when it is told nowhere.

    A ValueError, which does not show the secret, when both are told or the file can't be read.
    """
    told, file = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if not file:
        return told
    if told:
        raise ValueError(f"{name} and {name}_FILE are both set: it must be one of them")
    try:
        # Editors, and `echo`, end a file with a line break.
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{name}_FILE, {file}, can't be read: {problem}") from None


def with_password(url: str, password: str) -> str:
    """Return a URL with the password of the user whom it names, quoted; unchanged where one of them is empty.

    A ValueError, which shows neither, when the URL names no user, or has a password already.
    """
    if not url or not password:
        return url
    # A function, because a backslash in the replacement would mean something.
    told, count = _USER.subn(lambda found: f"{found['begin']}:{quote(password, safe='')}@", url, count=1)
    if not count:
        raise ValueError("must name a user and no password, which is told beside it")
    return told

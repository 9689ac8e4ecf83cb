"""`python3 -m services.stack.new_secrets`: what compose.yaml reads, from the samples, with secrets of one's own.

`… new_secrets kubernetes` writes what operations/kubernetes/settings reads, a file for each secret. Every word that
begins with `sample-` becomes a fresh secret. What exists is never written over; an .env of an earlier release gets the
variables that are new since, and Kubernetes the files. It runs with the standard library alone, on any machine that has
the repository.
"""

import os
import re
import secrets
import sys
from pathlib import Path

SAMPLE = "sample-"
_ENV = ".env"
_SAMPLES = {
    _ENV: ".env.example",
    "compose/secrets/keys.json": "compose/keys.example.json",
    "compose/secrets/service_keys.json": "compose/service_keys.example.json",
}
_KUBERNETES = "operations/kubernetes/settings"
_BYTES = 32
# The folder is its owner's alone; a container's user, who is somebody else, is given single files of it.
_FOLDER_MODE, _MOUNTED_MODE, _OWN_MODE = 0o700, 0o444, 0o600


def main(root: Path) -> int:
    """Write the files, or what an earlier release's .env lacks, and return the exit status."""
    if added := _complete(root / _ENV, root / _SAMPLES[_ENV]):
        sys.stdout.write(f"added to {_ENV}: {', '.join(added)}\n")
        return 0
    present = [name for name in _SAMPLES if (root / name).exists()]
    if present:
        sys.stderr.write(f"there already, and left as they are: {', '.join(present)}\n")
        return 1
    _write_all(root, {name: _read(root, sample) for name, sample in _SAMPLES.items()})
    return 0


def main_for_kubernetes(root: Path) -> int:
    """Write the files that are not there yet, and return the exit status."""
    texts = {
        "settings.env": _read(root, f"{_KUBERNETES}/settings.example.env"),
        "secrets/keys.json": _read(root, "compose/keys.example.json"),
        "secrets/service_keys.json": _read(root, "compose/service_keys.example.json"),
        # Of a bucket that is there already; with none the machine's own rights count.
        "secrets/CHATKIT_S3_SECRET_ACCESS_KEY": "",
    }
    passwords = re.findall(r"^(\w+_PASSWORD)=(.+)$", _read(root, _SAMPLES[_ENV]), re.MULTILINE)
    texts |= {f"secrets/{name}": sample for name, sample in passwords}
    missing = {f"{_KUBERNETES}/{name}": text for name, text in texts.items()}
    missing = {name: text for name, text in missing.items() if not (root / name).exists()}
    _write_all(root, missing)
    if not missing:
        sys.stderr.write(f"all there already, and left as it is: {_KUBERNETES}\n")
    return 0 if missing else 1


def with_secrets(sample: str) -> str:
    """Return a sample with a fresh secret in the place of each of its own; equal ones stay equal."""
    fresh: dict[str, str] = {}
    return re.sub(rf"\b{SAMPLE}[a-z_]+", lambda found: fresh.setdefault(found[0], secrets.token_hex(_BYTES)), sample)


def _complete(env: Path, sample: Path) -> list[str]:
    """Add the sample's variables that a file of an earlier release does not have, and return their names."""
    if not env.exists():
        return []
    there = env.read_text(encoding="utf-8")
    lines = with_secrets(sample.read_text(encoding="utf-8")).splitlines()
    wanted = {line.partition("=")[0]: line for line in lines if line and not line.startswith("#")}
    missing = {
        name: line
        for name, line in wanted.items()
        if not re.search(rf"^\s*(export\s+)?{name}\s*=", there, re.MULTILINE)
    }
    if missing:
        with env.open("a", encoding="utf-8") as file:
            file.write("\n".join(["" if there.endswith("\n") else "\n", *missing.values(), ""]))
    return list(missing)


def _read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def _write_all(root: Path, samples: dict[str, str]) -> None:
    """Write files from the texts of their samples, and say so."""
    for name, sample in samples.items():
        _write(root, name, with_secrets(sample))
        sys.stdout.write(f"wrote {name}\n")


def _write(root: Path, name: str, text: str) -> None:
    path = root / name
    if path.parent != root:
        path.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    mode = _MOUNTED_MODE if name.startswith("compose/") else _OWN_MODE
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        # The user's umask may have taken away what the container's user needs.
        os.fchmod(file.fileno(), mode)
        file.write(text)


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["kubernetes"]):
        sys.exit("usage: python3 -m services.stack.new_secrets [kubernetes]")
    sys.exit((main_for_kubernetes if sys.argv[1:] else main)(Path(__file__).resolve().parents[2]))

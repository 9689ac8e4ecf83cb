"""The secrets of operations/kubernetes: made once, each a fresh one, their owner's alone, and out of git."""

import json
from pathlib import Path

import pytest

from services.stack import new_secrets
from tests.deploy.compose import ROOT, read_env
from tests.deploy.kubernetes.folder import FOLDER, copy_of
from tests.deploy.kubernetes.kustomize import build

# Nobody can make the one of a bucket that is there already.
_BUCKET = "CHATKIT_S3_SECRET_ACCESS_KEY"


def test_each_is_a_fresh_one_and_its_owners_alone(folder: Path) -> None:
    secrets = folder / "settings" / "secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700
    values = [read_env(folder / "settings" / "settings.env")["CHATKIT_INSTANCE"]]
    for path in secrets.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        if path.suffix == ".json":
            values += [key["secret"] for key in json.loads(path.read_text())["keys"]]
        elif path.name != _BUCKET:
            values.append(path.read_text())
    assert (secrets / _BUCKET).read_text() == ""
    assert len(set(values)) == len(values) == 1 + 2 + 3 + 1 + 8
    assert all(len(value) == 64 and not value.startswith(new_secrets.SAMPLE) for value in values)


def test_what_is_there_stays_and_what_a_later_release_has_new_is_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = copy_of(tmp_path) / "settings" / "secrets"
    (secrets / "USERS_PASSWORD").unlink()
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    capsys.readouterr()
    assert new_secrets.main_for_kubernetes(tmp_path) == 0
    assert capsys.readouterr().out == f"wrote {FOLDER}/settings/secrets/USERS_PASSWORD\n"
    assert {path.name: path.read_text() for path in secrets.iterdir()}.items() > before.items()
    assert new_secrets.main_for_kubernetes(tmp_path) == 1
    assert "left as it is" in capsys.readouterr().err


def test_every_one_of_them_is_used(folder: Path) -> None:
    told = (folder / "settings" / "kustomization.yaml").read_text()
    for path in (folder / "settings" / "secrets").iterdir():
        assert f"secrets/{path.name}" in told
    assert all(one["type"] == "Opaque" for one in build(folder / "base") if one["kind"] == "Secret")


def test_they_are_kept_out_of_git() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/{FOLDER}/settings/secrets/", f"/{FOLDER}/settings/settings.env"} <= set(ignored)

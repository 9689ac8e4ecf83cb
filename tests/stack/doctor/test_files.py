"""What is wrong with what lies on a disk is said in a sentence each."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.stack.doctor.files import check_certificates, check_disk, check_keys, check_logs
from services.stack.doctor.findings import Finding, Level, worst_first
from tests.support.certificates import Authority

_NOW = datetime.now(UTC)
_KEYS = {"keys": [{"id": "one", "secret": "a secret that is long enough"}]}


def test_little_room_on_the_disk_is_said(tmp_path: Path) -> None:
    assert list(check_disk(tmp_path, little=0, least=0)) == []
    (soon,) = check_disk(tmp_path, little=10**18, least=0)
    (broken,) = check_disk(tmp_path, little=10**18, least=10**18)
    assert (soon.level, broken.level) == (Level.SOON, Level.BROKEN)
    assert soon.what.endswith(f"are free where {tmp_path} is")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("keys.json", None, "{folder}/keys.json can't be read (No such file or directory)"),
        ("keys.json", "{", "the keys of tokens can't be used ({folder}/keys.json is not of the form"),
        (
            "service_keys.json",
            '{"keys": []}',
            "the keys of tokens can't be used ({folder}/service_keys.json has no keys)",
        ),
        ("jwks.json", "[]", "the keys of tokens can't be used ({folder}/jwks.json is not a JWK set"),
        ("jwks.json", '{"keys": []}', None),
    ],
)
def test_files_of_keys_are_read_as_services_do(
    tmp_path: Path, name: str, content: str | None, what: str | None
) -> None:
    paths = [tmp_path / one for one in ("keys.json", "service_keys.json", "jwks.json")]
    for path in paths[:2]:
        path.write_text(json.dumps(_KEYS))
    keys, service_keys, jwks = paths
    assert list(check_keys(keys, service_keys)) == []
    (tmp_path / name).unlink(missing_ok=True)
    if content is not None:
        (tmp_path / name).write_text(content)
    found = list(check_keys(keys, service_keys, jwks if name == jwks.name else None))
    assert [one.level for one in found] == [Level.BROKEN] * (what is not None)
    for finding in found:
        assert finding.what.startswith(str(what).format(folder=tmp_path))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Write a certificate that holds from a day ago until in a day."""
    return Authority().sign().write(tmp_path, "own")[0]


@pytest.mark.parametrize(
    ("days", "soon", "level", "said"),
    [
        (0, 0.5, None, ""),
        (0, 14, Level.SOON, "ends at "),
        (2, 14, Level.BROKEN, "has ended, at "),
        (-2, 14, Level.BROKEN, "is not good before "),
    ],
)
def test_a_certificate_that_does_not_hold_or_not_for_long_is_named(
    certificate: Path, days: float, soon: float, level: Level | None, said: str
) -> None:
    found = list(check_certificates([certificate], _NOW + timedelta(days=days), timedelta(days=soon)))
    assert [one.level for one in found] == ([] if level is None else [level])
    for finding in found:
        assert finding.what.startswith(f"the certificate {certificate} {said}")


def test_of_authorities_the_last_to_end_counts_and_of_a_chain_the_first_is_shown(tmp_path: Path) -> None:
    authority = Authority()
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(Authority(lifetime=timedelta(hours=1)).pem + authority.pem)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(authority.sign().certificate + authority.pem)
    assert list(check_certificates([bundle, chain], _NOW + timedelta(hours=2), timedelta(hours=1))) == []
    assert len(list(check_certificates([bundle, chain], _NOW + timedelta(days=2)))) == 2


def test_a_certificate_that_is_none_or_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("none")
    found = list(check_certificates([tmp_path / "none.pem", tmp_path / "away.pem"]))
    assert [(one.level, one.what) for one in found] == [
        (Level.BROKEN, f"the certificate {tmp_path}/none.pem can't be read (it holds none in PEM)"),
        (Level.BROKEN, f"the certificate {tmp_path}/away.pem can't be read (No such file or directory)"),
    ]


def test_lines_that_logs_have_lost_are_counted(tmp_path: Path) -> None:
    (tmp_path / "users.log").write_text('{"event": "ready"}\n{"event": "of log_lines_lost", "count": 3}\n')
    assert list(check_logs(tmp_path)) == []
    lost = '{"event": "log_lines_lost", "count": 3, "level": "warning"}\n'
    (tmp_path / "users.log").write_text('{"event": "ready"}\n' + lost + '{"event": "ready"}\n' + lost + lost[:30])
    (tmp_path / "rooms.log").write_text(lost.replace("3", "0"))
    (tmp_path / "files.log.1").write_text(lost)
    found = list(check_logs(tmp_path))
    assert [one.what for one in found] == [
        "rooms could not write 1 line of its log",
        "users could not write 7 lines of its log",
    ]
    assert str(tmp_path / "users.log") in found[1].advice


def test_the_worst_stands_first_and_the_rest_in_the_order_of_the_checks() -> None:
    odd, soon, broken, other = (
        Finding(level, name, "it is", "do")
        for level, name in zip((Level.ODD, Level.SOON, Level.BROKEN, Level.ODD), "abcd", strict=True)
    )
    assert worst_first([odd, soon, broken, other]) == [broken, soon, odd, other]
    assert str(odd) == "it is: do"

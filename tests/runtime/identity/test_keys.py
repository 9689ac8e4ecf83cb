"""Files of keys: what is read from them, what is refused, and that what makes no sense later changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from structlog.testing import capture_logs

from services.runtime.identity.api_keys import ApiKey, read_keys, refuse_sample
from services.runtime.identity.keys import Keyring, PublicKey
from tests.support import keys

HUSH = "hush, which nobody may see, and which is long enough"
PAIR = keys.generate("ES256")


def _secrets(*ids: str, secret: str = HUSH) -> str:
    return json.dumps({"keys": [{"id": key_id, "secret": f"{secret} {key_id}"} for key_id in ids]})


def _jwks(*listed: dict[str, Any]) -> str:
    return json.dumps({"keys": listed})


@pytest.fixture
def ring(tmp_path: Path) -> Callable[..., Keyring]:
    """Return how to read the three files of a folder."""
    (tmp_path / "keys.json").write_text(_secrets("a", "b"))
    (tmp_path / "jwks.json").write_text(_jwks(keys.jwk(PAIR, "public")))
    (tmp_path / "service_keys.json").write_text(_secrets("s"))

    def read(**how: Any) -> Keyring:
        return Keyring(tmp_path / "keys.json", tmp_path / "jwks.json", tmp_path / "service_keys.json", **how)

    return read


def _ids(ring: Keyring) -> tuple[list[str], list[str]]:
    return [key.id for key in ring.keys.api], [key.id for key in ring.keys.service]


def test_keys_are_those_of_all_files_in_their_order(ring: Callable[..., Keyring], tmp_path: Path) -> None:
    read = ring()
    assert _ids(read) == (["a", "b", "public"], ["s"])
    assert [key.algorithm for key in read.keys.api] == ["HS256", "HS256", "ES256"]
    assert read_keys(tmp_path / "keys.json")[0] == ApiKey("a", f"{HUSH} a")
    assert Keyring(tmp_path / "keys.json").keys.service == ()


@pytest.mark.parametrize("algorithm", keys.ALGORITHMS)
def test_the_algorithm_follows_from_the_kind_of_key(
    ring: Callable[..., Keyring], tmp_path: Path, algorithm: str
) -> None:
    private = keys.generate(algorithm)
    for alg in (None, algorithm):
        (tmp_path / "jwks.json").write_text(_jwks(keys.jwk(private, "p", alg=alg, use="sig")))
        key = ring().keys.api[-1]
        assert isinstance(key, PublicKey)
        assert (key.id, key.algorithm) == ("p", algorithm)
        # Whoever renders keys for others finds both in it.
        assert (json.loads(key.jwk)["kid"], json.loads(key.jwk)["alg"]) == ("p", algorithm)


_SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what must be refused


@pytest.mark.parametrize(
    ("jwk", "told"),
    [
        ({"kty": "oct", "kid": "k", "k": "aHVzaA"}, "secrets belong in the keys file"),
        ({"kty": "oct", "kid": "k", "k": "aHVzaA", "alg": "HS256"}, "secrets belong in the keys file"),
        (keys.jwk(PAIR, "k", kid=None), "no kid"),
        (keys.jwk(PAIR, "k", kid=""), "no kid"),
        (keys.jwk(PAIR, "k", kid=5), "no kid"),
        (keys.jwk(PAIR, "k", d="aHVzaA"), "private key"),
        (keys.jwk(PAIR, "k", use="enc"), "not for signatures"),
        (keys.jwk(PAIR, "k", alg="HS256"), "none for RS256"),
        (keys.jwk(PAIR, "k", alg="RS256"), "none for RS256"),
        (keys.jwk(PAIR, "k", alg="none"), "none for RS256"),
        (keys.jwk(PAIR, "k", crv="P-384"), "none for RS256"),
        (keys.jwk(ec.generate_private_key(ec.SECP384R1()), "k"), "none for RS256"),
        (keys.jwk(PAIR, "k", crv=None), "none for RS256"),
        (keys.jwk(PAIR, "k", kty="XX"), "none for RS256"),
        (keys.jwk(PAIR, "k", kty=["EC"]), "none for RS256"),
        (keys.jwk(PAIR, "k", x="AAAA"), "can't be read"),
        (keys.jwk(PAIR, "k", x=5), "can't be read"),
        (keys.jwk(PAIR, "k", y=None), "can't be read"),
        (keys.jwk(keys.generate("RS256"), "k", n="AQAB"), "can't be read|fewer than"),
        (keys.jwk(_SMALL, "k"), "fewer than 2048 bits"),
    ],
)
def test_what_is_no_public_key_of_a_token_is_refused_with_why(
    ring: Callable[..., Keyring], tmp_path: Path, jwk: dict[str, Any], told: str
) -> None:
    (tmp_path / "jwks.json").write_text(_jwks(jwk))
    with pytest.raises(ValueError, match=told) as caught:
        ring()
    assert "jwks.json" in str(caught.value)
    assert "aHVzaA" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"keys": {}}', '{"keys": ["hush"]}', "\xff", "[" * 100_000])
@pytest.mark.parametrize("name", ["keys.json", "jwks.json", "service_keys.json"])
def test_a_malformed_file_is_refused_by_its_name_and_not_shown(
    ring: Callable[..., Keyring], tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=name) as caught:
        ring()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        '{"keys": [{"id": "hush"}]}',
        '{"keys": [{"id": "a", "secret": ""}]}',
        '{"keys": [{"id": "", "secret": "hush"}]}',
        '{"keys": [{"id": 1, "secret": "hush"}]}',
        '{"keys": [{"id": "a", "secret": 5}]}',
        '{"keys": "hush"}',
    ],
)
def test_a_key_without_an_id_or_a_secret_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"keys\.json is not of the form") as caught:
        read_keys(path)
    assert "hush" not in str(caught.value)


def test_there_must_be_a_key_for_customers_and_one_for_services(ring: Callable[..., Keyring], tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"keys": []}')
    assert _ids(ring()) == (["public"], ["s"])
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    with pytest.raises(ValueError, match="has no keys"):
        ring()
    with pytest.raises(ValueError, match="has no keys"):
        read_keys(tmp_path / "keys.json")
    (tmp_path / "keys.json").write_text(_secrets("a"))
    (tmp_path / "service_keys.json").write_text('{"keys": []}')
    with pytest.raises(ValueError, match=r"service_keys\.json has no keys"):
        ring()


def test_an_id_that_stands_twice_is_refused(ring: Callable[..., Keyring], tmp_path: Path) -> None:
    for name, content in (
        ("keys.json", _secrets("a", "a")),
        ("jwks.json", _jwks(keys.jwk(PAIR, "p"), keys.jwk(keys.generate("EdDSA"), "p"))),
        ("jwks.json", _jwks(keys.jwk(PAIR, "a"))),
    ):
        before = (tmp_path / name).read_text()
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match="twice"):
            ring()
        (tmp_path / name).write_text(before)


def test_a_look_at_files_that_are_the_same_changes_nothing(ring: Callable[..., Keyring], tmp_path: Path) -> None:
    read = ring()
    assert not read.look()
    # Written again, with the same keys in other words.
    (tmp_path / "keys.json").write_text(_secrets("a", "b") + "\n")
    assert not read.look()


def test_keys_are_exchanged_when_their_files_are(ring: Callable[..., Keyring], tmp_path: Path) -> None:
    read = ring()
    for name, content, expected in (
        ("keys.json", _secrets("b", "c"), (["b", "c", "public"], ["s"])),
        ("jwks.json", _jwks(keys.jwk(PAIR, "other")), (["b", "c", "other"], ["s"])),
        ("service_keys.json", _secrets("t", "s"), (["b", "c", "other"], ["t", "s"])),
        ("keys.json", '{"keys": []}', (["other"], ["t", "s"])),
        # Whoever takes the last key away means it.
        ("jwks.json", '{"keys": []}', ([], ["t", "s"])),
    ):
        (tmp_path / name).write_text(content)
        assert read.look()
        assert _ids(read) == expected
        assert not read.look()


def test_a_secret_of_the_same_length_under_the_same_id_is_seen(ring: Callable[..., Keyring], tmp_path: Path) -> None:
    read = ring()
    (tmp_path / "keys.json").write_text(_secrets("a", "b", secret=HUSH.replace("hush", "hash")))
    assert read.look()


@pytest.mark.parametrize("content", ["", '{"keys": [{"id": "hush"', '{"keys": [{"id": "a", "secret": "sample-hush"}]}'])
def test_a_file_that_makes_no_sense_later_keeps_the_keys_and_is_told_of_once(
    ring: Callable[..., Keyring], tmp_path: Path, content: str
) -> None:
    read = ring()
    (tmp_path / "keys.json").write_text(content)
    with capture_logs() as logs:
        assert not read.look()
        assert not read.look()
    assert _ids(read) == (["a", "b", "public"], ["s"])
    assert [log["event"] for log in logs] == ["files_unusable"]
    assert "keys.json" in str(logs)
    assert "hush" not in str(logs)
    (tmp_path / "keys.json").write_text(_secrets("c"))
    assert read.look()
    assert _ids(read) == (["c", "public"], ["s"])


def test_a_file_that_is_gone_keeps_its_keys_and_the_others_are_followed(
    ring: Callable[..., Keyring], tmp_path: Path
) -> None:
    read = ring()
    (tmp_path / "keys.json").unlink()
    (tmp_path / "jwks.json").write_text(_jwks())
    (tmp_path / "service_keys.json").write_text('{"keys": []}')
    with capture_logs() as logs:
        assert read.look()
    assert _ids(read) == (["a", "b"], ["s"])
    assert [log["event"] for log in logs] == ["files_unusable", "files_unusable", "keys_changed"]


def test_files_that_contradict_each_other_later_keep_the_keys_of_customers(
    ring: Callable[..., Keyring], tmp_path: Path
) -> None:
    read = ring()
    (tmp_path / "jwks.json").write_text(_jwks(keys.jwk(PAIR, "a")))
    (tmp_path / "service_keys.json").write_text(_secrets("t"))
    with capture_logs() as logs:
        assert read.look()
    assert _ids(read) == (["a", "b", "public"], ["t"])
    assert "keys_unusable" in [log["event"] for log in logs]
    (tmp_path / "keys.json").write_text(_secrets("b"))
    assert read.look()
    assert _ids(read) == (["b", "a"], ["t"])


def test_what_is_logged_of_a_change_are_ids(ring: Callable[..., Keyring], tmp_path: Path) -> None:
    read = ring()
    (tmp_path / "keys.json").write_text(_secrets("new"))
    with capture_logs() as logs:
        read.look()
    assert [log["keys"] for log in logs] == [["new", "public"]]
    assert "hush" not in str(logs)


def test_a_sample_secret_is_refused_unless_it_is_allowed(ring: Callable[..., Keyring], tmp_path: Path) -> None:
    for name in ("keys.json", "service_keys.json"):
        before = (tmp_path / name).read_text()
        (tmp_path / name).write_text(_secrets("x", secret="sample-hush"))
        with pytest.raises(ValueError, match=rf"the key x in .*{name} is a sample secret") as caught:
            ring()
        assert "hush" not in str(caught.value)
        assert "x" in {key_id for ids in _ids(ring(allow_sample_secrets=True)) for key_id in ids}
        (tmp_path / name).write_text(before)
    refuse_sample("a sample-secret", "it", is_allowed=False)

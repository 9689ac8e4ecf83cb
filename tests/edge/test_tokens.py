"""Whose tokens the edge takes, how keys rotate, and that nothing secret can be read anywhere."""

import base64
import hmac
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from services.edge.keys import jwks
from services.runtime.identity.api_keys import ApiKey, mint_token
from services.runtime.identity.keys import Keyring
from services.runtime.identity.tokens import SERVICE_ISSUER
from tests.edge.calling import FACES, GET, Call, heard, refused
from tests.support import tokens
from tests.support.edge import Edge, running_edge
from tests.support.eventually import eventually, until
from tests.support.refusals import decode
from tests.support.suite import Suite

PRIVATE_KEYS: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65_537, 2_048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def _jwk(algorithm: str, *, private: bool = False) -> dict[str, Any]:
    key = PRIVATE_KEYS[algorithm]
    encode = jwt.get_algorithm_by_name(algorithm).to_jwk
    return {**encode(key if private else key.public_key(), as_dict=True), "kid": f"the {algorithm} key"}


def _claims(**claims: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    return {"instance": tokens.INSTANCE, "iss": "api_keys/x", "sub": "alice", "iat": now, "exp": now + 60, **claims}


def _signed(algorithm: str, **headers: str) -> str:
    return jwt.encode(_claims(), PRIVATE_KEYS[algorithm], algorithm, headers=headers)


def _by_hand(header: dict[str, Any], secret: bytes, digest: str = "sha256") -> str:
    """Sign as no library would."""
    parts = [_encoded(json.dumps(part).encode()) for part in (header, _claims(iss=f"api_keys/{tokens.KEY.id}"))]
    signature = hmac.digest(secret, ".".join(parts).encode(), digest)
    return ".".join([*parts, _encoded(signature)])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _public_pem(algorithm: str) -> bytes:
    public = PRIVATE_KEYS[algorithm].public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


async def _passes(edge: Edge, token: str) -> bool:
    """Tell whether the edge lets a token through; what the service then says of it is the service's affair."""
    before = heard(edge.suite, GET)
    await Call(token=lambda: token).by("grpc", edge)
    return heard(edge.suite, GET) > before


def _write(folder: Path, *keys: ApiKey) -> None:
    content = json.dumps({"keys": [{"id": key.id, "secret": key.secret} for key in keys]})
    (folder / "keys.json").write_text(content)


REFUSED = {
    "expired": ("TOKEN_EXPIRED", lambda: tokens.token("alice", ttl=timedelta(seconds=-60))),
    "without exp": ("TOKEN_INVALID", lambda: tokens.forged("alice", exp=None)),
    "of another instance": ("TOKEN_INVALID", lambda: tokens.forged("alice", instance="another")),
    "without an instance": ("TOKEN_INVALID", lambda: tokens.forged("alice", instance=None)),
    "without an issuer": ("TOKEN_INVALID", lambda: tokens.forged("alice", iss=None)),
    "no token at all": ("TOKEN_INVALID", lambda: "nonsense"),
    "oversized, though signed well": ("TOKEN_INVALID", lambda: tokens.forged("alice", pad="x" * 9_000)),
    "a service's": ("TOKEN_INVALID", lambda: tokens.service("rooms", "users")[0][1].removeprefix("Bearer ")),
    "a service's, minted with an API key": (
        "TOKEN_INVALID",
        lambda: tokens.forged("alice", iss=f"{SERVICE_ISSUER}rooms", aud="users"),
    ),
    "a customer's, minted with a service's key": (
        "TOKEN_INVALID",
        lambda: tokens.forged("alice", secret=tokens.SERVICE_KEY.secret),
    ),
    "unsigned": ("TOKEN_INVALID", lambda: _by_hand({"alg": "none", "typ": "JWT"}, b"")),
    "signed with HS512": (
        "TOKEN_INVALID",
        lambda: _by_hand({"alg": "HS512", "typ": "JWT"}, tokens.KEY.secret.encode(), "sha512"),
    ),
    "signed with the RSA key's public half": (
        "TOKEN_INVALID",
        lambda: _by_hand({"alg": "HS256", "typ": "JWT", "kid": "the RS256 key"}, _public_pem("RS256")),
    ),
    "said to be RS256": ("TOKEN_INVALID", lambda: _by_hand({"alg": "RS256"}, tokens.KEY.secret.encode())),
}


async def test_such_tokens_are_refused(suite: Suite, short_path: Path) -> None:
    jwks = short_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [_jwk("RS256")]}))
    async with running_edge(suite, short_path, CHATKIT_JWKS_FILE=str(jwks)) as edge:
        for reason, make in REFUSED.values():
            await refused(edge, Call(token=make), reason)


def _now(seconds: float) -> int:
    return int(datetime.now(UTC).timestamp() + seconds)


def _with(header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Sign whatever is said with the key of the tests, also what no library would sign."""
    said = {**_claims(iss=f"api_keys/{tokens.KEY.id}"), **claims}
    parts = [_encoded(json.dumps(part).encode()) for part in (header or {"alg": "HS256"}, said)]
    return ".".join([*parts, _encoded(hmac.digest(tokens.KEY.secret.encode(), ".".join(parts).encode(), "sha256"))])


# What is in the header, and what must be said of it; nothing where it is accepted.
JUDGED: dict[str, tuple[Callable[[], str], str, str]] = {
    "as it should be": (lambda: "Bearer " + _with(), "", ""),
    "in capitals": (lambda: "BEARER " + _with(), "", ""),
    "in both": (lambda: "bEaReR " + _with(), "", ""),
    "with more blanks": (lambda: "Bearer   " + _with(), "", ""),
    "of another scheme": (lambda: "Basic dXNlcjpwYXNz", "TOKEN_INVALID", "must be Bearer"),
    "with a good token of another scheme": (lambda: "Token " + _with(), "TOKEN_INVALID", "must be Bearer"),
    "with letters before the scheme": (lambda: "xBearer " + _with(), "TOKEN_INVALID", "must be Bearer"),
    "the token alone": (_with, "TOKEN_INVALID", "must be Bearer"),
    "the scheme alone": (lambda: "Bearer", "TOKEN_INVALID", "must be Bearer"),
    "in quotes": (lambda: f'Bearer "{_with()}"', "TOKEN_INVALID", "can't be read"),
    "a numeric sub": (lambda: "Bearer " + _with(sub=5), "TOKEN_INVALID", "sub is no id"),
    "a sub of null": (lambda: "Bearer " + _with(sub=None), "TOKEN_INVALID", "sub is no id"),
    "a list as sub": (lambda: "Bearer " + _with(sub=["alice"]), "TOKEN_INVALID", "sub is no id"),
    "an empty sub": (lambda: "Bearer " + _with(sub=""), "TOKEN_INVALID", "sub is no id"),
    "a clock that is 20 s ahead": (lambda: "Bearer " + _with(iat=_now(20), nbf=_now(20)), "", ""),
    "an iat far ahead": (lambda: "Bearer " + _with(iat=_now(600)), "TOKEN_NOT_YET_VALID", "iat"),
    "an nbf far ahead": (lambda: "Bearer " + _with(nbf=_now(600)), "TOKEN_NOT_YET_VALID", "nbf"),
    "a clock that is 20 s behind": (lambda: "Bearer " + _with(exp=_now(-20)), "TOKEN_EXPIRED", "s ago by the clock"),
    "an exp long ago": (lambda: "Bearer " + _with(exp=_now(-600)), "TOKEN_EXPIRED", "the token has expired"),
    "times with fractions": (lambda: "Bearer " + _with(iat=_now(-1) + 0.5, exp=_now(60) + 0.5), "", ""),
    "an exp that is a text": (lambda: "Bearer " + _with(exp="never"), "TOKEN_INVALID", "exp"),
    "an exp of null": (lambda: "Bearer " + _with(exp=None), "TOKEN_INVALID", "exp"),
    "an exp before 1970": (lambda: "Bearer " + _with(exp=-5), "TOKEN_INVALID", "exp"),
    "an exp of zero": (lambda: "Bearer " + _with(exp=0), "TOKEN_INVALID", "exp"),
    "an exp that no clock has": (lambda: "Bearer " + _with(exp=10**30), "TOKEN_INVALID", "exp"),
    "an iat that is a text": (lambda: "Bearer " + _with(iat="now"), "TOKEN_INVALID", "iat"),
    "an iat of null": (lambda: "Bearer " + _with(iat=None), "TOKEN_INVALID", "iat"),
    "an iat before 1970": (lambda: "Bearer " + _with(iat=-1), "TOKEN_INVALID", "iat"),
    "an nbf that is a text": (lambda: "Bearer " + _with(nbf="now"), "TOKEN_INVALID", "nbf"),
    "a numeric iss": (lambda: "Bearer " + _with(iss=5), "TOKEN_INVALID", "issuer"),
    "an iss of nobody": (lambda: "Bearer " + _with(iss="nobody"), "TOKEN_INVALID", "unknown key"),
    "an unknown key": (lambda: "Bearer " + _with(iss="api_keys/unknown"), "TOKEN_INVALID", "unknown key"),
    "a numeric aud": (lambda: "Bearer " + _with(aud=5), "TOKEN_INVALID", "aud"),
    "a text as su": (lambda: "Bearer " + _with(su="yes"), "TOKEN_INVALID", "su is not a boolean"),
    "another instance": (lambda: "Bearer " + _with(instance="another"), "TOKEN_INVALID", "instance"),
    "no text as instance": (lambda: "Bearer " + _with(instance=5), "TOKEN_INVALID", "instance"),
    "a numeric kid": (lambda: "Bearer " + _with({"alg": "HS256", "kid": 5}), "TOKEN_INVALID", "can't be read"),
    "no alg": (lambda: "Bearer " + _with({"typ": "JWT"}), "TOKEN_INVALID", "signature or form"),
    "a changed signature": (lambda: "Bearer " + _with()[:-4] + "AAAA", "TOKEN_INVALID", "signature or form"),
    "two parts": (lambda: "Bearer a.b", "TOKEN_INVALID", "can't be read"),
    "too long": (lambda: "Bearer " + _with(pad="x" * 9_000), "TOKEN_INVALID", "too long"),
}


async def test_the_edge_and_the_services_agree_on_tokens_and_say_what_is_wrong(edge: Edge) -> None:
    for name, (make, reason, words) in JUDGED.items():
        metadata = (("authorization", make()),)
        for channel in (edge.channel, edge.suite.channel("users")):
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(GET)
            try:
                await call(Call().body, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                refusal = decode(error)
                assert (refusal.reason, words in refusal.message) == (reason, True), (name, refusal.message)
            else:
                assert not reason, name


async def test_a_token_elsewhere_than_in_the_header_is_none(edge: Edge) -> None:
    token = tokens.token("alice")
    in_query = Call(path=f"{GET}?access_token={token}", token=lambda: None)
    await refused(edge, in_query, "REQUEST_MALFORMED")
    cookies = {"cookie": f"access_token={token}; authorization=Bearer {token}"}
    await refused(edge, Call(token=lambda: None), "TOKEN_MISSING", headers=cookies)
    await refused(edge, Call(token=lambda: None), "TOKEN_MISSING", headers={"x-authorization": f"Bearer {token}"})


async def test_a_header_that_claims_an_identity_changes_nothing(edge: Edge) -> None:
    names = ("x-chatkit-user", "x-chatkit-sub", "x-user-id", "sub", "x-jwt-payload", "x-forwarded-user", "x-su")
    claims = {**dict.fromkeys(names, "bob"), "x-envoy-internal": "true", "su": "true"}
    path = "/chatkit.rooms.v1.RoomsService/ListUserRooms"
    plain = await edge.json(path, {}, tokens.token("bob"))
    claimed = await edge.json(path, {"userId": "bob"}, tokens.token("alice"), **claims)
    assert plain.status_code == 200
    assert claimed.status_code == 403
    assert claimed.json()["details"][0]["reason"] == "SUBJECT_MISMATCH"


@pytest.mark.parametrize("algorithm", PRIVATE_KEYS)
async def test_a_public_key_of_the_set_verifies(algorithm: str, suite: Suite, short_path: Path) -> None:
    jwks = short_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [_jwk(algorithm)]}))
    async with running_edge(suite, short_path, CHATKIT_JWKS_FILE=str(jwks)) as edge:
        assert await _passes(edge, _signed(algorithm, kid=f"the {algorithm} key"))
        assert await _passes(edge, _signed(algorithm))
        assert await _passes(edge, tokens.token("alice"))
        for other in PRIVATE_KEYS.keys() - {algorithm}:
            assert not await _passes(edge, _signed(other))
        assert not await _passes(edge, _signed(algorithm, kid="another"))


async def test_keys_rotate_without_a_restart(edge: Edge) -> None:
    new = ApiKey("new", "a secret that was made later, long enough for HS256")
    old_token = tokens.token("alice")
    new_token = mint_token(new, tokens.INSTANCE, "alice", False, timedelta(hours=1), datetime.now(UTC))
    process = edge.child.process
    assert await _passes(edge, old_token)
    assert not await _passes(edge, new_token)

    _write(edge.folder, tokens.KEY, new)
    assert await until(lambda: _passes(edge, new_token)) < 5
    assert await _passes(edge, old_token)

    _write(edge.folder, new)

    async def is_revoked() -> bool:
        return not await _passes(edge, old_token)

    assert await until(is_revoked) < 5
    assert await _passes(edge, new_token)
    await refused(edge, Call(token=lambda: old_token), "TOKEN_INVALID")
    assert edge.child.process is process
    assert process is not None
    assert process.returncode is None


async def test_a_malformed_file_keeps_the_last_good_keys(edge: Edge) -> None:
    (edge.folder / "keys.json").write_text('{"keys": [{"id"')
    await eventually(lambda: "files_unusable" in edge.log)
    for face in FACES:
        assert await Call().by(face, edge) is None
    assert "Traceback" not in edge.log


async def test_keys_that_can_not_be_fetched_are_those_that_were(edge: Edge) -> None:
    (edge.folder / "run" / "keys.sock").unlink()
    failures = "http.edge.jwt_authn.jwks_fetch_failed"

    async def has_failed() -> bool:
        return await edge.stat(failures) >= 2

    await until(has_failed)
    for face in FACES:
        assert await Call().by(face, edge) is None


async def test_the_secret_can_be_read_nowhere(edge: Edge) -> None:
    for face in FACES:
        assert await Call().by(face, edge) is None
    await refused(edge, Call(token=lambda: tokens.forged("alice", instance="another")), "TOKEN_INVALID")
    secret = tokens.KEY.secret
    needles = (secret, _encoded(secret.encode()), base64.b64encode(secret.encode()).decode().rstrip("="))
    for needle in needles:
        for path in edge.folder.rglob("*"):
            if path.is_file() and path.name not in {"keys.json", "service_keys.json"}:
                assert needle not in path.read_text(errors="replace"), path
        for page in ("/config_dump?include_eds", "/stats", "/stats/prometheus", "/clusters", "/server_info", "/certs"):
            assert needle not in await edge.admin(page), page
        async with httpx.AsyncClient(trust_env=False) as http:
            for address in (edge.address, edge.metrics_address):
                for page in ("/", "/keys.json", "/config_dump", "/stats/prometheus", "/stats"):
                    assert needle not in (await http.get(f"http://{address}{page}")).text, page


async def test_only_the_owner_can_open_the_sockets(edge: Edge) -> None:
    for name in ("keys.sock", "admin.sock"):
        assert stat.S_IMODE((edge.folder / "run" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((edge.folder / "run").stat().st_mode) == 0o700


def test_each_key_is_handed_out_for_its_own_algorithm_and_none_with_a_private_half(tmp_path: Path) -> None:
    keys, _ = tokens.write_keys(tmp_path)
    public = tmp_path / "jwks.json"
    public.write_text(json.dumps({"keys": [_jwk(algorithm) for algorithm in PRIVATE_KEYS]}))
    handed_out = json.loads(jwks(Keyring(keys, public).keys.api))["keys"]
    assert [key["alg"] for key in handed_out] == ["HS256", *PRIVATE_KEYS]
    assert not [key for key in handed_out if key.keys() & {"d", "p", "q", "dp", "dq", "qi"}]

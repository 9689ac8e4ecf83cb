"""Who a caller is: only what a token says that one of our keys has signed."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.runtime.contract.errors import Unauthenticated
from services.runtime.contract.policies import Limits
from services.runtime.identity import tokens as tested
from services.runtime.identity.api_keys import ApiKey
from services.runtime.identity.keys import Keyring
from services.runtime.identity.tokens import Caller, ServiceTokens, TokenVerifier, mint_service_token
from services.runtime.ids import UserId
from tests.support import keys, tokens
from tests.support.clock import ManualClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
NAN, INFINITY = float("nan"), float("inf")
CLAIMS: dict[str, Any] = {
    "instance": tokens.INSTANCE,
    "iss": "api_keys/test",
    "sub": "alice",
    "iat": SECONDS,
    "exp": SECONDS + 3600,
}
SERVICE_CLAIMS: dict[str, Any] = {"iss": "services/messages", "aud": "users", "iat": SECONDS, "exp": SECONDS + 60}


class Without(Enum):
    """In the place of a claim: it is left out. An object() would give tests a new name in each process."""

    CLAIM = auto()


WITHOUT = Without.CLAIM


@pytest.fixture
def clock() -> ManualClock:
    """Stand at the time at which the tokens here were made."""
    return ManualClock(NOW)


@pytest.fixture
def verifier(clock: ManualClock) -> TokenVerifier:
    """Make the verifier of users."""
    return _verifier(clock)


def _verifier(clock: ManualClock, *more: ApiKey) -> TokenVerifier:
    return tokens.verifier(clock, keys=[tokens.KEY, *more], service="users")


def _claims(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**CLAIMS, **changes}.items() if value is not WITHOUT}


def _segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _signed(
    claims: dict[str, Any] | bytes, *, secret: str = tokens.KEY.secret, header: dict[str, Any] | bytes | None = None
) -> str:
    """Sign by hand, because jwt refuses to make most of what is wrong here."""
    pieces = [header if header is not None else {"alg": "HS256", "typ": "JWT"}, claims]
    signed = ".".join(_segment(piece if isinstance(piece, bytes) else json.dumps(piece).encode()) for piece in pieces)
    return f"{signed}.{_segment(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def _service_token(*, secret: str = tokens.SERVICE_KEY.secret, kid: Any = tokens.SERVICE_KEY.id, **changes: Any) -> str:
    claims = {name: value for name, value in {**SERVICE_CLAIMS, **changes}.items() if value is not WITHOUT}
    header = {"alg": "HS256", **({} if kid is WITHOUT else {"kid": kid})}
    return _signed(claims, secret=secret, header=header)


def _refused(verifier: TokenVerifier, token: str, reason: str = "TOKEN_INVALID") -> None:
    with pytest.raises(Unauthenticated) as caught:
        verifier.verify(token)
    assert caught.value.reason == reason
    assert (caught.value.retry_after is not None) is (reason == "TOKEN_NOT_YET_VALID")


def test_a_token_says_who_calls(verifier: TokenVerifier) -> None:
    expire_time = NOW + timedelta(hours=1)
    assert verifier.verify(_signed(_claims())) == Caller(UserId("alice"), False, None, expire_time)
    assert verifier.verify(_signed(_claims(su=True))) == Caller(UserId("alice"), True, None, expire_time)
    assert verifier.verify(_signed(_claims(su=True, sub=WITHOUT))) == Caller(None, True, None, expire_time)
    assert verifier.verify(_signed(_claims(su=False, aud="anything"))).superuser is False
    assert verifier.verify(_service_token()) == Caller(None, False, "messages", NOW + timedelta(minutes=1))


@pytest.mark.parametrize("subject", ["a", "x" * 160, "🫎" * 160, "a b/c", "👨‍👩‍👧‍👦", "ünï\u200bcode"])
def test_any_id_can_be_a_subject(verifier: TokenVerifier, subject: str) -> None:
    assert verifier.verify(_signed(_claims(sub=subject))).subject == subject


@pytest.mark.parametrize(
    "changes",
    [
        {"instance": "99999999-2222-3333-4444-555555555555"},
        {"instance": WITHOUT},
        {"instance": [tokens.INSTANCE]},
        {"iss": WITHOUT},
        {"iss": ""},
        {"iss": "test"},
        {"iss": "api_keys/"},
        {"iss": "api_keys/other"},
        {"iss": "API_KEYS/test"},
        {"iss": ["api_keys/test"]},
        {"iss": "services/users"},
        {"exp": WITHOUT},
        {"exp": None},
        {"exp": "1893456000"},
        {"exp": True},
        {"exp": NAN},
        {"exp": INFINITY},
        {"exp": 10**30},
        {"exp": [SECONDS + 60]},
        {"iat": WITHOUT},
        {"iat": None},
        {"iat": "yesterday"},
        {"iat": True},
        {"iat": NAN},
        {"iat": INFINITY},
        {"nbf": "tomorrow"},
        {"su": "true"},
        {"su": 1},
        {"su": None},
        {"su": []},
        {"sub": ""},
        {"sub": 5},
        {"sub": ["alice"]},
        {"sub": "x" * 161},
        {"sub": "a\nb"},
        {"sub": "a\x00b"},
        {"sub": "a\x7f"},
        {"sub": "a\x85"},
        {"sub": "\ud800"},
    ],
    ids=repr,
)
def test_a_token_with_a_claim_that_is_wrong_is_refused(verifier: TokenVerifier, changes: dict[str, Any]) -> None:
    _refused(verifier, _signed(_claims(**changes)))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "..",
        "a.b.c",
        "é.é.é",
        "\udce9.a.b",
        _signed(_claims(), secret="a forged secret, which is long enough for HS256"),
        _signed(_claims(), secret=tokens.SERVICE_KEY.secret),
        _signed(_claims())[:-1],
        _signed(_claims())[:-4] + "AAAA",
        _signed(_claims()) + "." + _segment(b"more"),
        _signed(_claims(padding="x" * 8_192)),
        _signed(b"[1]"),
        _signed(b"{"),
        _signed(b"\xff\xfe"),
        _signed(b'{"a":' * 1_200 + b"1" + b"}" * 1_200),
        _signed(b'{"exp":' + b"9" * 5_000 + b"}"),
        _signed(_claims(), header={}),
        _signed(_claims(), header=b"[]"),
        _signed(_claims(), header={"alg": "HS512"}),
        _signed(_claims(), header={"alg": "RS256"}),
        _signed(_claims(), header={"alg": "HS256", "crit": ["exp"]}),
        _signed(_claims(), header={"alg": "HS256", "b64": False}),
    ],
)
def test_what_is_no_token_of_ours_is_refused(verifier: TokenVerifier, token: str) -> None:
    _refused(verifier, token)


_TWICE = "a name stands in it twice"
_NO_NUMBER = "NaN and infinity are no numbers of JSON"
_TOO_LARGE = "a number in it is too large"
_TOO_DEEP = "it is nested more than 100 deep"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (b'"sub": "bob"', _TWICE),
        (b'"x": {"y": 1, "y": 2}', _TWICE),
        (b'"x": NaN', _NO_NUMBER),
        (b'"x": [-Infinity]', _NO_NUMBER),
        (b'"x": 1e999', _TOO_LARGE),
        (b'"x": ' + b"9" * 5_000, _TOO_LARGE),
        (b'"x": ' + b"[" * 100 + b"]" * 100, _TOO_DEEP),
        (b'"x": ' + b'{"a":' * 500 + b"1" + b"}" * 500, _TOO_DEEP),
        (b'"x": "\xff"', "it is not UTF-8"),
        (b'"x": "\\ud800"', "a text in it is not Unicode"),
        (b'"\\udfff": 1', "a text in it is not Unicode"),
    ],
    ids=lambda value: value.decode("latin-1")[:20] if isinstance(value, bytes) else value,
)
def test_json_that_two_readers_may_understand_differently_is_refused(
    verifier: TokenVerifier, more: bytes, problem: str
) -> None:
    _can_not_be_read(verifier, _signed(_with(CLAIMS, more)), problem)
    header = _with({"alg": "HS256", "sub": "alice"}, more)
    _can_not_be_read(verifier, _signed(CLAIMS, header=header), problem)


def _with(told: dict[str, Any], more: bytes) -> bytes:
    return json.dumps(told).encode()[:-1] + b", " + more + b"}"


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe"])
def test_a_byte_order_mark_is_refused(verifier: TokenVerifier, mark: bytes) -> None:
    content = json.dumps(CLAIMS)
    wrong = mark + content.encode("utf-8" if mark.startswith(b"\xef") else "utf-16-le")
    problem = "it begins with a byte order mark" if mark.startswith(b"\xef") else "it is not UTF-8"
    _can_not_be_read(verifier, _signed(wrong), problem)
    _refused(verifier, _signed(content.encode("utf-16-le")))


def _can_not_be_read(verifier: TokenVerifier, token: str, problem: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        verifier.verify(token)
    assert (caught.value.reason, caught.value.message) == ("TOKEN_INVALID", f"the token can't be read: {problem}")


def test_a_claim_of_the_customers_own_may_be_whatever_json_is(verifier: TokenVerifier) -> None:
    deep = json.loads("[" * 99 + "]" * 99)
    assert verifier.verify(_signed(_claims(x=deep, y=[{"ü": [None, -0.5, 10**30, "🫎"]}]))).subject == "alice"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_that_nobody_signed_is_refused(verifier: TokenVerifier, algorithm: str) -> None:
    header, claims = _segment(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()), json.dumps(_claims()).encode()
    _refused(verifier, f"{header}.{_segment(claims)}.")
    _refused(verifier, f"{header}.{_segment(claims)}.{_segment(b'signature')}")
    if algorithm == "none":
        _refused(verifier, jwt.encode(_claims(), "", "none"))


def test_another_algorithm_is_refused_also_with_our_secret(verifier: TokenVerifier) -> None:
    long_key = ApiKey("long", "a secret that has at least the sixty-four bytes that HS512 asks for, and more")
    trusting = _verifier(ManualClock(NOW), long_key)
    for algorithm, is_accepted in {"HS256": True, "HS384": False, "HS512": False}.items():
        token = jwt.encode(_claims(iss="api_keys/long"), long_key.secret, algorithm)
        if is_accepted:
            assert trusting.verify(token).subject == "alice"
        else:
            _refused(trusting, token)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _refused(verifier, jwt.encode(_claims(), private, "RS256"))


def test_a_public_key_is_not_taken_for_a_secret(clock: ManualClock) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    confused = _verifier(clock, ApiKey("rsa", public.decode()))
    _refused(confused, _signed(_claims(iss="api_keys/rsa"), secret=public.decode()))
    _refused(confused, jwt.encode(_claims(iss="api_keys/rsa"), private, "RS256"))


def test_several_keys_are_valid_at_once_and_each_signs_for_itself_only(clock: ManualClock) -> None:
    second = ApiKey("second", "the secret of a second key, also long enough for HS256")
    verifier = _verifier(clock, second)
    assert verifier.verify(_signed(_claims())).subject == "alice"
    assert verifier.verify(_signed(_claims(iss="api_keys/second"), secret=second.secret)).subject == "alice"
    _refused(verifier, _signed(_claims(iss="api_keys/second")))
    _refused(_verifier(clock), _signed(_claims(iss="api_keys/second"), secret=second.secret))


async def test_a_token_ends_at_its_second_also_when_it_is_known(verifier: TokenVerifier, clock: ManualClock) -> None:
    token = _signed(_claims(exp=SECONDS + 10))
    assert verifier.verify(token).subject == "alice"
    await clock.advance(9.9)
    assert verifier.verify(token).subject == "alice"
    await clock.advance(0.1)
    _refused(verifier, token, "TOKEN_EXPIRED")
    _refused(verifier, token, "TOKEN_EXPIRED")
    _refused(_verifier(clock), token, "TOKEN_EXPIRED")


def test_an_expired_token_that_is_forged_as_well_is_called_forged(verifier: TokenVerifier) -> None:
    _refused(verifier, _signed(_claims(exp=SECONDS - 1)), "TOKEN_EXPIRED")
    _refused(verifier, _signed(_claims(exp=SECONDS - 1), secret="another secret of somebody else entirely"))


def _public(folder: Path, private: keys.Private, kid: str = "public") -> list[Any]:
    (folder / "jwks.json").write_text(json.dumps({"keys": [keys.jwk(private, kid)]}))
    (folder / "none.json").write_text('{"keys": []}')
    return list(Keyring(folder / "none.json", folder / "jwks.json").keys.api)


def _trusting(public: list[Any]) -> TokenVerifier:
    return tokens.verifier(ManualClock(NOW), keys=public, service="users")


@pytest.mark.parametrize("algorithm", keys.ALGORITHMS)
def test_a_token_of_a_key_pair_says_the_same_and_is_held_to_the_same(tmp_path: Path, algorithm: str) -> None:
    private = keys.generate(algorithm)
    verifier = _trusting(_public(tmp_path, private))

    def signed(**changes: Any) -> str:
        return jwt.encode(_claims(iss="api_keys/public", **changes), private, algorithm)

    assert verifier.verify(signed(su=True)) == Caller(UserId("alice"), True, None, NOW + timedelta(hours=1))
    assert verifier.verify(signed(sub=WITHOUT, su=True)).subject is None
    for wrong in ({"instance": WITHOUT}, {"exp": WITHOUT}, {"iat": WITHOUT}, {"su": 1}, {"sub": "a\nb"}):
        _refused(verifier, signed(**wrong))
    _refused(verifier, signed(exp=SECONDS - 1), "TOKEN_EXPIRED")
    _refused(verifier, jwt.encode(_claims(iss="api_keys/other"), private, algorithm))
    _refused(verifier, jwt.encode(_claims(iss="api_keys/public"), keys.generate(algorithm), algorithm))
    # Nor does it sign for a service.
    _refused(verifier, jwt.encode(SERVICE_CLAIMS, private, algorithm, headers={"kid": "public"}))


@pytest.mark.parametrize("algorithm", keys.ALGORITHMS)
def test_a_key_verifies_its_own_algorithm_only(tmp_path: Path, algorithm: str) -> None:
    private = keys.generate(algorithm)
    verifier = _trusting(_public(tmp_path, private))
    claims = _claims(iss="api_keys/public")
    assert verifier.verify(jwt.encode(claims, private, algorithm)).subject == "alice"
    pem, jwk = keys.pem(private), keys.jwk(private, "public")
    for secret in (pem, pem.strip(), json.dumps(jwk), str(jwk.get("x", jwk.get("n")))):
        _refused(verifier, _signed(claims, secret=secret))
        _refused(verifier, _signed(claims, secret=secret, header={"alg": "HS256", "kid": "public"}))
    for other in ("none", "HS256", *(name for name in keys.ALGORITHMS if name != algorithm)):
        head, body, signature = jwt.encode(claims, private, algorithm).split(".")
        _refused(verifier, f"{_segment(json.dumps({'alg': other}).encode())}.{body}.{signature}")
        _refused(verifier, f"{_segment(json.dumps({'alg': other}).encode())}.{body}.")
        assert head
    if algorithm == "RS256":
        for other in ("RS384", "RS512", "PS256"):
            _refused(verifier, jwt.encode(claims, private, other))


def test_with_other_keys_what_was_verified_before_is_forgotten(verifier: TokenVerifier) -> None:
    old, new = _signed(_claims()), ApiKey("new", "the secret of a new key, also long enough for HS256")
    caller = verifier.verify(old)
    verifier.use([tokens.KEY, new], [tokens.SERVICE_KEY])
    assert verifier.still_knows(caller)
    assert verifier.verify(_signed(_claims(iss="api_keys/new"), secret=new.secret)).subject == "alice"
    verifier.use([new], [tokens.SERVICE_KEY])
    assert not verifier.still_knows(caller)
    _refused(verifier, old)
    # Another secret under the same id is another key.
    verifier.use([ApiKey(tokens.KEY.id, "another secret for the same id, long enough too")], [tokens.SERVICE_KEY])
    assert not verifier.still_knows(caller)
    _refused(verifier, old)


def test_a_services_token_is_forgotten_with_its_key(verifier: TokenVerifier) -> None:
    token = _service_token()
    caller = verifier.verify(token)
    verifier.use([tokens.KEY], [ApiKey("next", "the next secret between services, long enough"), tokens.SERVICE_KEY])
    assert verifier.still_knows(caller)
    assert verifier.verify(token).service == "messages"
    verifier.use([tokens.KEY, tokens.SERVICE_KEY], [ApiKey("next", "the next secret between services, long enough")])
    assert not verifier.still_knows(caller)
    _refused(verifier, token)


def test_a_service_signs_with_the_first_key_at_once(verifier: TokenVerifier, clock: ManualClock) -> None:
    minted = ServiceTokens("messages", tokens.SERVICE_KEY, clock)
    before = minted.for_peer("users")
    second = ApiKey("next", "the next secret between services, long enough")
    minted.use(second)
    after = minted.for_peer("users")
    assert jwt.get_unverified_header(after)["kid"] == "next"
    verifier.use([tokens.KEY], [second])
    assert verifier.verify(after).service == "messages"
    _refused(verifier, before)


@pytest.mark.parametrize("wrong_by", [120, 3_600, -3_600])
async def test_a_service_whose_clock_was_wrong_signs_rightly_as_soon_as_it_is_right(
    verifier: TokenVerifier, wrong_by: float
) -> None:
    clock = ManualClock(NOW)
    minted = ServiceTokens("messages", tokens.SERVICE_KEY, clock)
    clock.ahead = wrong_by
    _refused(verifier, minted.for_peer("users"), "TOKEN_NOT_YET_VALID" if wrong_by > 0 else "TOKEN_EXPIRED")
    clock.ahead = 0.0
    assert verifier.verify(minted.for_peer("users")).service == "messages"


async def test_a_services_token_is_renewed_at_half_its_life_and_when_a_peer_has_refused_it() -> None:
    clock = ManualClock(NOW)
    minted = ServiceTokens("messages", tokens.SERVICE_KEY, clock)
    first = minted.for_peer("users")
    await clock.advance(29.9)
    assert minted.for_peer("users") == first
    minted.forget("users")
    second = minted.for_peer("users")
    assert second != first
    await clock.advance(30)
    assert minted.for_peer("users") != second


async def test_what_was_verified_by_a_clock_that_was_ahead_is_not_remembered_by_one_that_is_right(
    verifier: TokenVerifier, clock: ManualClock
) -> None:
    token = _signed(_claims(nbf=SECONDS + 600))
    clock.ahead = 3_000.0
    assert verifier.verify(token).subject == "alice"
    clock.ahead = 0.0
    _refused(verifier, token, "TOKEN_NOT_YET_VALID")
    await clock.advance(600)
    assert verifier.verify(token).subject == "alice"


def test_a_token_may_be_as_long_as_the_limit_says() -> None:
    verifier = tokens.verifier(ManualClock(NOW), service_keys=[], service="users", limits=Limits({"TOKEN_CHARS": 400}))
    short = _signed(_claims())
    assert len(short) <= 400
    assert verifier.verify(short).subject == "alice"
    _refused(verifier, _signed(_claims(padding="x" * 200)))


def test_a_callers_key_is_shown_nowhere(verifier: TokenVerifier) -> None:
    caller = verifier.verify(_signed(_claims()))
    assert caller.key == tokens.KEY
    assert tokens.KEY.secret not in repr(caller) + repr(tokens.KEY)


def test_a_clock_that_is_a_little_ahead_of_ours_may_sign(verifier: TokenVerifier) -> None:
    assert verifier.verify(_signed(_claims(iat=SECONDS + 30, nbf=SECONDS + 30))).subject == "alice"


@pytest.mark.parametrize("claim", ["iat", "nbf"])
async def test_what_a_clock_farther_ahead_has_signed_is_good_later(
    verifier: TokenVerifier, clock: ManualClock, claim: str
) -> None:
    changes: dict[str, Any] = {claim: SECONDS + 31}
    token = _signed(_claims(**changes))
    _refused(verifier, token, "TOKEN_NOT_YET_VALID")
    _refused(verifier, _service_token(**changes), "TOKEN_NOT_YET_VALID")
    await clock.advance(1)
    assert verifier.verify(token).subject == "alice"


async def test_what_is_remembered_of_tokens_is_bounded(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tested, "_CACHED_TOKENS", 3)
    made = [_signed(_claims(sub=f"user {number}")) for number in range(10)]
    for token in (*made, *made):
        verifier.verify(token)
    assert len(verifier._cache) == 3
    _refused(verifier, _signed(_claims(su=1)))
    assert len(verifier._cache) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": tokens.KEY.secret},
        {"secret": tokens.KEY.secret, "kid": tokens.KEY.id},
        {"kid": WITHOUT},
        {"kid": "unknown"},
        {"kid": 5},
        {"kid": {"a": 1}},
        {"aud": "rooms"},
        {"aud": ["rooms", "messages"]},
        {"aud": WITHOUT},
        {"aud": 5},
        {"exp": SECONDS + 91},
        {"exp": WITHOUT},
        {"exp": 10**12},
        {"iat": WITHOUT},
    ],
    ids=repr,
)
def test_a_services_token_with_something_wrong_is_refused(verifier: TokenVerifier, changes: dict[str, Any]) -> None:
    _refused(verifier, _service_token(**changes))


def test_neither_kind_of_key_mints_the_other_kind_of_token(clock: ManualClock, verifier: TokenVerifier) -> None:
    _refused(verifier, mint_service_token(tokens.KEY, "messages", "users", NOW))
    _refused(verifier, _signed(_claims(iss=f"api_keys/{tokens.SERVICE_KEY.id}"), secret=tokens.SERVICE_KEY.secret))
    # Not even with the same id.
    both = tokens.verifier(
        clock,
        keys=[ApiKey("same", tokens.KEY.secret)],
        service_keys=[ApiKey("same", tokens.SERVICE_KEY.secret)],
        service="users",
    )
    _refused(both, mint_service_token(ApiKey("same", tokens.KEY.secret), "messages", "users", NOW))
    _refused(both, _signed(_claims(iss="api_keys/same"), secret=tokens.SERVICE_KEY.secret))


async def test_a_services_own_tokens_are_accepted_by_their_peer_alone_and_renewed_in_time(clock: ManualClock) -> None:
    minted = ServiceTokens("messages", tokens.SERVICE_KEY, clock)
    verifier = _verifier(clock)
    for _ in range(10):
        assert verifier.verify(minted.for_peer("users")).service == "messages"
        _refused(verifier, minted.for_peer("rooms"))
        await clock.advance(29)
    first = minted.for_peer("users")
    assert minted.for_peer("users") == first
    await clock.advance(30)
    assert minted.for_peer("users") != first


def test_callers_are_told_apart_by_their_labels() -> None:
    callers = [
        Caller(UserId("alice"), False, None, NOW),
        Caller(UserId("alice"), True, None, NOW),
        Caller(None, True, None, NOW),
        Caller(None, False, "alice", NOW),
        Caller(UserId("bob"), False, None, NOW),
    ]
    assert len({caller.label for caller in callers}) == len(callers)

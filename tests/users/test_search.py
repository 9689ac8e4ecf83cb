"""Searches of users by the beginning of a name or an id, over the wire with a real database."""

import random
import unicodedata
from typing import Any

import psycopg
from chatkit.users.v1 import users_service_pb2 as pb2

from tests.support.peers import Peers
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import Metadata, su, user

_SEED = random.randrange(2**32)
# What has a meaning in a pattern, two letters in both cases, and one that is written in two ways.
_LETTERS = "aAbB%_\\éÉ"


async def _pages(users: Suite, prefix: str, size: int = 0, who: Metadata = ()) -> list[list[str]]:
    """Return the ids that are found, page by page."""
    request = pb2.SearchUsersRequest(prefix=prefix, page_size=size)
    pages: list[list[str]] = []
    while True:
        page = await users.users.SearchUsers(request, metadata=who or user("reader"))
        pages.append([found.id for found in page.users])
        if not page.next_page_token:
            return pages
        request.page_token = page.next_page_token


async def _found(users: Suite, prefix: str, size: int = 0) -> list[str]:
    return [user_id for page in await _pages(users, prefix, size) for user_id in page]


async def _make(users: Suite, **names: str) -> None:
    for user_id, name in names.items():
        await users.users.CreateUser(pb2.CreateUserRequest(id=user_id, name=name), metadata=su())


async def test_users_are_found_by_their_names_in_any_case_and_then_by_their_ids(users: Suite) -> None:
    await _make(users, u1="Alice", u2="alina", ALIEN="Zoë", ali_baba="Baba", aliens="ALIENS", u3="Bob")
    assert await _found(users, "ALI") == ["u1", "aliens", "u2", "ALIEN"]
    assert await _found(users, "ali") == ["u1", "aliens", "u2", "ali_baba"]
    assert await _found(users, "alien") == ["aliens"]
    assert await _found(users, "lice") == []
    page = await users.users.SearchUsers(pb2.SearchUsersRequest(prefix="zo"), metadata=user("reader"))
    read = (await users.users.GetUser(pb2.GetUserRequest(user_id="ALIEN"), metadata=user("reader"))).user
    assert list(page.users) == [read]


SAME = (
    ("Ärzte", "äRZ"),
    (unicodedata.normalize("NFD", "Ärzte"), "ärz"),
    ("Ärzte", unicodedata.normalize("NFD", "ÄRZ")),
    ("Жданов", "ЖДА"),
    ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
    ("Οδυσσευς", "ΟΔΥΣΣΕΥΣ"),
    ("Αθηνας", "αθηνασ"),
    ("\u212bngström", "Ång"),
    ("Straße", "STRAßE"),
    ("山田太郎", "山田"),
    ("🫎 moose", "🫎"),
    (" blank", " "),
    ("Dz", "dZ"),
    ("\U0010ffff\U0010ffffa", "\U0010ffff\U0010ffff"),
)
OTHER = (("Ärzte", "Arz"), ("Straße", "STRASS"), ("Jose\u0301", "Jose"), ("\u0391", "A"))


async def test_case_is_that_of_unicode_and_so_is_what_is_the_same(users: Suite) -> None:
    pairs = [(name, prefix, True) for name, prefix in SAME] + [(name, prefix, False) for name, prefix in OTHER]
    await _make(users, **{f"u{number}": name for number, (name, _, _) in enumerate(pairs)})
    for number, (name, prefix, is_found) in enumerate(pairs):
        assert (f"u{number}" in await _found(users, prefix)) == is_found, (name, prefix)


def _key(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


async def test_what_is_found_is_what_begins_so_each_once_and_in_order(users: Suite) -> None:
    chance = random.Random(_SEED)
    made = {_word(chance) + str(number): _word(chance) for number in range(60)}
    await _make(users, **made)
    for prefix in {*_LETTERS, *(_word(chance) for _ in range(20))}:
        named = {user_id for user_id, name in made.items() if _key(name).startswith(_key(prefix))}
        others = sorted(user_id for user_id in made if user_id.startswith(prefix) and user_id not in named)
        expected = sorted(named, key=lambda user_id: (_key(made[user_id]), user_id)) + others
        size = chance.randint(1, 5)
        pages = await _pages(users, prefix, size)
        assert [user_id for page in pages for user_id in page] == expected, (_SEED, prefix)
        assert all(len(page) <= size for page in pages)


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(_LETTERS, k=chance.randint(1, 3)))


async def test_a_page_of_very_many_reads_no_more_than_a_page(users: Suite) -> None:
    with psycopg.connect(users.database.superuser_dsn, autocommit=True) as connection:
        # As the release before writes them, which knows no search.
        connection.execute("""
            INSERT INTO users.users (uid, id, name, avatar_url)
            SELECT gen_random_uuid(), 'anna' || n, 'Anna ' || n, '' FROM generate_series(1, 20000) n
        """)
        connection.execute("SELECT pg_stat_reset()")
    request = pb2.SearchUsersRequest(prefix="anna", page_size=50)
    for _ in range(10):
        page = await users.users.SearchUsers(request, metadata=user("reader"))
        assert len(page.users) == 50
        request.page_token = page.next_page_token
    # Those that are found by their ids were all found by their names before.
    await users.users.SearchUsers(pb2.SearchUsersRequest(prefix="anna 19999", page_size=50), metadata=user("reader"))
    by_id = pb2.SearchUsersRequest(prefix="anna1", page_size=50)
    assert len((await users.users.SearchUsers(by_id, metadata=user("reader"))).users) == 50
    # Connections tell what they have counted when they are closed.
    await users.stop("users")
    with psycopg.connect(users.database.superuser_dsn) as connection:
        query = "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'users'"
        (whole, fetched) = connection.execute(query).fetchone() or (None, None)
    assert whole == 0
    assert isinstance(fetched, int)
    assert fetched < 700


async def test_those_who_were_found_by_name_are_passed_over_a_page_at_a_time(users: Suite) -> None:
    await _make(users, **{f"a{number}": f"A{number}" for number in range(5)}, a9="Zoë")
    assert await _pages(users, "a", 2) == [["a0", "a1"], ["a2", "a3"], ["a4"], [], [], ["a9"]]
    assert await _pages(users, "a", 5) == [["a0", "a1", "a2", "a3", "a4"], [], ["a9"]]
    assert await _pages(users, "a", 100) == [["a0", "a1", "a2", "a3", "a4", "a9"]]


async def test_a_search_follows_the_names(users: Suite) -> None:
    await _make(users, u1="Ann", u2="Bob")
    await users.users.UpdateUser(pb2.UpdateUserRequest(name="Carol"), metadata=user("u1"))
    assert (await _found(users, "ann"), await _found(users, "car")) == ([], ["u1"])


async def test_only_so_much_of_a_name_is_compared_and_any_name_can_be(users: Suite) -> None:
    start = "x" * 100
    # The first is three times as long in NFC, the others are as they are in lower case.
    last = "\U0010fffd" * 160
    long = {"u1": "\U0001d160" * 160, "u2": "\u0130" * 160, "u3": last, last: "\x01" * 159 + "a"}
    await _make(users, **long, v2=f"{start}a", v1=f"{start}B")
    for user_id, name in long.items():
        assert (await _found(users, name[:120]))[0] == user_id
    assert await _pages(users, "\x01", 1) == [[last]]
    assert await _pages(users, f"{start}anything", 1) == [["v1"], ["v2"]]


async def test_what_is_wrong_with_a_search_is_said(users: Suite, peers: Peers) -> None:
    await _make(users, u1="Ann", u2="Anna")
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"prefix": ""}, "FIELD_REQUIRED"),
        ({"prefix": "a\0"}, "FIELD_INVALID"),
        ({"prefix": "a" * 161}, "LIMIT_EXCEEDED"),
        ({"prefix": "a", "page_size": -1}, "FIELD_INVALID"),
        ({"prefix": "a", "page_token": "x"}, "PAGE_TOKEN_INVALID"),
    )
    for fields, reason in wrong:
        await refused(users.users.SearchUsers(pb2.SearchUsersRequest(**fields), metadata=user("reader")), reason)
    request = pb2.SearchUsersRequest(prefix="an", page_size=1)
    token = (await users.users.SearchUsers(request, metadata=user("reader"))).next_page_token
    for other, who in (("ann", "reader"), ("an", "other")):
        request = pb2.SearchUsersRequest(prefix=other, page_token=token)
        await refused(users.users.SearchUsers(request, metadata=user(who)), "PAGE_TOKEN_INVALID")
    peers.denied["bare"] = {"user:search"}
    request = pb2.SearchUsersRequest(prefix="an")
    await refused(users.users.SearchUsers(request, metadata=user("bare")), "PERMISSION_MISSING")
    assert await _pages(users, "an", who=su()) == [["u1", "u2"]]

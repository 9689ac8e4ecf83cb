"""Page tokens are good for the caller, the method and the filter that they were made for, and for nothing else."""

import base64

import pytest
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import timestamp_pb2
from google.protobuf.message import Message

from services.runtime.calls.paging import Defaults, PageTokens, page_size
from services.runtime.contract.errors import InvalidArgument
from services.runtime.contract.policies import Limits
from services.runtime.identity.api_keys import ApiKey
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserId
from tests.support import tokens
from tests.support.clock import ManualClock

NOW = ManualClock().now()
ALICE = Caller(UserId("alice"), superuser=False, service=None, expire_time=NOW)
SECOND = ApiKey("second", "another secret, which is newer than the first")
PAGES = PageTokens([tokens.SERVICE_KEY])
KEY: list[str | int] = ["2026-01-01T00:00:00+00:00", "møøse 🫎", 5]


def _request(room_id: str = "r", **fields: object) -> messages_pb2.ListMessagesRequest:
    return messages_pb2.ListMessagesRequest(room_id=room_id, **fields)  # type: ignore[arg-type]


def _refused(request: Message, token: str, caller: Caller = ALICE, pages: PageTokens = PAGES) -> None:
    request.page_token = token  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgument) as caught:
        pages.read(caller, request)
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


def test_a_token_leads_to_where_the_page_before_ended() -> None:
    token = PAGES.make(ALICE, _request(), KEY)
    assert PAGES.read(ALICE, _request(page_token=token)) == KEY
    assert PAGES.read(ALICE, _request()) is None
    # It goes into URLs and headers as it is.
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()


def test_the_size_of_the_page_may_change_on_the_way() -> None:
    token = PAGES.make(ALICE, _request(page_size=2), KEY)
    assert PAGES.read(ALICE, _request(page_size=50, page_token=token)) == KEY
    # The page token of the page before is not part of the filter either.
    assert PAGES.make(ALICE, _request(page_size=2, page_token=token), KEY) == token


def test_every_character_of_a_token_counts() -> None:
    token = PAGES.make(ALICE, _request(), KEY)
    for place in range(len(token) - 1):
        changed = "A" if token[place] != "A" else "B"
        _refused(_request(), token[:place] + changed + token[place + 1 :])
        if place:
            _refused(_request(), token[:place])
    _refused(_request(), token + "AAAA")


@pytest.mark.parametrize("token", ["x", "====", "é", "a b", "\n", "A" * 22, "A" * 2_000, "+/+/", "\ufeff"])
def test_what_is_no_token_is_refused(token: str) -> None:
    _refused(_request(), token)


def test_a_token_that_somebody_made_up_is_refused() -> None:
    made = base64.urlsafe_b64encode(b"\0" * 16 + b'["x"]').decode().rstrip("=")
    _refused(_request(), made)
    _refused(_request(), PageTokens([SECOND]).make(ALICE, _request(), KEY))


def test_a_token_is_of_its_caller_alone() -> None:
    token = PAGES.make(ALICE, _request(), KEY)
    for caller in (
        Caller(UserId("bob"), superuser=False, service=None, expire_time=NOW),
        Caller(UserId("alice"), superuser=True, service=None, expire_time=NOW),
        Caller(None, superuser=True, service=None, expire_time=NOW),
        Caller(None, superuser=False, service="alice", expire_time=NOW),
    ):
        _refused(_request(), token, caller)


def test_a_token_is_of_its_filter_alone() -> None:
    token = PAGES.make(ALICE, _request(from_seq=7), KEY)
    _refused(_request(), token)
    _refused(_request("r2", from_seq=7), token)
    _refused(_request(from_seq=8), token)
    _refused(_request(from_seq=7, direction=2), token)
    users = PAGES.make(ALICE, users_pb2.ListUsersRequest(), KEY)
    _refused(users_pb2.ListUsersRequest(min_create_time=timestamp_pb2.Timestamp()), users)


def test_a_default_is_the_same_whether_it_is_said_or_left_out() -> None:
    defaults = {"direction": messages_pb2.DIRECTION_OLDER}
    spellings = (messages_pb2.DIRECTION_UNSPECIFIED, messages_pb2.DIRECTION_OLDER)
    for made_for in spellings:
        token = PAGES.make(ALICE, _request(direction=made_for), KEY)
        for read_by in spellings:
            assert PAGES.read(ALICE, _request(page_token=token, direction=read_by), defaults) == KEY
        other = _request(page_token=token, direction=messages_pb2.DIRECTION_NEWER)
        with pytest.raises(InvalidArgument):
            PAGES.read(ALICE, other, defaults)
    newer = _request(direction=messages_pb2.DIRECTION_NEWER)
    newer.page_token = PAGES.make(ALICE, newer, KEY)
    assert PAGES.read(ALICE, newer, defaults) == KEY


def test_of_several_defaults_each_may_be_said_or_left_out() -> None:
    defaults: Defaults = {"direction": messages_pb2.DIRECTION_OLDER, "room_id": "r"}
    token = PAGES.make(ALICE, _request("", direction=messages_pb2.DIRECTION_OLDER), KEY)
    for room_id in ("", "r"):
        for direction in (messages_pb2.DIRECTION_UNSPECIFIED, messages_pb2.DIRECTION_OLDER):
            asked = _request(room_id, direction=direction, page_token=token)
            assert PAGES.read(ALICE, asked, defaults) == KEY


def test_a_default_that_nobody_is_does_not_count() -> None:
    # A superuser's token that names no user.
    request = rooms_pb2.ListUserRoomsRequest(user_id="bob")
    token = PAGES.make(ALICE, request, KEY)
    with pytest.raises(InvalidArgument):
        PAGES.read(ALICE, rooms_pb2.ListUserRoomsRequest(page_token=token), {"user_id": None})


def test_a_token_is_of_its_method_alone() -> None:
    # These two requests are the same bytes.
    members = memberships_pb2.ListMembersRequest(room_id="r")
    rooms = rooms_pb2.ListUserRoomsRequest(user_id="r")
    assert members.SerializeToString() == rooms.SerializeToString()
    _refused(rooms, PAGES.make(ALICE, members, KEY))


def test_a_new_key_makes_tokens_and_an_old_one_still_reads_its_own() -> None:
    rotated = PageTokens([SECOND, tokens.SERVICE_KEY])
    old, new = PAGES.make(ALICE, _request(), KEY), rotated.make(ALICE, _request(), KEY)
    assert rotated.read(ALICE, _request(page_token=old)) == KEY
    assert rotated.read(ALICE, _request(page_token=new)) == KEY
    _refused(_request(), new)


def test_a_page_is_of_the_default_size_and_never_larger_than_the_maximum() -> None:
    assert page_size(_request(), Limits()) == 20
    assert page_size(_request(page_size=1), Limits()) == 1
    assert page_size(_request(page_size=100), Limits()) == 100
    assert page_size(_request(page_size=2**31 - 1), Limits()) == 100
    assert page_size(_request(), Limits({"PAGE_SIZE": 5})) == 5
    assert page_size(_request(), Limits({"PAGE_SIZE_DEFAULT": 7})) == 7

"""Why something failed, for logs: what failed first, in few words, and no password."""

import psycopg
import pytest

from services.runtime.contract.errors import Unavailable
from services.runtime.problems import problem_of


def test_what_failed_first_is_told_with_what_it_led_to() -> None:
    with pytest.raises(Unavailable) as caught:
        raise Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached") from psycopg.OperationalError(
            "connection failed:\n  FATAL: unsupported startup parameter: options"
        )
    assert problem_of(caught.value) == (
        "Unavailable: the database can't be reached:"
        " OperationalError: connection failed: FATAL: unsupported startup parameter: options"
    )
    assert problem_of(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("text", ["postgresql://u:hush@h/d is odd", "host=h password=hush x", "password = 'hush hush'"])
def test_no_password_is_told(text: str) -> None:
    assert "hush" not in problem_of(ValueError(text))

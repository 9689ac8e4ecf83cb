"""The figures of the house are counted as they say."""

import pytest

from tests.checks.shape import FIELDS, PARTS, arrows, files_of_field, folders, sentences

_PAGE = """\
# A heading of words

A sentence of five words. Another one that `ends` here: and one more after it.

| a table | of many words that are no sentence |
| --- | --- |

1. A step of five words.
2. A second step, with more words in it.

```
code that is no sentence at all
```
"""


def test_sentences_are_counted_and_tables_headings_and_code_are_none() -> None:
    assert sentences(_PAGE) == [5, 10, 5, 8]


def test_every_part_has_modules_and_arrows() -> None:
    assert {folder.split("/")[0] for folder in folders()} == set(PARTS)
    assert ("fanout", "log") in arrows("messages")
    assert ("log", "fanout") not in arrows("messages")


@pytest.mark.parametrize(("service", "field"), FIELDS.items())
def test_a_field_is_named_in_seven_files_at_most(service: str, field: str) -> None:
    named = files_of_field(service, field)
    assert {f"services/{service}/model.py", f"services/{service}/protos.py", f"services/{service}/tables.py"} < {*named}
    assert f"protos/chatkit/{service}/v1/{service}_service.proto" in named
    assert len(named) <= 7, named

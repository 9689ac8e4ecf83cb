"""The figures of the house are counted as they say."""

from tests.checks.shape import PARTS, arrows, folders, sentences

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

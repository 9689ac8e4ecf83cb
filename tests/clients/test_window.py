"""A window of messages has no holes, and what is loaded before it shows each message as it is now."""

from chatkit_client.session.window import Window
from tests.clients.scripted import edited, message


def _shown(window: Window) -> list[tuple[int, int]]:
    return [(one.seq, one.revision) for one in window]


def test_what_happens_to_messages_while_they_are_loaded_is_not_lost() -> None:
    window = Window(2, first_seq=8)
    for seq in (8, 9):
        window.see(message(seq))
    with window.loading():
        # The page was read before.
        page = [message(seq).message_created for seq in (4, 5)]
        window.see(edited(10, 4))
        assert window.put_older(page, are_all=False) == 2
    assert _shown(window) == [(4, 10), (5, 5), (8, 8), (9, 9)]
    assert window.has_older


def test_what_was_loaded_makes_the_window_larger() -> None:
    window = Window(2, first_seq=8)
    for seq in (8, 9):
        window.see(message(seq))
    with window.loading():
        window.put_older([message(7).message_created], are_all=True)
    window.see(message(10))
    assert [seq for seq, _ in _shown(window)] == [8, 9, 10]
    assert window.has_older
    # Two loads at once bring the same.
    assert window.put_older([message(9).message_created], are_all=True) == 0

"""The checker finds what it is there to find."""

from services.stack.replay.checker import Checker


def _checker(*seqs: int, head_seq: int = 0) -> Checker:
    checker = Checker(head_seq=head_seq)
    for seq in seqs:
        checker.acknowledge(seq, b"%d" % seq)
    return checker


def _arrive(checker: Checker, *seqs: int) -> tuple[int, int, int]:
    for seq in seqs:
        checker.arrive(seq, b"%d" % seq)
    return checker.lost, checker.doubled, checker.out_of_order


def test_all_once_and_in_order_is_sound() -> None:
    checker = _checker(1, 2, 3)
    assert _arrive(checker, 1, 2, 3) == (0, 0, 0)
    assert checker.is_complete
    assert checker.arrived == 3


def test_what_does_not_arrive_is_lost() -> None:
    assert _arrive(_checker(1, 2, 3), 1, 3) == (1, 0, 0)
    checker = _checker(1, 2, 3)
    assert _arrive(checker, 1, 2) == (1, 0, 0)
    assert not checker.is_complete


def test_what_arrives_changed_is_lost() -> None:
    checker = _checker(1)
    checker.arrive(1, b"other")
    assert checker.lost == 1


def test_what_arrives_twice_is_doubled() -> None:
    assert _arrive(_checker(1, 2), 1, 2, 2) == (0, 1, 0)
    assert _arrive(_checker(1, 2), 1, 2, 1) == (0, 1, 1)


def test_what_arrives_or_is_placed_in_another_order_is_found() -> None:
    assert _arrive(_checker(1, 2), 2, 1) == (0, 0, 1)
    assert _checker(1, 3, 2).out_of_order == 1
    assert _checker(1, 1).out_of_order == 1


def test_what_was_there_before_is_not_waited_for() -> None:
    checker = _checker(1, 2, 3, head_seq=2)
    assert (checker.already_there, sorted(checker.acknowledged)) == (2, [3])
    assert _arrive(checker, 3) == (0, 0, 0)
    assert checker.is_complete

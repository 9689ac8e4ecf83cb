"""What the arguments of commands may be; what they may not is said in a sentence before anything is done."""

import argparse

_HIGHEST_PORT = 65535
# Few enough for a field of the contract, many enough for every limit.
_DIGITS = 9
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.2, 3600.0
_MOST_MINUTES = 10_000


def port(typed: str) -> int:
    """Take a TCP port."""
    if not typed.isascii() or not typed.isdigit() or len(typed) > _DIGITS or int(typed) > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{typed!r} is not a port: 0 to {_HIGHEST_PORT}")
    return int(typed)


def text(typed: str) -> str:
    """Take what can be sent: bytes that are not UTF-8 reach Python as lone surrogates."""
    try:
        typed.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{typed!r} is not UTF-8") from None
    return typed


def folder(typed: str) -> str:
    """Take what names a folder: the empty text would be the one where somebody happens to stand."""
    if not typed:
        raise argparse.ArgumentTypeError("must name a folder")
    return text(typed)


def count(typed: str) -> int:
    """Take a number of things to ask for: none of them would be asked for as if nothing had been said."""
    taken = number(typed)
    if taken == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return taken


def seconds(typed: str) -> float:
    """Take how long to wait between two looks."""
    try:
        taken = float(typed)
    except ValueError:
        taken = 0.0
    # Whatever is no number compares as false.
    if not _SHORTEST_SECONDS <= taken <= _LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{typed!r} is not a number of seconds: {_SHORTEST_SECONDS:g} to {_LONGEST_SECONDS:g}"
        )
    return taken


def minutes(typed: str) -> float:
    """Take for how long to do something."""
    try:
        taken = float(typed)
    except ValueError:
        taken = 0.0
    # Whatever is no number compares as false.
    if not 0 < taken <= _MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"{typed!r} is not a number of minutes: more than 0, up to {_MOST_MINUTES:,}")
    return taken


def number(typed: str) -> int:
    """Take a number of things, none of them too."""
    if not typed.isascii() or not typed.isdigit() or len(typed) > _DIGITS:
        raise argparse.ArgumentTypeError(f"{typed!r} is not a whole number of up to {_DIGITS} digits")
    return int(typed)

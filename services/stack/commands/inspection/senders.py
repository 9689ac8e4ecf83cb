"""`chatkit senders`: who sends most, as the processes of messages have counted it for ten minutes at a time."""

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from services.stack.figures.asking import ask
from services.stack.figures.reading import of_each
from services.stack.home import Home
from services.stack.machine.replicas import service_of
from services.stack.terminal import columns
from services.stack.trouble import Trouble

_SERVICE = "messages"
_MOST_SHOWN = 20


@dataclass
class Window:
    """What was sent in a time, by user id; of each number at most `too_many` may be others'."""

    seconds: float = 0.0
    total: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    too_many: Counter[str] = field(default_factory=Counter)


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Ask all processes of messages, add up what they say, and print it."""
    addresses = {name: one for name, one in home.state().metrics.items() if service_of(name) == _SERVICE}
    answers = of_each(addresses, lambda address: ask(address, "/senders"))
    silent = [name for name, answer in answers.items() if answer is None or answer[0] != HTTPStatus.OK]
    if silent:
        raise Trouble(
            f"{silent[0]} does not say who sends: it does not answer, or `./chatkit services` shows no figures"
        )
    told: list[dict[str, Any]] = [json.loads(answer[1]) for answer in answers.values() if answer is not None]
    current, last = (together(one[name] for one in told if one[name]) for name in ("current", "last"))
    if arguments.json:
        print(json.dumps({"current": vars(current), "last": vars(last)}, indent=2))
    else:
        _print(current, last)
    return 0


def together(windows: Iterable[dict[str, Any]]) -> Window:
    """Add up what several processes have counted."""
    all_of_them = Window()
    for one in windows:
        all_of_them.seconds = max(all_of_them.seconds, one["seconds"])
        all_of_them.total += one["messages"]
        for sender in one["senders"]:
            all_of_them.messages[sender["user_id"]] += sender["messages"]
            all_of_them.too_many[sender["user_id"]] += sender["too_many"]
    return all_of_them


def _print(current: Window, last: Window) -> None:
    heaviest = (current.messages + last.messages).most_common(_MOST_SHOWN)
    if not heaviest:
        print("nobody has sent anything in these minutes")
        return
    titles = ("sender", f"in {current.seconds / 60:.1f} min", "in the 10 before")
    rows = [(user_id, _shown(user_id, current), _shown(user_id, last)) for user_id, _ in heaviest]
    print(columns(titles, [*rows, ("all", f"{current.total:,}", f"{last.total:,}")]))


def _shown(user_id: str, window: Window) -> str:
    """Return how many messages there were; where some may be others', between which numbers."""
    most = window.messages[user_id]
    least = most - window.too_many[user_id]
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"

"""`python -m tests.checks.shape`: how large the house is, in figures that say where to tidy up next.

Sizes of folders and arrows between them are read from the source. One send and its delivery are made, in this process
and on a database of its own, to see which files take part. Of one field of each resource it is counted which files name
it, which is what is opened to add another one. Sentences are those of all pages in Markdown.
"""

import argparse
import asyncio
import json
import logging
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from chatkit.messages.v1 import messages_service_pb2 as pb2

from tests.contract.pages import pages
from tests.contract.sources import boxes, sources
from tests.messages.chat import Reader, text
from tests.support.databases import clone, cluster
from tests.support.suite import Suite, running
from tests.support.tokens import user

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("users", "rooms", "messages", "files", "edge", "runtime", "stack")
LONG_WORDS = 30
_WIDEST = 12
# A field of each resource that is nothing but stored and shown: it is created, updated, read, listed and told of.
FIELDS = {"users": "avatar_url", "rooms": "push_notification_title_override", "files": "custom_data"}
_SENDS = 6
_NO_PROSE = re.compile(r"^(```.*?^```|\|.*?$|#.*?$)", re.MULTILINE | re.DOTALL)
_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`*\[(])|\n\s*\n|\n\s*[-*] |\n\s*\d+\. ")


def modules(part: str) -> list[Path]:
    """List the modules of a part of services/, but for migrations."""
    return [path for path in sources(part) if "migrations" not in path.parts and path.name != "__init__.py"]


def folders() -> Counter[str]:
    """Count the modules that lie in each folder of services/."""
    return Counter(str(path.parent.relative_to(ROOT / "services")) for part in PARTS for path in modules(part))


def arrows(part: str) -> set[tuple[str, str]]:
    """Return which folder or module of a part imports which other one; tests/contract/test_imports.py judges them."""
    return {(box, other) for box, others in boxes(part).items() for other in others}


def sentences(page: str) -> list[int]:
    """Return of how many words the sentences of a page are; tables, headings and code are none."""
    prose = _NO_PROSE.sub("\n\n", page)
    words = (len(sentence.split()) for sentence in _END.split(prose))
    return [count for count in words if count > 2]


def files_of_field(service: str, field: str) -> list[str]:
    """List the files that name a field of a service's resource: its protos and modules that people write.

    That is what is opened to add such a field. A migration, a test, and what is generated come on top.
    """
    protos = (ROOT / "protos" / "chatkit" / service).rglob("*.proto")
    word = re.compile(rf"\b{field}\b")
    named = [path for path in (*protos, *modules(service)) if word.search(path.read_text())]
    return sorted(str(path.relative_to(ROOT)) for path in named)


class Trace:
    """Which files of services/ are run while it is on."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.functions: set[tuple[str, str]] = set()

    def __call__(self, frame: FrameType, _event: str, _argument: object) -> None:
        """Take note of a call."""
        name = frame.f_code.co_filename
        if name.startswith(f"{ROOT}/services/"):
            self.files.add(name.removeprefix(f"{ROOT}/services/"))
            self.functions.add((name, frame.f_code.co_qualname))


async def _send_and_deliver(suite: Suite) -> Trace:
    """Return what took part in each of some sends: the rest is what happens to go on meanwhile."""
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    call = suite.messages.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby", last=0), metadata=user("bob"))
    reader, traces = Reader(call), []
    await reader.until("caught_up")
    for number in range(_SENDS):
        trace = Trace()
        sys.setprofile(trace)
        try:
            await suite.messages.SendMessage(text("x", f"{number}"), metadata=user("alice"))
            await reader.until("message_created")
        finally:
            sys.setprofile(None)
        traces.append(trace)
    call.cancel()
    # Whoever may send is known after the first one, as mostly.
    _, common, *others = traces
    for trace in others:
        common.files &= trace.files
        common.functions &= trace.functions
    return common


async def _traced() -> Trace:
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as postgres, clone(postgres) as database:
        # Background tasks look every so often: far less often than a send takes.
        intervals = {"heads_poll": 60.0, "access_poll": 60.0, "changes_poll": 60.0, "retry": 1.0}
        quiet: dict[str, Any] = {f"{name}_interval_seconds": seconds for name, seconds in intervals.items()}
        async with running(database, Path(folder), "users", "rooms", "messages", **quiet) as suite:
            return await _send_and_deliver(suite)


def measured() -> dict[str, Any]:
    """Return all figures."""
    trace = asyncio.run(_traced())
    counts = [count for page in pages() for count in sentences(page.read_text())]
    return {
        "folders": dict(folders().most_common()),
        "arrows": {part: len(arrows(part)) for part in PARTS},
        "files_of_a_send": sorted(trace.files),
        "functions_of_a_send": len(trace.functions),
        "files_of_a_field": {f"{service}.{field}": files_of_field(service, field) for service, field in FIELDS.items()},
        "sentences": len(counts),
        "long_sentences": sum(count > LONG_WORDS for count in counts),
    }


def report(figures: dict[str, Any]) -> str:
    """Return the figures for people."""
    wide = {folder: count for folder, count in figures["folders"].items() if count > _WIDEST}
    fields = (f"{field} {len(named)}" for field, named in figures["files_of_a_field"].items())
    files, functions = len(figures["files_of_a_send"]), figures["functions_of_a_send"]
    share = 100 * figures["long_sentences"] / figures["sentences"]
    return "\n".join(
        [
            f"folders of services/      {len(figures['folders'])}, with {sum(figures['folders'].values())} modules",
            f"with more than {_WIDEST}         " + ", ".join(f"{folder} {count}" for folder, count in wide.items()),
            "arrows between boxes      " + ", ".join(f"{part} {count}" for part, count in figures["arrows"].items()),
            f"one send and its delivery {files} files, {functions} functions",
            "files that name a field   " + ", ".join(fields),
            f"sentences over {LONG_WORDS} words    {share:.1f} % of {figures['sentences']}",
        ]
    )


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(prog="tests.checks.shape", description="Say how large the house is.")
    parser.add_argument("--json", action="store_true", help="for machines, with the names of the files")
    told = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    figures = measured()
    sys.stdout.write((json.dumps(figures, indent=1) if told.json else report(figures)) + "\n")


if __name__ == "__main__":
    main()

"""The command line of the suite on one machine: `./chatkit COMMAND`.

What a command needs is imported when that command runs, because imports are most of what a small one costs: `token`
would take four times as long with those of the others.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeAlias

from services.stack import argument_types
from services.stack.home import DEFAULT, Home
from services.stack.terminal import printable
from services.stack.trouble import Trouble

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "one-room"
_INTERRUPTED = 130

Command = Callable[[Home, argparse.Namespace], int]
# It has no other name.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def main(arguments: list[str]) -> int:
    """Run a command and return its exit status; trouble is one sentence on stderr and status 1."""
    parsed = _parser().parse_args(arguments)
    home = Home(Path(parsed.home))
    try:
        home.check()
        if parsed.needs_suite:
            # Before anything is imported for what can't be done.
            home.running_address()
        return command(parsed.run)(home, parsed)
    except Trouble as trouble:
        return _complain(trouble)
    except BrokenPipeError:
        # Whoever read our output has gone, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        reason = home.trouble_of(error)
        if reason is None:
            raise
        return _complain(reason)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _complain(trouble: Trouble) -> int:
    sys.stderr.write("\n".join(printable(line) for line in f"chatkit: {trouble}".split("\n")) + "\n")
    return 1


def command(run: str) -> Command:
    """Import a command's function."""
    found: Command = resolve_name(f"services.stack.commands.{run}")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatkit",
        description="The chat backend on this machine: PostgreSQL, NATS, the four services and the edge.",
        epilog="`./chatkit test` and `./chatkit lint` look at the repository, `./chatkit bench` at its speed.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_up(commands)
    _add_token(commands)
    _add_inspection(commands)
    _add_edge(commands)
    _add_chat(commands)
    _add_users(commands)
    _add_rooms(commands)
    _add_members(commands)
    verify = _command(
        commands, "verify", "verify:run", "compare what the services know of one another", needs_suite=True
    )
    verify.add_argument("--json", action="store_true", help="for machines: one JSON object per line")
    _command(commands, "rotate-epoch", "rotate_epoch:run", "begin anew after PostgreSQL was restored from a copy")
    _add_replay(commands)
    _add_transfer(commands)
    _add_contract(commands)
    _add_sbom(commands)
    _add_check(commands)
    _add_fuzz(commands)
    return parser


def _command(
    commands: Commands,
    name: str,
    run: str,
    text: str,
    *,
    needs_suite: bool = False,
) -> argparse.ArgumentParser:
    """Add a command; `run` is its function, as module:name of `commands`, and some need a suite that runs."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument(
        "--home",
        type=argument_types.folder,
        default=os.environ.get("CHATKIT_HOME") or str(ROOT / DEFAULT),
        metavar="DIR",
        help="the folder of the state (default: $CHATKIT_HOME, else .chatkit in the repository)",
    )
    parser.set_defaults(run=run, needs_suite=needs_suite)
    return parser


def _add_up(commands: Commands) -> None:
    parser = _command(commands, "up", "up:run", "run the whole suite until Ctrl-C")
    parser.add_argument(
        "--port",
        type=argument_types.port,
        default=8080,
        help="the edge's port, the only fixed one; 0 takes any free one (8080)",
    )
    parser.add_argument(
        "--workers",
        default="1",
        metavar="N",
        help="how many processes of each service, each with a port of its own and known to the edge (1)",
    )
    parser.add_argument(
        "--replicas",
        action="append",
        default=[],
        metavar="SERVICE=N",
        help="run N processes of a service, 1 to 8; repeatable, or several with commas: messages=2,rooms=2 (1)",
    )
    parser.add_argument(
        "--curl", action="store_true", help="show calls in JSON for a shell; where the suite runs already, only that"
    )


def _add_token(commands: Commands) -> None:
    parser = _command(commands, "token", "token:run", "print a token, and nothing else")
    parser.add_argument(
        "--user", type=argument_types.text, metavar="ID", help="whose token it is; may be left out with --su"
    )
    parser.add_argument("--su", action="store_true", help="a superuser's, who may do everything")
    parser.add_argument("--ttl", default="24h", metavar="TIME", help="how long it holds: 90s, 15m, 24h, 7d (24h)")


def _add_inspection(commands: Commands) -> None:
    shown = _command(
        commands,
        "services",
        "services:services",
        "show what runs, where, and whether it is healthy",
        needs_suite=True,
    )
    limits = _command(commands, "limits", "limits:run", "show the limits in force")
    for parser in (shown, limits):
        parser.add_argument("--json", action="store_true", help="for machines")
    _add_top(commands)
    _add_trace(commands)
    senders = _command(commands, "senders", "inspection.senders:run", "show who sends most", needs_suite=True)
    senders.add_argument("--json", action="store_true", help="for machines: one JSON object")
    _add_doctor(commands)


def _add_top(commands: Commands) -> None:
    parser = _command(
        commands,
        "top",
        "inspection.top:run",
        "show what each method and process does now, until Ctrl-C",
        needs_suite=True,
    )
    parser.add_argument(
        "--every",
        type=argument_types.seconds,
        default=2.0,
        metavar="SECONDS",
        help="how often it is looked, which is also the time that rates and quantiles are of (2)",
    )
    parser.add_argument("--once", action="store_true", help="look once, print it and end")
    parser.add_argument("--json", action="store_true", help="for machines: look once, print one JSON object and end")


def _add_trace(commands: Commands) -> None:
    parser = _command(
        commands, "trace", "inspection.trace:run", "show what the time of a call or a message went into, as a tree"
    )
    parser.add_argument(
        "what",
        type=argument_types.text,
        metavar="WHAT",
        help="a message as ROOM/SEQ, or by its request id; a call by its x-request-id; or a trace id. The newest trace"
        " of it is shown, also of a suite that was stopped.",
    )
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object")


def _add_doctor(commands: Commands) -> None:
    parser = _command(commands, "doctor", "inspection.doctor:run", "say what is wrong with the suite, and what to do")
    places = {
        "process": ("NAME=HOST:PORT", "look at a deployment instead: a service's figures, the edge, or NATS"),
        "database": ("[SERVICE=]URL", "and its PostgreSQL, of one service or of all, with PGPASSWORD or .pgpass"),
        "certificate": ("FILE", "and a certificate of it; all three may be repeated"),
    }
    for name, (metavar, said) in places.items():
        parser.add_argument(
            f"--{name}", type=argument_types.text, action="append", default=[], metavar=metavar, help=said
        )
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object")


def _add_edge(commands: Commands) -> None:
    parser = _command(commands, "edge", "edge:run", "show or check Envoy's configuration")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--print",
        action="store_true",
        help="print it: of the edge that runs; of the deployment that the environment describes; else an example",
    )
    action.add_argument("--check", action="store_true", help="let Envoy say whether it takes it; status 1 if not")


def _add_chat(commands: Commands) -> None:
    chat = _command(commands, "chat", "chat:run", "chat on the whole terminal, until Ctrl-Q", needs_suite=True)
    chat.add_argument(
        "--as", dest="user", type=argument_types.text, default="alice", metavar="ID", help="the user (alice)"
    )
    send = _command(commands, "send", "messages:send", "send a message", needs_suite=True)
    send.add_argument(
        "text",
        type=argument_types.text,
        metavar="TEXT",
        help="the text; - takes it from standard input, which is one message as a whole",
    )
    watch = _command(
        commands, "watch", "messages:watch", "show a room's messages as they come, until Ctrl-C", needs_suite=True
    )
    history = _command(commands, "list", "messages:history", "show a room's last messages", needs_suite=True)
    for parser, default in ((send, "alice"), (watch, "bob"), (history, "bob")):
        parser.add_argument("--room", type=argument_types.text, default="lobby", metavar="ID", help="the room (lobby)")
        parser.add_argument(
            "--as", dest="user", type=argument_types.text, default=default, metavar="ID", help=f"the user ({default})"
        )
        parser.add_argument("--json", action="store_true", help="for machines: one JSON object per line")
    send.add_argument(
        "--request-id",
        type=argument_types.text,
        metavar="ID",
        help="repeating a send with the same id sends nothing twice",
    )
    watch.add_argument(
        "--last", type=argument_types.number, default=20, metavar="N", help="how many messages to start with (20)"
    )
    history.add_argument("--last", type=argument_types.count, default=20, metavar="N", help="how many messages (20)")
    history.add_argument(
        "--before", type=argument_types.count, default=0, metavar="SEQ", help="only messages older than this one"
    )


def _group(commands: Commands, name: str, text: str) -> Commands:
    """Add a command that has commands of its own."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add_users(commands: Commands) -> None:
    group = _group(commands, "users", "list, add and delete users, as a superuser")
    listed = _command(group, "list", "users:show", "list users, the oldest first", needs_suite=True)
    listed.add_argument(
        "--search",
        type=argument_types.text,
        metavar="TEXT",
        help="only those whose name or id begins so, in the order of their names",
    )
    _add_listing(listed)
    added = _command(group, "add", "users:add", "create a user", needs_suite=True)
    added.add_argument("id", type=argument_types.text, metavar="ID")
    added.add_argument("--name", type=argument_types.text, metavar="NAME", help="shown to people (the id)")
    deleted = _command(group, "delete", "users:delete", "delete a user with all that is theirs", needs_suite=True)
    deleted.add_argument("id", type=argument_types.text, metavar="ID")
    deleted.add_argument(
        "--messages",
        choices=("erase", "keep"),
        required=True,
        help="delete what they wrote, or keep it under a pseudonym that can't be traced back",
    )
    for parser in (added, deleted):
        parser.add_argument("--json", action="store_true", help="for machines")


def _add_rooms(commands: Commands) -> None:
    group = _group(commands, "rooms", "list, add and delete rooms")
    listed = _command(
        group, "list", "rooms:show", "list all rooms by their ids, or one user's as they see them", needs_suite=True
    )
    listed.add_argument(
        "--as", dest="user", type=argument_types.text, metavar="ID", help="the rooms of this user, the latest first"
    )
    _add_listing(listed)
    added = _command(group, "add", "rooms:add", "create a room", needs_suite=True)
    added.add_argument("id", type=argument_types.text, metavar="ID")
    added.add_argument("--name", type=argument_types.text, metavar="NAME", help="shown to people (the id)")
    added.add_argument("--public", action="store_true", help="anyone may join it; without, it is private")
    added.add_argument(
        "--as", dest="user", type=argument_types.text, default="alice", metavar="ID", help="who creates it (alice)"
    )
    added.add_argument(
        "--with", dest="users", nargs="+", type=argument_types.text, default=[], metavar="ID", help="other members"
    )
    deleted = _command(group, "delete", "rooms:delete", "delete a room with all that is in it", needs_suite=True)
    deleted.add_argument("id", type=argument_types.text, metavar="ID")
    for parser in (added, deleted):
        parser.add_argument("--json", action="store_true", help="for machines")


def _add_members(commands: Commands) -> None:
    group = _group(commands, "members", "list, add and remove members of a room, as a superuser")
    listed = _command(group, "list", "members:show", "list who is in a room, by their ids", needs_suite=True)
    _add_listing(listed)
    added = _command(group, "add", "members:add", "make users members of a room", needs_suite=True)
    removed = _command(group, "remove", "members:remove", "take users out of a room", needs_suite=True)
    for parser in (added, removed):
        parser.add_argument("users", nargs="+", type=argument_types.text, metavar="ID")
    for parser in (listed, added, removed):
        parser.add_argument("--room", type=argument_types.text, default="lobby", metavar="ID", help="the room (lobby)")


def _add_listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--most", type=argument_types.count, default=100, metavar="N", help="how many are listed (100)")
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object per line")


def _add_replay(commands: Commands) -> None:
    parser = _command(
        commands, "replay", "replay:run", "play an export as live traffic, and check it", needs_suite=True
    )
    parser.add_argument(
        "folder",
        nargs="?",
        default=str(SAMPLE),
        metavar="DIR",
        help="an export: users, rooms and messages, each .ndjson or .json, a record per line or one array"
        " (a sample of one room). Attachments become parts with their URL. Replaying again adds nothing. What has a"
        " deleted_at is left out. A record that can't be taken is named on standard error, and the rest goes on.",
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def _add_transfer(commands: Commands) -> None:
    taking = _command(commands, "import", "transfer:take", "move a Chatkit export in", needs_suite=True)
    taking.add_argument(
        "folder",
        metavar="DIR",
        help="an export: users, rooms and messages, each .ndjson or .json. Importing again adds nothing, and goes on"
        " where an import was stopped. A record that can't be taken is named on standard error, and the rest goes on.",
    )
    taking.add_argument(
        "--attachments", metavar="FOLDER", help="where the files of attachments are, by their names (DIR/attachments)"
    )
    taking.add_argument("--dry-run", action="store_true", help="write nothing; only say what would be taken or refused")
    giving = _command(
        commands,
        "export",
        "transfer:give",
        "write everything as a Chatkit export, or what is held of a user",
        needs_suite=True,
    )
    giving.add_argument("--user", action=_OfUser, metavar="ID", help="all that is held of this user, and no more")
    giving.add_argument("folder", metavar="DIR", help="a folder that is empty or not there yet")
    for parser in (taking, giving):
        parser.add_argument("--json", action="store_true", help="for machines: one JSON object per line")


def _add_contract(commands: Commands) -> None:
    group = _group(commands, "contract", "write the contract for those who generate clients")
    exported = _command(group, "export", "contract:run", "write all that a client in any language is generated from")
    exported.add_argument(
        "folder",
        metavar="DIR",
        help="a folder that is empty or not there yet. It gets the public protos and what they import, but for"
        " google/protobuf, which protoc and buf come with; the same as descriptor.binpb, with comments; buf.yaml and"
        " buf.gen.<language>.yaml; chatkit.service_config.json, which gRPC clients load; and openapi.json for the calls"
        " in JSON. Nothing has to run for it.",
    )


def _add_sbom(commands: Commands) -> None:
    parser = _command(commands, "sbom", "sbom:run", "say what an image has that others made, as CycloneDX 1.6 in JSON")
    parser.add_argument(
        "image",
        nargs="?",
        choices=("users", "rooms", "messages", "files", "edge", "stack"),
        default="stack",
        help="an image, or stack for all that `up` runs (stack)",
    )
    parser.add_argument("--output", metavar="FILE", help="write there (default: standard output)")


def _add_check(commands: Commands) -> None:
    parser = _command(
        commands, "check", "proving.check:run", "use a suite as people do, and say whether it kept every promise"
    )
    parser.add_argument(
        "--against",
        type=argument_types.text,
        metavar="ADDRESS",
        help="a deployment's edge, as host:port, or https://host:port; without, a suite runs for this alone",
    )
    parser.add_argument("--keys", metavar="FILE", help="the keys that sign users' tokens there")
    parser.add_argument(
        "--instance",
        type=argument_types.text,
        default=os.environ.get("CHATKIT_INSTANCE", ""),
        metavar="ID",
        help="what its tokens name ($CHATKIT_INSTANCE)",
    )
    parser.add_argument(
        "--minutes", type=argument_types.minutes, default=2.0, metavar="N", help="for how long; half a one is 0.5 (2)"
    )
    parser.add_argument(
        "--faults",
        type=argument_types.text,
        metavar="KINDS",
        help="what is done to the suite meanwhile, with commas between: kill,pause,fail-over; none is nothing,"
        " docs/proof.md lists them (all that can be done on this machine)",
    )
    parser.add_argument("--seed", type=argument_types.number, metavar="N", help="what is done follows from it (any)")
    parser.add_argument(
        "--samples", metavar="FILE", help="write there what each process holds every ten seconds, a JSON object a line"
    )
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object")


def _add_fuzz(commands: Commands) -> None:
    parser = _command(
        commands, "fuzz", "proving.fuzz:run", "send a suite of its own bad input of every kind, and judge the answers"
    )
    parser.add_argument(
        "--minutes", type=argument_types.minutes, default=2.0, metavar="N", help="for how long inputs are sent (2)"
    )
    parser.add_argument(
        "--seed", type=argument_types.number, metavar="N", help="of which inputs are made; said at the start (any)"
    )
    parser.add_argument(
        "--only", type=argument_types.number, metavar="K", help="send nothing but input number K of the seed"
    )
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object")


class _OfUser(argparse.Action):
    """Names a user, for whom there is another command."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        namespace.user = argument_types.text(values)
        namespace.run = "export_user:run"

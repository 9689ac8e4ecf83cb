"""What `up` prints once all is ready: where the suite is, and what somebody new may try next."""

import json
import shlex
from collections.abc import Mapping

from services.stack.cli import ROOT
from services.stack.home import DEFAULT, Home
from services.stack.seed import ALICE, BOB, ROOM
from services.stack.sign_in import DEFAULT_LIFETIME, token
from services.stack.terminal import columns

OPERATOR = "an operator, who may do everything"
_MESSAGES = "chatkit.messages.v1.MessagesService"


def console_tokens(home: Home) -> dict[str, str]:
    """Return the tokens of the links to the web console, by whose they are."""
    return {ALICE: token(home, ALICE), BOB: token(home, BOB), OPERATOR: token(home, None, su=True)}


def ready(home: Home, address: str, seconds: float, tokens: Mapping[str, str]) -> str:
    """Return a page for somebody new: links first, those with tokens too, then a line each of what to type."""
    links = [(f"http://{address}", "takes gRPC, gRPC-Web, JSON and Server-Sent Events")]
    commands = [
        (_typed(home, f"chat --as {ALICE}"), f"chats as {ALICE}, on the whole terminal, until Ctrl-Q"),
        (_typed(home, f"watch --as {BOB}"), f"shows the room {ROOM} as {BOB} sees it, until Ctrl-C"),
        (_typed(home, f"send --as {ALICE}", "'Hello, Bob'"), f"sends a message there as {ALICE}"),
        (_typed(home, f"list --as {BOB}"), "shows the last messages"),
        (_typed(home, "up --curl"), "shows the same as calls in JSON"),
        ("./chatkit --help", "shows what else there is"),
    ]
    return (
        f"ready after {seconds:.1f} s\n\n{_rows(links)}\n\n{_console(address, tokens)}"
        f"  In other terminals, in this folder:\n{_rows(commands)}\n\n"
        f"  Ctrl-C stops everything; the state stays in {home.folder}\n"
    )


def curl_lines(home: Home, address: str) -> str:
    """Return calls in JSON, each as lines for a shell in the repository's folder."""
    room = json.dumps({"roomId": ROOM})
    message = {"roomId": ROOM, "requestId": "NOW", "parts": [{"contentType": "text/plain", "content": "Hello, Bob"}]}
    # Each time it is run it is another message.
    text = shlex.quote(json.dumps(message)).replace("NOW", "'$(date +%s%N)'")

    def call(what: str, options: str, method: str, user_id: str, body: str) -> str:
        token = _typed(home, f"token --user {user_id}")
        return (
            f"  {what}:\n"
            f"  curl {options} http://{address}/{_MESSAGES}/{method} \\\n"
            f"    -H \"authorization: Bearer $({token})\" -H 'content-type: application/json' \\\n"
            f"    -d {body}\n"
        )

    return "\n".join(
        (
            call(f"Follow the room {ROOM} as {BOB}, until Ctrl-C", "-N", "SubscribeRoom", BOB, shlex.quote(room)),
            call(f"Send a message there as {ALICE}", "-s", "SendMessage", ALICE, text),
            call(f"List the messages as {BOB}", "-s", "ListMessages", BOB, shlex.quote(room)),
        )
    )


def _console(address: str, tokens: Mapping[str, str]) -> str:
    """Give each link a line of its own: a terminal may break it. What follows # is sent nowhere."""
    if not tokens:
        return ""
    hours = DEFAULT_LIFETIME.total_seconds() / 3600
    links = "\n".join(f"  as {whose}:\n  http://{address}/#token={told}" for whose, told in tokens.items())
    return f"  In a browser, with tokens that are good for {hours:g} hours:\n{links}\n\n"


def _typed(home: Home, command: str, *arguments: str) -> str:
    """Return a command as somebody types it, with the home unless it is the one that all take by themselves."""
    where = () if home.folder == ROOT / DEFAULT else (f"--home {shlex.quote(str(home.folder))}",)
    return " ".join(("./chatkit", command, *where, *arguments))


def _rows(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"  {line}" for line in columns(rows[0], rows[1:]).splitlines())

"""How rooms and messages look in a terminal; everything that other people wrote is cleaned first."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC

from rich.text import Text

from chatkit_client import ConnectionState, ConnectionStatus, RoomView
from chatkit_client.types import Message, Part
from services.stack.spoken import part_text, reason_of
from services.stack.terminal import printable

# One colour for each of those who write, the same in every room.
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red")
_MOST_NAMES = 8


def room_label(view: RoomView) -> Text:
    """Draw a room as a line of the list: its name, and how much in it is unread."""
    label = Text(printable(name_of(view)), overflow="ellipsis", no_wrap=True)
    state = view.read_state
    if state is not None and state.unread_count:
        label.stylize("bold")
        label.append(f"  {state.unread_count}{'+' * state.unread_capped}", style="bold cyan")
    return label


def name_of(view: RoomView) -> str:
    """Return what a room is called."""
    return (view.room.name if view.room is not None else "") or view.id


def title(view: RoomView, online: frozenset[str]) -> Text:
    """Draw what stands above a room: its name, and who is in it, those who are there with a dot."""
    drawn = Text(printable(name_of(view)), style="bold", overflow="ellipsis", no_wrap=True)
    members = sorted(view.member_ids, key=lambda user_id: (user_id not in online, user_id))
    for user_id in members[:_MOST_NAMES]:
        is_online = user_id in online
        drawn.append("  ● " if is_online else "  ○ ", style="green" if is_online else "dim")
        drawn.append(printable(user_id), style="" if is_online else "dim")
    if len(members) > _MOST_NAMES:
        drawn.append(f"  and {len(members) - _MOST_NAMES} more", style="dim")
    return drawn


def log(view: RoomView, names: Mapping[str, str]) -> Text:
    """Draw a room's messages from older to newer, and those that are not stored yet."""
    lines = [*_past(view), *(_message(message, names) for message in view.messages), *_pending(view)]
    return Text("\n").join(lines)


def typing(view: RoomView, names: Mapping[str, str]) -> Text:
    """Draw who is typing."""
    users = [printable(names.get(user_id) or user_id) for user_id in sorted(view.typing_ids)]
    if not users:
        return Text("")
    return Text(f"{', '.join(users)} {'is' if len(users) == 1 else 'are'} typing …", style="italic dim")


def connection(state: ConnectionState) -> Text:
    """Draw how it stands with the connection; nothing where all is well."""
    match state.status:
        case ConnectionStatus.LIVE if not state.behind:
            return Text("")
        case ConnectionStatus.LIVE:
            behind = ", ".join(sorted(state.behind))
            return Text(f"connected; what is shown of this may be old: {behind}", style="yellow")
        case ConnectionStatus.CONNECTING:
            return Text("connecting …", style="yellow")
        case ConnectionStatus.LOST:
            return Text(f"the connection is lost{_reason(state)}; trying again until it is back", style="bold red")
        case ConnectionStatus.CLOSED:
            return Text(f"closed{_reason(state)}", style="bold red")


def _reason(state: ConnectionState) -> str:
    return f" ({printable(reason)})" if (reason := reason_of(state)) else ""


def _past(view: RoomView) -> Iterator[Text]:
    if view.closed is not None:
        yield Text(f"This room is not followed: {printable(view.closed.message)}", style="bold red")
    elif view.has_older:
        yield Text("… Page Up shows older messages", style="dim italic")
    elif not view.messages and not view.pending:
        yield Text("Nobody has written here yet.", style="dim italic")


def _message(message: Message, names: Mapping[str, str]) -> Text:
    if message.HasField("delete_time"):
        return Text.assemble((f"{_time(message)}  ", "dim"), ("a message was deleted", "dim italic"))
    sender = message.sender_id
    colour = _COLOURS[sum(sender.encode()) % len(_COLOURS)]
    line = Text.assemble(
        (f"{_time(message)}  ", "dim"),
        (printable(names.get(sender) or sender), f"bold {colour}"),
        f"  {_said(message.parts)}",
    )
    if message.HasField("edit_time"):
        line.append(" (edited)", style="dim")
    return line


def _pending(view: RoomView) -> Iterator[Text]:
    for one in view.pending:
        said = f"       {_said(one.request.parts)}"
        if one.error is None:
            yield Text(f"{said}  …", style="dim")
        else:
            failure = f"  not sent: {printable(one.error.message)} (Ctrl-R sends it again)"
            yield Text.assemble((said, "dim"), (failure, "red"))


def _said(parts: Sequence[Part]) -> str:
    return " ".join(map(_part, parts))


def _part(part: Part) -> str:
    return "\n       ".join(printable(line) for line in part_text(part).split("\n"))


def _time(message: Message) -> str:
    return message.create_time.ToDatetime(UTC).astimezone().strftime("%H:%M")

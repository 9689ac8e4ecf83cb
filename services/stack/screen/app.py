"""What the screen shows and does: a session's rooms, one of them open, and a line to write in."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.css.query import NoMatches
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from chatkit_client import Change, ChangeKind, ChatkitError, ConnectionState, RoomView, Session
from chatkit_client.types import PresenceState
from services.stack.screen import drawing

# What changes together is drawn together.
_DRAWING_SECONDS = 0.05
_OLDER = 50
# Of so many of a room's members the presence is watched.
_MOST_WATCHED = 50


class ChatScreen(App[str]):
    """A session on a terminal; ends with a sentence where the suite has ended it, and with None where the user has."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "next_room", "next room", priority=True),
        Binding("ctrl+p", "previous_room", "previous room", priority=True),
        Binding("pageup", "page_up", "older", priority=True),
        Binding("pagedown", "page_down", "newer", priority=True, show=False),
        Binding("ctrl+r", "resend", "send again", priority=True),
        Binding("ctrl+c,ctrl+q", "quit", "quit", priority=True),
    ]
    CSS = """
    #rooms { width: 28; height: 1fr; border: none; border-right: solid $primary-darken-2; background: $background; }
    #title { height: 1; padding: 0 1; background: $boost; }
    #log { height: 1fr; padding: 0 1; }
    #typing, #connection { height: 1; padding: 0 1; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        # Empty as long as there is none.
        self._room_id = ""
        self._changed = asyncio.Event()
        # Before all rooms are known, none is opened but by the user.
        self._is_ordered = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = [session.on_change(self._note), session.connection.on_change(self._note_connection)]

    def compose(self) -> ComposeResult:
        """Place the list of rooms at the left, and the open one at the right."""
        with Horizontal():
            yield OptionList(id="rooms")
            with Vertical():
                yield Static(id="title")
                with VerticalScroll(id="log", can_focus=False):
                    yield Static(id="messages")
                yield Static(id="typing")
                yield Input(placeholder="Write a message; Enter sends it", id="text")
                yield Static(id="connection")
        yield Footer()

    def on_mount(self) -> None:
        """Draw what is known, and let the user write."""
        self.query_one("#text", Input).focus()
        self._changed.set()
        self._keep(asyncio.create_task(self._draw_on()))

    async def on_unmount(self) -> None:
        """Listen no longer, and wait for nothing."""
        for forget in self._listening:
            forget()
        for task in self._tasks:
            task.cancel()

    # What the session tells.

    def _note(self, change: Change) -> None:
        if change.kind is ChangeKind.CAUGHT_UP:
            self._is_ordered = True
        elif change.kind is ChangeKind.CLOSED:
            self.exit(str(change.error) if change.error is not None else None)
        self._changed.set()

    def _note_connection(self, _state: ConnectionState) -> None:
        self._changed.set()

    async def _draw_on(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                self._draw()
            except NoMatches:
                # The screen is being taken down.
                return
            await asyncio.sleep(_DRAWING_SECONDS)

    def _draw(self) -> None:
        rooms = sorted(self._session.rooms(), key=_place)
        self._draw_rooms(rooms)
        self.query_one("#connection", Static).update(drawing.connection(self._session.connection.state))
        view = next((room for room in rooms if room.id == self._room_id), None)
        if view is None and rooms and self._is_ordered:
            self._open(rooms[0].id)
        elif view is not None:
            self._draw_room(view)

    def _draw_rooms(self, rooms: list[RoomView]) -> None:
        found = self.query_one("#rooms", OptionList)
        options = [Option(drawing.room_label(room), id=room.id) for room in rooms]
        drawn = [(option.id, option.prompt) for option in found.options]
        if drawn != [(option.id, option.prompt) for option in options]:
            with self.prevent(OptionList.OptionHighlighted):
                found.clear_options()
                found.add_options(options)
                self._highlight(found)

    def _highlight(self, found: OptionList) -> None:
        ids = [option.id for option in found.options]
        found.highlighted = ids.index(self._room_id) if self._room_id in ids else None

    def _draw_room(self, view: RoomView) -> None:
        names = {user_id: user.name for user_id in self._names_of(view) if (user := self._session.user(user_id))}
        self.query_one("#title", Static).update(drawing.title(view, self._online(view)))
        self.query_one("#typing", Static).update(drawing.typing(view, names))
        log = self.query_one("#log", VerticalScroll)
        is_at_end = log.max_scroll_y - log.scroll_y <= 1
        self.query_one("#messages", Static).update(drawing.log(view, names))
        if is_at_end:
            log.scroll_end(animate=False)
            self._have_read(view)

    def _names_of(self, view: RoomView) -> set[str]:
        return {*view.member_ids, *(message.sender_id for message in view.messages)}

    def _online(self, view: RoomView) -> frozenset[str]:
        return frozenset(
            user_id
            for user_id in view.member_ids
            if (one := self._session.presence(user_id)) is not None and one.state == PresenceState.PRESENCE_STATE_ONLINE
        )

    # What the user does.

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Open the room that was chosen."""
        if event.option_id is not None and event.option_id != self._room_id:
            self._open(event.option_id)

    def on_option_list_option_selected(self, _event: OptionList.OptionSelected) -> None:
        """Write in the room that was chosen."""
        self.query_one("#text", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Let others see that the user is typing."""
        if event.value and self._room_id:
            self._spawn(self._session.typing(self._room_id))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Send what was written; the session shows what becomes of it."""
        if event.value.strip() and self._room_id:
            self._spawn(self._session.send(self._room_id, event.value))
            event.input.clear()

    def action_next_room(self) -> None:
        """Open the room below."""
        self._step(1)

    def action_previous_room(self) -> None:
        """Open the room above."""
        self._step(-1)

    def action_page_up(self) -> None:
        """Show what is above, and at the top fetch older messages."""
        log = self.query_one("#log", VerticalScroll)
        if log.scroll_y <= 0 and self._room_id:
            self._spawn(self._session.load_older(self._room_id, _OLDER))
        log.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Show what is below."""
        self.query_one("#log", VerticalScroll).scroll_page_down(animate=False)
        self._changed.set()

    def action_resend(self) -> None:
        """Send everything again that has failed in the open room."""
        with suppress(KeyError):
            for one in self._session.room(self._room_id).pending:
                if one.error is not None:
                    self._spawn(self._session.resend(self._room_id, one.request.request_id))

    def _step(self, by: int) -> None:
        found = self.query_one("#rooms", OptionList)
        if found.option_count:
            here = found.highlighted if found.highlighted is not None else -by
            found.highlighted = (here + by) % found.option_count

    def _open(self, room_id: str) -> None:
        self._room_id = room_id
        self._highlight(self.query_one("#rooms", OptionList))
        self.query_one("#log", VerticalScroll).scroll_end(animate=False)
        self._spawn(self._learn_of_users(room_id))
        self._changed.set()

    async def _learn_of_users(self, room_id: str) -> None:
        with suppress(KeyError):
            view = self._session.room(room_id)
            await self._session.read_users(self._names_of(view))
            await self._session.watch(sorted(view.member_ids)[:_MOST_WATCHED])

    def _have_read(self, view: RoomView) -> None:
        state = view.read_state
        if state is not None and state.unread_count and view.messages:
            self._spawn(self._session.set_read_cursor(view.id, view.messages[-1].seq))

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something whose refusal changes nothing on the screen but what the session says of it."""
        task = asyncio.create_task(work)
        self._keep(task)
        task.add_done_callback(self._has_done)

    def _has_done(self, task: "asyncio.Task[object]") -> None:
        self._changed.set()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ChatkitError):
            raise error

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _place(view: RoomView) -> tuple[float, str]:
    """Return where a room stands in the list: the one with the latest message first."""
    last = view.messages[-1].create_time.ToNanoseconds() if view.messages else 0
    return -last, drawing.name_of(view)

"""An application's own server: it gives its users tokens of some seconds, and has a page that opens the console."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from services.stack import sign_in
from services.stack.home import Home

LIFETIME = timedelta(seconds=10)
_PAGE = """<!doctype html><button onclick="window.open('{console}/')">Chat</button>
<script>
addEventListener("message", async ({{ origin, source, data }}) => {{
  if (origin === "{console}" && data?.type === "chatkit.token.wanted") {{
    const token = await (await fetch("/token?user={user}")).text();
    source.postMessage({{ type: "chatkit.token", token }}, origin);
  }}
}});
</script>"""


class Login:
    """Where it is; and of which home's users, and where their console is, once that is known."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.home: Home | None = None
        self.console = ""
        # How many tokens each user has fetched.
        self.given: dict[str, int] = {}

    @property
    def origin(self) -> str:
        """The origin of its page, which is another one than that of the console."""
        return f"http://{self.address}"

    def tokens_of(self, user_id: str) -> str:
        """Return where a user's tokens are fetched."""
        return f"{self.origin}/token?user={user_id}"

    def token(self, user_id: str) -> str:
        """Return a token of a user's."""
        assert self.home is not None
        self.given[user_id] = self.given.get(user_id, 0) + 1
        return sign_in.token(self.home, user_id, lifetime=LIFETIME)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        request = await reader.readuntil(b"\r\n\r\n")
        url = urlsplit(request.split()[1].decode())
        (user_id,) = parse_qs(url.query).get("user", [""])
        body = self.token(user_id) if url.path == "/token" else _PAGE.format(console=self.console, user=user_id)
        kind = "text/plain" if url.path == "/token" else "text/html"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write((head + body).encode())
        writer.close()


@asynccontextmanager
async def running_login() -> AsyncIterator[Login]:
    """Run it until the context is left."""
    login = Login("")
    async with await asyncio.start_server(login.answer, "127.0.0.1", 0) as server:
        login.address = f"localhost:{server.sockets[0].getsockname()[1]}"
        yield login

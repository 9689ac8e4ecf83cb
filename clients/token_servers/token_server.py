"""Gives each user who is signed in to an application a token for the suite, for 15 minutes: POST /chat-token.

It is reached at the application's own address, through a reverse proxy, so that the application's cookie comes along.
"""

import base64
import hmac
import json
import os
import sys
import time
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

INSTANCE = os.environ["CHATKIT_INSTANCE"]
KEY = json.loads(Path(os.environ["CHATKIT_KEYS_FILE"]).read_text(encoding="utf-8"))["keys"][0]
SESSIONS: dict[str, str] = json.loads(os.environ.get("SESSIONS", "{}"))


def user_of(cookies: str) -> str | None:
    """Return the id of the user who is signed in: here goes the application's own check of its cookie."""
    try:
        session = SimpleCookie(cookies).get("session")
    except CookieError:
        return None
    return SESSIONS.get(session.value) if session else None


def token(user_id: str) -> str:
    """Return a JWT that says who calls, and nothing else."""
    now = int(time.time())
    claims = {"instance": INSTANCE, "iss": f"api_keys/{KEY['id']}", "sub": user_id, "iat": now, "exp": now + 15 * 60}
    signed = b".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return b".".join((signed, encoded(hmac.digest(KEY["secret"].encode(), signed, "sha256")))).decode()


def encoded(part: bytes) -> bytes:
    """Encode a part of a JWT."""
    return base64.urlsafe_b64encode(part).rstrip(b"=")


class Handler(BaseHTTPRequestHandler):
    """Answers a token to who is signed in."""

    timeout = 10

    def do_POST(self) -> None:
        """Answer a request."""
        user_id = user_of(self.headers.get("cookie", ""))
        self.send_response(404 if self.path != "/chat-token" else 200 if user_id else 401)
        self.send_header("cache-control", "no-store")
        self.end_headers()
        if self.path == "/chat-token" and user_id:
            self.wfile.write(token(user_id).encode())


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

"""A server of pages that a test makes up, in the place of a process that is asked over HTTP."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


def serving(pages: Mapping[str, str]) -> AbstractContextManager[str]:
    """Tell these pages at the address that is lent; they may be others for every request."""

    def answer(path: str, _accept: str) -> tuple[HTTPStatus, str]:
        page = pages.get(path)
        return (HTTPStatus.NOT_FOUND, "") if page is None else (HTTPStatus.OK, page)

    return answering(answer)


@contextmanager
def answering(answer: Callable[[str, str], tuple[HTTPStatus, str]]) -> Iterator[str]:
    """Answer requests, by their path and by what they accept, at the address that is lent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, page = answer(self.path, self.headers.get("accept", ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()

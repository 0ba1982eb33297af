"""A web server on loopback that serves byte ranges of the files of a folder, and fails on request."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOGIN_PAGE = b"<!DOCTYPE html><html><title>Earthdata Login</title></html>"


@dataclass
class RangeServer:
    """What is served and how; tests change `answer` between, or while, files are open."""

    folder: Path
    answer: str = "serve"
    """"serve", "drop" (close without a word), "cut" (half of the body), "stall", "login page", an HTTP status, an S3
    error "400 ExpiredToken The provided token has expired.", or "302 http://elsewhere"."""
    only: str = ""
    """The answer is for file names with this in them; other files are served."""
    times: float = float("inf")
    """How often the answer is given before files are served again."""
    url: str = ""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """(method, path, headers) of every request."""
    sent: int = 0
    """Bytes of bodies."""

    def next_answer(self, path: str) -> str:
        if self.answer == "serve" or self.only not in path or self.times <= 0:
            return "serve"
        self.times -= 1
        return self.answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: RangeServer

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        state = self.state
        state.requests.append((self.command, self.path, dict(self.headers.items())))
        answer = state.next_answer(self.path)
        if answer == "drop":
            self.close_connection = True
        elif answer == "stall":
            time.sleep(3)
            self.close_connection = True
        elif answer == "login page":
            self._send(200, LOGIN_PAGE)
        elif answer.startswith("302"):
            self._send(302, b"", Location=answer[4:] + self.path)
        elif answer[:3].isdigit():
            self._send(int(answer[:3]), _s3_error(answer[4:]))
        else:
            self._serve(cut=answer == "cut")

    def _serve(self, *, cut: bool) -> None:
        path = self.state.folder / self.path.split("?")[0].rpartition("/")[2]
        if not path.is_file():
            self._send(404, b"nothing here")
            return
        data = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, data, cut=cut)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        self._send(206, data[first : last + 1], cut=cut, **{"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def _send(self, status: int, body: bytes, *, cut: bool = False, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Accept-Ranges": "bytes", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            body = body[: len(body) // 2] if cut else body
            self.state.sent += len(body)
            self.wfile.write(body)
            self.close_connection = cut


def _s3_error(text: str) -> bytes:
    code, _, message = text.partition(" ")
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()


class _Server(ThreadingHTTPServer):
    request_queue_size = 100  # GDAL opens many connections at once
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def serving(folder: Path) -> Iterator[RangeServer]:
    """A server of the files of a folder, whatever path they are asked for under."""
    state = RangeServer(folder)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

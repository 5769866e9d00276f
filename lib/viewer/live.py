"""A stream's figure in a browser of this machine while it goes on: a page, and a line of JSON a frame (`LivePage`).

The page is served to 127.0.0.1 alone, at a free port, by Python's own server. Lines reach it as server-sent events; a
browser that is too slow misses some, and the stream never waits. The page may run its own script, use its own style,
and ask for the lines, by its Content-Security-Policy; texts in lines are shown as text.
"""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from lib.pose.landmarks import side_of
from lib.pose.skeleton import H36M
from lib.viewer.assets import asset, filled, policy
from lib.viewer.packing import SOLE, skeleton_of
from lib.viewer.page import LEFT, RIGHT, STYLE

TEMPLATE = "live.html"
SCRIPTS = ("data.js", "figures.js", "space.js", "view.js", "live.js", "pointers.js")
WAITING = 8  # lines for a browser: what it then has not taken is old
PING_SECONDS = 5.0  # that a browser is gone is seen when something is sent to it
GOODBYE_SECONDS = 1.0  # for browsers to hear of the end


class LivePage:
    """Serves the page as long as it is a context; `send` gives it the next line."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> "LivePage":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.finish()

    def send(self, line: bytes) -> None:
        """A line of JSON as `lib.inference.streaming` gives it; the first of a stream is about all of it."""
        self._server.send(line)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.page = _page()
        self._lock = threading.Lock()
        self._browsers: set[queue.Queue[bytes | None]] = set()
        self._about = self._last = b""

    def send(self, line: bytes) -> None:
        with self._lock:
            if not self._about:
                self._about = line
            self._last = line
            for browser in self._browsers:
                _put(browser, line)

    def finish(self) -> None:
        """Tell browsers that it is over, and stop."""
        with self._lock:
            for browser in self._browsers:
                _put(browser, None)
        end = time.monotonic() + GOODBYE_SECONDS
        while self._browsers and time.monotonic() < end:
            time.sleep(0.01)
        self.shutdown()
        self.server_close()

    @contextlib.contextmanager
    def lines(self) -> Iterator["queue.Queue[bytes | None]"]:
        """For one browser: what came last, and then what comes; None: it is over."""
        browser: queue.Queue[bytes | None] = queue.Queue(WAITING)
        with self._lock:
            for line in dict.fromkeys((self._about, self._last)):
                if line:
                    browser.put(line)
            self._browsers.add(browser)
        try:
            yield browser
        finally:
            with self._lock:
                self._browsers.discard(browser)


def _put(browser: "queue.Queue[bytes | None]", line: bytes | None) -> None:
    """The newest line, in place of the oldest of those that were not taken; the first of all is about all."""
    while True:
        try:
            browser.put_nowait(line)
        except queue.Full:
            with contextlib.suppress(queue.Empty):
                browser.get_nowait()
        else:
            return


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """The page, or the lines."""
        hosts = (f"127.0.0.1:{self.server.server_port}", f"localhost:{self.server.server_port}")
        if self.headers.get("Host") not in hosts:  # a name of somebody else's that leads here
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._head("text/html; charset=utf-8", len(self.server.page))
            self.wfile.write(self.server.page)
        elif self.path == "/lines":
            self._head("text/event-stream")
            with contextlib.suppress(OSError), self.server.lines() as lines:  # a browser may go at any time
                self._send_lines(lines)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _head(self, kind: str, length: int | None = None) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send_lines(self, lines: "queue.Queue[bytes | None]") -> None:
        while True:
            try:
                line = lines.get(timeout=PING_SECONDS)
            except queue.Empty:
                self.wfile.write(b": nothing new\n\n")
            else:
                self.wfile.write(b"event: end\ndata:\n\n" if line is None else b"data: " + line + b"\n\n")
                if line is None:
                    return
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard error is for what the stream says."""


def _page() -> bytes:
    style, script = asset(STYLE), "\n".join(asset(name) for name in SCRIPTS)
    data = {"colors": [LEFT, RIGHT], "sole": SOLE, "skeleton": skeleton_of(H36M, H36M.names)}
    data["ankles"] = [H36M.index(name) for name in H36M.names if side_of(name)[1] == "ankle"]
    parts = {"policy": policy(style, script, "connect-src 'self'; "), "style": style, "script": script}
    return filled(TEMPLATE, {**parts, "data": json.dumps(data)}).encode()

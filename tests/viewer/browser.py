"""A headless Chromium, driven through its DevTools protocol over a pipe: no package and no port is needed.

Events are real ones: the browser makes of them what it makes of a person's mouse, fingers and keys.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run", "--mute-audio"),
    *("--disable-extensions", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
# The protocol's pipes are the file descriptors 3 and 4.
START = (
    "import os, sys; [os.dup2(int(fd), to) for fd, to in zip(sys.argv[1:3], (3, 4))]; "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
PATIENCE = 20.0  # seconds, on a busy machine
CODES = {"Tab": 9, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}  # Windows'


class Page:
    """The one tab of a browser."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers, self._read = requests, answers, b""
        self._number, self._session = 0, ""
        self.complaints: list[str] = []  # errors and warnings of the console, exceptions, what the policy blocked
        self.addresses: list[str] = []  # of everything that was asked for
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(
        self, path: Path | str, size: tuple[int, int] = (1280, 800), theme: str = "light", still: bool = True
    ) -> None:
        """Load a file or an address in a window of a size, for somebody who likes a theme, and motion or not."""
        self.complaints.clear()
        self.addresses.clear()
        self.resize(size)
        wishes = {"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce" if still else "no-preference"}
        self._call("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in wishes.items()])
        address = path if isinstance(path, str) else path.as_uri()
        self._call("Page.navigate", url=address)
        self.wait(f"document.readyState === 'complete' && location.href === {address!r}")
        self.settle()

    def resize(self, size: tuple[int, int], touch: bool = False) -> None:
        """Another size of the window; a phone has two device pixels to one."""
        width, height = size
        ratio = 2 if touch else 1
        screen = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": touch}
        self._call("Emulation.setDeviceMetricsOverride", **screen)
        self._call("Emulation.setTouchEmulationEnabled", enabled=touch)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives; promises are awaited."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.value(expression):
            assert time.monotonic() < end, f"in vain: {expression}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Until what happened is drawn."""
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def key(self, key: str, shift: bool = False) -> None:
        """Press and release a key."""
        pressed = {"key": key, "modifiers": 8 * shift, "windowsVirtualKeyCode": CODES.get(key, 0)}
        self._call("Input.dispatchKeyEvent", type="keyDown", **pressed, **({"text": key} if len(key) == 1 else {}))
        self._call("Input.dispatchKeyEvent", type="keyUp", **pressed)
        self.settle()

    def mouse(self, kind: str, x: float, y: float, button: str = "none", **more: Any) -> None:
        """One event of the mouse: Moved, Pressed, Released, Wheel."""
        held = {"left": 1, "right": 2}.get(button, 0)
        self._call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, button=button, buttons=held, **more)

    def click(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Click on an element, at a place from its upper left (0, 0) to its lower right (1, 1)."""
        x, y = self.place(selector, at)
        self.mouse("Moved", x, y)
        self.mouse("Pressed", x, y, "left", clickCount=1)
        self.mouse("Released", x, y, "left", clickCount=1)
        self.settle()

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float], **how: Any) -> None:
        """Press at one place of an element, and release at another."""
        button = how.pop("button", "left")
        (x, y), (to_x, to_y) = self.place(selector, start), self.place(selector, end)
        self.mouse("Moved", x, y, **how)
        self.mouse("Pressed", x, y, button, clickCount=1, **how)
        for part in range(1, 6):
            self.mouse("Moved", x + (to_x - x) * part / 5, y + (to_y - y) * part / 5, button, **how)
        self.mouse("Released", to_x, to_y, button, clickCount=1, **how)
        self.settle()

    def touch(self, *paths: list[tuple[float, float]]) -> None:
        """Fingers along paths of equal length, in pixels of the window."""
        for number, places in enumerate(zip(*paths, strict=True)):
            points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
            self._call("Input.dispatchTouchEvent", type="touchMove" if number else "touchStart", touchPoints=points)
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def place(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> tuple[float, float]:
        """A place of an element, in pixels of the window."""
        box = f"document.querySelector({selector!r}).getBoundingClientRect()"
        left, top, width, height = self.value(f"(({{left, top, width, height}}) => [left, top, width, height])({box})")
        return left + width * at[0], top + height * at[1]

    def picture(self, path: Path) -> None:
        """What the window shows, as a PNG file."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def downloads_to(self, folder: Path) -> None:
        """Where files that the page offers are put."""
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def _call(self, method: str, **params: Any) -> Any:
        self._number += 1
        session = (
            {"sessionId": self._session} if self._session and not method.startswith(("Target.", "Browser.")) else {}
        )
        message = json.dumps({"id": self._number, "method": method, "params": params, **session})
        os.write(self._requests, message.encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer.get("method"), answer.get("params", {}))

    def _note(self, event: str | None, params: Any) -> None:
        match event:
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(params["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.addresses.append(params["request"]["url"])

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser has ended"
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with a new profile in a folder, ended afterwards."""
    assert CHROMIUM is not None
    pipes = (*os.pipe(), *os.pipe())
    theirs = [fcntl.fcntl(pipes[end], fcntl.F_DUPFD_CLOEXEC, 10) for end in (0, 3)]  # neither is 3 or 4
    requests, answers = pipes[1], pipes[2]
    command = [sys.executable, "-c", START, *map(str, theirs), CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(command, pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for end in (pipes[0], pipes[3], *theirs):
            os.close(end)
        yield Page(requests, answers)
    finally:
        process.kill()
        process.wait()
        os.close(requests)
        os.close(answers)

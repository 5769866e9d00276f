"""The page of a stream: what the server gives, and what a browser makes of it."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lib.pose.skeleton import H36M
from lib.viewer.live import WAITING, LivePage
from tests.inference.motions import walking
from tests.viewer.browser import CHROMIUM, Page, browser

HOSTILE = "</script><img src=x onerror=alert(1)>"
browsed = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
ABOUT = {"about": {"layout": HOSTILE}}


def line(frame: int, somebody: bool = True, **more: Any) -> bytes:
    """As the stream gives it: in the camera's frame, 3 m away and 1.4 m above the floor."""
    motion, content = walking(50), {"frame": frame, "time": frame / 25, **more}
    if somebody:
        joints = [[x, 1.4 - y, 3 - z] for x, y, z in motion.joints[frame].tolist()]
        content |= {"joints": joints, "joint_error": [0.05] * len(H36M)}
    return json.dumps(content).encode()


def get(page: LivePage, path: str = "/", host: str = "") -> http.client.HTTPResponse:
    address = page.address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    return connection.getresponse()


def event(response: http.client.HTTPResponse) -> str:
    """The next event, as its lines."""
    lines = list[str]()
    while text := response.readline().decode().rstrip("\n"):
        lines.append(text)
    return "\n".join(lines)


def test_it_is_served_to_this_machine_alone() -> None:
    with LivePage() as page:
        assert page.address.startswith("http://127.0.0.1:")
        response = get(page)
        text = response.read().decode()
        assert response.status == 200 and "Live in 3D" in text and "{{" not in text
        assert (
            "default-src 'none'" in text
            and "connect-src 'self'" in text
            and "http://" not in text.replace("http-equiv", "")
        )
        assert get(page, host="example.com").status == 403  # a name that leads here
        assert (
            get(page, host=page.address.removeprefix("http://").rstrip("/").replace("127.0.0.1", "localhost")).status
            == 200
        )
        assert get(page, "/etc/passwd").status == 404
        assert get(page, "/../live.py").status == 404
    with pytest.raises(OSError):
        get(page)


def test_lines_come_as_they_are_sent_and_then_the_end() -> None:
    with LivePage() as page:
        page.send(json.dumps(ABOUT).encode())
        page.send(line(0))
        response = get(page, "/lines")
        assert response.headers["Content-Type"] == "text/event-stream"
        assert json.loads(event(response).removeprefix("data: ")) == ABOUT  # for who comes later, too
        assert json.loads(event(response).removeprefix("data: "))["frame"] == 0
        for frame in (1, 2):
            page.send(line(frame))
            assert json.loads(event(response).removeprefix("data: "))["frame"] == frame
    assert event(response) == "event: end\ndata:"
    assert response.read() == b""


def test_a_browser_that_does_not_read_holds_up_nothing() -> None:
    with LivePage() as page:
        response = get(page, "/lines")
        large = line(0, note="x" * 1_000_000)
        began = time.monotonic()
        for _ in range(10 * WAITING):
            page.send(large)
        page.send(line(1))
        assert time.monotonic() - began < 2
        while "frame" not in (text := event(response)) or json.loads(text.removeprefix("data: "))["frame"] != 1:
            pass  # what comes last comes through
        gone = get(page, "/lines")
        gone.close()
        began = time.monotonic()
    assert time.monotonic() - began < 3


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def drawn(page: Page) -> str:
    page.settle()
    return str(page.value("document.getElementById('view').toDataURL()"))


def text(page: Page, name: str) -> str:
    return str(page.value(f"document.getElementById({name!r}).textContent"))


@browsed
@pytest.mark.parametrize(("theme", "size"), [("light", (1280, 800)), ("dark", (390, 844)), ("light", (844, 390))])
def test_the_figure_moves_as_lines_come(chromium: Page, theme: str, size: tuple[int, int]) -> None:
    with LivePage() as live:
        chromium.open(live.address, size, theme)
        assert text(chromium, "notice") == "Waiting for the first frame."
        pictures = {drawn(chromium)}
        live.send(json.dumps(ABOUT).encode())
        for frame in (0, 10, 20):
            live.send(line(frame))
            chromium.wait(f"viewer.state.frame === {frame}")
            pictures.add(drawn(chromium))
        assert len(pictures) == 4
        assert chromium.value("document.getElementById('notice').hidden") is True
        assert (text(chromium, "frame"), text(chromium, "clock")) == ("Frame 20", "0.80 s")
        assert chromium.value("document.documentElement.dataset.theme") == theme
        assert chromium.value("document.documentElement.scrollWidth") == size[0]
        assert chromium.value("document.documentElement.scrollHeight") == size[1]
        assert chromium.addresses == [live.address, f"{live.address}lines"]
    chromium.wait("viewer.state.ended")
    assert text(chromium, "reading") == "The stream has ended."
    assert chromium.complaints == []


@browsed
def test_somebody_stands_upright_on_the_floor(chromium: Page) -> None:
    with LivePage() as live:
        chromium.open(live.address)
        for frame in range(20):
            live.send(line(frame))
            chromium.wait(f"viewer.state.frame === {frame}")
        heights = chromium.value("[...viewer.points.positions].filter((_, index) => index % 3 === 1)")
        expected = walking(50).joints[19, :, 1].tolist()
        assert heights == pytest.approx(expected, abs=0.03)


@browsed
def test_nobody_and_bad_lines_are_said_as_text(chromium: Page) -> None:
    with LivePage() as live:
        chromium.open(live.address)
        live.send(line(0))
        chromium.wait("viewer.state.frame === 0")
        before = drawn(chromium)
        live.send(line(1, somebody=False))
        chromium.wait("viewer.state.frame === 1")
        assert text(chromium, "reading") == "Nobody is seen."
        assert drawn(chromium) != before  # the figure is faint
        live.send(line(2, somebody=False, bad=HOSTILE))
        chromium.wait("viewer.state.frame === 2")
        assert text(chromium, "reading") == HOSTILE
        assert chromium.value("document.images.length") == 0
        live.send(line(3))
        chromium.wait("viewer.state.frame === 3")
        assert text(chromium, "reading") == ""
    assert chromium.complaints == []


@browsed
def test_the_view_turns_and_zooms_by_mouse_keys_and_buttons(chromium: Page) -> None:
    with LivePage() as live:
        chromium.open(live.address)
        live.send(line(0))
        chromium.wait("viewer.state.frame === 0")
        seen = [drawn(chromium)]

        def changed() -> bool:
            seen.append(drawn(chromium))
            return seen[-1] != seen[-2]

        chromium.drag("#view", (0.5, 0.5), (0.6, 0.6))
        assert changed()
        x, y = chromium.place("#view")
        chromium.mouse("Wheel", x, y, deltaX=0, deltaY=-200)
        assert changed()
        for key in ("a", "w", "+", "2", "u", "b"):
            chromium.key(key)
            assert changed(), key
        assert chromium.value("document.documentElement.dataset.theme") == "dark"
        for button in ("[data-preset=front]", "#uncertainty", "#theme"):
            chromium.click(button)
            assert changed(), button
    assert chromium.complaints == []


def test_who_comes_while_lines_are_sent_gets_whole_ones() -> None:
    with LivePage() as page:
        stop = threading.Event()

        def send() -> None:
            number = 0
            while not stop.is_set():
                page.send(line(number % 50))
                number += 1

        sender = threading.Thread(target=send)
        sender.start()
        try:
            for _ in range(5):
                response = get(page, "/lines")
                for _ in range(10):
                    assert "joints" in json.loads(event(response).removeprefix("data: "))
                response.close()
        finally:
            stop.set()
            sender.join()

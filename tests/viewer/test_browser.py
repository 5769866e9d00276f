"""The page in a browser, through the events of a real mouse, real fingers and real keys."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from lib.inference.motion import Motion
from lib.pose.layouts import LAYOUTS
from lib.viewer.page import Scene, write_viewer
from tests.inference.motions import walking
from tests.viewer.browser import CHROMIUM, Page, browser
from tests.viewer.test_page import HOSTILE, video_file

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
PHONE = (390, 844)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes: a walk of 2 s with a true skeleton, two people, two models, and a layout other than Human3.6M's."""
    path = tmp_path_factory.mktemp("page") / "viewer.html"
    walk = walking(50)
    pixels = walk.pixels.clone()
    pixels[10, 3] = torch.nan
    late = walking(20, numbers=torch.arange(40, 60), times=torch.arange(40, 60).double() / 25, person="1")
    first, second = (_off(walk, by, model) for by, model in ((0.05, "first"), (0.1, "second")))
    scenes = [
        Scene("Walk", [replace(_off(walk, 0.03, ""), pixels=pixels)]),
        Scene("Two people", [walk, late]),
        Scene("Two models", [first, second]),
        Scene("Detected", [walking(50, layout=LAYOUTS["coco"])]),
    ]
    write_viewer(path, scenes, title="Motions to try")
    return path


def _off(motion: Motion, by: float, model: str) -> Motion:
    """A prediction whose left wrist is off by some metres from where it truly is."""
    keypoints = motion.keypoints.clone()
    keypoints[:, motion.layout.keypoints.index("left_wrist"), 1] += by
    return replace(motion, keypoints=keypoints, joints=keypoints, target=motion.keypoints, model=model)


def _state(page: Page, name: str) -> object:
    return page.value(f"viewer.state.{name}")


def _camera(page: Page) -> dict[str, object]:
    camera: dict[str, object] = page.value("viewer.view.camera")
    return camera


def _drawn(page: Page, canvas: str = "view") -> str:
    page.settle()
    return str(page.value(f"document.getElementById('{canvas}').toDataURL()"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), PHONE, (844, 390)])
def test_it_loads_and_plays_without_a_complaint_or_a_request(
    page: Page, file: Path, theme: str, size: tuple[int, int]
) -> None:
    page.open(file, size, theme)
    assert page.value("document.title") == page.value("document.querySelector('h1').textContent") == "Motions to try"
    page.key(" ")
    for scene in (0, 1, 2, 3):
        page.wait(f"viewer.state.scene === {scene} && viewer.state.frame > 1")
        page.key("n")
    assert page.complaints == []
    assert page.addresses == [file.as_uri()]
    assert page.value("document.documentElement.scrollWidth") == size[0]
    assert page.value("document.documentElement.scrollHeight") == size[1]
    assert page.value("document.documentElement.dataset.theme") == theme


def test_it_plays_at_its_own_speed_and_pauses(page: Page, file: Path) -> None:
    page.open(file, still=False)
    page.wait("viewer.state.frame >= 2")  # by itself
    page.key(" ")
    paused = _state(page, "frame")
    assert not _state(page, "playing")
    page.value("new Promise((done) => setTimeout(done, 150))")
    assert _state(page, "frame") == paused
    page.key("Home")
    page.click("#play")
    before = page.value("[performance.now(), viewer.state.time]")
    page.value("new Promise((done) => setTimeout(done, 600))")
    after = page.value("[performance.now(), viewer.state.time]")
    assert after[1] - before[1] == pytest.approx((after[0] - before[0]) / 1000, abs=0.25)
    assert page.value("document.getElementById('play').getAttribute('aria-label')") == "Pause"


def test_who_wants_no_motion_sees_none_until_they_play(page: Page, file: Path) -> None:
    page.open(file)
    page.value("new Promise((done) => setTimeout(done, 150))")
    assert (_state(page, "frame"), _state(page, "playing")) == (0, False)


def test_at_the_end_it_begins_anew_or_stops(page: Page, file: Path) -> None:
    page.open(file)
    for _ in range(2):
        page.key("ArrowUp")
    assert _state(page, "speed") == 4
    page.key("End")
    page.key("ArrowLeft")
    page.key(" ")
    page.wait("viewer.state.frame < 40 && viewer.state.playing")
    page.key("l")
    page.wait("!viewer.state.playing")
    assert _state(page, "frame") == 49


def test_the_mouse_turns_moves_and_zooms(page: Page, file: Path) -> None:
    page.open(file)
    start, picture = _camera(page), _drawn(page)
    page.drag("#view", (0.5, 0.5), (0.6, 0.6))
    turned = _camera(page)
    assert turned["yaw"] != start["yaw"] and turned["pitch"] != start["pitch"]
    assert turned["pan"] == start["pan"] and turned["distance"] == start["distance"]
    assert _drawn(page) != picture
    page.drag("#view", (0.5, 0.5), (0.6, 0.6), modifiers=8)
    page.drag("#view", (0.5, 0.5), (0.6, 0.5), button="right")
    moved = _camera(page)
    assert moved["pan"] != start["pan"] and moved["yaw"] == turned["yaw"]
    x, y = page.place("#view")
    page.mouse("Wheel", x, y, deltaX=0, deltaY=-200)
    page.settle()
    assert page.value(f"viewer.view.camera.distance < {start['distance']}")
    page.mouse("Moved", x, y)
    for count in (1, 2):
        page.mouse("Pressed", x, y, "left", clickCount=count)
        page.mouse("Released", x, y, "left", clickCount=count)
    assert _camera(page) == start


def test_what_is_dragged_stays_under_the_pointer(page: Page, file: Path) -> None:
    page.open(file)
    if not _state(page, "follow"):
        page.key("f")  # the pelvis is then as far away as what is looked at
    before = page.value("[...viewer.view.figures[0].screen.slice(0, 2)]")
    page.drag("#view", (0.4, 0.4), (0.5, 0.6), button="right")
    after = page.value("[...viewer.view.figures[0].screen.slice(0, 2)]")
    width, height = page.value("[viewer.view.width, viewer.view.height]")
    assert after[0] - before[0] == pytest.approx(0.1 * width, rel=0.1)
    assert after[1] - before[1] == pytest.approx(0.2 * height, rel=0.1)


def test_fingers_turn_and_zoom(page: Page, file: Path) -> None:
    page.open(file, PHONE)
    page.resize(PHONE, touch=True)
    x, y = page.place("#view", (0.5, 0.7))
    start = _camera(page)
    page.touch([(x + 8 * step, y) for step in range(6)])
    turned = _camera(page)
    assert turned["yaw"] != start["yaw"] and turned["distance"] == start["distance"]
    apart = [[(x + sign * (20 + 8 * step), y) for step in range(6)] for sign in (1, -1)]
    page.touch(*apart)
    zoomed = _camera(page)
    assert zoomed["distance"] == pytest.approx(float(str(turned["distance"])) / 3, rel=0.15)
    assert zoomed["yaw"] == pytest.approx(turned["yaw"])
    page.resize(PHONE)


def test_keys_turn_the_view_to_presets(page: Page, file: Path) -> None:
    page.open(file)
    for key, yaw in (("1", 0), ("2", -1.5708), ("3", 0)):
        page.key(key)
        assert _camera(page)["yaw"] == pytest.approx(yaw, abs=1e-3)
    page.key("4")
    for key in "adws+":
        before = _camera(page)
        page.key(key)
        assert _camera(page) != before, key
    page.click("[data-preset=front]")
    assert _camera(page)["yaw"] == 0


def test_one_can_go_to_any_time(page: Page, file: Path) -> None:
    page.open(file)
    page.key("ArrowRight")
    assert _state(page, "frame") == 1
    page.key("ArrowRight", shift=True)
    assert _state(page, "frame") == 26
    page.key("End")
    assert _state(page, "frame") == 49
    page.click("#strip", (0.5, 0.5))
    assert _state(page, "frame") in (24, 25)
    page.drag("#strip", (0.5, 0.5), (0.9, 0.5))
    assert _state(page, "frame") == pytest.approx(44, abs=1)
    page.drag("#scrub", (0.895, 0.5), (0.2, 0.5))
    assert _state(page, "frame") == pytest.approx(10, abs=2)
    page.key("ArrowRight")  # of the scrubber, once
    assert _state(page, "frame") == pytest.approx(11, abs=2)
    page.key("ArrowUp")
    assert _state(page, "speed") == 1 and _state(page, "frame") == pytest.approx(12, abs=2)
    assert page.value("document.getElementById('frame').textContent") == f"Frame {_state(page, 'frame')}"
    page.click("#back")
    page.click("#back")
    assert _state(page, "frame") == pytest.approx(9, abs=2)


@pytest.mark.parametrize(("key", "name"), [("t", "truth"), ("u", "uncertainty"), ("r", "trail"), ("v", "flat")])
def test_options_change_the_picture_by_key_and_by_button(page: Page, file: Path, key: str, name: str) -> None:
    page.open(file)
    before, on = _drawn(page), _state(page, name)
    page.key(key)
    assert _state(page, name) is not on
    if name == "flat":
        assert page.value("document.getElementById('picture').getBoundingClientRect().height") == 0
    else:
        assert _drawn(page) != before
    page.click(f"#{name}")
    assert _drawn(page) == before
    assert page.value(f"document.getElementById('{name}').getAttribute('aria-pressed')") == str(on).lower()


def test_the_body_is_followed(page: Page, file: Path) -> None:
    page.open(file)
    for on in (True, False):
        if _state(page, "follow") is not on:
            page.key("f")
        page.key("Home")
        start = page.value("viewer.view.figures[0].screen[0]")
        page.key("End")
        away = abs(page.value("viewer.view.figures[0].screen[0]") - start)
        assert away < 1 if on else away > 50


def test_themes(page: Page, file: Path) -> None:
    page.open(file, theme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark, view = page.value(colour), _drawn(page)
    page.click("#theme")
    assert page.value(colour) != dark and _drawn(page) != view
    page.key("b")
    assert page.value(colour) == dark and _drawn(page) == view


def test_the_help_opens_and_closes(page: Page, file: Path) -> None:
    page.open(file)
    page.key("?")
    assert page.value("document.getElementById('help').open")
    assert page.value("document.querySelectorAll('#keys kbd').length") > 20
    page.key("Escape")
    page.wait("!document.getElementById('help').open")
    page.click("#help-button")
    page.click("#help button")
    page.wait("!document.getElementById('help').open")
    assert page.complaints == []


def test_the_joint_under_the_pointer_tells_its_numbers(page: Page, file: Path) -> None:
    page.open(file)
    joint = walking(1).layout.keypoints.index("left_wrist")
    left, top = page.place("#view", (0, 0))
    x, y = page.value(f"[...viewer.view.figures[0].screen.slice({3 * joint}, {3 * joint + 2})]")
    page.mouse("Moved", left + x, top + y)
    page.wait("!document.getElementById('tip').hidden")
    tip = str(page.value("document.getElementById('tip').textContent"))
    assert tip.splitlines()[0] == "left wrist"
    assert "stated error  20 mm" in tip and "true error  30 mm" in tip and "confidence  90 %" in tip
    page.mouse("Moved", left + 5, top + 200)
    page.wait("document.getElementById('tip').hidden")


def test_the_strip_shows_the_error_where_there_is_a_truth(page: Page, file: Path) -> None:
    page.open(file)
    reading = "document.getElementById('reading').textContent"
    assert page.value(reading) == "2 now, mean 2 mm"  # 30 mm of one of 17 joints
    page.key("n")
    assert "90 %" in page.value(reading)


def _choose(page: Page, selector: str, key: str) -> None:
    page.value(f"document.querySelector({selector!r}).focus()")
    page.key(key)


def test_sequence_person_and_model_are_chosen(page: Page, file: Path) -> None:
    page.open(file)
    _choose(page, "#scene", "ArrowDown")
    assert (_state(page, "scene"), page.value("viewer.view.figures.length")) == (1, 2)
    _choose(page, "#person", "ArrowDown")
    _choose(page, "#person", "ArrowDown")
    assert page.value("viewer.view.figures.map((figure) => figure.motion.person)") == ["1"]
    page.click("#next")
    assert page.value("viewer.view.figures.map((figure) => figure.label)") == ["first", "second"]
    assert page.value("document.getElementById('reading').textContent") == "first 3 mm · second 6 mm"
    apart = "Math.abs(viewer.view.figures[0].screen[0] - viewer.view.figures[1].screen[0])"
    assert page.value(apart) > 50
    page.value("document.activeElement.blur()")
    page.key("m")
    assert page.value(apart) < 1
    _choose(page, "#model", "ArrowDown")
    assert page.value("viewer.view.figures.length") == 1
    page.value("document.activeElement.blur()")
    page.key("n")
    assert page.value("viewer.view.figures[0].points.count") == 17  # joints, where nothing is true of the keypoints
    _choose(page, "#points", "ArrowUp")
    assert page.value("viewer.view.figures[0].points.names[0]") == "nose"
    assert page.complaints == []


def test_the_picture_is_saved(page: Page, file: Path, tmp_path: Path) -> None:
    page.open(file)
    page.downloads_to(tmp_path)
    page.click("#save")
    end = time.monotonic() + 20
    while not list(tmp_path.glob("*.png")) and time.monotonic() < end:
        time.sleep(0.05)
    with Image.open(tmp_path / "Walk_0.png") as image:
        assert image.width == 2 * page.value("viewer.view.width")
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100
    assert page.complaints == []


def test_the_browser_reads_the_motion_as_it_is(page: Page, file: Path) -> None:
    page.open(file)
    motion = _off(walking(50), 0.03, "")
    read = torch.tensor(page.value("[...viewer.scenes[0].motions[0].keypoints.positions]")).view(50, 17, 3)
    torch.testing.assert_close(read, motion.keypoints, rtol=0, atol=1e-4)
    pixels = page.value("[...viewer.scenes[0].motions[0].pixels].map((x) => x === x ? x : null)")
    missing = [index for index, x in enumerate(pixels) if x is None]
    assert missing == [2 * (10 * 17 + 3), 2 * (10 * 17 + 3) + 1]
    for _ in range(11):
        page.key("ArrowRight")
    assert page.complaints == []


def test_hostile_names_do_nothing(page: Page, tmp_path: Path) -> None:
    motion = walking(5, name=HOSTILE, person=HOSTILE, scale=HOSTILE)
    scene = Scene(HOSTILE, [motion, replace(motion, person="1"), replace(motion, model=HOSTILE)])
    write_viewer(tmp_path / "viewer.html", [scene], title=HOSTILE)
    page.open(tmp_path / "viewer.html")
    page.key("ArrowRight")
    assert page.value("document.images.length") == 0
    assert page.value("document.getElementById('scene').selectedOptions[0].textContent").startswith("</script><img")
    assert page.complaints == []
    assert len(page.addresses) == 1


def test_everything_has_a_name_and_is_reached_by_tab(page: Page, file: Path) -> None:
    page.open(file)
    unnamed = """[...document.querySelectorAll('button, select, input, canvas')].filter((element) =>
        !(element.getAttribute('aria-label') || element.textContent.trim() || element.labels?.length)).length"""
    assert page.value(unnamed) == 0
    reached = set()
    for _ in range(40):
        page.key("Tab")
        reached.add(page.value("document.activeElement.id"))
    assert {"scene", "view", "truth", "measure", "scrub", "play", "speed", "theme", "save"} <= reached


@pytest.mark.parametrize("scene", [0, 1, 2, 3])
def test_on_a_phone_nothing_is_cut_off_or_covered(page: Page, file: Path, scene: int) -> None:
    page.open(file, PHONE)
    for _ in range(scene):
        page.key("n")
    parts = "header button, header select, footer button, footer select, .presets button, output span"
    covered = (
        f"""[...document.querySelectorAll('{parts}')]"""
        + """
        .filter((element) => element.getBoundingClientRect().width).filter((element) => {
          const box = element.getBoundingClientRect();
          if (box.left < 0 || box.right > innerWidth || box.top < 0 || box.bottom > innerHeight) return true;
          if (element.disabled) return false;
          return [0.1, 0.5, 0.9].some((part) => {
            const found = document.elementFromPoint(box.left + part * box.width, box.top + box.height / 2);
            return !element.contains(found) && !found.contains(element);
          });
        }).map((element) => element.id || element.textContent)"""
    )
    assert page.value(covered) == []
    page.click("#options-button")
    page.click("#uncertainty")
    assert _state(page, "uncertainty") is True
    page.click("#view", (0.1, 0.9))
    assert page.value("document.getElementById('options').getBoundingClientRect().height") == 0


def test_the_videos_frames_lie_under_the_keypoints(page: Page, tmp_path: Path) -> None:
    nothing = torch.full((30, 17, 2), torch.nan)
    motion = walking(30, fps=30.0, size=(640, 360), pixels=nothing, video=video_file(tmp_path / "video.mp4", 30))
    write_viewer(tmp_path / "viewer.html", [Scene("film", [motion])])
    page.open(tmp_path / "viewer.html")
    brightness = "document.getElementById('picture').getContext('2d').getImageData(40, 40, 1, 1).data[0]"
    for frame in (0, 20, 29):
        page.click("#strip", (0.999 * frame / 29, 0.5))
        page.wait(f"Math.abs({brightness} - {8 * (frame // 2 * 2)}) < 8")


def test_ten_thousand_frames_are_drawn_in_time(page: Page, tmp_path: Path) -> None:
    motion = walking(10_000, fps=50.0)
    write_viewer(tmp_path / "viewer.html", [Scene("long", [replace(motion, target=motion.keypoints)])])
    page.open(tmp_path / "viewer.html")
    page.key("End")
    assert page.value("document.getElementById('clock').textContent") == "199.98 s of 200.00 s"
    page.key(" ")
    cost = """(() => { const start = performance.now(); const { view, state } = viewer, palette = viewer.palette();
        for (let i = 0; i < 100; i++) view.draw(99 * i, palette, state);
        return (performance.now() - start) / 100; })()"""
    assert page.value(cost) < 1000 / 60
    assert page.complaints == []


def test_a_page_without_scenes_says_why(page: Page, tmp_path: Path) -> None:
    write_viewer(tmp_path / "viewer.html", [], empty="None was asked for.")
    page.open(tmp_path / "viewer.html")
    assert re.search("None was asked for.", str(page.value("document.body.innerText")))
    for key in (" ", "ArrowRight", "k"):
        page.key(key)
    page.click("#theme")
    assert page.complaints == []

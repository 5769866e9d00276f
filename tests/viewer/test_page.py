"""The page as a file: self-contained, harmless, and true to the motions."""

import base64
import hashlib
import html
import re
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lib.inference.motion import Motion
from lib.pose.layouts import LAYOUTS
from lib.runtime.errors import UserError
from lib.viewer import pictures
from lib.viewer.page import Pictures, Scene, write_viewer
from tests.inference.motions import walking
from tests.viewer.pages import data_of, numbers_of, values_of

HOSTILE = "</script><img src=x onerror=alert(1)></script ><!--<script >&amp;\u2028'\"\udcff"


class Elements(HTMLParser):
    """The elements of a page as a browser sees them, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def _page(path: Path, *motions: Motion, title: str = "walk") -> Path:
    write_viewer(path / "viewer.html", [Scene(title, motions)])
    return path / "viewer.html"


def _upright_camera(motion: Motion) -> Motion:
    """The same motion in the frame of a camera that is 1.4 m above the floor."""
    turned = (motion.keypoints - torch.tensor([0.0, 1.4, 4.0])) * torch.tensor([1.0, -1.0, -1.0])
    return replace(motion, frame="camera", keypoints=turned, joints=turned)


def test_the_page_needs_nothing_else_and_reaches_nothing(tmp_path: Path) -> None:
    page = _page(tmp_path, replace(walking(5), video=video_file(tmp_path / "video.mp4", 5)))
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//\w+\.\w|@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\(", text)
    for tag, attributes in Elements(text).found:
        assert tag not in ("iframe", "object", "embed", "base", "form") or attributes.get("method") == "dialog"
        assert {"src", "srcset", "action", "style"}.isdisjoint(attributes), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "link" or attributes["href"] == "data:,"


def test_the_policy_lets_only_this_script_and_style_run(tmp_path: Path) -> None:
    text = _page(tmp_path, walking(5)).read_text(encoding="utf-8")
    elements = Elements(text).found
    (policy,) = [dict(a)["content"] for t, a in elements if t == "meta" and "http-equiv" in a]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert set(rules) == {"default-src", "base-uri", "form-action", "img-src", "script-src", "style-src"}
    for kind in ("script", "style"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"


def test_the_page_without_data_is_small(tmp_path: Path) -> None:
    write_viewer(tmp_path / "viewer.html", [])
    assert (tmp_path / "viewer.html").stat().st_size < 100_000


def test_hostile_names_are_text(tmp_path: Path) -> None:
    plain = _page(tmp_path / "plain", walking(5))
    motion = walking(5, name=HOSTILE, person=HOSTILE, model=HOSTILE, scale=HOSTILE)
    (tmp_path / "hostile").mkdir()
    page = tmp_path / "hostile" / "viewer.html"
    write_viewer(page, [Scene(HOSTILE, [motion])], title=HOSTILE)
    names = [tag for tag, _ in Elements(page.read_text(encoding="utf-8")).found]
    assert names == [tag for tag, _ in Elements(plain.read_text(encoding="utf-8")).found]
    data = page.read_text(encoding="utf-8").split('id="data">')[1].split("</script>\n<script>")[0]
    assert not set("<>&") & set(data)
    scene = data_of(page)["scenes"][0]
    assert scene["title"] == scene["motions"][0]["person"] == scene["motions"][0]["name"] == HOSTILE
    assert html.escape("<img") in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("layout", ["h36m", "coco", "mediapipe_33"])
def test_the_data_are_the_motion(tmp_path: Path, layout: str) -> None:
    motion = walking(50, layout=LAYOUTS[layout])
    motion = replace(motion, target=motion.keypoints + 0.1)
    assert motion.target is not None
    scene = data_of(_page(tmp_path, motion))["scenes"][0]
    (packed,), points = scene["motions"], (50, len(motion.layout))
    keypoints = values_of(packed["keypoints"]["positions"], *points)
    torch.testing.assert_close(keypoints.float(), motion.keypoints, rtol=0, atol=1e-4)
    torch.testing.assert_close(values_of(packed["target"], *points).float(), motion.target, rtol=0, atol=1e-4)
    error = values_of(packed["keypoints"]["error"], *points)[..., 0]
    torch.testing.assert_close(error.float(), motion.keypoint_error, rtol=0, atol=1e-4)
    torch.testing.assert_close(values_of(packed["pixels"], *points).float(), motion.pixels, rtol=0, atol=0.02)
    confidence = torch.tensor(numbers_of(packed["confidence"], "u1")).view(points) / 255
    torch.testing.assert_close(confidence, motion.confidence, rtol=0, atol=1 / 255)
    assert numbers_of(scene["times"], "<f8") == motion.times.tolist()
    assert numbers_of(scene["numbers"], "<i4") == numbers_of(packed["frames"], "<i4") == list(range(50))
    if layout == "h36m":
        assert "joints" not in packed
    else:
        joints = values_of(packed["joints"]["positions"], 50, 17)
        torch.testing.assert_close(joints.float(), motion.joints, rtol=0, atol=1e-4)
    names = [motion.layout.keypoints[child].replace("_", " ") for child, _ in motion.layout.skeleton.bones]
    assert [packed["keypoints"]["names"][child] for child, _ in packed["keypoints"]["bones"]] == names
    sides = dict(zip(packed["keypoints"]["names"], packed["keypoints"]["sides"], strict=True))
    assert (sides["left wrist"], sides["right wrist"], sides["nose" if "nose" in sides else "pelvis"]) == (1, 2, 0)


def test_a_long_way_is_told_to_the_millimetre(tmp_path: Path) -> None:
    motion = walking(10_000)
    (packed,) = data_of(_page(tmp_path, motion))["scenes"][0]["motions"]
    keypoints = values_of(packed["keypoints"]["positions"], 10_000, 17)
    assert float(motion.keypoints[-1, 0, 0]) > 400
    assert float((keypoints - motion.keypoints).abs().max()) < 0.01
    assert (tmp_path / "viewer.html").stat().st_size < 5_000_000


def test_what_was_not_detected_stays_unknown(tmp_path: Path) -> None:
    motion = walking(6)
    pixels, confidence, target = motion.pixels.clone(), motion.confidence.clone(), motion.keypoints.clone()
    pixels[2, 3], confidence[2, 3] = torch.nan, 0.0
    pixels[4, 5, 0] = torch.nan
    confidence[1, 1] = 1e-5
    target[3] = torch.nan
    scene = data_of(_page(tmp_path, replace(motion, pixels=pixels, confidence=confidence, target=target)))["scenes"][0]
    (packed,) = scene["motions"]
    unknown = values_of(packed["pixels"], 6, 17).isnan().all(-1)
    assert unknown.nonzero().tolist() == [[2, 3], [4, 5]]
    assert values_of(packed["target"], 6, 17).isnan().flatten(1).all(1).tolist() == [frame == 3 for frame in range(6)]
    kept = torch.tensor(numbers_of(packed["confidence"], "u1")).view(6, 17)
    assert kept[2, 3] == 0 and kept[1, 1] == 1 and kept[0, 0] == 230  # noqa: PLR2004


def test_a_motion_without_any_pixels_or_of_one_frame_is_shown(tmp_path: Path) -> None:
    nothing = torch.full((1, 17, 2), torch.nan)
    (packed,) = data_of(_page(tmp_path, walking(1, pixels=nothing)))["scenes"][0]["motions"]
    assert values_of(packed["pixels"], 1, 17).isnan().all()


def test_motions_of_the_cameras_frame_are_upright_and_on_the_floor(tmp_path: Path) -> None:
    motion = walking(20)
    (packed,) = data_of(_page(tmp_path, _upright_camera(motion)))["scenes"][0]["motions"]
    keypoints = values_of(packed["keypoints"]["positions"], 20, 17).float()
    torch.testing.assert_close(keypoints, motion.keypoints - torch.tensor([0.0, 0.0, 4.0]), rtol=0, atol=2e-3)


def test_people_of_one_video_share_its_floor_and_its_frames(tmp_path: Path) -> None:
    one = _upright_camera(walking(20))
    late = _upright_camera(walking(5, numbers=torch.arange(18, 23), times=torch.arange(18, 23).double() / 25))
    higher = replace(late, person="1", keypoints=late.keypoints - torch.tensor([0.0, 0.3, 0.0]))
    scene = data_of(_page(tmp_path, one, higher))["scenes"][0]
    assert numbers_of(scene["numbers"], "<i4") == list(range(23))
    assert numbers_of(scene["times"], "<f8") == pytest.approx([frame / 25 for frame in range(23)])
    assert numbers_of(scene["motions"][1]["frames"], "<i4") == list(range(18, 23))
    heights = [values_of(m["keypoints"]["positions"], -1, 17)[..., 1].amin() for m in scene["motions"]]
    assert [float(height) for height in heights] == pytest.approx([0.08, 0.38], abs=2e-3)


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    page = _page(tmp_path, walking(5))
    before = page.read_bytes()
    with pytest.raises(UserError, match="nobody has no frame to show: leave it out"):
        write_viewer(page, [Scene("nobody", [])])
    with pytest.raises(UserError, match="gone.mp4 is missing"):
        write_viewer(page, [Scene("walk", [walking(5, video=tmp_path / "gone.mp4")])])
    assert page.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["viewer.html"]


def test_the_same_motions_give_the_same_page(tmp_path: Path) -> None:
    assert _page(tmp_path / "one", walking(5)).read_bytes() == _page(tmp_path / "other", walking(5)).read_bytes()


def _picture(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((360, 640, 3), 8 * number, np.uint8)


def video_file(path: Path, frames: int, fps: float = 30.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (640, 360))
    for number in range(frames):
        writer.write(_picture(number))
    writer.release()
    return path


def _brightness(jpeg: str) -> tuple[tuple[int, ...], float]:
    image = cv2.imdecode(np.frombuffer(base64.b64decode(jpeg), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.shape, float(image.mean())


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_frames_of_a_video_are_inside_and_small(tmp_path: Path, kind: str) -> None:
    if kind == "file":
        video = video_file(tmp_path / "video.mp4", 20)
    else:
        video = tmp_path / "pictures"
        video.mkdir()
        for number in range(20):
            cv2.imwrite(str(video / f"{number}.png"), _picture(number))
    late = torch.arange(4, 16)
    motion = walking(12, fps=30.0, numbers=late, times=late.double() / 30, video=video)
    film = data_of(_page(tmp_path, motion))["scenes"][0]["video"]
    assert film["numbers"] == [4, 6, 8, 10, 12, 14]  # at most 15 a second
    for number, jpeg in zip(film["numbers"], film["jpegs"], strict=True):
        shape, brightness = _brightness(jpeg)
        assert shape == (180, 320, 3)
        assert brightness == pytest.approx(8 * number, abs=6)


def test_no_more_of_a_long_video_is_in_memory_than_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (180, 320, 3)).astype(np.uint8)
    monkeypatch.setattr(pictures, "_frames", lambda video, wanted: ((number, noise) for number in sorted(wanted)))
    tracemalloc.start()
    try:
        film = pictures.embed(Path("long.mp4"), [*range(200)], 15.0, Pictures(), 200_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert film["numbers"] == [0, 64, 128, 192]
    assert sum(map(len, film["jpegs"])) <= 200_000
    assert most < 1_500_000  # all of them would be 7,000,000


def test_the_caller_decides_how_much_of_a_video_is_inside(tmp_path: Path) -> None:
    scene = Scene("walk", [walking(20, fps=30.0, video=video_file(tmp_path / "video.mp4", 20))])
    page = tmp_path / "viewer.html"
    write_viewer(page, [scene], pictures=None)
    assert "video" not in data_of(page)["scenes"][0]
    write_viewer(page, [scene], pictures=Pictures(width=64, fps=30.0))
    whole = data_of(page)["scenes"][0]["video"]
    assert len(whole["jpegs"]) == 20 and _brightness(whole["jpegs"][0])[0] == (36, 64, 3)
    size = sum(map(len, whole["jpegs"]))
    write_viewer(page, [scene, scene], pictures=Pictures(width=64, fps=30.0, megabytes=size / 1e6))
    for half in data_of(page)["scenes"]:  # scenes share what there is
        assert 0 < sum(map(len, half["video"]["jpegs"])) <= size / 2
        assert half["video"]["numbers"] == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]

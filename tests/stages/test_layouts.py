"""`python -m stages.layouts`: a picture a layout, of the project's and of a user's own."""

from pathlib import Path

import pytest
from PIL import Image

from lib.pose.layouts import FURTHER_LAYOUTS, LAYOUTS
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from stages import layouts
from tests.plotting.test_plotting import PARAMS


def pictures(tmp_path: Path, *names: str) -> dict[str, Path]:
    layouts.run(names, {"visualize": PARAMS}, Paths(tmp_path))
    return {path.name: path for path in (tmp_path / "data" / "scratch" / "layouts").iterdir()}


def test_without_a_name_all_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = pictures(tmp_path)
    assert set(drawn) == {f"{name}.png" for name in (LAYOUTS | FURTHER_LAYOUTS)}
    for path in drawn.values():
        with Image.open(path) as image:
            assert image.width >= 300 and len(image.convert("RGB").getcolors(1 << 24) or []) > 50
    output = capsys.readouterr().out.replace("\n", "")
    assert all(f"layouts/{name}.png" in output for name in (LAYOUTS | FURTHER_LAYOUTS))


def test_a_file_describes_one_of_a_users_own(tmp_path: Path) -> None:
    own = tmp_path / "gloves.yaml"
    own.write_text("keypoints: {left: left_wrist, right: right_wrist, between: {left_hip: 0.5, right_hip: 0.5}}\n")
    assert set(pictures(tmp_path, "coco", str(own))) == {"coco.png", "gloves.png"}


def test_a_layout_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^magic is missing: name one of h36m, coco, .*, or a YAML file") as caught:
        pictures(tmp_path, "magic")
    assert "\n" not in str(caught.value)

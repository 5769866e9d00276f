"""One HTML file that shows motions in any browser, without a network: `write_viewer`.

Everything is inside the file: a style, a script and the data, as JSON that no browser runs. Its Content-Security-Policy
lets this one script and style run, by their hashes, and forbids every other and any connection. Beyond the title,
texts reach the page as data alone, which the script shows as text: a name cannot be markup.
"""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.runtime.errors import UserError
from lib.runtime.files import replacing
from lib.viewer.assets import asset, filled, policy
from lib.viewer.packing import Scene, pack_scene
from lib.viewer.pictures import Pictures, embed

__all__ = ["Pictures", "Scene", "write_viewer"]
TEMPLATE, STYLE = "viewer.html", "viewer.css"
SCRIPTS = (
    "data.js",
    "figures.js",
    "space.js",
    "view.js",
    "picture.js",
    "timeline.js",
    "app.js",
    "pointers.js",
    "controls.js",
)  # one after the other
LEFT, RIGHT = "#0072B2", "#D55E00"  # suit any colour vision (Okabe and Ito)
SMALL = Pictures()
EMPTY = "There is nothing to show."


def write_viewer(
    path: Path,
    scenes: Sequence[Scene],
    title: str = "Motions in 3D",
    pictures: Pictures | None = SMALL,
    colors: tuple[str, str] = (LEFT, RIGHT),
    empty: str = EMPTY,
) -> None:
    """Write the page, whole or not at all.

    `pictures` says how much of the videos of motions is put inside; None: nothing. `colors`, as #rrggbb, are those of
    people's own left and right side. A page without scenes says `empty`.

    Raises:
        UserError: a video cannot be read, or a scene has no motion in it.
    """
    data = {"title": title, "empty": empty, "colors": list(colors), "scenes": _packed(scenes, pictures)}
    style, script = asset(STYLE), "\n".join(asset(name) for name in SCRIPTS)
    parts = {
        "title": html.escape(title),
        "policy": policy(style, script),
        "style": style,
        "script": script,
        "data": _json(data),
    }
    page = filled(TEMPLATE, parts)
    with replacing(path) as temporary:
        # A title may be a file's name, which need not be text
        temporary.write_text(page, encoding="utf-8", errors="replace", newline="\n")


def _packed(scenes: Sequence[Scene], pictures: Pictures | None) -> list[dict[str, Any]]:
    """The scenes with their videos, which share the space that there is for pictures."""
    for scene in scenes:
        if not any(len(motion) for motion in scene.motions):
            raise UserError(f"{scene.title} has no frame to show: leave it out")
    packed = [pack_scene(scene) for scene in scenes]
    filmed = [any(motion.video for motion in scene.motions) for scene in scenes]
    for scene, content, has in zip(scenes, packed, filmed, strict=True):
        if pictures is not None and has:
            motion = next(motion for motion in scene.motions if motion.video)
            assert motion.video is not None
            limit = int(pictures.megabytes * 1e6 / sum(filmed))
            numbers = sorted({int(number) for one in scene.motions for number in one.numbers.tolist()})
            content["video"] = embed(motion.video, numbers, motion.fps, pictures, limit)
    return packed


def _json(data: object) -> str:
    """JSON that can stand in HTML: no text in it can end the script element that it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")

"""Cameras that users describe in YAML, and a writer of the same file.

A file describes one camera, which filmed everything:

    size: [1920, 1080]  # width and height of the pictures, pixels
    focal: 1500         # pixels, or two numbers; or fov_deg: 65, the horizontal field of view
    center: [958, 541]  # pixels; the picture's middle unless given
    opencv: [-0.1, 0.01, 0, 0, 0]  # distortion k1 k2 p1 p2 k3; or radial: k1 k2 k3 and tangential: p1 p2 as in
                                   # `lib.pose.cameras`; none unless given
    orientation: [1, 0, 0, 0]  # the camera's axes in the world, a quaternion, w first
    position: [0, 0, 0]        # metres

or several by name, below `cameras:`. A name is that of a camera of the data, or subject/action/camera; * stands for
anything in it. Of several that fit, the first counts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator

from lib.pose.cameras import Camera, focal_of_fov
from lib.runtime import plain_yaml
from lib.runtime.errors import UserError
from lib.runtime.files import replacing, require_file
from lib.runtime.params import Section, validated

Pixels = Annotated[int, Field(ge=2, le=100_000)]
Focal = Annotated[float, Field(gt=0, le=1e7)]
Angle = Annotated[float, Field(gt=0, lt=180)]
Number = Annotated[float, Field(ge=-1e6, le=1e6)]
OpenCV = tuple[Number, Number, Number, Number, Number]
SHORTEST = 0.1  # of the picture's longer side: no lens has so short a focal length, but millimetres look like it
EVERYTHING = "*"


class CameraEntry(Section):
    """A camera as a file describes it."""

    size: tuple[Pixels, Pixels]
    focal: Annotated[
        Focal | tuple[Focal, Focal] | None, Field(description="a number of pixels above 0, or a list of 2")
    ] = None
    fov_deg: Annotated[Angle | None, Field(description="a number of degrees above 0 and below 180")] = None
    center: tuple[Number, Number] | None = None
    radial: tuple[Number, Number, Number] = (0.0, 0.0, 0.0)
    tangential: tuple[Number, Number] = (0.0, 0.0)
    opencv: Annotated[OpenCV | None, Field(description="a list of 5 numbers: k1, k2, p1, p2, k3")] = None
    orientation: tuple[Number, Number, Number, Number] = (1.0, 0.0, 0.0, 0.0)
    position: tuple[Number, Number, Number] = (0.0, 0.0, 0.0)

    @model_validator(mode="after")
    def _whole(self) -> "CameraEntry":
        if (self.focal is None) == (self.fov_deg is None):
            raise ValueError("give either focal, in pixels, or fov_deg, the horizontal field of view")
        if self.opencv is not None and self.model_fields_set & {"radial", "tangential"}:
            raise ValueError("give distortion either as opencv or as radial and tangential")
        if not any(self.orientation):
            raise ValueError("orientation must be a quaternion that is not zero")
        camera = self.camera("")
        if min(camera.focal) < SHORTEST * max(self.size):
            raise ValueError(f"focal {min(camera.focal):g} is too short for {max(self.size)} pixels: give it in pixels")
        if not all(1 <= place <= side for place, side in zip(camera.center, self.size, strict=True)):
            raise ValueError("center must lie in the picture: give it in pixels")
        if not _invertible(camera):
            raise ValueError(
                "distortion folds the picture before its edges: look at its order, and for divided figures"
            )
        return self

    def camera(self, name: str) -> Camera:
        """The camera that is described."""
        width, height = self.size
        focal = focal_of_fov(self.fov_deg, width) if self.fov_deg is not None else self.focal
        assert focal is not None
        radial, tangential = self.radial, self.tangential
        if self.opencv is not None:
            k1, k2, p1, p2, k3 = self.opencv
            radial, tangential = (k1, k2, k3), (p1, p2)
        return Camera(
            name=name,
            size=self.size,
            focal=focal if isinstance(focal, tuple) else (focal, focal),
            center=self.center or (width / 2, height / 2),
            radial=radial,
            tangential=tangential,
            orientation=self.orientation,
            position=self.position,
            opencv=self.opencv is not None,
        )


def _invertible(camera: Camera) -> bool:
    """Whether what is seen in the middle of each edge of the picture has a ray."""
    width, height = camera.size
    x, y = camera.center
    edges = torch.tensor([[0, y], [width, y], [x, 0], [x, height]], dtype=torch.float64)
    return bool(((camera.to_pixels(camera.to_rays(edges)) - edges).abs() < 1).all())


@dataclass(frozen=True)
class Cameras:
    """The cameras of a file by their names, in its order."""

    path: Path
    by_name: Mapping[str, Camera]

    def find(self, subject: str, action: str, camera: str) -> Camera | None:
        """The first camera whose name fits a sequence."""
        return next((c for name, c in self.by_name.items() if fits(name, subject, action, camera)), None)

    def of(self, subject: str, action: str, camera: str, size: tuple[int, int] | None = None) -> Camera:
        """The camera of a sequence, with the data's name for it.

        Raises:
            UserError: no name fits, or the pictures of the sequence have another size.
        """
        found = self.find(subject, action, camera)
        if found is None:
            names = ", ".join(self.by_name)
            raise UserError(f"{self.path}: no camera fits {subject}/{action}/{camera}; it has {names}")
        if size is not None and size != found.size:
            described, actual = (f"{width} x {height}" for width, height in (found.size, size))
            raise UserError(
                f"{self.path}: the camera of {subject}/{action}/{camera} is described for pictures of {described}, "
                f"but those of the data are {actual}: describe it for these"
            )
        return replace(found, name=camera)


def fits(pattern: str, subject: str, action: str, camera: str) -> bool:
    """Whether a name fits a sequence: a camera's, or subject/action/camera, in both of which * stands for anything."""
    return fnmatchcase(f"{subject}/{action}/{camera}" if "/" in pattern else camera, pattern)


def read_cameras(path: Path) -> Cameras:
    """Read a file of one camera or several.

    Raises:
        UserError: the file is missing, or not as it should be.
    """
    require_file(path, "describe the cameras in it, or do without")
    content = plain_yaml.load(path)
    if isinstance(content, Mapping) and "cameras" in content:
        others = [key for key in content if key != "cameras"]
        if others:
            raise UserError(f"{path}: {others[0]} beside cameras belongs to none of them: move it into one")
        entries: Any = content["cameras"]
        if not isinstance(entries, Mapping) or not entries:
            raise UserError(f"{path}: cameras must map the name of each camera to its description")
        return Cameras(path, {name: _camera(path, name, f"cameras.{name}", entry) for name, entry in entries.items()})
    return Cameras(path, {EVERYTHING: _camera(path, EVERYTHING, "", content)})


def _camera(path: Path, name: str, key: str, content: Any) -> Camera:
    return validated(CameraEntry, content, key, str(path)).camera(name)


def write_cameras(path: Path, cameras: Mapping[str, Camera], comments: Mapping[str, str] | None = None) -> None:
    """Write cameras by their names, so that `read_cameras` gives the same; a comment may stand above each."""
    lines = ["cameras:"]
    for name, camera in cameras.items():
        k1, k2, k3 = camera.radial
        distortion = (
            {"opencv": [k1, k2, *camera.tangential, k3]}
            if camera.opencv
            else {"radial": camera.radial, "tangential": camera.tangential}
        )
        lines += [f"  # {line}" for line in (comments or {}).get(name, "").splitlines()]
        lines.append(f"  {json.dumps(name, ensure_ascii=False)}:")
        entry = {"size": camera.size, "focal": camera.focal, "center": camera.center, **distortion}
        entry |= {"orientation": camera.orientation, "position": camera.position}
        lines += [f"    {key}: {json.dumps(value)}" for key, value in entry.items()]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

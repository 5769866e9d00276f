"""The section of params that configures the pictures."""

from typing import Annotated

from matplotlib.colors import is_color_like
from pydantic import Field, field_validator

from lib.runtime.params import Section


class VisualizeParams(Section):
    """`visualize`: which sequences are shown, and how."""

    sequences: Annotated[tuple[str, ...], Field(min_length=1)]  # subject/action/camera, with * and ? as in file names
    count: Annotated[int, Field(ge=1)]  # of those that match, this many, evenly spaced, get pictures of their own
    dpi: Annotated[int, Field(ge=50, le=400)]
    gif_frames: Annotated[int, Field(ge=0)]  # 0: no animations
    gif_fps: Annotated[float, Field(gt=0, le=50)]  # browsers show no GIF faster; the motion keeps its real speed
    left_color: str  # of the person's own left side
    right_color: str

    @field_validator("left_color", "right_color")
    @classmethod
    def _known_color(cls, value: str) -> str:
        if not is_color_like(value):
            raise ValueError("must be a colour that matplotlib knows, as '#0072B2' or 'tab:blue'")
        return value

"""The section of params that configures the pictures."""

from typing import Annotated

from matplotlib.colors import is_color_like
from pydantic import Field, field_validator

from lib.runtime.params import Section

Pattern = Annotated[str, Field(min_length=1, max_length=300, description="text such as S9/*/*")]


class VisualizeParams(Section):
    """`visualize`: which sequences are shown, and how."""

    # subject/action/camera, with * and ? as in file names; of those that match, `count`, evenly spaced, get pictures of
    # their own.
    sequences: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    count: Annotated[int, Field(ge=1, le=1000)]
    dpi: Annotated[int, Field(ge=50, le=400)]
    gif_frames: Annotated[int, Field(ge=0, le=1000)]  # 0: no animations
    gif_fps: Annotated[float, Field(ge=1, le=50)]  # browsers show no GIF faster; the motion keeps its real speed
    viewer_sequences: Annotated[int, Field(ge=0, le=1000)]  # of those that match, evenly spaced; 0: none
    left_color: str  # of the person's own left side
    right_color: str

    @field_validator("left_color", "right_color")
    @classmethod
    def _known_color(cls, value: str) -> str:
        if not is_color_like(value):
            raise ValueError("must be a colour that matplotlib knows, as '#0072B2' or 'tab:blue'")
        return value

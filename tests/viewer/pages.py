"""What is in a page that `write_viewer` wrote, read back without a browser."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

MISSING = 0xFFFF


def data_of(path: Path) -> dict[str, Any]:
    """The data of a page."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    content: dict[str, Any] = json.loads(text)
    return content


def values_of(packed: dict[str, Any], *shape: int) -> Float[Tensor, "..."]:
    """Quantised values; not a number where one is missing."""
    codes = np.frombuffer(base64.b64decode(packed["data"]), "<u2").reshape(*shape, len(packed["origin"]))
    values = np.where(codes == MISSING, np.nan, np.array(packed["origin"]) + codes * packed["step"])
    return torch.from_numpy(values)


def numbers_of(text: str, kind: str) -> list[float]:
    """An array of plain numbers."""
    numbers: list[float] = np.frombuffer(base64.b64decode(text), kind).tolist()
    return numbers

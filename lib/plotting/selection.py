"""Which sequences and frames the pictures show."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.runtime.errors import UserError

QUANTILES = {"good (1 frame in 10 is better)": 0.1, "median": 0.5, "bad (1 frame in 20 is worse)": 0.95}


def sequence_names(table: pd.DataFrame) -> list[str]:
    """subject/action/camera of every sequence of a store's table."""
    return (table["subject"] + "/" + table["action"] + "/" + table["camera"]).tolist()


def select_sequences(table: pd.DataFrame, patterns: Sequence[str], count: int) -> pd.DataFrame:
    """The rows of at most `count` sequences that match a pattern, evenly spaced over those that do.

    Raises:
        UserError: a pattern matches no sequence; the message names what there is.
    """
    names = sequence_names(table)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            known = (f"{column}s {', '.join(table[column].unique())}" for column in ("subject", "action", "camera"))
            raise UserError(
                f"params.yaml: visualize.sequences = {pattern!r} matches no test sequence; "
                f"write subject/action/camera, with * for any, of the {'; '.join(known)}"
            )
    matching = [row for row, name in enumerate(names) if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if count < len(matching):
        matching = [matching[(2 * k + 1) * len(matching) // (2 * count)] for k in range(count)]
    return table.iloc[matching]


def typical_frames(errors: Float[Tensor, " frame"]) -> dict[str, int]:
    """The frames whose error is nearest to each of `QUANTILES`, by their label."""
    levels = torch.quantile(errors.double(), torch.tensor(list(QUANTILES.values()), dtype=torch.float64))
    return {label: int((errors - level).abs().argmin()) for label, level in zip(QUANTILES, levels, strict=True)}

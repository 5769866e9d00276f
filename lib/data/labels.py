"""Which of the labels there are fine-tuning may see."""

import numpy as np
import torch

from lib.data.split import Split
from lib.runtime.errors import UserError


def labelled(split: Split, subjects: tuple[str, ...], fraction: float, seed: int) -> Split:
    """A share of a split's frames: whole sequences in random order, the last one cut to what is left of the share.

    `subjects` are those that are taken from, all if none is named; the fraction is of their frames.

    Raises:
        UserError: the split has no such subject.
    """
    table = split.table
    known = table["subject"].unique()
    for subject in subjects:
        if subject not in known:
            raise UserError(
                f"params.yaml: finetune.subjects names {subject}, who is not among the training subjects: "
                f"{', '.join(known)}"
            )
    rows = np.flatnonzero(table["subject"].isin(subjects or known))
    order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).numpy()]
    lengths = table["length"].to_numpy()[order]
    wanted = max(1, round(fraction * lengths.sum()))
    kept = np.clip(wanted - (lengths.cumsum() - lengths), 0, lengths)
    order, kept = order[kept > 0], kept[kept > 0]
    starts = table["start"].to_numpy()[order]
    frames = torch.from_numpy(
        np.concatenate([np.arange(start, start + length) for start, length in zip(starts, kept, strict=True)])
    )
    chosen = table.iloc[order].assign(start=kept.cumsum() - kept, length=kept).reset_index(drop=True)
    return split.take(frames, chosen)

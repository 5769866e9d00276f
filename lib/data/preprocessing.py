"""From a source's sequences to the splits of the store, and the statistics of what is in them."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lib.data import store
from lib.data.reprojection import check_reprojection
from lib.data.splits import check_split, split_sequences
from lib.data.statistics import (
    camera_statistics,
    count_dropped,
    flat_metrics,
    keypoint_statistics,
    overall,
    position_statistics,
)
from lib.pose.cameras import assumption
from lib.pose.layouts import FURTHER_LAYOUTS, H36M_LAYOUT, LAYOUTS, layout_named
from lib.runtime.errors import UserError
from lib.sources.base import SourceParams, SplitParams
from lib.sources.cameras import with_cameras
from lib.sources.catalog import read_source, usual
from lib.sources.keypoints.layout import check_order


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: preprocessing is many small operations, which several only wait for each other in."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Preprocessed(NamedTuple):
    """What the preprocess stage writes beside the store."""

    stats: dict[str, Any]
    metrics: dict[str, int | float]  # flat
    notes: list[str]  # what the source says of its files, and what was assumed of cameras, a line each


@one_thread()
def preprocess(data: SourceParams, raw: Path, poses: Path) -> Preprocessed:
    """Read the raw files of a source, sort its sequences into splits, and write the store.

    Raises:
        UserError: the split, the source or its files are not as they should be.
    """
    check_split(data.split)
    return _preprocess(data, raw, poses, SplitParams.model_fields)


@one_thread()
def preprocess_test(data: SourceParams | None, raw: Path | None, poses: Path) -> Preprocessed | None:
    """Write the store with the test split of another source, or an empty one where there is none.

    Raises:
        UserError: as `preprocess`.
    """
    if data is None or raw is None:
        store.write(poses, {}, H36M_LAYOUT)
        return None
    with as_evaluation():
        return _preprocess(data, raw, poses, ("test",))


@contextlib.contextmanager
def as_evaluation() -> Iterator[None]:
    """Name the keys of `evaluation` in errors about another source to test on."""
    try:
        yield
    except UserError as error:
        message = str(error).replace("data.split.test", "evaluation.subjects")
        for key in ("source", "keypoints"):
            message = message.replace(f"data.{key}", f"evaluation.{key}")
        raise UserError(message) from None


def _preprocess(data: SourceParams, raw: Path, poses: Path, names: Iterable[str]) -> Preprocessed:
    data = usual(data)
    layout = None if data.layout == "auto" else layout_named(data.layout, raw)
    source = read_source(raw, data)
    if layout is not None and len(layout) != len(source.layout):
        raise UserError(
            f"params.yaml: data.layout = {data.layout!r} has {len(layout)} keypoints, and the {data.source} source "
            f"has {len(source.layout)}"
        )
    own = source.recorded
    if layout is not None and data.layout in LAYOUTS | FURTHER_LAYOUTS:  # a file of the user's own is believed
        check_order(own, layout, data.layout)
    layout = layout or source.layout
    source = source._replace(recorded=with_cameras(own, data.cameras, raw))
    splits, dropped, divided = split_sequences(source, data)
    try:
        check_reprojection(own)
    except UserError:
        if data.cameras in ("auto", "assumed"):
            raise
        check_reprojection(source.recorded)  # the source's own cameras may be what is wrong
    store.write(poses, {name: splits[name] for name in names}, layout)
    keypoints, positions, undetected = {}, {}, {}
    for name in (name for name, sequences in splits.items() if sequences):
        split = store.read_split(poses, name, "if any")
        keypoints[name] = keypoint_statistics(split)
        undetected[name] = keypoints[name]["undetected_frames"]
        if split.positions is not None:
            positions[name] = position_statistics(split)
    stats = {
        "source": data.source,
        "keypoints": data.keypoints,
        "inputs": dict(source.inputs),
        "layout": layout.name,
        "cameras": camera_statistics(source.recorded),
        "splits": keypoints,
        "dropped": count_dropped(dropped),
        "cut_frames": source.cut_frames,
        "evaluation_only": positions,
    }
    metrics = flat_metrics(splits, undetected, dropped, source.cut_frames)
    metrics |= {f"input_{name}": count for name, count in source.inputs.items()}
    metrics |= overall(keypoints)
    metrics["assumed_cameras"] = sum(s.camera.assumed for some in splits.values() for s in some)
    assumed = {assumption(sequence.camera) for sequence in source.recorded if sequence.camera.assumed}
    left_out = [f"left out: {each.why}" for each in dropped if each.why]
    return Preprocessed(stats, metrics, [*source.notes, *left_out, *divided, *sorted(assumed)])

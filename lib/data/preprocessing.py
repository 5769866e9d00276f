"""From a source's sequences to the splits of the store, and the statistics of what is in them."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data import store
from lib.data.calibration import detected_joints
from lib.data.division import divide
from lib.data.reprojection import check_reprojection
from lib.data.store import Split
from lib.pose.camera_files import read_cameras
from lib.pose.cameras import assumed_camera, assumption
from lib.pose.crops import Rays, extent
from lib.pose.geometry import bone_lengths, root_centred
from lib.pose.layouts import FURTHER_LAYOUTS, H36M_LAYOUT, LAYOUTS, Layout, layout_named
from lib.pose.skeleton import Skeleton
from lib.runtime.errors import UserError
from lib.sources.base import REASONS, AutoSplit, Dropped, PoseSequence, Reason, SourceData, SourceParams, SplitParams
from lib.sources.catalog import read_source, usual
from lib.sources.keypoints.detections import BadFile
from lib.sources.keypoints.layout import LOOKED_AT, find_layout

_CHUNK = 1 << 16  # frames at a time, which bounds the memory of intermediate results
_NAMED = 20  # subjects in a message


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
    own = source.sequences
    if layout is not None and data.layout in LAYOUTS | FURTHER_LAYOUTS:  # a file of the user's own is believed
        _check_layout(own, layout, data.layout)
    layout = layout or source.layout
    try:
        source = source._replace(sequences=with_cameras(own, data.cameras, raw))
    except UserError as error:
        if data.source != "keypoints" or "pictures" not in str(error):
            raise
        raise UserError(f"{error}, or say data.size if the files of keypoints do not say it") from None
    splits, dropped, divided = split_sequences(source, data)
    try:
        check_reprojection(own)
    except UserError:
        if data.cameras in ("auto", "assumed"):
            raise
        check_reprojection(source.sequences)  # the source's own cameras may be what is wrong
    store.write(poses, {name: splits[name] for name in names}, layout)
    keypoints, positions, undetected = {}, {}, {}
    for name in (name for name, sequences in splits.items() if sequences):
        split = store.read_split(poses, name, "if any")
        keypoints[name] = keypoint_statistics(split)
        undetected[name] = keypoints[name]["undetected_frames"]
        if split.positions is not None:
            positions[name] = position_statistics(split.positions[split.labelled], split.skeleton)
    stats = {
        "source": data.source,
        "keypoints": data.keypoints,
        "inputs": dict(source.inputs),
        "layout": layout.name,
        "cameras": camera_statistics(source.sequences),
        "splits": keypoints,
        "dropped": count_dropped(dropped),
        "cut_frames": source.cut_frames,
        "evaluation_only": positions,
    }
    metrics = flat_metrics(splits, undetected, dropped, source.cut_frames)
    metrics |= {f"input_{name}": count for name, count in source.inputs.items()}
    metrics |= _overall(keypoints)
    metrics["assumed_cameras"] = sum(s.camera.assumed for some in splits.values() for s in some)
    assumed = {assumption(sequence.camera) for sequence in source.sequences if sequence.camera.assumed}
    left_out = [f"left out: {each.why}" for each in dropped if each.why]
    return Preprocessed(stats, metrics, [*source.notes, *left_out, *divided, *sorted(assumed)])


def _check_layout(sequences: Sequence[PoseSequence], layout: Layout, said: str) -> None:
    """Refuse an order in which keypoints lie as no body's, if they do in that of another layout; raises UserError."""
    some = [torch.cat([s.keypoints, s.confidence[..., None]], -1)[: LOOKED_AT * 10] for s in sequences[:LOOKED_AT]]
    if not some:
        return
    points = torch.cat(some).numpy().copy()
    points[~(points[..., 2] > 0)] = float("nan")
    try:
        find_layout(points, layout)
    except BadFile as error:
        raise UserError(f"params.yaml: data.layout = {said!r}: {error}") from None


def _overall(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Over all splits: the share of joints that are hidden in frames that show somebody, and the mean confidence."""
    frames: dict[str, int] = {name: split["frames"] - split["undetected_frames"] for name, split in splits.items()}
    total = max(1, sum(frames.values()))

    def mean(of: Mapping[str, float]) -> float:
        return round(math.fsum(frames[name] * value for name, value in of.items()) / total, 4)

    hidden = {
        name: sum(split["hidden_by_joint"].values()) / len(split["hidden_by_joint"]) for name, split in splits.items()
    }
    confidence = {name: split["confidence"]["mean"] for name, split in splits.items()}
    return {"hidden_share": mean(hidden), "mean_confidence": mean(confidence)}


def with_cameras(sequences: Sequence[PoseSequence], cameras: str, raw: Path) -> list[PoseSequence]:
    """The sequences before the cameras that `data.cameras` says; where they stand in the world stays as it is.

    Raises:
        UserError: the file of cameras is missing or not as it should be, or a sequence has none in it.
    """
    if cameras == "auto":
        return [*sequences]
    given = None if cameras == "assumed" else read_cameras(raw / cameras)
    changed = []
    for sequence in sequences:
        own, name = sequence.camera, sequence.camera.name
        camera = (
            given.of(sequence.subject, sequence.action, name, own.size) if given else assumed_camera(own.size, name)
        )
        changed.append(replace(sequence, camera=replace(camera, orientation=own.orientation, position=own.position)))
    return changed


def check_split(split: SplitParams) -> None:
    """Refuse a split without subjects, and a subject that is named twice.

    Raises:
        UserError: naming the split, or the subject and where it stands.
    """
    if isinstance(split, AutoSplit):
        return
    for name in SplitParams.model_fields:
        if not getattr(split, name):
            raise UserError(f"params.yaml: data.split.{name} names nobody: every split needs a subject")
    places: dict[str, list[str]] = {}
    for name in SplitParams.model_fields:
        for subject in getattr(split, name):
            places.setdefault(subject, []).append(name)
    for subject, names in places.items():
        if len(names) > 1:
            raise UserError(
                f"params.yaml: data.split names {subject} more than once ({', '.join(names)}): "
                "a subject belongs to one split"
            )


def split_sequences(
    data: SourceData, params: SourceParams
) -> tuple[dict[str, list[PoseSequence]], list[Dropped], list[str]]:
    """Sort sequences by their subject's split; drop those with fewer than `min_frames`, or that show nobody.

    Returns also all that was dropped, and what is to be said of a division that nobody named.

    Raises:
        UserError: a subject is not in the source, or no sequence of it is left.
    """
    kept, dropped = [], [*data.dropped]
    for sequence in data.sequences:
        reason = _unfit(sequence, params.min_frames)
        if reason is None:
            kept.append(sequence)
        else:
            frames = len(sequence.keypoints)
            dropped.append(Dropped(sequence.subject, sequence.action, sequence.camera.name, frames, reason))
    if isinstance(params.split, AutoSplit):
        if not data.sequences and not data.dropped:
            known = ", ".join(data.subjects[:_NAMED])
            raise UserError(f"params.yaml: data.split = auto: name subjects of the {params.source} source: {known}")
        splits, note = divide(kept, params.min_frames)
        for name, sequences in splits.items():
            if not sequences:
                raise UserError(_nothing_left(name, "auto", dropped, params.min_frames))
        return splits, dropped, [note]
    splits = {}
    for name in SplitParams.model_fields:
        subjects = getattr(params.split, name)
        for subject in subjects:
            if subject not in data.subjects:
                known = ", ".join(data.subjects[:_NAMED]) or "no subjects"
                more = f" and {len(data.subjects) - _NAMED} more" if len(data.subjects) > _NAMED else ""
                hint = "; data.split=auto divides what there is" if params.source == "keypoints" else ""
                raise UserError(
                    f"params.yaml: data.split.{name} names {subject}, which the {params.source} source does not have; "
                    f"it has {known}{more}{hint}"
                )
        splits[name] = [s for s in kept if s.subject in subjects]
        if subjects and not splits[name]:
            raise UserError(_nothing_left(name, subjects, dropped, params.min_frames))
        there = {sequence.subject for sequence in splits[name]}
        if nobody := [subject for subject in subjects if subject not in there]:
            raise UserError(_nothing_left(name, nobody, dropped, params.min_frames))
    return splits, dropped, []


def _nothing_left(
    name: str, subjects: Sequence[str] | Literal["auto"], dropped: Iterable[Dropped], min_frames: int
) -> str:
    """Why a split has no sequence."""
    counts = count_dropped(dropped, None if subjects == "auto" else subjects)
    why = ", ".join(f"{count['sequences']} {reason}" for reason, count in counts.items())
    what = "data.split = auto" if subjects == "auto" else f"data.split.{name} = {', '.join(subjects)}"
    where = f" for {name}" if subjects == "auto" else ""
    none = "what there is is too short to be divided" if subjects == "auto" else "the source has none"
    return f"params.yaml: {what} leaves no sequence{where} ({why or none}; data.min_frames = {min_frames})"


def _unfit(sequence: PoseSequence, min_frames: int) -> Reason | None:
    if len(sequence.keypoints) < min_frames:
        return "too_short"
    return None if detected_joints(sequence.keypoints, sequence.confidence).any() else "no_2d"


def count_dropped(dropped: Iterable[Dropped], subjects: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """Reason -> how many sequences and frames, and which; of some subjects only, if given."""
    counts: dict[str, dict[str, Any]] = {}
    for sequence in dropped:
        if subjects is None or sequence.subject in subjects:
            count = counts.setdefault(sequence.reason, {"sequences": 0, "frames": 0, "which": []})
            count["sequences"] += 1
            count["frames"] += sequence.frames
            count["which"].append(f"{sequence.subject} {sequence.action} {sequence.camera}")
    return counts


def flat_metrics(
    splits: Mapping[str, Sequence[PoseSequence]], undetected: Mapping[str, int], dropped: Sequence[Dropped], cut: int
) -> dict[str, int | float]:
    """Counts as flat numbers, the same keys in every run.

    Frames that are `undetected` show nobody; sequences that are unlabelled have no 3D.
    """
    metrics: dict[str, int | float] = {}
    for name, sequences in splits.items():
        metrics[f"{name}_sequences"] = len(sequences)
        metrics[f"{name}_frames"] = sum(len(s.keypoints) for s in sequences)
        metrics[f"{name}_undetected_frames"] = undetected.get(name, 0)
        metrics[f"{name}_unlabelled_sequences"] = sum(s.positions is None for s in sequences)
    metrics["dropped_sequences"] = len(dropped)
    for reason in REASONS:
        metrics[f"dropped_{reason}"] = sum(d.reason == reason for d in dropped)
    metrics["cut_frames"] = cut
    return metrics


def camera_statistics(sequences: Sequence[PoseSequence]) -> dict[str, dict[str, Any]]:
    """The lenses of the cameras by their names; those of a name that differ between sequences have a list each."""
    found: dict[str, dict[str, set[Any]]] = {}
    for camera in {sequence.camera for sequence in sequences}:
        of_name = found.setdefault(camera.name, {"focal": set(), "fov_deg": set()})
        of_name["focal"].add(round(camera.focal[0], 3))
        of_name["fov_deg"].add(round(camera.fov_deg, 2))
    return {name: {key: sorted(values) for key, values in found[name].items()} for name in sorted(found)}


def keypoint_statistics(split: Split) -> dict[str, Any]:
    """What a split holds, and the scale of its 2D, where joints are seen; nothing of its 3D."""
    detected, seen = split.detected, split.confidence > 0
    high, low = (torch.where(seen[..., None], split.keypoints, far)[detected] for far in (-torch.inf, torch.inf))
    box = high.amax(1) - low.amin(1)
    chunks = zip(split.rays[detected].split(_CHUNK), seen[detected].split(_CHUNK), strict=True)
    scale = torch.cat([_extent(*chunk, split.layout) for chunk in chunks])
    table = split.table
    return {
        "subjects": sorted(table["subject"].unique(), key=lambda s: (len(s), s)),
        "sequences": len(table),
        "frames": len(split.keypoints),
        "seconds": round(sum(split.timing.seconds), 3),
        "fps": sorted(float(fps) for fps in table["fps"].unique()),
        "undetected_frames": int((~detected).sum()),  # which show nobody
        "hidden_joints": int((~seen[detected]).sum()),  # of the other frames
        "hidden_by_joint": {
            name: round(float(share), 4)
            for name, share in zip(split.layout.keypoints, (~seen[detected]).double().mean(0), strict=True)
        },
        "confidence": _mean_and_std(split.confidence[seen]),
        "box_width_px": _mean_and_std(box[:, 0]),
        "box_height_px": _mean_and_std(box[:, 1]),
        "ray_extent": _mean_and_std(scale),  # RMS distance of rays from their mean: about what a crop is divided by
        "ray_x": _mean_and_std(split.rays[..., 0][seen]),
        "ray_y": _mean_and_std(split.rays[..., 1][seen]),
    }


def _extent(
    rays: Float[Tensor, "frame joint 2"], seen: Bool[Tensor, "frame joint"], layout: Layout
) -> Float[Tensor, " frame"]:
    std = torch.where(seen, 0.0, torch.inf)
    return extent(Rays(rays[:, None], std[:, None], layout))[:, 0]


def position_statistics(positions: Float[Tensor, "frame joint 3"], skeleton: Skeleton) -> dict[str, Any]:
    """3D statistics in metres, camera frame: for judging results. What trains without labels must not read them."""
    centred_mean = root_centred(positions, skeleton).double().mean(0)
    lengths = bone_lengths(positions, skeleton)
    names = skeleton.names
    return {
        "mean_pose_m": {name: _rounded(joint) for name, joint in zip(names, centred_mean, strict=True)},
        "bone_length_m": {names[child]: _mean_and_std(lengths[:, i]) for i, (child, _) in enumerate(skeleton.bones)},
        "root_depth_m": _mean_and_std(positions[:, list(skeleton.centre), 2].mean(1)),
    }


def _mean_and_std(values: Tensor) -> dict[str, float]:
    variance, mean = torch.var_mean(values.double(), correction=0)
    return {"mean": round(float(mean), 6), "std": round(float(variance.sqrt()), 6)}


def _rounded(values: Float[Tensor, "3"]) -> list[float]:
    return [round(float(value), 6) for value in values]

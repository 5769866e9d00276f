"""What is in the splits of the store: counts, and the scale of 2D and 3D."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data.calibration import only, or_else
from lib.data.split import Split
from lib.pose.crops import Rays, extent
from lib.pose.geometry import bone_lengths, root_centred
from lib.pose.layout import Layout
from lib.sources.base import REASONS, Dropped, Recorded

PART = 1 << 17  # frames at a time, of whole sequences
_CHUNK = 1 << 16  # frames at a time, which bounds the memory of intermediate results


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
    splits: Mapping[str, Sequence[Recorded]], undetected: Mapping[str, int], dropped: Sequence[Dropped], cut: int
) -> dict[str, int | float]:
    """Counts as flat numbers, the same keys in every run.

    Frames that are `undetected` show nobody; sequences that are unlabelled have no 3D.
    """
    metrics: dict[str, int | float] = {}
    for name, sequences in splits.items():
        metrics[f"{name}_sequences"] = len(sequences)
        metrics[f"{name}_frames"] = sum(s.frames for s in sequences)
        metrics[f"{name}_undetected_frames"] = undetected.get(name, 0)
        metrics[f"{name}_unlabelled_sequences"] = sum(not s.labelled for s in sequences)
    metrics["dropped_sequences"] = len(dropped)
    for reason in REASONS:
        metrics[f"dropped_{reason}"] = sum(d.reason == reason for d in dropped)
    metrics["cut_frames"] = cut
    return metrics


def overall(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
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


def camera_statistics(sequences: Sequence[Recorded]) -> dict[str, dict[str, Any]]:
    """The lenses of the cameras by their names; those of a name that differ between sequences have a list each."""
    found: dict[str, dict[str, set[Any]]] = {}
    for camera in {sequence.camera for sequence in sequences}:
        of_name = found.setdefault(camera.name, {"focal": set(), "fov_deg": set()})
        of_name["focal"].add(round(camera.focal[0], 3))
        of_name["fov_deg"].add(round(camera.fov_deg, 2))
    return {name: {key: sorted(values) for key, values in found[name].items()} for name in sorted(found)}


class _Pooled:
    """The mean and the standard deviation of numbers that come in parts."""

    def __init__(self) -> None:
        self._count, self._mean, self._variance = 0, torch.tensor(torch.nan), torch.tensor(torch.nan)

    def add(self, values: Float[Tensor, " *shape"]) -> None:
        """Take in more numbers: by each of their other axes, if they have some."""
        count = len(values)
        values = values.double()
        if values.ndim == 1:  # where this takes half as long
            mean = values.mean()
            variance = (values - mean).square_().mean()
        else:
            variance, mean = torch.var_mean(values, 0, correction=0)
        if self._count and count:
            share = count / (self._count + count)
            apart = mean - self._mean
            mean = self._mean + share * apart
            variance = (1 - share) * self._variance + share * variance + share * (1 - share) * apart.square()
        if count:
            self._count, self._mean, self._variance = self._count + count, mean, variance

    def rounded(self) -> dict[str, float]:
        """Mean and std of plain numbers."""
        return {"mean": round(float(self._mean), 6), "std": round(float(self._variance.sqrt()), 6)}

    @property
    def mean(self) -> Tensor:
        """By each of the other axes."""
        return self._mean


def keypoint_statistics(split: Split) -> dict[str, Any]:
    """What a split holds, and the scale of its 2D, where joints are seen; nothing of its 3D."""
    pooled = {
        name: _Pooled() for name in ("confidence", "box_width_px", "box_height_px", "ray_extent", "ray_x", "ray_y")
    }
    hidden, undetected = torch.zeros(len(split.layout), dtype=torch.long), 0
    for part in split.parts(PART):
        detected, seen = part.detected, part.confidence > 0
        high, low = (or_else(part.keypoints, seen, far) for far in (-torch.inf, torch.inf))
        box = only(high.amax(1) - low.amin(1), detected)
        chunks = zip(only(part.rays, detected).split(_CHUNK), only(seen, detected).split(_CHUNK), strict=True)
        pooled["confidence"].add(only(part.confidence, seen))
        pooled["box_width_px"].add(box[:, 0])
        pooled["box_height_px"].add(box[:, 1])
        # RMS distance of rays from their mean: about what a crop is divided by
        pooled["ray_extent"].add(torch.cat([_extent(*chunk, part.layout) for chunk in chunks]))
        pooled["ray_x"].add(only(part.rays[..., 0], seen))
        pooled["ray_y"].add(only(part.rays[..., 1], seen))
        hidden += (~only(seen, detected)).sum(0)
        undetected += int((~detected).sum())
    table, detected_frames = split.table, len(split.keypoints) - undetected
    return {
        "subjects": sorted(table["subject"].unique(), key=lambda s: (len(s), s)),
        "sequences": len(table),
        "frames": len(split.keypoints),
        "seconds": round(sum(split.timing.seconds), 3),
        "fps": sorted(float(fps) for fps in table["fps"].unique()),
        "undetected_frames": undetected,  # which show nobody
        "hidden_joints": int(hidden.sum()),  # of the other frames
        "hidden_by_joint": {
            name: round(count / detected_frames, 4)
            for name, count in zip(split.layout.keypoints, hidden.tolist(), strict=True)
        },
        **{name: of.rounded() for name, of in pooled.items()},
    }


def _extent(
    rays: Float[Tensor, "frame joint 2"], seen: Bool[Tensor, "frame joint"], layout: Layout
) -> Float[Tensor, " frame"]:
    std = torch.where(seen, 0.0, torch.inf)
    return extent(Rays(rays[:, None], std[:, None], layout))[:, 0]


def position_statistics(split: Split) -> dict[str, Any]:
    """3D statistics in metres, camera frame: for judging results. What trains without labels must not read them."""
    skeleton, names = split.skeleton, split.skeleton.names
    pose, depth = _Pooled(), _Pooled()
    bones = [_Pooled() for _ in skeleton.bones]
    for part in split.parts(PART):
        assert part.positions is not None
        positions = only(part.positions, part.labelled)
        if len(positions) == 0:
            continue
        pose.add(root_centred(positions, skeleton))
        for bone, lengths in zip(bones, bone_lengths(positions, skeleton).unbind(1), strict=True):
            bone.add(lengths)
        depth.add(positions[:, list(skeleton.centre), 2].mean(1))
    return {
        "mean_pose_m": {name: _rounded(joint) for name, joint in zip(names, pose.mean, strict=True)},
        "bone_length_m": {names[child]: bone.rounded() for bone, (child, _) in zip(bones, skeleton.bones, strict=True)},
        "root_depth_m": depth.rounded(),
    }


def _rounded(values: Float[Tensor, "3"]) -> list[float]:
    return [round(float(value), 6) for value in values]

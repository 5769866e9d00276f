"""What is in the splits of the store: counts, and the scale of 2D and 3D."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.data.split import Split
from lib.pose.crops import Rays, extent
from lib.pose.geometry import bone_lengths, root_centred
from lib.pose.layouts import Layout
from lib.pose.skeleton import Skeleton
from lib.sources.base import REASONS, Dropped, PoseSequence

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

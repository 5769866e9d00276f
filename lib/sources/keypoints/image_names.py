"""What the names of images tell: which video each is of, and which frame of it.

`ann/000012.jpg` and `ann_12.jpg` are frame 12 of the video `ann`: a video's images differ by the last number in their
names alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lib.sources.keypoints.detections import Array
from lib.sources.keypoints.values import Json

_LEAST = 2  # images a video: where there are fewer, what differs between names is the frame


def frames_of(images: Sequence[str]) -> tuple[Array, int]:
    """The frames of images by the last number in their names, or else by their order; and how many there are."""
    found = [re.findall(r"\d+", Path(image).stem) for image in images]
    if images and all(found):
        numbers = np.array([int(parts[-1][-15:]) for parts in found], np.int64)
        if len(set(images)) == len(set(numbers.tolist())):
            numbers = numbers - numbers.min()
            return numbers, int(numbers.max()) + 1
    place = {image: number for number, image in enumerate(dict.fromkeys(images))}
    return np.array([place[image] for image in images], np.int64), len(place)


def by_video(content: Json) -> Iterator[tuple[str, Json]]:
    """The name of each video in a file of AlphaPose or COCO, and what the file has of it; "" where there is but one."""
    if isinstance(content, list):
        names = _videos([entry["image_id"] if isinstance(entry, Mapping) else "" for entry in content])
        for name, places in _grouped(names):
            yield name, [content[place] for place in places]
    elif "images" in content:
        yield from _of_data_set(content)
    elif {"people", "bodies"} & set(content):
        yield "", content
    else:
        keys = list(content)
        for name, places in _grouped(_videos(keys)):
            yield name, {keys[place]: content[keys[place]] for place in places}


def _of_data_set(content: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    images = content["images"]
    known = [image if isinstance(image, Mapping) else {} for image in images]
    if all("video_id" in image for image in known):
        names = [f"video_{image['video_id']}" for image in known]
    else:
        names = _videos([image.get("file_name") for image in known])
    groups = _grouped(names)
    if len(groups) == 1:
        yield "", content
        return
    of = {str(image.get("id")): name for image, name in zip(known, names, strict=True)}
    annotations: dict[str, list[Json]] = {}
    for entry in content.get("annotations") or []:
        name = of.get(str(entry.get("image_id")), names[0]) if isinstance(entry, Mapping) else names[0]
        annotations.setdefault(name, []).append(entry)
    for name, places in groups:
        yield name, {**content, "images": [images[place] for place in places], "annotations": annotations.get(name, [])}


def _grouped(names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """The names, in the order in which they come first, and where each is."""
    if len(set(names)) < 2:
        return [("", list(range(len(names))))]
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    places = sorted(range(len(names)), key=lambda place: order[names[place]])
    return [(name, list(some)) for name, some in groupby(places, key=lambda place: names[place])]


def _videos(images: Sequence[Any]) -> list[str]:
    """The video of each image: what its name has before the last number, or else its folder, if that tells several."""
    if not all(isinstance(image, str) for image in images):
        return [""] * len(images)
    different = set(images)
    for video in (_prefix, _folder):
        of: dict[str, str] = {image: video(image) for image in different}
        if len(different) >= _LEAST * len(set(of.values())):
            return [of[image] for image in images]
    return [""] * len(images)


def _folder(image: str) -> str:
    folder = str(PurePosixPath(image.replace("\\", "/")).parent)
    return "" if folder == "." else folder


def _prefix(image: str) -> str:
    path = PurePosixPath(image.replace("\\", "/"))
    before = re.sub(r"\d+\D*$", "", path.stem) if re.search(r"\d", path.stem) else ""
    return re.sub(r"^(\./)+|[\W_]+$", "", f"{_folder(image)}/{before}")

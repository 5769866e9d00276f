"""GLB (binary glTF 2.0): an animated figure, for Blender, game engines and browsers.

Metres, y up. The nodes are those of `lib.export.rig` in its rest pose, a T-pose that faces +z; the one animation holds
the rotations of all of them that turn anything, and the root's position, at the frames' own times from 0 on. The figure
is a body of bones, blue on the left and orange on the right, skinned so that every bone follows its node alone. What
the numbers mean stands under `asset.extras`. Of a motion in the camera frame, y and z change their signs.

Source: Khronos Group, glTF 2.0 Specification, version 2.0.1.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lib.export.arrays import Array, about
from lib.export.rig import Rig, make_rig
from lib.export.upright import UPRIGHT, upright
from lib.inference.motion import Motion
from lib.pose.geometry import matrix_to_quaternion

_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_COMPONENT = {"f": 5126, "B": 5121, "H": 5123}  # glTF's codes of numpy's types
_SHAPE = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_COLORS = {"left": (0.0, 0.168, 0.445), "right": (0.665, 0.112, 0.0), "": (0.074, 0.074, 0.074)}  # linear RGB
_LIMB = (0.15, 0.1)  # of a bone's length: where it is widest, and how wide to each side
_WIDEST = {"lower_back": (0.3, 0.25), "spine": (0.6, 0.3), "neck": (0.6, 0.5), "head": (0.3, 0.8)}


class _Buffer:
    """The binary part of a file, and what describes it."""

    def __init__(self) -> None:
        self.content, self.views, self.accessors = bytearray(), list[dict[str, Any]](), list[dict[str, Any]]()

    def add(self, array: Shaped[Array, "count ..."], target: int | None = None, limits: bool = False) -> int:
        """Append an array, and return the index of its accessor."""
        self.content += b"\0" * (-len(self.content) % 4)
        view = {"buffer": 0, "byteOffset": len(self.content), "byteLength": array.nbytes}
        self.views.append(view | ({"target": target} if target else {}))
        self.content += array.tobytes()
        accessor = {
            "bufferView": len(self.views) - 1,
            "componentType": _COMPONENT[array.dtype.char],
            "count": len(array),
            "type": _SHAPE[array.shape[1:]],
        }
        if limits:
            low, high = array.min(0), array.max(0)
            accessor |= {"min": np.atleast_1d(low).tolist(), "max": np.atleast_1d(high).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def write(motion: Motion, path: Path) -> None:
    """Write one file."""
    motion = upright(motion)
    rig = make_rig(motion.joints, motion.detected)
    buffer = _Buffer()
    count = len(rig.names)
    content = {
        "asset": {"version": "2.0", "generator": "hpe-pretrain", "extras": {**about(motion), "axes": UPRIGHT}},
        "scene": 0,
        "scenes": [{"name": motion.name, "nodes": [0, count]}],
        "nodes": [*_nodes(rig), {"name": "figure", "mesh": 0, "skin": 0}],
        "animations": [_animation(motion, rig, buffer)],
        "skins": [_skin(rig, buffer)],
        **_figure(rig, buffer),
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.content)}],
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    binary = bytes(buffer.content)
    chunks = ((b"JSON", text + b" " * (-len(text) % 4)), (b"BIN\0", binary + b"\0" * (-len(binary) % 4)))
    parts = [struct.pack("<I4s", len(data), kind) + data for kind, data in chunks]
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + sum(map(len, parts))) + b"".join(parts))


def _nodes(rig: Rig) -> list[dict[str, Any]]:
    children = rig.children
    return [
        {"name": name, "translation": offset} | ({"children": children[node]} if children[node] else {})
        for node, (name, offset) in enumerate(zip(rig.names, _float(rig.offsets).tolist(), strict=True))
    ]


def _animation(motion: Motion, rig: Rig, buffer: _Buffer) -> dict[str, Any]:
    times = buffer.add(_float(motion.times.double() - motion.times[0]), limits=True)
    turning = [node for node in range(len(rig.names)) if node not in rig.ends]
    quaternions = continuous(matrix_to_quaternion(rig.rotations[:, turning]))[..., [1, 2, 3, 0]]  # glTF's w is last
    samplers = [{"input": times, "interpolation": "LINEAR", "output": buffer.add(_float(rig.position))}]
    channels = [{"sampler": 0, "target": {"node": 0, "path": "translation"}}]
    for node, turns in zip(turning, quaternions.unbind(1), strict=True):
        samplers.append({"input": times, "interpolation": "LINEAR", "output": buffer.add(_float(turns))})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": "rotation"}})
    return {"name": motion.name, "samplers": samplers, "channels": channels}


def continuous(quaternions: Float[Tensor, "frame *node 4"]) -> Float[Tensor, "frame *node 4"]:
    """The same rotations with signs such that each quaternion is near that of the frame before."""
    along = (quaternions[1:] * quaternions[:-1]).sum(-1, keepdim=True)
    signs = torch.where(along < 0, -1.0, 1.0).to(quaternions).cumprod(0)
    return torch.cat([quaternions[:1], quaternions[1:] * signs])


def _skin(rig: Rig, buffer: _Buffer) -> dict[str, Any]:
    inverse = torch.eye(4).repeat(len(rig.names), 1, 1)
    inverse[:, 3, :3] = -rig.rest.float()  # matrices are written by columns
    return {"inverseBindMatrices": buffer.add(_float(inverse)), "joints": list(range(len(rig.names))), "skeleton": 0}


def _figure(rig: Rig, buffer: _Buffer) -> dict[str, Any]:
    """One mesh of a double pyramid a bone, in rest pose: a primitive and a material a side of the body."""
    pieces: dict[str, list[tuple[Tensor, int]]] = {side: [] for side in _COLORS}
    for node, start in enumerate(rig.rest):
        ends = [rig.offsets[child] for child in rig.children[node]]
        end = rig.ends[node] if node in rig.ends else ends[0]
        if len(ends) > 1:
            continue  # the nodes at the same place turn its bones
        name = rig.names[node]
        side = name.split("_")[0] if name.startswith(("left", "right")) else ""
        pieces[side].append((start + _double_pyramid(end, *_WIDEST.get(name, _LIMB)), node))
    primitives, materials = list[dict[str, Any]](), list[dict[str, Any]]()
    for side, parts in pieces.items():
        triangles = torch.cat([part for part, _ in parts])
        normal = torch.linalg.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        normals = torch.nn.functional.normalize(normal, dim=-1)[:, None].expand_as(triangles)
        owner = torch.tensor([node for part, node in parts for _ in range(3 * len(part))])
        attributes = {
            "POSITION": buffer.add(_float(triangles.reshape(-1, 3)), _ARRAY_BUFFER, limits=True),
            "NORMAL": buffer.add(_float(normals.reshape(-1, 3)), _ARRAY_BUFFER),
            "JOINTS_0": buffer.add(_first_of_four(owner, np.uint8), _ARRAY_BUFFER),
            "WEIGHTS_0": buffer.add(_first_of_four(torch.ones_like(owner), np.float32), _ARRAY_BUFFER),
        }
        indices = buffer.add(np.arange(len(owner), dtype=np.uint16), _ELEMENT_BUFFER)
        primitives.append({"attributes": attributes, "indices": indices, "material": len(materials)})
        surface = {"baseColorFactor": [*_COLORS[side], 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
        materials.append({"name": side or "middle", "pbrMetallicRoughness": surface})
    return {"meshes": [{"name": "figure", "primitives": primitives}], "materials": materials}


def _double_pyramid(end: Float[Tensor, "3"], where: float, width: float) -> Float[Tensor, "triangle 3 3"]:
    """The eight triangles between the origin and `end`, seen from outside counterclockwise."""
    length: Tensor = torch.linalg.vector_norm(end)
    along = end / length
    side = torch.linalg.cross(along, torch.eye(3).to(end)[along.abs().argmin()])
    side = side / torch.linalg.vector_norm(side)
    across = torch.linalg.cross(along, side)
    ring = [where * end + width * length * direction for direction in (side, across, -side, -across)]
    faces = []
    for first, second in zip(ring, [*ring[1:], ring[0]], strict=True):
        faces += [torch.stack([torch.zeros_like(end), second, first]), torch.stack([end, first, second])]
    return torch.stack(faces)


def _first_of_four(values: Int[Tensor, " vertex"], dtype: Any) -> Shaped[Array, "vertex 4"]:
    four = np.zeros((len(values), 4), dtype)
    four[:, 0] = values.numpy()
    return four


def _float(values: Float[Tensor, "..."]) -> Float[Array, "..."]:
    return values.float().contiguous().numpy()

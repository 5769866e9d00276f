"""GLB files, read back by another library: the animation's forward kinematics give the joints back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pygltflib
import pytest
import torch
from scipy.spatial.transform import Rotation

from lib.export.catalog import write_motion
from lib.inference.motion import Motion
from lib.pose.skeleton import H36M
from tests.export.bodies import exercising
from tests.inference.motions import walking

Array = npt.NDArray[Any]
TYPES = {5126: np.float32, 5121: np.uint8, 5123: np.uint16}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def read(motion: Motion, folder: Path) -> pygltflib.GLTF2:
    (path,) = write_motion(motion, folder, "motion", ["glb"])
    file = pygltflib.GLTF2().load_binary(str(path))
    assert file is not None
    return file


def array_of(file: pygltflib.GLTF2, index: int) -> Array:
    accessor = file.accessors[index]
    view = file.bufferViews[accessor.bufferView]
    width = WIDTHS[accessor.type]
    flat = np.frombuffer(file.binary_blob(), TYPES[accessor.componentType], accessor.count * width, view.byteOffset)
    values = flat.reshape(accessor.count, width)
    if accessor.min:
        np.testing.assert_array_equal(accessor.min, values.min(0))
        np.testing.assert_array_equal(accessor.max, values.max(0))
    return values


def animated(file: pygltflib.GLTF2) -> tuple[Array, Array, Array]:
    """Times, and where all nodes are and how they are turned in the world at each."""
    (animation,) = file.animations
    samplers = animation.samplers
    times = array_of(file, samplers[0].input)[:, 0]
    count = len(file.skins[0].joints)
    local = np.tile(np.eye(4), (len(times), count, 1, 1))
    for node in range(count):
        local[:, node, :3, 3] = file.nodes[node].translation
    for channel in animation.channels:
        assert samplers[channel.sampler].input == samplers[0].input
        values = array_of(file, samplers[channel.sampler].output)
        if channel.target.path == "translation":
            local[:, channel.target.node, :3, 3] = values
        else:
            assert (np.abs((values[1:] * values[:-1]).sum(-1)) == (values[1:] * values[:-1]).sum(-1)).all()  # no flips
            local[:, channel.target.node, :3, :3] = Rotation.from_quat(values).as_matrix()
    world = np.empty_like(local)
    parents = {child: node for node in range(count) for child in file.nodes[node].children}
    for node in range(count):
        world[:, node] = world[:, parents[node]] @ local[:, node] if node in parents else local[:, node]
    return times, world[..., :3, 3], world[..., :3, :3]


def joints_of(file: pygltflib.GLTF2) -> Array:
    names = [node.name for node in file.nodes]
    return animated(file)[1][:, [names.index(name) for name in H36M.names]]


@pytest.mark.parametrize("motion", [walking(), exercising(), walking(1)], ids=["walking", "exercising", "one frame"])
def test_forward_kinematics_give_the_joints_back(motion: Motion, tmp_path: Path) -> None:
    file = read(motion, tmp_path)
    np.testing.assert_allclose(joints_of(file), motion.joints.numpy(), atol=1e-4)
    np.testing.assert_allclose(animated(file)[0], motion.times.numpy() - float(motion.times[0]), atol=1e-6)


def test_the_camera_frame_becomes_upright_and_uneven_times_stay(tmp_path: Path) -> None:
    world = walking()
    turn = torch.tensor([1.0, -1.0, -1.0])
    away = torch.tensor([0.3, 1.0, 5.0])
    times = 3.0 + world.times**2
    file = read(walking(frame="camera", joints=world.joints * turn + away, times=times), tmp_path)
    np.testing.assert_allclose(joints_of(file), (world.joints + away * turn).numpy(), atol=1e-4)
    np.testing.assert_allclose(animated(file)[0], (times - 3.0).numpy(), atol=1e-6)


def test_the_figure_stands_on_the_floor_and_moves_with_its_bones(tmp_path: Path) -> None:
    motion = exercising()
    file = read(motion, tmp_path)
    skin, (_, places, turns) = file.skins[0], animated(file)
    inverse = array_of(file, skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    lowest, widest = [], []
    for primitive in file.meshes[0].primitives:
        points, normals, owners, weights = (
            array_of(file, getattr(primitive.attributes, name))
            for name in ("POSITION", "NORMAL", "JOINTS_0", "WEIGHTS_0")
        )
        assert (weights == [1, 0, 0, 0]).all()
        lowest.append(points[:, 1].min())
        widest.append(np.abs(points[:, 0]).max())
        owner = owners[:, 0]
        triangles = points[array_of(file, primitive.indices)[:, 0]].reshape(-1, 3, 3)
        outward = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        assert ((outward * normals.reshape(-1, 3, 3)[:, 0]).sum(-1) > 0).all()
        pieces = points.reshape(-1, 8, 3, 3)  # of eight triangles each
        assert ((pieces.mean(2) - pieces.mean((1, 2))[:, None]) * outward.reshape(-1, 8, 3) > 0).any(-1).all()
        in_bone = np.einsum("vij,vj->vi", inverse[owner, :3, :3], points) + inverse[owner, :3, 3]
        posed = np.einsum("fvij,vj->fvi", turns[:, owner], in_bone) + places[:, owner]
        near = np.linalg.norm(posed[:, :, None] - motion.joints.numpy()[:, None], axis=-1).min(-1)
        assert near.max() < 0.3
    assert abs(min(lowest)) < 1e-6
    assert 0.6 < max(widest) < 1.2  # arms to the sides


def test_what_the_numbers_mean_is_in_the_file(tmp_path: Path) -> None:
    (path,) = write_motion(walking(name="S1/walk", frame="camera"), tmp_path, "motion", ["glb"])
    content = path.read_bytes()
    header = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    about = header["asset"]["extras"]
    assert (about["name"], about["frame_of_reference"], about["units"]["3d"]) == ("S1/walk", "camera", "metres")
    assert about["axes"] == "x right, y up, z towards the camera"
    assert int.from_bytes(content[8:12], "little") == len(content)

"""The sample: people who stand upright, face forward and are seen; clips that keep to their split."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from lib.pose.geometry import bone_lengths
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.sources import sample
from lib.sources.base import PoseSequence, SourceData, SplitParams
from lib.sources.clips import CLIPS, PERFORMERS, file_name
from tests.data.files import clip_frames, reference_projection, source_params, write_clips

EVERYBODY = SplitParams(**PERFORMERS)
PLAIN = sample.Body(1.0, 1.0, 1.0, 1.0, 1.0)
# Where the numbers of a frame of a clip begin.
RIGHT_KNEE, LEFT_ELBOW, ROOT = 20, 43, 4


def read(raw: Path, keypoints: str = "gt", split: SplitParams = EVERYBODY) -> SourceData:
    return sample.read(raw, source_params("sample", keypoints=keypoints, split=split))


def joint(pose: Tensor, name: str) -> Tensor:
    return pose[..., H36M.index(name), :]


def plain_pose(frames: list[list[float]], tmp_path: Path) -> Tensor:
    """The first frame's pose of the humanoid itself: x forward, y up, z to the right."""
    write_clips(tmp_path, frames)
    return sample.forward_kinematics(sample._load(tmp_path / file_name("walk")), PLAIN)[0]


def in_the_world(sequence: PoseSequence) -> Tensor:
    assert sequence.positions is not None
    camera = sequence.camera
    w, x, y, z = camera.orientation
    turn = torch.from_numpy(Rotation.from_quat((x, y, z, w)).as_matrix()).float()
    return sequence.positions @ turn.mT + torch.tensor(camera.position)


def test_clips_are_15_and_none_is_in_two_splits() -> None:
    clips = sum(CLIPS.values(), ())
    assert len(clips) == len(set(clips)) == 15
    assert CLIPS.keys() == PERFORMERS.keys() == SplitParams.model_fields.keys()
    performers = sum(PERFORMERS.values(), ())
    assert sorted(performers) == sorted(sample.BODIES) and len(set(performers)) == 7


def test_no_action_of_one_split_is_in_another(sample_raw: Path) -> None:
    data = read(sample_raw)
    assert len(data.sequences) == 4 * (9 * 4 + 2 * 1 + 4 * 2)
    actions = {
        role: {s.action for s in data.sequences if s.subject in subjects} for role, subjects in PERFORMERS.items()
    }
    assert {role: len(names) for role, names in actions.items()} == {"train": 9, "validation": 2, "test": 4}
    assert len(set.union(*actions.values())) == 15
    assert "Getup Facedown" in actions["test"]


def test_standing_humanoid_by_hand(tmp_path: Path) -> None:
    pose = plain_pose(clip_frames(), tmp_path).numpy()
    expected = {
        "pelvis": (0, 0.9, 0),
        "right_hip": (0, 0.9, 0.084887),
        "left_hip": (0, 0.9, -0.084887),
        "left_ankle": (0, 0.9 - 0.421546 - 0.40987, -0.084887),
        "thorax": (0, 0.9 + 0.236151 + 0.223894, 0),
        "right_shoulder": (-0.02405, 0.9 + 0.236151 + 0.2435, 0.18311),
        "left_wrist": (-0.02405, 0.9 + 0.236151 + 0.2435 - 0.274788 - 0.258947, -0.18311),
    }
    for name, place in expected.items():
        np.testing.assert_allclose(pose[H36M.index(name)], place, atol=1e-12)


def test_knees_bend_back_and_elbows_forward(tmp_path: Path) -> None:
    frame = clip_frames()[0]
    frame[RIGHT_KNEE], frame[LEFT_ELBOW] = -1.0, 1.0
    pose = plain_pose([frame, frame], tmp_path)
    assert joint(pose, "right_ankle")[0] < -0.3 and joint(pose, "left_ankle")[0] == 0
    assert joint(pose, "left_wrist")[0] > 0.19 and joint(pose, "right_wrist")[0] < 0


def test_turning_the_root_turns_everything(tmp_path: Path) -> None:
    straight = plain_pose(clip_frames(), tmp_path)
    frame = clip_frames()[0]
    frame[ROOT : ROOT + 4] = [0.5, 0.0, 0.5, 0.0]  # a quarter turn to the left about y, not of length one
    turned = plain_pose([frame, frame], tmp_path)
    expected = torch.stack([straight[:, 2], straight[:, 1], -straight[:, 0]], dim=-1)
    torch.testing.assert_close(turned, expected)


def test_resampling_is_scipys_slerp_and_linear() -> None:
    generator = np.random.default_rng(0)
    durations = np.array([0.1, 0.03, 0.07, 0.05, 0.0])
    times = durations.cumsum() - durations
    rotations = Rotation.random(5, random_state=0)
    quaternion = rotations.as_quat()[:, [3, 0, 1, 2]] * generator.choice([-2.0, 0.5, 1.0], (5, 1))  # either sign
    motion = {name: torch.zeros(5, width, dtype=torch.float64) for name, width in sample._CHANNELS.items()}
    motion |= {name: torch.tensor([[1.0, 0, 0, 0]] * 5).double() for name, w in sample._CHANNELS.items() if w == 4}
    angle = torch.from_numpy(generator.standard_normal((5, 1)))
    motion |= {
        "duration": torch.from_numpy(durations)[:, None],
        "root": torch.from_numpy(quaternion),
        "left_knee": angle,
    }
    resampled = sample._resample(motion)
    wanted = np.arange(13) / 50
    assert len(resampled["root"]) == 13  # 0.25 s at 50 Hz, both ends
    expected = Slerp(times, rotations)(wanted).as_matrix()
    actual = Rotation.from_quat(resampled["root"].numpy()[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(actual, expected, atol=1e-9)
    np.testing.assert_allclose(resampled["left_knee"][:, 0], np.interp(wanted, times, angle[:, 0]), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(resampled["neck"], axis=-1), 1)


def test_people_stand_upright_on_the_ground_and_face_forward(sample_raw: Path) -> None:
    for sequence in read(sample_raw).sequences:
        world = in_the_world(sequence)
        assert (joint(world, "head")[:, 2] > joint(world, "thorax")[:, 2] + 0.2).all()
        assert (joint(world, "left_ankle")[:, 2].abs() < 0.2).all()
        # In a right-handed frame, left x up = forward: where the face and the walk go.
        left = joint(world, "left_hip") - joint(world, "right_hip")
        forward = torch.linalg.cross(left, joint(world, "thorax") - joint(world, "pelvis"))
        face = joint(world, "neck") - joint(world, "thorax")
        assert ((forward * face).sum(-1) > 0).all()
        walk = (world[-1] - world[0]).mean(0)
        assert torch.nn.functional.cosine_similarity(walk, forward[0], dim=0) > 0.99


def test_everybody_is_in_the_picture(sample_raw: Path) -> None:
    for sequence in read(sample_raw).sequences:
        size = torch.tensor(sequence.camera.size)
        assert ((sequence.keypoints > 0) & (sequence.keypoints < size)).all()
        assert joint(sequence.keypoints, "head")[:, 1].max() < joint(sequence.keypoints, "left_knee")[:, 1].min()


def test_exact_keypoints_are_projections_of_the_world(sample_raw: Path) -> None:
    for sequence in read(sample_raw).sequences[::7]:
        expected = reference_projection(in_the_world(sequence).numpy(), sequence.camera)
        np.testing.assert_allclose(sequence.keypoints, expected, atol=2e-3)
        assert (sequence.confidence == 1).all() and sequence.fps == 50


def test_bodies_differ_and_are_symmetric_and_rigid(sample_raw: Path) -> None:
    sequences = {s.subject: s for s in read(sample_raw).sequences}
    lengths = {}
    for subject, sequence in sequences.items():
        assert sequence.positions is not None
        bones = bone_lengths(sequence.positions, H36M)
        torch.testing.assert_close(bones, bones[:1].expand_as(bones), atol=1e-5, rtol=0)
        torch.testing.assert_close(bones[:, list(H36M.mirror_bones)], bones, atol=1e-5, rtol=0)
        lengths[subject] = bones[0]
    knee = [child for child, _ in H36M.bones].index(H36M.index("left_knee"))
    body = sample.BODIES["S7"]
    assert lengths["S7"][knee].item() == pytest.approx(0.421546 * body.size * body.legs, abs=1e-5)
    between = torch.cdist(torch.stack([*lengths.values()]), torch.stack([*lengths.values()]), p=float("inf"))
    assert (between + torch.eye(len(lengths)) > 0.005).all()


def test_headings_and_views_differ(sample_raw: Path) -> None:
    sequences = read(sample_raw).sequences
    first = {(s.subject, s.action): in_the_world(s)[0] for s in sequences}
    hips = [joint(pose, "left_hip") - joint(pose, "right_hip") for pose in first.values()]
    angles = torch.tensor([torch.atan2(hip[1], hip[0]).item() for hip in hips]).sort().values
    assert (angles[1:] - angles[:-1]).max() < 0.5  # all around


def test_noise_is_as_it_says(tmp_path: Path) -> None:
    write_clips(tmp_path, clip_frames(seconds=10, rate=2))
    split = SplitParams(train=("S5",), validation=(), test=())
    exact, noisy = read(tmp_path, split=split).sequences, read(tmp_path, "noisy", split).sequences
    error = torch.stack([n.keypoints - e.keypoints for n, e in zip(noisy, exact, strict=True)])
    confidence = torch.stack([s.confidence for s in noisy])
    wild = confidence < 0.5
    assert wild.float().mean().item() == pytest.approx(0.004, rel=0.1)
    assert (error[wild].norm(dim=-1) > 49.9).all() and (error[~wild].norm(dim=-1) < 30).all()
    assert ((confidence >= 0.05) & (confidence <= 1)).all()
    assert error[~wild].std().item() == pytest.approx(4.0, rel=0.02)
    assert error[~wild].mean().abs() < 0.05
    calm = error.clamp(-12, 12)
    assert (calm[:, 1:] * calm[:, :-1]).mean() > 0.85 * calm.square().mean()  # over time
    assert (calm[:, :, 1:] * calm[:, :, :-1]).mean().abs() < 0.05 * calm.square().mean()  # between joints
    assert exact[0].positions is not None and noisy[0].positions is not None
    assert torch.equal(exact[0].positions, noisy[0].positions)


def test_noise_is_the_same_in_every_run_and_another_in_every_view(sample_raw: Path) -> None:
    split = SplitParams(train=("S1", "S7"), validation=(), test=())
    torch.manual_seed(1)
    first = read(sample_raw, "noisy", split).sequences
    torch.manual_seed(2)
    second = read(sample_raw, "noisy", split).sequences
    assert all(torch.equal(a.keypoints, b.keypoints) for a, b in zip(first, second, strict=True))
    exact = read(sample_raw, split=split).sequences
    errors = {float((n.keypoints - e.keypoints).sum()) for n, e in zip(first, exact, strict=True)}
    assert len(errors) == len(first)


def test_a_part_of_the_subjects_reads_their_clips_only(tmp_path: Path, sample_raw: Path) -> None:
    data = read(sample_raw, split=SplitParams(train=("S5",), validation=(), test=("S11",)))
    assert {s.subject for s in data.sequences} == {"S5", "S11"}
    assert data.subjects == tuple(sample.BODIES) and data.dropped == []
    (sample_raw / file_name("jump")).unlink()  # a validation clip
    read(sample_raw, split=SplitParams(train=("S5",), validation=(), test=("S11",)))


@pytest.mark.parametrize(
    ("split", "name", "subject", "role"),
    [
        (SplitParams(train=("S1", "S9"), validation=("S8",), test=("S11",)), "train", "S9", "test"),
        (SplitParams(train=("S1",), validation=("S5",), test=("S11",)), "validation", "S5", "train"),
        (SplitParams(train=("S1",), validation=(), test=("S8",)), "test", "S8", "validation"),
    ],
)
def test_a_clip_cannot_come_into_two_splits(
    sample_raw: Path, split: SplitParams, name: str, subject: str, role: str
) -> None:
    message = rf"data\.split\.{name} names {subject}, who performs the sample's {role} clips, .* train: S1 S5 S6 S7, "
    with pytest.raises(UserError, match=message):
        read(sample_raw, split=split)


def test_unknown_keypoints_are_an_error(sample_raw: Path) -> None:
    with pytest.raises(UserError, match=r"data\.keypoints = 'cpn': the sample has gt and noisy"):
        read(sample_raw, "cpn")


def test_a_missing_clip_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"humanoid3d_walk\.txt is missing: run `dvc repro download`"):
        read(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"Frames": []}', '{"Frames": [[1, 2], [3, 4]]}', '{"Frames": "x"}', "[1]"]
)
def test_a_damaged_clip_is_an_error(sample_raw: Path, content: str) -> None:
    (sample_raw / file_name("walk")).write_text(content)
    with pytest.raises(UserError, match=r"humanoid3d_walk\.txt is no DeepMimic clip: run `dvc repro --force download`"):
        read(sample_raw)

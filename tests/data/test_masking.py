import pytest
import torch

from lib.data.masking import KINDS, AnyKind, check_masking, hide, kinds_of
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from tests.settings import MASKING

FRAMES = 9
OTHERS = [joint for joint in range(len(H36M)) if joint != H36M.root]


def hidden(kind: AnyKind, ratio: float, frames: int = FRAMES) -> torch.Tensor:
    return hide(kind, ratio, 3, (200, frames), H36M, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
def test_every_window_has_the_share_hidden(kind: AnyKind) -> None:
    mask = hidden(kind, 1 / 3)
    share = mask[..., OTHERS].float().mean((1, 2))
    assert share.min() == share.max() == pytest.approx(1 / 3, abs=0.03)
    assert len(mask.flatten(1).unique(dim=0)) > 20  # windows differ


def test_joints_are_hidden_in_all_frames_and_frames_in_all_joints() -> None:
    joints, frames = hidden("joints", 0.4), hidden("frames", 0.4)
    assert torch.equal(joints, joints[:, :1].expand_as(joints))
    assert torch.equal(frames, frames[..., :1].expand_as(frames))


def test_tubelets_are_some_frames_of_a_joint() -> None:
    tubelets = hidden("tubelets", 0.4).unflatten(1, (3, 3))
    assert torch.equal(tubelets, tubelets[:, :, :1].expand_as(tubelets))
    assert tubelets.any(1).any() and not tubelets.all(1).all()


def test_the_root_is_hidden_with_its_frame_alone() -> None:
    assert not hidden("joints", 0.9)[..., H36M.root].any()
    assert not hidden("tubelets", 0.9)[..., H36M.root].any()
    assert hidden("frames", 0.5)[..., H36M.root].any()


@pytest.mark.parametrize("kind", KINDS)
def test_something_is_hidden_and_something_stays(kind: AnyKind) -> None:
    assert hidden(kind, 1e-6).any(-1).any(-1).all()
    assert (~hidden(kind, 0.999)[..., OTHERS]).any(-1).any(-1).all()
    assert not hidden(kind, 0.0).any()


def test_mixed_windows_are_of_every_kind() -> None:
    mask = hidden("mixed", 0.5)
    of_frames, of_joints = (mask == mask[..., :1]).flatten(1).all(1), (mask == mask[:, :1]).flatten(1).all(1)
    assert not (of_frames & of_joints).any()
    for share in (of_frames, of_joints, ~of_frames & ~of_joints):
        assert share.float().mean().item() == pytest.approx(1 / 3, abs=0.1)


def test_of_a_single_frame_only_joints_can_be_hidden() -> None:
    assert kinds_of(1) == ("joints",)
    assert hidden("mixed", 0.5, frames=1)[..., OTHERS].float().mean().item() == pytest.approx(0.5)
    with pytest.raises(UserError, match=r"masking\.kind = 'frames' needs data\.window\.frames above 1"):
        check_masking(MASKING.model_copy(update={"kind": "frames"}), 1)


def test_the_ratio_goes_from_the_first_to_the_last() -> None:
    assert [MASKING.ratio_at(part) for part in (-1.0, 0.0, 0.5, 1.0, 2.0)] == pytest.approx([0.2, 0.2, 0.3, 0.4, 0.4])

import torch
from torch import nn

from lib.models.attention import Attention, JointRelations
from lib.pose.skeleton import H36M


def test_zero_bias_equals_torchs_own_attention() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(12, 3, dropout=0.0), nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = ours.out.weight.data, ours.out.bias.data
    tokens = torch.randn(2, 5, 12)
    expected, _ = theirs(tokens, tokens, tokens)
    torch.testing.assert_close(ours(tokens, torch.zeros(3, 5, 5)), expected)
    torch.testing.assert_close(ours(tokens), expected)


def test_a_strong_bias_decides_who_is_attended_to() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2, dropout=0.0)
    tokens = torch.randn(1, 4, 8)
    bias = torch.full((2, 4, 4), -1e4)
    bias[..., 2] = 0  # everybody looks at token 2 alone
    out = attention(tokens, bias)
    torch.testing.assert_close(out, out[:, :1].expand_as(out))


def test_relations_start_at_plain_attention() -> None:
    assert JointRelations(H36M, heads=2)().abs().max() == 0


def test_relations_tell_graph_distance_and_mirror_pairs() -> None:
    relations = JointRelations(H36M, heads=1)
    relations.of_distance.data = torch.arange(relations.of_distance.shape[1]).float()[None]
    relations.of_mirror.data.fill_(100.0)
    bias = relations()[0]
    knee, twin, ankle = H36M.index("left_knee"), H36M.index("right_knee"), H36M.index("left_ankle")
    assert bias[knee, ankle] == 1
    assert bias[knee, twin] == 100 + 4  # knee, hip, pelvis, hip, knee
    assert bias[knee, knee] == 0

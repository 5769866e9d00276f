"""Which frames keep their labels."""

from dataclasses import replace

import pytest
import torch

from lib.data.labels import labelled
from lib.data.split import Split
from lib.runtime.errors import UserError
from tests.settings import synthetic_split


@pytest.fixture(scope="module")
def split() -> Split:
    made = synthetic_split(40, 60, 100)
    return replace(made, table=made.table.assign(subject=["S1", "S5", "S5"]))


@pytest.mark.parametrize(("fraction", "frames"), [(1.0, 200), (0.5, 100), (0.1, 20), (0.001, 1)])
def test_a_share_of_the_frames(split: Split, fraction: float, frames: int) -> None:
    some = labelled(split, (), fraction, seed=0)
    assert len(some.rays) == len(some.keypoints) == len(some.confidence) == frames == some.table["length"].sum()
    assert some.table["start"].tolist() == (some.table["length"].cumsum() - some.table["length"]).tolist()


def test_frames_stay_with_their_sequence_from_its_beginning(split: Split) -> None:
    some = labelled(split, (), 0.6, seed=1)
    assert split.positions is not None and some.positions is not None
    starts = split.table.set_index("action")["start"]
    for _, row in some.table.iterrows():
        whole, part = int(starts[row["action"]]), slice(row["start"], row["start"] + row["length"])
        assert torch.equal(some.positions[part], split.positions[whole : whole + row["length"]])
        assert torch.equal(some.rays[part], split.rays[whole : whole + row["length"]])
    whole_lengths = split.table.set_index("action")["length"]
    assert (some.table["length"][:-1].to_numpy() == whole_lengths[some.table["action"][:-1]].to_numpy()).all()


def test_seeds_choose_different_sequences_and_one_seed_the_same(split: Split) -> None:
    chosen = [tuple(labelled(split, (), 0.2, seed).table["action"]) for seed in range(8)]
    assert len(set(chosen)) > 1
    assert chosen == [tuple(labelled(split, (), 0.2, seed).table["action"]) for seed in range(8)]


def test_the_labels_of_some_subjects(split: Split) -> None:
    assert set(labelled(split, ("S5",), 1.0, 0).table["subject"]) == {"S5"}
    assert len(labelled(split, ("S5",), 0.5, 0).rays) == 80
    with pytest.raises(UserError, match=r"finetune\.subjects names S9, who is not among the training subjects: S1, S5"):
        labelled(split, ("S9",), 1.0, 0)


def test_frames_keep_their_times(split: Split) -> None:
    times = torch.cat([torch.arange(length) / 30 for length in (40, 60, 100)])
    some = labelled(replace(split, times=times), (), 0.6, seed=1)
    assert some.times is not None
    expected = [torch.arange(length) / 30 for length in some.table["length"]]
    assert torch.equal(some.times, torch.cat(expected))

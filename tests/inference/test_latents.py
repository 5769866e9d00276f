"""TensorBoard's projector shows latents with their actions."""

import csv
from pathlib import Path

import pytest
import torch
from torch.nn.functional import pdist

from lib.data.windows import Windows
from lib.inference import latents
from lib.inference.latents import embed, principal
from lib.runtime.tensorboard import Board
from stages.pretrain import EMBED
from tests.settings import pipeline, synthetic_split, tiny_model


def test_principal_axes_keep_distances_and_come_in_order() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(50, 6) * torch.tensor([5.0, 1.0, 3.0, 0.1, 2.0, 0.5]) + 7
    whole = principal(vectors, 6)
    torch.testing.assert_close(pdist(whole), pdist(vectors), rtol=1e-4, atol=1e-4)
    spread = whole.std(0)
    assert torch.equal(spread, spread.sort(descending=True).values)
    torch.testing.assert_close(principal(vectors, 2), whole[:, :2])


def test_each_window_has_its_labels_and_what_the_head_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "MOST", 10)
    split, inputs, model = synthetic_split(30, 20), pipeline(3), tiny_model(3).eval()
    vectors, names, labels = embed(model, split, inputs)
    assert names == ["action", "subject", "camera"]
    assert labels == [["Walk 0", "S9", "54138969"]] * 6 + [["Walk 1", "S9", "54138969"]] * 4
    assert len(vectors) == 10 and vectors.isfinite().all()
    windows = Windows(split, inputs.window)
    crops = inputs.crops(inputs.rays(windows[windows.evenly_spaced(10)]))
    with torch.no_grad():
        read = model.network.latents(crops.keypoints, crops.confidence, crops.scale, crops.layout).flatten(1)
    torch.testing.assert_close(pdist(vectors), pdist(read), rtol=1e-3, atol=1e-3)


def test_the_projector_finds_files_of_both(tmp_path: Path) -> None:
    board = Board(tmp_path, "pretrain", embed=EMBED)
    board.embedding(tiny_model(3), synthetic_split(30, 20), pipeline(3))
    board.close()
    (config,) = tmp_path.rglob("projector_config.pbtxt")
    for kind, rows in (("tensors.tsv", 50), ("metadata.tsv", 51)):
        (file,) = tmp_path.rglob(kind)
        assert str(file.relative_to(config.parent)) in config.read_text()
        table = list(csv.reader(file.read_text().splitlines(), delimiter="\t"))
        assert len(table) == rows
    assert table[0] == ["action", "subject", "camera"] and table[-1] == ["Walk 1", "S9", "54138969"]


def test_without_a_function_nothing_is_logged(tmp_path: Path) -> None:
    board = Board(tmp_path, "pretrain")
    board.embedding(tiny_model(3), synthetic_split(30), pipeline(3))
    assert not list(tmp_path.iterdir())

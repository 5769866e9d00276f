"""Fine-tuning: what is trained and how fast, and that labels of the validation subjects choose nothing."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from lib.data import store
from lib.data.labels import labelled
from lib.data.store import read_split
from lib.data.windows import WindowBatch
from lib.models import checkpoints
from lib.models.lifters import LifterModel
from lib.objectives.lift import Lift
from lib.objectives.pseudo_labels import PseudoLabels
from lib.objectives.supervised import Labelled, Supervised
from lib.pose.layout import make_layout
from lib.pose.layouts import H36M_LAYOUT, LAYOUTS
from lib.pose.skeleton import H36M
from lib.runtime.errors import UserError
from lib.runtime.paths import Paths
from lib.training.finetuning import Finetuning, layer_rates
from stages import finetune
from tests.settings import PARAMS, tiny_checkpoint, tiny_model
from tests.synthetic import sequence, write_store

UNKNOWN = make_layout("other", {name: name for name in H36M.names}, {}, 0.1)


@pytest.fixture
def params() -> dict[str, Any]:
    params: dict[str, Any] = copy.deepcopy(PARAMS)
    params["training"] |= {"debug": True, "device": "cpu", "threads": 1}
    params["finetune"] |= {"enabled": True, "label_fraction": 0.5}
    return params


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A store whose test subjects validate too, and a lifter."""
    paths = Paths(tmp_path)
    _write_store(paths)
    checkpoints.save(tiny_checkpoint(frames=3), paths.pretrained)
    return paths


def _write_store(paths: Paths, labels: bool = True) -> None:
    write_store(paths.poses, labels)
    with h5py.File(paths.poses, "r+") as file:
        file.copy("test", "validation")


def weights(paths: Paths) -> dict[str, torch.Tensor]:
    return checkpoints.load(paths.finetuned).weights


def test_off_it_passes_the_pretrained_model_on(params: dict[str, Any], paths: Paths) -> None:
    params["finetune"]["enabled"] = False
    finetune.run(params, paths)
    passed, pretrained = checkpoints.load(paths.finetuned), checkpoints.load(paths.pretrained)
    assert (passed.objectives, passed.task) == (pretrained.objectives, pretrained.task)
    assert all(torch.equal(value, pretrained.weights[name]) for name, value in passed.weights.items())
    assert paths.metrics("finetune").read_text() == '{\n  "enabled": false\n}\n'
    assert len(paths.plot("finetuning.csv").read_text().splitlines()) == 1


def test_a_frozen_encoder_keeps_its_weights(params: dict[str, Any], paths: Paths) -> None:
    params["finetune"]["freeze_encoder"] = True
    finetune.run(params, paths)
    before = checkpoints.load(paths.pretrained).weights
    for name, value in weights(paths).items():
        assert torch.equal(value, before[name]) == name.startswith("network.encoder."), name


def test_frozen_layers_are_those_that_were_loaded(params: dict[str, Any], paths: Paths) -> None:
    """A 3D model's embedding does not fit: it is new, and has to learn."""
    checkpoints.save(tiny_checkpoint(frames=3, task="reconstruction_3d"), paths.pretrained)
    trained = []
    for epochs in (1, 2):  # of five steps
        params["finetune"] |= {"freeze_encoder": True, "epochs": epochs, "steps_per_epoch": 5, "batch_size": 16}
        params["training"]["debug"] = False
        finetune.run(params, paths)
        trained.append(weights(paths))
    one, two = trained
    assert not torch.equal(one["network.encoder.tokens.embed.weight"], two["network.encoder.tokens.embed.weight"])
    before = checkpoints.load(paths.pretrained).weights
    name = "network.encoder.blocks.0.body.0.weight"
    assert torch.equal(two[name], before[name])


def test_from_scratch_takes_nothing_over(params: dict[str, Any], paths: Paths) -> None:
    params["finetune"] |= {"from_scratch": True, "lr": 1e-12}
    params["seed"] = 1
    finetune.run(params, paths)
    before = checkpoints.load(paths.pretrained).weights
    name = "network.encoder.tokens.embed.weight"
    assert (weights(paths)[name] - before[name]).abs().max() > 0.01


def test_validation_labels_choose_nothing(params: dict[str, Any], paths: Paths) -> None:
    finetune.run(params, paths)
    first = weights(paths)
    with h5py.File(paths.poses, "r+") as file:
        file["validation/positions"][:] = torch.randn(file["validation/positions"].shape).numpy()
    finetune.run(params, paths)
    assert all(torch.equal(value, first[name]) for name, value in weights(paths).items())


def test_what_pre_trained_goes_on_beside_the_labels_unless_it_is_off(
    params: dict[str, Any], paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = Lift.make_pseudo_labels

    def make_pseudo_labels(self: Lift, teacher: LifterModel, clips: WindowBatch) -> PseudoLabels:
        seen.append(clips.positions)
        return real(self, teacher, clips)

    monkeypatch.setattr(Lift, "make_pseudo_labels", make_pseudo_labels)
    finetune.run(params, paths)
    assert seen and all(positions is None for positions in seen)  # it goes on without labels
    rehearsed = weights(paths)
    seen.clear()
    params["finetune"]["rehearsal"] = 0.0
    finetune.run(params, paths)
    assert not seen
    assert any(not torch.equal(value, rehearsed[name]) for name, value in weights(paths).items())


def test_other_labels_than_the_chosen_ones_change_nothing(params: dict[str, Any], paths: Paths) -> None:
    finetune.run(params, paths)
    first = weights(paths)
    chosen = labelled(read_split(paths.poses, "train", "needed"), (), 0.5, params["seed"])
    assert len(chosen.rays) == 10
    with h5py.File(paths.poses, "r+") as file:
        file["train/positions"][10:] += 1.0  # one sequence of 20 frames, of which the first 10 are labelled
    finetune.run(params, paths)
    assert all(torch.equal(value, first[name]) for name, value in weights(paths).items())
    with h5py.File(paths.poses, "r+") as file:
        file["train/positions"][:10, 3] += 1.0
    finetune.run(params, paths)
    assert any(not torch.equal(value, first[name]) for name, value in weights(paths).items())


def test_layer_decay_slows_the_lower_layers_alone(params: dict[str, Any], paths: Paths) -> None:
    before, moved = checkpoints.load(paths.pretrained).weights, []
    for decay in (1.0, 0.1):
        params["finetune"] |= {"layer_decay": decay, "rehearsal": 0.0}
        finetune.run(params, paths)
        moved.append({name: float((value - before[name]).abs().max()) for name, value in weights(paths).items()})
    full, decayed = (move["network.encoder.tokens.embed.weight"] for move in moved)
    assert 0 < decayed < 0.1 * full
    full, decayed = (move["network.decoder.1.head.bias"] for move in moved)
    assert decayed == pytest.approx(full, rel=0.2)


def test_crops_have_the_unit_of_the_checkpoint(
    params: dict[str, Any], paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(replace(tiny_checkpoint(frames=3), normalization="max"), paths.pretrained)
    used = set()
    real = Supervised.label

    def label(self: Supervised, clips: WindowBatch) -> Labelled:
        used.add(self.inputs.transforms.normalization)
        return real(self, clips)

    monkeypatch.setattr(Supervised, "label", label)
    finetune.run(params, paths)
    assert used == {"max"}


def test_a_checkpoint_that_does_not_fit_is_one_line(params: dict[str, Any], paths: Paths) -> None:
    checkpoints.save(tiny_checkpoint(frames=3, task="reconstruction_3d"), paths.pretrained)
    params["finetune"] |= {"load": "encoder", "strict": True}
    with pytest.raises(UserError, match=r"does not fit the model \(encoder\): network.encoder.tokens.embed.weight is"):
        finetune.run(params, paths)
    assert not paths.finetuned.exists()


def test_what_is_fine_tuned_is_of_the_layout_of_its_labels(params: dict[str, Any], paths: Paths) -> None:
    """Which may be another than that of the data before: `stages.predict` takes it for such keypoints then."""
    before = replace(tiny_checkpoint(frames=3), layout=LAYOUTS["coco"])
    checkpoints.save(before, paths.pretrained)
    finetune.run(params, paths)
    assert checkpoints.load(paths.finetuned).layout == H36M_LAYOUT


def test_a_layout_that_the_checkpoint_does_not_know_is_one_line(params: dict[str, Any], paths: Paths) -> None:
    store.write(paths.poses, dict.fromkeys(("train", "validation"), [sequence("S1", "Walking", 30)]), UNKNOWN)
    with pytest.raises(UserError, match="finetune.checkpoint does not know the layout 'other' of the data: pretrain"):
        finetune.run(params, paths)
    assert not paths.finetuned.exists()


def test_a_checkpoint_that_is_not_there_is_one_line(params: dict[str, Any], paths: Paths) -> None:
    params["finetune"]["checkpoint"] = "data/models/other.pt"
    with pytest.raises(UserError, match=r"finetune\.checkpoint = 'data/models/other\.pt': there is no such file"):
        finetune.run(params, paths)
    paths.pretrained.unlink()
    params["finetune"]["checkpoint"] = PARAMS["finetune"]["checkpoint"]
    with pytest.raises(UserError, match=r"pretrained\.pt is missing: run `dvc repro pretrain` first"):
        finetune.run(params, paths)


def test_no_labels_is_one_line(params: dict[str, Any], paths: Paths) -> None:
    _write_store(paths, labels=False)
    with pytest.raises(UserError, match="has no 3D for the train split"):
        finetune.run(params, paths)


def test_a_schedule_by_validation_losses_is_refused(params: dict[str, Any], paths: Paths) -> None:
    params["training"]["schedule"]["name"] = "plateau"
    with pytest.raises(UserError, match=r"'plateau' would let labels of the validation subjects set the rate"):
        finetune.run(params, paths)


def test_its_numbers_take_the_place_of_those_of_training(params: dict[str, Any]) -> None:
    params["training"]["debug"] = False
    params["finetune"] |= {"epochs": 3, "batch_size": 7, "lr": 0.25}
    read = Finetuning.read(params).training
    assert (read.objective, read.epochs, read.batch_size, read.lr) == ("supervised", 3, 7, 0.25)
    assert (read.schedule.name, read.patience) == (params["training"]["schedule"]["name"], 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_fraction": 0}, r"finetune\.label_fraction = 0: must be a number above 0 and at most 1"),
        ({"load": "head"}, r"finetune\.load = 'head': must be all or encoder"),
        ({"layer_decay": 1.5}, r"finetune\.layer_decay = 1\.5"),
        (
            {"freeze_encoder": True, "from_scratch": True},
            r"freeze_encoder and finetune\.from_scratch together would keep random",
        ),
    ],
)
def test_params_out_of_range(change: dict[str, object], message: str, params: dict[str, Any], paths: Paths) -> None:
    params["finetune"] |= change
    with pytest.raises(UserError, match=message):
        finetune.run(params, paths)


@pytest.mark.parametrize("name", ["transformer", "vit"])
def test_layers_nearer_the_input_learn_more_slowly(name: str) -> None:
    network = tiny_model(3, name).network
    rates = layer_rates(network, 0.5)
    assert set(rates) == set(network.parameters())
    of = {name: rates[parameter] for name, parameter in network.named_parameters()}
    depth = len(network.encoder.blocks)  # type: ignore[arg-type]
    assert of["decoder.1.head.weight"] == 1
    assert {rate for name, rate in of.items() if name.startswith("decoder.0.")} == {0.5}
    assert {rate for name, rate in of.items() if name.startswith("encoder.blocks.0.")} == {0.5 ** (depth + 1)}
    lowest = ("embed.weight", "landmark_embedding", "layout_embedding", "mix")
    assert {of[f"encoder.tokens.{name}"] for name in lowest} == {0.5 ** (depth + 2)}

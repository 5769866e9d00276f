"""Weights of one model in another: what is taken, what is new, and what must not pass."""

import pytest
import torch

from lib.models.networks import Architecture
from lib.models.tasks import build_model
from lib.pose.layouts import H36M_LAYOUT
from lib.runtime.errors import UserError
from lib.training.transfer import transfer
from tests.settings import KNOWN, NETWORKS, TINY, tiny_model

HEAD = ("network.decoder.1.head.weight", "network.decoder.1.head.bias")
ERROR_HEAD = tuple(f"error_head.{layer}.{part}" for layer in (1, 3) for part in ("weight", "bias"))


def test_all_of_a_lifter_is_taken_by_a_lifter() -> None:
    source, model = tiny_model(3), build_model("lifting", NETWORKS["transformer"], H36M_LAYOUT, 3, KNOWN)
    taken = transfer(source.state_dict(), model, "all", strict=True)
    assert (taken.new, taken.unused) == ((), ())
    assert len(taken.loaded) == len(source.state_dict())
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())


def test_the_encoder_alone_is_taken() -> None:
    source, model = tiny_model(3), build_model("lifting", NETWORKS["transformer"], H36M_LAYOUT, 3, KNOWN)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    taken = transfer(source.state_dict(), model, "encoder", strict=True)
    assert {name.startswith("network.encoder.") for name in taken.loaded} == {True}
    assert {name.startswith(("network.decoder.", "error_head.")) for name in taken.new} == {True}
    assert taken.unused == taken.new
    for name, value in model.state_dict().items():
        assert torch.equal(value, (source.state_dict() if name in taken.loaded else before)[name])
    assert f"{len(taken.loaded)} tensors loaded, {len(taken.new)} new (network.decoder.0" in taken.describe()


def test_a_head_of_another_shape_stays_new_unless_strict() -> None:
    weights = build_model("reconstruction_2d", NETWORKS["transformer"], H36M_LAYOUT, 3, KNOWN).state_dict()
    model = build_model("lifting", NETWORKS["transformer"], H36M_LAYOUT, 3, KNOWN)
    taken = transfer(weights, model, "all")
    assert taken.new == (*HEAD, *ERROR_HEAD)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=r"does not fit .*head.weight is \(102, 136\) and must be \(177, 136\)"):
        transfer(weights, model, "all", strict=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    transfer(weights, model, "encoder", strict=True)


def test_points_in_3d_have_another_embedding() -> None:
    weights = build_model("reconstruction_3d", NETWORKS["transformer"], H36M_LAYOUT, 3, KNOWN).state_dict()
    with pytest.raises(UserError, match=r"network.encoder.tokens.embed.weight is \(8, 19\) and must be \(8, 15\)"):
        transfer(
            weights, build_model("lifting", NETWORKS["transformer"], H36M_LAYOUT, 3, KNOWN), "encoder", strict=True
        )


def test_what_has_no_place_is_an_error_if_strict() -> None:
    deeper = Architecture("transformer", TINY.model_copy(update={"encoder_depth": 2}))
    weights, model = build_model("lifting", deeper, H36M_LAYOUT, 3, KNOWN).state_dict(), tiny_model(3)
    with pytest.raises(UserError, match=r"network\.encoder\.blocks\.1\.\S+ has no place; .*; \d+ more$"):
        transfer(weights, model, "encoder", strict=True)
    assert len(transfer(weights, model, "encoder").unused) > 10


def test_a_model_that_shares_nothing_is_an_error() -> None:
    with pytest.raises(UserError, match=r"does not fit the model \(all\): \S+ is missing; .* more"):
        transfer({"other": torch.zeros(1)}, tiny_model(3))

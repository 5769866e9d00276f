"""Equal parts of every step, which any number of processes can work on with the same result.

A shard has a part of the training windows and of each step's batch, and random numbers, an objective and a memory of
its own. A step's gradient is the mean over all shards. What is learned depends on the number of shards, and not on who
works on which: one process does all of a step's shards in turn, which takes less memory than the whole batch at once,
and several processes share them.

Gradients are averaged here, in one exchange a step, and not by torch's DistributedDataParallel: objectives call a model
up to three times before gradients are due, and shards may leave different parameters unused.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lib.data.windows import ClipStream, WindowBatch
from lib.objectives.base import Objective, Step
from lib.runtime.device import most_processes, resolve_device
from lib.runtime.errors import UserError
from lib.runtime.group import Group
from lib.training.params import TrainingParams
from lib.training.state import random_state, set_random_state

STRIDE = 0x9E3779B97F4A7C15  # from one shard's seed to the next: odd, so that all are different
SAME = 1e-4  # relative: how far apart the processes' weights may be, whose devices may differ


class ShardSetup(NamedTuple):
    """What a shard works with."""

    objective: Objective
    clips: Iterable[WindowBatch]  # of its windows, without end
    shard: int = 0


class Shard:
    """A shard of a run: a part, how far it has come, and its random numbers."""

    def __init__(self, part: ShardSetup, count: int, seed: int, device: torch.device) -> None:
        self.number, self.objective, self._device = part.shard, part.objective, device
        seed = shard_seed(seed, part.shard)
        self._generator = torch.Generator(device).manual_seed(seed)
        self.stream = ClipStream(part.clips, device)
        self._random = None if count == 1 else _seeded(seed, device)  # None: torch's own, which no other shard uses

    def before_epoch(self, teacher: Any, epoch: int) -> None:
        """What the objective does before an epoch."""
        self.objective.before_epoch(teacher, self.stream, epoch)

    def steps(self, teacher: Any, epoch: int) -> Iterator[Step]:
        """The shard's part of an epoch's steps, without end."""
        return self.objective.steps(teacher, self.stream, epoch, self._generator)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Within it, torch's own random numbers, of which dropout takes some, are the shard's."""
        if self._random is None:
            yield
            return
        set_random_state(self._random, self._device)
        yield
        self._random = random_state(self._device)

    def state(self) -> dict[str, Any]:
        """Where the shard is, as plain values and tensors."""
        random = random_state(self._device) if self._random is None else self._random
        return {
            "clips": self.stream.read,
            "objective": self.objective.state_dict(),
            "steps": self._generator.get_state(),
            "random": random,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Be where another one was, before any step of this one."""
        self.objective.load_state_dict(state["objective"])
        self.stream.skip(state["clips"])
        self._generator.set_state(state["steps"])
        if self._random is None:
            set_random_state(state["random"], self._device)
        else:
            self._random = {**self._random, **state["random"]}


def shard_seed(seed: int, shard: int) -> int:
    """The seed of a shard, which is the run's for the first one."""
    return (seed + shard * STRIDE) % (1 << 63)


def shards_of(group: Group, count: int) -> range:
    """The numbers of the shards that this process works on.

    Raises:
        UserError: processes cannot share them evenly.
    """
    if count % group.size:
        raise UserError(
            f"{group.size} processes cannot share training.shards = {count} evenly: make it a multiple of {group.size}"
        )
    own = count // group.size
    return range(group.rank * own, (group.rank + 1) * own)


def processes_to_start(training: TrainingParams) -> int:
    """How many processes to start for `training.devices`; 1: this one trains, as it does where torchrun started it.

    Raises:
        UserError: there are not so many devices, or torchrun's processes cannot share the shards.
    """
    group = Group.of_environment()
    shards_of(group, training.shards)
    if group.size > 1 or training.devices == 1:
        return 1
    device = resolve_device(training.device)
    most = most_processes(device)
    if training.devices == "auto":
        return max(count for count in range(1, min(most, training.shards) + 1) if training.shards % count == 0)
    if device.type != "cpu" and training.devices > most:
        raise UserError(f"params.yaml: training.devices = {training.devices}: from {device} on, there are {most}")
    return training.devices


class MeanGradient:
    """The mean of all shards' gradients of a step, as if one had summed them in any order.

    Sums are in float64, where there is one: in float32, their last bits would depend on who works on which shard, and
    Adam makes much of a difference where a gradient is next to nothing. With one shard, it does nothing.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], count: int, group: Group) -> None:
        self._trained = [parameter for parameter in parameters if parameter.requires_grad] if count > 1 else []
        self._count, self._group = count, group
        self._sum: Tensor | None = None

    def add(self) -> None:
        """Take away the gradients of one shard, and add them to the sum."""
        if self._trained:
            flat = torch.cat([self._taken(parameter).flatten() for parameter in self._trained])
            flat = flat if flat.device.type == "mps" else flat.double()
            self._sum = flat if self._sum is None else self._sum + flat

    def put(self) -> None:
        """Put the mean over the shards of all processes in the gradients' place; a parameter that none uses has 0."""
        if self._sum is None:
            return
        self._group.add_up(self._sum)
        mean = (self._sum / self._count).float()
        for parameter, part in zip(self._trained, mean.split([one.numel() for one in self._trained]), strict=True):
            parameter.grad = part.view_as(parameter)
        self._sum = None

    @staticmethod
    def _taken(parameter: torch.nn.Parameter) -> Tensor:
        gradient, parameter.grad = parameter.grad, None
        return torch.zeros_like(parameter) if gradient is None else gradient


def average_terms(terms: Sequence[Mapping[str, Tensor]], group: Group) -> dict[str, Tensor]:
    """The mean over all shards, of which these are this process's, in an order that is the same for any processes."""
    table = torch.stack([torch.stack([value.detach().float() for value in part.values()]) for part in terms])
    return dict(zip(terms[0], group.gather(table).mean(0), strict=True))


def average_learned(shards: Sequence[Shard], group: Group) -> None:
    """Give all shards the mean of what their objectives learn for all, such as the lengths of the prior's bones."""
    for same in zip(*(shard.objective.learned_together() for shard in shards), strict=True):
        mean = group.gather(torch.stack(same)).mean(0)
        for tensor in same:
            tensor.copy_(mean)


def check_same_weights(model: torch.nn.Module, group: Group) -> None:
    """Refuse to go on with processes whose weights have come apart.

    Raises:
        UserError: they have.
    """
    if group.size > 1:
        norms = torch.stack([value.detach().float().norm() for value in model.parameters()])
        each = group.gather(norms[None])
        if not torch.allclose(each, each[:1].expand_as(each), rtol=SAME, atol=SAME):
            raise UserError("the weights of the processes have come apart: train on devices of one kind")


def _seeded(seed: int, device: torch.device) -> dict[str, Tensor]:
    """The states of torch's own generators with a seed."""
    before = random_state(device)
    torch.manual_seed(seed)
    state = random_state(device)
    set_random_state(before, device)
    return state

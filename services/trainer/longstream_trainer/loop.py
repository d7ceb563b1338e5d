"""The training loop: gradients accumulated over a step's groups, clipped, one AdamW step, reported.

A step is a function of (weights, optimizer state, recipe, step number): its examples, its learning rate,
its NEFTune noise and its dropout are drawn from the seed and the step. So a run that was stopped and goes
on from a checkpoint ends with the same bits as one that was never stopped (on a CPU with the same number of
threads). The noise of an example is drawn for it alone: it is the same packed, padded, or in another process.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from longstream.errors import SuiteError
from longstream_trainer.examples import Example, Examples, Order
from longstream_trainer.flops import ModelSize, Side, flops_of
from longstream_trainer.layout import Layout
from longstream_trainer.loss import SummedLoss
from longstream_trainer.model import Loaded, device_flops, model_sizes, trainable, trained_parameters
from longstream_trainer.neftune import Neftune
from longstream_trainer.ranks import Ranks, like, put, shard, whole
from longstream_trainer.recipe import Recipe
from longstream_trainer.report import Step
from longstream_trainer.ways import is_direct

_PACE = 20
"""Steps whose mean duration tells the time that is left."""


class Diverged(SuiteError):
    """The loss or a gradient is no finite number; lower the learning rate or NEFTune's alpha."""

    code = "INTERNAL"
    reason = "diverged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run computes with.

    sizes: of the whole model. sharded: whether each process holds a part of it.
    """

    loss: SummedLoss
    loaded: Loaded
    layout: Layout
    ranks: Ranks
    sizes: Sequence[tuple[ModelSize, Side]]
    sharded: bool = False


class Training:
    """A run in memory: model, optimizer, how far it has come, and its log."""

    def __init__(self, setup: Setup, examples: Examples, recipe: Recipe) -> None:
        self._setup = setup
        self._loaded = setup.loaded
        self._ranks = setup.ranks
        self._recipe = recipe
        self._order = Order(examples.train, recipe.seed)
        self._draws = recipe.draws_planned(len(examples.train))
        self._parameters = dict(trained_parameters(setup.loss.model))
        self._optimizer = _optimizer(self._parameters, recipe)
        self.noise = torch.Generator(device=setup.loaded.device)
        """NEFTune draws from it; it is seeded anew for every example."""
        self.neftune: Neftune | None = None
        """The noise that is attached to the model, to be seeded and measured."""
        self.peak = device_flops(setup.loaded.device, recipe) * self._ranks.world
        """What all devices could do, FLOP/s."""
        self.steps_planned = recipe.steps_planned(len(examples.train))
        self.step = 0
        self.log: list[Step] = []

    @property
    def loss(self) -> SummedLoss:
        """The model with its loss."""
        return self._setup.loss

    @property
    def sharded(self) -> bool:
        """Whether each process holds a part of the model."""
        return self._setup.sharded

    @property
    def trained_parameters(self) -> int:
        """Numbers that training changes."""
        return sum(weight.numel() for weight in self._parameters.values())

    @property
    def finished(self) -> bool:
        """Whether every planned step has run."""
        return self.step >= self.steps_planned

    def advance(self, check: Callable[[], None]) -> Step:
        """Run one optimizer step. check: called between groups; if it raises, the step has not happened.

        Raises Diverged.
        """
        started = time.monotonic()
        batch = self._batch()
        rate = self._recipe.learning_rate_at(self.step, self.steps_planned)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        loss, positions = self._accumulate(batch, check)
        norm = self._clipped_norm()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(
                f"step {self.step + 1}: loss {loss}, gradient norm {norm}; lower the learning rate"
            )
        self._optimizer.step()
        self.step += 1
        tokens = sum(map(len, batch))
        seconds, flops = time.monotonic() - started, flops_of(self._setup.sizes, batch)
        done = Step(
            step=self.step,
            loss=loss,
            learning_rate=rate,
            grad_norm=norm,
            tokens=(self.log[-1].tokens if self.log else 0) + tokens,
            seconds=seconds,
            step_tokens=tokens,
            useful_tokens_ratio=tokens / positions,
            neftune_effective_alpha=self._effective_alpha(),
            flops=flops,
            mfu_ratio=flops / seconds / self.peak if seconds else None,
            seconds_left=self._left_s(seconds),
            memory_bytes=memory_held(self._loaded.device),
        )
        self.log.append(done)
        return done

    def weights(self) -> dict[str, Tensor]:
        """The trained parameters by name, whole; every process must ask, and the first one gets them."""
        return self._whole((name, weight.detach()) for name, weight in self._parameters.items())

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """AdamW's state by parameter and quantity, `NAME/exp_avg` and so on; in the same way."""
        state = self._optimizer.state
        return self._whole(
            (f"{name}/{key}", value)
            for name, weight in self._parameters.items()
            for key, value in state[weight].items()
        )

    def state(self) -> dict[str, Any]:
        """What else a checkpoint needs, as JSON values."""
        return {"log": [asdict(step) for step in self.log]}

    def restore(self, step: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Go on after `step` steps with these tensors. Raises KeyError or RuntimeError if they do not fit."""
        with torch.no_grad():
            for name, weight in self._parameters.items():
                put(weight, weights[name])
        for name, weight in self._parameters.items():
            moments = {key: like(optimizer[f"{name}/{key}"], weight) for key in ("exp_avg", "exp_avg_sq")}
            # AdamW keeps its step counts on the CPU, whatever the weights are on.
            self._optimizer.state[weight] = {"step": optimizer[f"{name}/step"], **moments}
        self.step = step

    def _whole(self, tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
        found = {}
        for name, tensor in tensors:
            one = whole(tensor)  # of which the others need not keep more than this one
            if self._ranks.first:
                found[name] = (one.cpu() if self._setup.sharded else one).contiguous()
        return found

    def _batch(self) -> list[Example]:
        start = self.step * self._recipe.batch_examples
        return self._order.take(start, min(self._recipe.batch_examples, self._draws - start))

    def _accumulate(self, batch: list[Example], check: Callable[[], None]) -> tuple[float, int]:
        """Mean loss per supervised token, and the positions that were computed, over all processes."""
        # Dividing by the whole step's tokens, not by each group's, gives every token the same weight.
        tokens = sum(len(example.response_ids) for example in batch)
        groups = self._setup.layout.groups(batch)
        sizes = [sum(len(batch[one]) for one in group) for group in groups]
        sharded = self._setup.sharded
        totals = torch.zeros(2, dtype=torch.float64, device=self._loaded.device)
        for group, counts in self._ranks.share(groups, sizes):
            if not counts and not sharded:
                continue
            check()
            loss, positions = self._computed(batch, group, counts)
            # What is spread over processes averages their gradients, where the sum is wanted.
            factor = (self._ranks.world if sharded else 1) / tokens
            (loss * (factor if counts else 0.0)).backward()
            if counts:
                totals += torch.tensor([loss.item(), positions], device=totals.device)
        if not sharded:
            self._ranks.add_up_gradients(self._parameters.values())
        total, computed = self._ranks.add_up(totals).tolist()
        return total / tokens, int(computed)

    def _computed(self, batch: list[Example], group: Sequence[int], counts: bool) -> tuple[Tensor, int]:
        start = self.step * self._recipe.batch_examples
        # Dropout, where a model has some.
        torch.manual_seed(self._seed("dropout", start + group[0]))
        if self.neftune is not None:
            self.neftune.next_seeds([self._seed("noise", start + one) for one in group], counts=counts)
        rows = self._setup.layout.batch([batch[one] for one in group]).to(self._loaded.device)
        with self._loaded.autocast():
            return self._setup.loss(rows), rows.positions

    def _seed(self, what: str, place: int) -> int:
        key = hashlib.sha256(f"{self._recipe.seed}/{what}/{place}".encode()).digest()
        return int.from_bytes(key[:8]) >> 1

    def _effective_alpha(self) -> float | None:
        if self.neftune is None:
            return None
        measured = self._ranks.add_up(self.neftune.take_measure().to(self._loaded.device))
        power, examples = measured.tolist()
        return math.sqrt(3 * power / examples) if examples else None

    def _left_s(self, latest_s: float) -> float:
        recent = [step.seconds for step in self.log[-_PACE:]] + [latest_s]
        return sum(recent) / len(recent) * (self.steps_planned - self.step)

    def _clipped_norm(self) -> float:
        limit = self._recipe.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), limit)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def prepared(
    loaded: Loaded, layout: Layout, examples: Examples, recipe: Recipe, ranks: Ranks | None = None
) -> Training:
    """A run as far as its first step: what is trained of the model, spread over the processes if the recipe says so."""
    ranks = ranks or Ranks()
    torch.manual_seed(recipe.seed)
    model = trainable(loaded, recipe)
    direct = is_direct(loaded, model, examples.train, layout)
    setup = Setup(
        loss=SummedLoss(model, loaded.model, direct=direct).train(),
        loaded=loaded,
        layout=layout,
        ranks=ranks,
        sizes=model_sizes(model, loaded.model),
        sharded=recipe.sharding != "none" and ranks.world > 1,
    )
    if setup.sharded:
        shard(setup.loss, loaded.model, half=loaded.precision == "bf16")
    return Training(setup, examples, recipe)


def memory_held(device: torch.device) -> int:
    """The most bytes that this process has held: of the GPU, or of the machine's memory."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # Not getrusage: what it tells begins with what the parent held when this process was made.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _optimizer(parameters: Mapping[str, torch.nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    matrices = [weight for weight in parameters.values() if weight.ndim > 1]
    others = [weight for weight in parameters.values() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=recipe.learning_rate, betas=recipe.betas, eps=1e-8
    )

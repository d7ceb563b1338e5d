"""The training loop: gradients accumulated over a step's micro-batches, clipped, one AdamW step, reported.

A step is a function of (weights, optimizer state, recipe, step number): its examples, its learning rate,
its NEFTune noise and its dropout are drawn from the seed and the step. So a run that was stopped and goes
on from a checkpoint ends with the same bits as one that was never stopped (on a CPU with the same number of
threads).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from longstream.errors import SuiteError
from longstream_trainer.data import Example, Examples, Order, collate, micro_batches
from longstream_trainer.flops import peak_flops, step_flops
from longstream_trainer.heldout import summed_loss
from longstream_trainer.model import Loaded, measured_flops, model_size, trained_parameters
from longstream_trainer.neftune import Neftune
from longstream_trainer.recipe import Recipe
from longstream_trainer.report import Step


class Diverged(SuiteError):
    """The loss or a gradient is no finite number; lower the learning rate or NEFTune's alpha."""

    code = "INTERNAL"
    reason = "diverged"


class Training:
    """A run in memory: model, optimizer, how far it has come, and its log."""

    def __init__(self, model: Any, loaded: Loaded, examples: Examples, recipe: Recipe) -> None:
        self._model = model
        self._loaded = loaded
        self._recipe = recipe
        self._order = Order(examples.train, recipe.seed)
        self._draws = recipe.draws_planned(len(examples.train))
        self._parameters = dict(trained_parameters(model))
        self._optimizer = _optimizer(self._parameters, recipe)
        self.noise = torch.Generator(device=loaded.device)
        """NEFTune draws from it; it is seeded anew for every step."""
        self.neftune: Neftune | None = None
        """The noise that is attached to the model, to be measured."""
        self._size = model_size(model, loaded.model)
        self._peak = recipe.peak_flops or peak_flops(loaded.device_name) or measured_flops(loaded)
        self.steps_planned = recipe.steps_planned(len(examples.train))
        self.step = 0
        self.log: list[Step] = []

    @property
    def finished(self) -> bool:
        """Whether every planned step has run."""
        return self.step >= self.steps_planned

    def advance(self, check: Callable[[], None]) -> Step:
        """Run one optimizer step. check: called between micro-batches; if it raises, the step has not
        happened.

        Raises Diverged.
        """
        started = time.monotonic()
        self._seed_step()
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
        lengths = [len(example) for example in batch]
        seconds, flops = time.monotonic() - started, step_flops(self._size, lengths)
        done = Step(
            step=self.step,
            loss=loss,
            learning_rate=rate,
            grad_norm=norm,
            tokens=(self.log[-1].tokens if self.log else 0) + sum(lengths),
            seconds=seconds,
            step_tokens=sum(lengths),
            useful_tokens_ratio=sum(lengths) / positions,
            neftune_effective_alpha=self.neftune.effective_alpha() if self.neftune else None,
            flops=flops,
            mfu_ratio=flops / seconds / self._peak if seconds else None,
        )
        self.log.append(done)
        return done

    def weights(self) -> dict[str, Tensor]:
        """The trained parameters by name."""
        return {name: weight.detach().contiguous() for name, weight in self._parameters.items()}

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """AdamW's state by parameter and quantity: `NAME/exp_avg` and so on."""
        state = self._optimizer.state
        return {
            f"{name}/{key}": value.contiguous()
            for name, weight in self._parameters.items()
            for key, value in state[weight].items()
        }

    def state(self) -> dict[str, Any]:
        """What else a checkpoint needs, as JSON values."""
        return {"log": [asdict(step) for step in self.log]}

    def restore(self, step: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Go on after `step` steps with these tensors. Raises KeyError or RuntimeError if they do not fit."""
        with torch.no_grad():
            for name, weight in self._parameters.items():
                weight.copy_(weights[name])
        for name, weight in self._parameters.items():
            state = {key: optimizer[f"{name}/{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            on_device = {key: value.to(weight.device) for key, value in state.items() if key != "step"}
            # AdamW keeps its step counts on the CPU, whatever the weights are on.
            self._optimizer.state[weight] = {"step": state["step"], **on_device}
        self.step = step

    def _seed_step(self) -> None:
        key = hashlib.sha256(f"{self._recipe.seed}/{self.step}".encode()).digest()
        seed = int.from_bytes(key[:8]) >> 1
        torch.manual_seed(seed)
        self.noise.manual_seed(seed)

    def _batch(self) -> list[Example]:
        start = self.step * self._recipe.batch_examples
        return self._order.take(start, min(self._recipe.batch_examples, self._draws - start))

    def _accumulate(self, batch: list[Example], check: Callable[[], None]) -> tuple[float, int]:
        """Mean loss per supervised token, and the positions that were computed."""
        # Dividing by the whole step's tokens, not by each micro-batch's, gives every token the same weight.
        tokens = sum(len(example.response_ids) for example in batch)
        total, positions = 0.0, 0
        for group in micro_batches(batch, self._recipe.micro_batch):
            check()
            rows = collate(group, self._loaded.pad_id).to(self._loaded.device)
            positions += rows.input_ids.numel()
            with self._loaded.autocast():
                loss = summed_loss(self._model, rows)
            (loss / tokens).backward()
            total += loss.item()
        return total / tokens, positions

    def _clipped_norm(self) -> float:
        limit = self._recipe.clip or math.inf
        return torch.nn.utils.clip_grad_norm_(self._parameters.values(), limit).item()


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

"""How a model is fine-tuned: one typed value that is checked before any weight is loaded.

A recipe comes from a mapping (the pipeline file, a job). An unknown key is refused with the list of known
ones, and `preset` names a starting point whose figures the other keys replace. It also says how many steps
will really run: examples x epochs / batch, rounded up, with no example of the last, shorter batch lost.
(The trainer that Long Is More used plans 105 steps for 15 epochs of 1,000 examples and so stops after
13.44; its presets ask for that with max_steps.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from longstream.errors import InvalidInput
from longstream.template import DEFAULT_TEMPLATE, template_named
from longstream_trainer.presets import preset

Method = Literal["lora", "full"]
Schedule = Literal["linear", "cosine", "constant"]
OverLength = Literal["refuse", "drop"]
Precision = Literal["auto", "fp32", "bf16"]
Quantization = Literal["none", "nf4"]
Packing = Literal["auto", "off"]
Sharding = Literal["none", "fsdp"]
Fit = Literal["refuse", "warn"]

_SERVED_RANK = 512
"""The highest rank that the serving engine loads; a higher one is merged."""
_SPEED_ALONE = frozenset(
    {
        *("micro_batch", "packing", "sharding", "gradient_checkpointing", "threads"),
        *("checkpoint_every_steps", "keep_checkpoints", "peak_flops", "fit"),
    }
)
"""Keys that decide how fast and how safely a run goes, and of its result at most the rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides a fine-tuned model besides its base and its rows.

    Raises InvalidInput, naming the field, for a value out of its range.
    """

    method: Method = "lora"
    """lora trains a small adapter (peft); full trains every weight."""
    rank: int = 16
    lora_alpha: float = 32.0
    """LoRA's scale is lora_alpha / rank."""
    target_modules: tuple[str, ...] = ("all-linear",)
    """Names of the modules that get an adapter; all-linear is every linear layer but the output one."""
    dora: bool = False
    """Train the lengths of weight columns besides (DoRA, arXiv 2402.09353). Whole weights are written, since engines
    load no such adapter."""
    quantization: Quantization = "none"
    """nf4 freezes the base in 4 bits (QLoRA, arXiv 2305.14314) where bitsandbytes runs; with lora."""
    merge: bool = False
    """Write whole weights with the adapter in them instead of the adapter."""
    learning_rate: float = 2e-4
    epochs: float = 3.0
    """Passes over the examples; a fraction is a part of a pass."""
    max_steps: int | None = None
    """Stop after so many optimizer steps even if epochs are left; the schedule then ends there."""
    batch_examples: int = 32
    """Examples in an optimizer step."""
    micro_batch: int = 2
    """Rows of max_tokens computed at once: an example each, or packed as many as fit into so many tokens. Only memory
    and speed depend on it."""
    packing: Packing = "auto"
    """auto puts examples end to end into rows where the model keeps them apart, which is tried out; else they are
    padded."""
    warmup_ratio: float = 0.0
    """Share of the steps in which the learning rate rises from 0."""
    schedule: Schedule = "linear"
    weight_decay: float = 0.0
    """Of matrices; norms and biases are never decayed."""
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    """Largest L2 norm of the gradient; 0 leaves it as it is."""
    neftune_alpha: float = 5.0
    """By each example's own length (neftune.py); 0 is off."""
    neftune_padded_to: int | None = None
    """Take this for the length of every example, as transformers' trainer does where it pads to so many tokens."""
    neftune_decoder: bool = False
    """Noise also on what the decoder of an encoder-decoder reads."""
    max_tokens: int = 2_048
    """Longest prompt plus response, end included; each of both in an encoder-decoder."""
    over_length: OverLength = "refuse"
    """A longer example is never cut: refuse fails the job, drop leaves it out and counts it."""
    seed: int = 0
    template: str = DEFAULT_TEMPLATE
    precision: Precision = "auto"
    """auto is bf16 on a GPU that has it and fp32 elsewhere; full training keeps fp32 weights under bf16."""
    gradient_checkpointing: bool = False
    """Recompute layers in the backward pass: less memory, about a third more time."""
    sharding: Sharding = "none"
    """Over several processes: none holds the model in each of them, fsdp spreads it over all."""
    checkpoint_every_steps: int = 100
    """0 writes a checkpoint only at the end or when told to stop."""
    keep_checkpoints: int = 2
    """The newest so many stay; one before the newest serves where that one cannot be read."""
    fit: Fit = "refuse"
    """What to do where the estimate (preflight.py) is that memory will not do: refuse, or try all the same."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to torch. Another number may change the last bits of a result."""
    peak_flops: float = 0.0
    """What the device does at most, FLOP/s, for MFU; 0: as its name says (`flops.py`), else as it is measured."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(Recipe).items():
            _check_choice(name, hint, getattr(self, name))
        for name, low, high in _RANGES:
            _check_range(name, getattr(self, name), low, high)
        if self.max_steps is not None:
            _check_range("max_steps", self.max_steps, 1, math.inf)
        for beta in self.betas:
            _check_range("betas", beta, 0, 1 - 1e-9)
        if self.neftune_padded_to is not None:
            _check_range("neftune_padded_to", self.neftune_padded_to, 1, 10_000_000)
        if not self.target_modules:
            raise InvalidInput("target_modules names no module", field="recipe.target_modules")
        template_named(self.template)
        self._check_together()

    def _check_together(self) -> None:
        for name in ("dora", "merge") if self.method == "full" else ():
            if getattr(self, name):
                raise InvalidInput(f"{name} is for an adapter; set method to lora", field=f"recipe.{name}")
        if self.quantization != "none" and (self.method == "full" or self.sharding != "none"):
            raise InvalidInput(
                "quantized weights cannot be trained or sharded; set method to lora and sharding to none",
                field="recipe.quantization",
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that a mapping describes, on top of the preset it may name.

        Raises InvalidInput for an unknown key or preset (listing the known ones) and for a value of the wrong
        kind.
        """
        hints = get_type_hints(cls)
        return cls(
            **{key: _converted(key, hints[key], value) for key, value in _checked_keys(values).items()}
        )

    def as_mapping(self) -> dict[str, Any]:
        """Every key with its value, as JSON has them; `from_mapping` gives the same recipe back."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    def decisive(self) -> dict[str, Any]:
        """The keys that decide the result, with their values: what attempts of one job must share."""
        return {key: value for key, value in self.as_mapping().items() if key not in _SPEED_ALONE}

    @property
    def writes_adapter(self) -> bool:
        """Whether the result is an adapter, and not whole weights."""
        return self.method == "lora" and self.rank <= _SERVED_RANK and not (self.dora or self.merge)

    def steps_planned(self, examples: int) -> int:
        """Optimizer steps that will run for so many examples."""
        steps = math.ceil(self._wanted(examples) / self.batch_examples)
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def draws_planned(self, examples: int) -> int:
        """Examples that pass through the model in training; each epoch is a fresh order of all of them."""
        return min(self._wanted(examples), self.steps_planned(examples) * self.batch_examples)

    def _wanted(self, examples: int) -> int:
        return max(1, round(examples * self.epochs))

    def learning_rate_at(self, step: int, steps_planned: int) -> float:
        """Learning rate of a step, counted from 0; linear and cosine would reach 0 at steps_planned."""
        warmup = math.ceil(self.warmup_ratio * steps_planned)
        if step < warmup:
            return self.learning_rate * (step + 1) / (warmup + 1)
        done = (step - warmup) / max(1, steps_planned - warmup)
        match self.schedule:
            case "linear":
                return self.learning_rate * (1 - done)
            case "cosine":
                return self.learning_rate * (1 + math.cos(math.pi * done)) / 2
            case "constant":
                return self.learning_rate


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("rank", 1, 4_096),
    ("lora_alpha", 1e-6, 1e6),
    ("learning_rate", 1e-12, 10.0),
    ("epochs", 1e-6, 1e6),
    ("batch_examples", 1, 1_000_000),
    ("micro_batch", 1, 1_000_000),
    ("warmup_ratio", 0, 1),
    ("weight_decay", 0, 10),
    ("clip", 0, 1e9),
    ("neftune_alpha", 0, 1e6),
    ("max_tokens", 2, 10_000_000),
    ("seed", 0, 2**63 - 1),
    ("checkpoint_every_steps", 0, 1_000_000_000),
    ("keep_checkpoints", 1, 1_000),
    ("threads", 0, 4_096),
    ("peak_flops", 0, 1e18),
)


def _checked_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(values)
    name = given.pop("preset", None)
    start = {} if name is None else preset(name).values
    known = {entry.name for entry in fields(Recipe)}
    unknown = sorted(set(given) - known)
    if unknown:
        listed = ", ".join(sorted(known | {"preset"}))
        raise InvalidInput(f"unknown recipe keys: {', '.join(unknown)}; known: {listed}", field="recipe")
    return {**start, **given}


def _converted(name: str, hint: Any, value: Any) -> Any:
    if name == "target_modules" and isinstance(value, str):
        return (value,)
    try:
        match name:
            case "target_modules":
                return tuple(str(module) for module in value)
            case "betas":
                first, second = value
                return (_number(first), _number(second))
            case "max_steps" | "neftune_padded_to":
                return None if value is None else _whole(value)
    except (TypeError, ValueError) as error:
        raise _wrong(name, value) from error
    return _scalar(name, hint, value)


def _scalar(name: str, hint: Any, value: Any) -> Any:
    try:
        if hint is float:
            return _number(value)
        if hint is int:
            return _whole(value)
    except (TypeError, ValueError) as error:
        raise _wrong(name, value) from error
    if hint is bool and not isinstance(value, bool):
        raise _wrong(name, value)
    return value


def _number(value: Any) -> float:
    # YAML reads 2e-4 as text: its numbers want a dot.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("not a number")
    return float(value)


def _whole(value: Any) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError("not a whole number")
    return int(value) if isinstance(value, int) else int(number)


def _wrong(name: str, value: Any) -> InvalidInput:
    return InvalidInput(f"recipe.{name} cannot be {value!r}", field=f"recipe.{name}")


def _check_choice(name: str, hint: Any, value: Any) -> None:
    choices = [choice for choice in get_args(hint) if isinstance(choice, str)]
    if choices and value not in choices:
        raise InvalidInput(
            f"recipe.{name} must be one of {', '.join(choices)}, not {value!r}", field=f"recipe.{name}"
        )


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidInput(
            f"recipe.{name} must be from {low:g} to {high:g}, not {value!r}", field=f"recipe.{name}"
        )

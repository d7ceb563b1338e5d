"""What a training child tells its parent: one JSON object a line, each with its `type`.

started, step, checkpoint, done and failed are all there is. Parent and child share these classes; neither
they nor this file need torch. A reader ignores fields that it does not know, so that an older parent
understands a newer child, and does without what an older one does not tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from enum import IntEnum
from typing import Any, ClassVar, Literal

from longstream.errors import InvalidInput


class ExitCode(IntEnum):
    """How a child ended."""

    DONE = 0
    FAILED = 1
    """Another attempt may succeed: out of space, out of memory, a defect."""
    PERMANENT = 42
    """Bad configuration or data: every attempt would end alike; a Kubernetes Job fails on it at once."""
    STOPPED = 75
    """Asked to stop, or the parent is gone; a checkpoint is written and the next attempt goes on from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Model and data are loaded and the work is known."""

    type: ClassVar[str] = "started"
    steps_planned: int
    """Optimizer steps that will really run, those before resumed_from_step included."""
    resumed_from_step: int
    examples: int
    heldout_examples: int
    trained_tokens: int
    """Tokens of the training examples that carry loss, counted once: responses and their ends."""
    prompt_tokens: int
    trainable_parameters: int
    device: str
    precision: str
    gpus: int = 0
    """Devices that the attempt holds."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Rows left out, by reason."""
    memory_needed_bytes: int = 0
    """Of each process, as estimated before the start."""
    least_seconds: float = 0.0
    """The whole run's arithmetic over what the devices could do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimizer step is done."""

    type: ClassVar[str] = "step"
    step: int
    """Counted from 1."""
    loss: float
    """Mean over the step's loss-bearing tokens, in nats, under NEFTune's noise where that is on."""
    learning_rate: float
    grad_norm: float
    """L2, before clipping."""
    tokens: int
    """Seen so far in the whole run, without padding."""
    seconds: float
    """Of this step."""
    step_tokens: int = 0
    """Of this step, without padding."""
    useful_tokens_ratio: float = 1.0
    """Real tokens over the positions that were computed, padding included."""
    neftune_effective_alpha: float | None = None
    """The alpha that the noise of this step acted like, as measured; None without noise."""
    flops: float = 0.0
    """What the model needs for this step, in FLOP (`flops.py`)."""
    mfu_ratio: float | None = None
    """That over what the device could have done meanwhile; None in a step too short to be timed."""
    seconds_left: float | None = None
    """Of the run, at the pace of the latest steps."""
    memory_bytes: int = 0
    """The most that this process has held so far: of the GPU, where there is one, else of the machine's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint is safely on disk; or in storage, where path is an address."""

    type: ClassVar[str] = "checkpoint"
    step: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The model is complete in the folder `output`."""

    type: ClassVar[str] = "done"
    output: str
    base_revision: str
    """Hash of the base model's files."""
    steps: int
    loss: float
    """Mean over the last tenth of the steps, in nats per token."""
    base_bits_per_byte: float | None
    """Of the held-out responses under the base model; None where nothing is held out."""
    bits_per_byte: float | None
    """The same under the fine-tuned model."""
    seconds: float
    """Of all attempts, as far as their steps count."""
    kind: Literal["adapter", "weights", ""] = ""
    """What was written; empty where an older child does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The attempt has failed; no event follows."""

    type: ClassVar[str] = "failed"
    reason: str
    """Short snake_case word for counters."""
    message: str
    retryable: bool


STOPPED = "stopped"
"""The reason of an attempt that was asked to stop from outside."""


def without_a_word(code: int) -> Failed:
    """What became of an attempt that ended with that code and reported neither success nor failure."""
    return Failed(
        reason=STOPPED if code == ExitCode.STOPPED else "attempt_ended",
        message=f"the attempt ended with {code}",
        retryable=code != ExitCode.PERMANENT,
    )


Event = Started | Step | Checkpoint | Done | Failed
_KINDS: Mapping[str, type[Event]] = {kind.type: kind for kind in (Started, Step, Checkpoint, Done, Failed)}


Reporter = Callable[[Event], None]
"""Where events go; a call returns when the event is handed over."""


def encode_event(event: Event) -> str:
    """One line of JSON, without its line end."""
    return json.dumps({"type": event.type, **asdict(event)}, allow_nan=False)


def _may_lack(entry: Field[Any], values: Mapping[str, Any]) -> bool:
    # An older child does not tell what was added since.
    return entry.name not in values and entry.default is not MISSING


def decode_event(line: str | bytes) -> Event:
    """The event of one line. Raises InvalidInput for anything else; unknown fields are ignored."""
    try:
        values = json.loads(line)
        kind = _KINDS[values["type"]]
        return kind(
            **{entry.name: values[entry.name] for entry in fields(kind) if not _may_lack(entry, values)}
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"not an event of a training child: {error!r}") from error

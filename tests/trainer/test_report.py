"""Events on the line between child and parent."""

from __future__ import annotations

import json

import pytest

from longstream.errors import InvalidInput
from longstream_trainer.report import (
    Checkpoint,
    Done,
    Event,
    Failed,
    Started,
    Step,
    decode_event,
    encode_event,
)

EVENTS: list[Event] = [
    Started(
        steps_planned=6,
        resumed_from_step=2,
        examples=12,
        heldout_examples=3,
        trained_tokens=400,
        prompt_tokens=200,
        trainable_parameters=8_192,
        device="cpu",
        precision="fp32",
        dropped={"over_length": 2},
    ),
    Step(step=3, loss=1.5, learning_rate=1e-4, grad_norm=0.7, tokens=900, seconds=0.25),
    Checkpoint(step=4, path="checkpoints/step-00000004"),
    Done(
        output="output",
        base_revision="ab12",
        steps=6,
        loss=1.25,
        base_bits_per_byte=2.5,
        bits_per_byte=None,
        seconds=3.5,
    ),
    Failed(reason="storage_full", message="no space\nleft — free some", retryable=True),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_survives_its_line(event: Event) -> None:
    line = encode_event(event)
    assert "\n" not in line
    assert decode_event(line) == event
    assert decode_event(line.encode()) == event
    assert json.loads(line)["type"] == event.type


def test_a_newer_childs_extra_fields_are_ignored() -> None:
    line = json.dumps({**json.loads(encode_event(EVENTS[1])), "gpu_memory_bytes": 5})
    assert decode_event(line) == EVENTS[1]


@pytest.mark.parametrize(
    "line", ["", "not json", "[]", '{"type": "dance"}', '{"type": "step", "step": 1}', "7"]
)
def test_anything_else_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput):
        decode_event(line)

"""One owner decides for a pipeline: commands go through its control topic, answers come back in its state.

A mutating call is a command record. Only the owner of the control partition applies it, and writes the outcome into
the pipeline's OwnerState together with the command's position; the call's handler, on whichever replica, waits until
a view of the states has come that far. So no two replicas decide the same thing twice, and a repeated request id gets
the answer that the first one got.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from longstream.bus import Bus, Output, Partition, Record
from longstream.errors import AlreadyExists, InvalidInput, SuiteError, TooLarge, Unavailable, by_code
from longstream.ids import digest
from longstream.owned import OwnedFacts
from longstream.pipeline import Pipeline
from longstream.telemetry import produced
from longstream.topics import PipelineTopics
from longstream.v1.records_pb2 import (
    CurationRecord,
    HandledRequest,
    JudgingCommand,
    OwnerState,
    TrainingCommand,
)
from longstream.view import View

_log = logging.getLogger(__name__)

MAX_HANDLED = 200
"""Requests whose outcome is remembered per pipeline; an older id counts as new."""
MAX_COMMAND_BYTES = 64 * 1024
"""Of a command. All that is kept of it must fit, many times over, into the one record of the pipeline's state."""
_MAX_REQUEST_ID = 128
_MAX_ERROR = 500
_REST_S = 1.0
"""Before a pipeline is tried again whose storage is full or away."""

Command = CurationRecord | TrainingCommand | JudgingCommand
"""What an owner is asked; all name the pipeline, the request's id and the hash of its content."""


class Owner(ABC):
    """The handler of a control topic: applies commands, acts between them, and commits its state with both.

    `apply` and `act` change the pipeline's OwnerState in place; whatever they changed is committed together with
    what they return. Both see a pipeline only while this process owns its control partition. facts: what else is
    restored with the partition, before anything is applied.
    """

    def __init__(
        self, states: OwnedFacts[OwnerState], layout: PipelineTopics, pipelines: Mapping[str, Pipeline]
    ) -> None:
        self._states = states
        self._layout = layout
        self._pipelines = pipelines
        self._written: dict[str, bytes] = {}
        self._resting: dict[str, float] = {}

    @abstractmethod
    def apply(self, state: OwnerState, record: Record) -> Sequence[Output]:
        """Apply a control record. Raises InvalidInput for bytes that are no such record, before any change."""

    @abstractmethod
    def act(self, state: OwnerState, pipeline: Pipeline, outputs: list[Output]) -> None:
        """Do what is due for a pipeline that no record caused, and append what is to be written.

        May raise an error that a retry can help; what was appended before is written all the same, and `act` is
        called again a little later. So nothing may change of which the output does not follow at once.
        """

    def gained(self, partition: Partition) -> None:
        """Restore the states of the partition's pipelines."""
        self._states.gained(partition)
        for state in self._states.in_partition(partition):
            self._written[state.pipeline] = state.SerializeToString(deterministic=True)

    def lost(self, partition: Partition) -> None:
        """Forget them."""
        for state in self._states.in_partition(partition):
            self._written.pop(state.pipeline, None)
        self._states.lost(partition)

    def handle(self, record: Record) -> Sequence[Output]:
        """Apply a control record to the state of the pipeline that its key names. Raises InvalidInput."""
        state = self._state(self._named(record))
        outputs = self.apply(state, record)
        state.control_offset = record.offset + 1
        return outputs

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """Nothing beside the dead letter: an unreadable command has nobody who waits for it."""
        del record, error
        return ()

    def tick(self, partition: Partition) -> Sequence[Output]:
        """Act for each pipeline of the partition, then write the states that have changed."""
        outputs: list[Output] = []
        for pipeline in self._pipelines.values():
            if self._layout.partition(pipeline.name) == partition.index:
                self._act_patiently(pipeline, outputs)
        for state in self._states.in_partition(partition):
            value = state.SerializeToString(deterministic=True)
            if self._written.get(state.pipeline) != value:
                self._written[state.pipeline] = value
                outputs.append(self._states.put(state.pipeline, "", state))
        return outputs

    def _act_patiently(self, pipeline: Pipeline, outputs: list[Output]) -> None:
        if time.monotonic() < self._resting.get(pipeline.name, 0.0):
            return
        try:
            self.act(self._state(pipeline.name), pipeline, outputs)
        except SuiteError as error:
            if not error.retryable:
                raise
            self._rest(pipeline.name, _REST_S)
            told = {"pipeline": pipeline.name, "reason": error.reason, "why": error.message}
            _log.warning("owner waits", extra=told)

    def _rest(self, pipeline: str, seconds: float) -> None:
        """Do not act for the pipeline before that time has passed."""
        self._resting[pipeline] = time.monotonic() + seconds

    def _named(self, record: Record) -> str:
        try:
            name = record.key.decode()
        except UnicodeDecodeError:
            raise InvalidInput("the record's key is no pipeline's name") from None
        if self._layout.partition(name) != record.partition.index:
            raise InvalidInput(
                f"what concerns pipeline {name[:80]!r} does not belong into {record.partition}"
            )
        return name

    def _state(self, pipeline: str) -> OwnerState:
        state = self._states.get(pipeline)
        if state is None:
            state = OwnerState(pipeline=pipeline)
            self._states.put(pipeline, "", state)
        return state


def answer(state: OwnerState, request: Command, act: Callable[[], str]) -> None:
    """Apply a command once: act returns the id of what it made, or raises the SuiteError that the caller shall get.

    A request id that was seen before changes nothing and leaves its first outcome in place.
    """
    if any(done.request_id == request.request_id for done in state.handled):
        return
    done = HandledRequest(request_id=request.request_id, request_hash=request.request_hash)
    try:
        done.resource_id = act()
    except SuiteError as error:
        if error.retryable:
            raise
        done.error_code, done.error_message = error.code, error.message[:_MAX_ERROR]
    state.handled.append(done)
    if len(state.handled) > MAX_HANDLED:
        del state.handled[: len(state.handled) - MAX_HANDLED]


class CommandPort:
    """Sends commands to owners and waits for what they answer."""

    def __init__(self, bus: Bus, topic: str, layout: PipelineTopics, states: View[OwnerState]) -> None:
        self._bus = bus
        self._topic = topic
        self._layout = layout
        self._states = states

    def send(self, command: Command, timeout_s: float) -> str:
        """Have the owner apply the command; returns the id of what it made or touched.

        Sets the command's request_hash. Raises what the owner answered, AlreadyExists for a request id used with
        other content, TooLarge for a command over MAX_COMMAND_BYTES, DeadlineExceeded if no owner answered in time
        (the command stands and will be applied).
        """
        _check(command)
        command.ClearField("request_hash")
        command.request_hash = digest("request", command.SerializeToString(deterministic=True))
        output = self._layout.output(self._topic, command.pipeline, "", command.SerializeToString())
        written = self._bus.publish([produced(output)])[0]
        state = self._states.wait(lambda view: _applied(view, command.pipeline, written.offset), timeout_s)
        return _outcome(state, command)


def _applied(view: View[OwnerState], pipeline: str, offset: int) -> OwnerState | None:
    state = view.get(pipeline)
    return state if state is not None and state.control_offset > offset else None


def _check(command: Command) -> None:
    if not command.request_id:
        raise InvalidInput("request_id must be set, to a fresh UUID", field="request_id")
    if len(command.request_id) > _MAX_REQUEST_ID:
        raise TooLarge(
            f"request_id has more than {_MAX_REQUEST_ID} characters; use a UUID", field="request_id"
        )
    if command.ByteSize() > MAX_COMMAND_BYTES:
        raise TooLarge(
            f"the request has {command.ByteSize()} bytes, over the limit of {MAX_COMMAND_BYTES}; shorten it"
        )


def _outcome(state: OwnerState, command: Command) -> str:
    done = next((item for item in reversed(state.handled) if item.request_id == command.request_id), None)
    if done is None:  # the owner could not apply it, or so many came behind it that its outcome is forgotten
        raise Unavailable("the outcome of this request is not known any more; look before you send it again")
    if done.request_hash != command.request_hash:
        raise AlreadyExists(
            "this request_id was used for another request; use a fresh UUID", field="request_id"
        )
    if done.error_code:
        raise by_code(done.error_code, done.error_message)
    return done.resource_id

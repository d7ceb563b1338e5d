"""One owner decides for a pipeline: commands go through its control topic, answers come back in its state.

A mutating call is a command record. Only the owner of the control partition applies it, and writes the outcome into
the pipeline's OwnerState together with the command's position; the call's handler, on whichever replica, waits until
a view of the states has come that far. So no two replicas decide the same thing twice, and a repeated request id gets
the answer that the first one got.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from longstream.bus import Bus, Output, Partition
from longstream.errors import AlreadyExists, InvalidInput, SuiteError, by_code
from longstream.ids import digest
from longstream.records import parse
from longstream.topics import PipelineTopics
from longstream.v1.records_pb2 import HandledRequest, OwnerState
from longstream.view import View, read_to_end

MAX_HANDLED = 1_000
"""Requests whose outcome is remembered per pipeline; an older id counts as new."""


class Request(Protocol):
    """The part of a command that tells repeated requests apart."""

    @property
    def request_id(self) -> str:
        """The caller's id."""

    @property
    def request_hash(self) -> str:
        """Hash of the whole request."""


class OwnerStates:
    """The states of the pipelines whose control partitions this process owns."""

    def __init__(self, bus: Bus, topic: str, pipelines: PipelineTopics) -> None:
        self._bus = bus
        self._topic = topic
        self._pipelines = pipelines
        self._states: dict[int, dict[str, OwnerState]] = {}

    def gained(self, partition: Partition) -> None:
        """Restore the states that lie in the state topic's partition of the same number."""
        states: dict[str, OwnerState] = {}
        for record in read_to_end(self._bus, [Partition(self._topic, partition.index)]):
            state = parse(OwnerState, record)
            states[state.pipeline] = state
        self._states[partition.index] = states

    def lost(self, partition: Partition) -> None:
        """Forget them."""
        self._states.pop(partition.index, None)

    def of(self, pipeline: str) -> OwnerState:
        """The pipeline's state, empty at first. The caller may change it and must then commit `output`."""
        states = self._states[self._pipelines.partition(pipeline)]
        return states.setdefault(pipeline, OwnerState(pipeline=pipeline))

    def in_partition(self, partition: Partition) -> list[OwnerState]:
        """All states of a control partition."""
        return list(self._states[partition.index].values())

    def output(self, state: OwnerState) -> Output:
        """The state as a record."""
        return self._pipelines.output(self._topic, state.pipeline, "", state.SerializeToString(deterministic=True))


def answer(state: OwnerState, request: Request, act: Callable[[], str]) -> None:
    """Apply a command once: act returns the id of what it made, or raises the SuiteError that the caller shall get.

    The same request id with the same hash changes nothing and leaves its first outcome in place.
    """
    if any(done.request_id == request.request_id for done in state.handled):
        return
    done = HandledRequest(request_id=request.request_id, request_hash=request.request_hash)
    try:
        done.resource_id = act()
    except SuiteError as error:
        if error.retryable:
            raise
        done.error_code, done.error_message = error.code, error.message
    state.handled.append(done)
    if len(state.handled) > MAX_HANDLED:
        del state.handled[: len(state.handled) - MAX_HANDLED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command on its way: to whom, under which request id and hash, as which record value."""

    pipeline: str
    request_id: str
    request_hash: str
    value: bytes


class CommandPort:
    """Sends commands to owners and waits for what they answer."""

    def __init__(self, bus: Bus, topic: str, pipelines: PipelineTopics, states: View[OwnerState]) -> None:
        self._bus = bus
        self._topic = topic
        self._pipelines = pipelines
        self._states = states

    def send(self, command: Command, timeout_s: float) -> str:
        """Have the owner apply the command; returns the id of what it made or touched.

        Raises what the owner answered, AlreadyExists for a request id used with other content,
        DeadlineExceeded if no owner answered in time (the command stands and will be applied).
        """
        if not command.request_id:
            raise InvalidInput("request_id must be set, to a fresh UUID", field="request_id")
        output = self._pipelines.output(self._topic, command.pipeline, "", command.value)
        written = self._bus.publish([output])[0]
        state = self._states.wait(lambda view: _applied(view, command.pipeline, written.offset), timeout_s)
        return _outcome(state, command)


def _applied(view: View[OwnerState], pipeline: str, offset: int) -> OwnerState | None:
    state = view.get(pipeline)
    return state if state is not None and state.control_offset > offset else None


def _outcome(state: OwnerState, command: Command) -> str:
    done = next(item for item in reversed(state.handled) if item.request_id == command.request_id)
    if done.request_hash != command.request_hash:
        raise AlreadyExists("this request_id was used for another request; use a fresh UUID", field="request_id")
    if done.error_code:
        raise by_code(done.error_code, done.error_message)
    return done.resource_id


def request_hash(*parts: str) -> str:
    """Hash of a request's content, its id apart."""
    return digest("request", *parts)

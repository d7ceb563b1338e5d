"""The pipeline file: one YAML document that names a lineage of models, validated as a whole.

Each section belongs to the service that reads it. What only one service understands (the training recipe, the
quality limits, the gate's policy) is a mapping here, checked by that service when the pipeline reaches it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from longstream.errors import InvalidInput, NotFound, TooLarge
from longstream.ids import digest
from longstream.instructing import Instruct, Refine
from longstream.selecting import Profile, Section, Select
from longstream.v1.records_pb2 import PipelineRevision

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


MAX_DOCUMENT_BYTES = 64 * 1024
"""Of a pipeline as canonical JSON: it travels in records, beside other things."""


class Cut(Section):
    """When a release is cut without being asked for. Neither set: only `CutRelease` cuts."""

    every_examples: int | None = Field(default=None, ge=1)
    """Cut when this many examples have come since the last cut."""
    every_s: float | None = Field(default=None, ge=1)
    """Cut when this long has passed since the last cut and something has come."""


class Split(Section):
    """What is held out from training, for ever, by hash of the source document; only the rest is ranked.

    A document is known by `cluster` of the provenance, where near-duplicates were found before; else by `document`,
    where several examples come from one; else by the response. LongForm holds out 0.074 for each purpose.
    """

    test: float = Field(default=0.1, ge=0, lt=1)
    """Share that is held out to be asked and compared with."""
    validation: float = Field(default=0, ge=0, lt=1)
    """Share that is held out to watch training by."""
    keep: int = Field(default=100, ge=1, le=100_000)
    """Of each, so many are in a release at most: a sample by hash, the same in every release."""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _something_is_left(self) -> Split:
        if self.test + self.validation >= 1:
            raise ValueError("test and validation must leave something to train on")
        return self


class Retrain(Section):
    """Which final releases are worth a training; one that is asked for by a call is made whatever this says."""

    changed: float = Field(default=0.5, ge=0, le=1)
    """Share of the release's rows that the champion's release did not have; without a champion all are new."""
    every_s: float = Field(default=0, ge=0)
    """From one beginning to the next, at least so long."""
    gpu_hours: float | None = Field(default=None, ge=0)
    """That jobs of the last `gpu_days` may have held together before another one begins."""
    gpu_days: float = Field(default=30, gt=0)


class Train(Section):
    """How a release becomes a model."""

    on_release: bool = True
    """Train on final releases without being asked, on those that `retrain` lets pass."""
    retrain: Retrain = Retrain()
    recipe: dict[str, Any] = Field(default_factory=dict)


class Prompted(Section):
    """A prompt with more than its text."""

    instruction: str = Field(min_length=1)
    input: str = ""
    slice: str = ""
    """Part of the prompts, on each of which the gate looks besides."""
    reference: str = ""
    """A good answer; shown to the judge where `references` says so."""


class Evaluate(Section):
    """How a model meets the champion."""

    on_model: bool = True
    """Evaluate each new model without being asked."""
    prompts: tuple[str | Prompted, ...] = ()
    """Instructions to be answered; none: those of the release's held-out rows, each source a slice."""
    max_prompts: int = Field(default=100, ge=1, le=10_000)
    decoding: Literal["greedy", "longform", "long-is-more"] = "greedy"
    """How contestants draw their answers: the likeliest tokens, or as a paper did."""
    max_tokens: int | None = Field(default=None, ge=1, le=4_096)
    """Of an answer; none: 256, and 512 as in Long Is More where its decoding is chosen."""
    min_tokens: int = Field(default=0, ge=0, le=4_096)
    """Before so many an answer does not end by itself."""
    way: Literal["soft", "reasoned", "scores", "strict-scores"] = "soft"
    """To a verdict: one token's probabilities, the same after short reasons, or scores from 1 to 10."""
    rubric: str = Field(default="", max_length=8_192)
    """What a better answer has, in words for the judge; none: its own request alone."""
    references: bool = False
    """Show the judge a known good answer beside both: a prompt's own, and for held-out rows the human one."""
    recheck_s: float | None = Field(default=None, ge=3_600)
    """Have the judge see known pairs again when nothing was judged for so long; none: with every evaluation only."""
    epoch: int = Field(default=0, ge=0)
    """Raised by hand: accepts a judge that does not say any more what it said."""
    anchors: int = Field(default=20, ge=0, le=10_000)
    """Prompts that the champion answers at length and briefly besides, where a judge decides: they show what length
    does to it."""
    gate: dict[str, Any] = Field(default_factory=dict)

    @property
    def questions(self) -> tuple[str, ...]:
        """The texts of the prompts."""
        return tuple(
            one if isinstance(one, str) else f"{one.instruction}\n\n{one.input}" for one in self.prompts
        )


class Pipeline(Section):
    """A lineage: where its examples come from, what is kept, how it is trained and when it is promoted."""

    name: Name
    base_model: str
    """Path or hub id; every challenger starts from it, and it is the first champion."""
    profile: Profile = "paper"
    """What is on where this file does not say: `production` screens what is selected."""
    sources: tuple[str, ...] = ()
    """Accepted sources in the order that breaks ties of length; empty: every source, all equal."""
    select: Select = Select()
    cut: Cut = Cut()
    instruct: Instruct = Instruct()
    refine: Refine | None = None
    """Whether answers are criticised and written anew; none: they stay as they came."""
    split: Split = Split()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _parts_are_named(self) -> Pipeline:
        strata = self.select.strata
        if strata is not None and not strata.parts(self.sources):
            raise ValueError(
                "select.strata needs the names of its parts: their number decides how much is kept"
            )
        return self

    def document(self) -> str:
        """The pipeline as canonical JSON, the same for equal pipelines."""
        return canonical(self.model_dump(mode="json"))

    def revision(self) -> PipelineRevision:
        """The record that puts this version into the stream."""
        document = self.document()
        return PipelineRevision(pipeline=self.name, revision=digest("pipeline", document), document=document)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values hash equally."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse(document: object) -> Pipeline:
    """Check a parsed YAML or JSON document. Raises InvalidInput that names every wrong field."""
    try:
        pipeline = Pipeline.model_validate(document)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise InvalidInput(f"pipeline file: {wrong}") from None
    size = len(pipeline.document().encode())
    if size > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            f"pipeline file: {size} bytes are over the limit of {MAX_DOCUMENT_BYTES}; name fewer prompts"
        )
    return pipeline


def of_revision(revision: PipelineRevision) -> Pipeline:
    """The pipeline that a revision record holds."""
    return parse(json.loads(revision.document))


def must_run(name: str, pipelines: Collection[str]) -> None:
    """Raises NotFound, naming those there are, for a pipeline that this service does not run."""
    if name not in pipelines:
        known = ", ".join(sorted(pipelines)) or "none"
        raise NotFound(f"there is no pipeline {name!r} here; known: {known}", field="pipeline")


def load(path: Path) -> Pipeline:
    """Read a pipeline file. Raises InvalidInput if it is missing, no YAML, or wrong in a field."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(f"there is no pipeline file {path}; name one with --pipeline") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not YAML: {error}") from None
    return parse(document)

"""The map of topics: what each holds, by what it is keyed, how it is partitioned, how long it is kept.

`examples` and `curator-state` are cut into `Layout.examples_partitions`; everything keyed by pipeline into
`Layout.control_partitions`, so that all facts of one pipeline lie in the partition of the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from longstream.bus import Output, Topic
from longstream.bus.partitioner import partition_for

EXAMPLES: Final = "examples"
"""ExamplesRecord by hash of the response, so that exact duplicates meet in one partition."""
CURATOR_STATE: Final = "curator-state"
"""CuratorStateRecord by pipeline/example id; the number of the input record's partition."""
CURATION: Final = "curation"
"""CurationRecord by pipeline."""
CURATION_STATE: Final = "curation-state"
"""OwnerState by pipeline."""
SELECTED: Final = "selected"
"""SelectedTask by example id; whose row it asks for also stands in the headers below."""
ROW_HEADER: Final = "x-row"
"""Pipeline/row id: a task whose value is lost must still be refused, or its release would wait for ever."""
RELEASE_HEADER: Final = "x-release"
"""Id of the release that asks."""
ROWS: Final = "rows"
"""Row by pipeline/row id."""
RELEASES: Final = "releases"
"""Release by pipeline/release id."""
TRAINING: Final = "training"
"""TrainingCommand by pipeline."""
TRAINING_STATE: Final = "training-state"
"""OwnerState by pipeline."""
TRAINING_JOBS: Final = "training-jobs"
"""TrainingJob by pipeline/job id."""
TRAINING_EVENTS: Final = "training-events"
"""TrainingEvent by pipeline/job id."""
MODELS: Final = "models"
"""Model by pipeline/model id."""
JUDGING: Final = "judging"
"""JudgingCommand by pipeline."""
JUDGING_STATE: Final = "judging-state"
"""OwnerState by pipeline."""
EVALUATIONS: Final = "evaluations"
"""Evaluation by pipeline/evaluation id."""
VERDICTS: Final = "verdicts"
"""ComparisonVerdict by pipeline."""
PROMOTIONS: Final = "promotions"
"""Promotion by pipeline/promotion id."""

SETTLEMENTS: Final = "dead-letters"
"""Settlement by the dead letter's id; one partition, whose owner alone replays or drops."""

READERS: Final = {
    EXAMPLES: "curator-keepers",
    CURATION: "curator-owners",
    SELECTED: "instructor-writers",
    TRAINING: "trainer-owners",
    JUDGING: "judge-owners",
}
"""The group that works a topic off: its records wait for it, however old they are."""

STATES: Final = {
    EXAMPLES: CURATOR_STATE,
    CURATION: CURATION_STATE,
    SELECTED: ROWS,
    TRAINING: TRAINING_STATE,
    JUDGING: JUDGING_STATE,
}
"""What that group alone writes, in the partition of the same number; rows go where their pipeline lies."""

DEAD_LETTERS: Final = ".dlq"
"""Suffix of a topic's dead letters: original bytes, with the reason and the origin as headers."""

_WEEK_S: Final = 7 * 86_400.0
_MONTH_S: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How many partitions the topics have. It cannot change once there are records."""

    examples_partitions: int = 4
    selected_partitions: int = 4
    control_partitions: int = 2


def topics(layout: Layout) -> tuple[Topic, ...]:
    """Every topic of the suite, dead letters included."""
    control = layout.control_partitions
    compacted = {
        CURATOR_STATE: layout.examples_partitions,
        SETTLEMENTS: 1,
        **dict.fromkeys((CURATION_STATE, TRAINING_STATE, JUDGING_STATE), control),
        **dict.fromkeys((ROWS, RELEASES, TRAINING_JOBS, MODELS, EVALUATIONS, PROMOTIONS), control),
    }
    work = {
        EXAMPLES: layout.examples_partitions,
        SELECTED: layout.selected_partitions,
        **dict.fromkeys((CURATION, TRAINING, TRAINING_EVENTS, JUDGING, VERDICTS), control),
    }
    return (
        *(Topic(name=name, partitions=count, cleanup="compact") for name, count in compacted.items()),
        *(
            Topic(
                name=name,
                partitions=count,
                cleanup="delete",
                retention_s=_WEEK_S,
                read_by=READERS.get(name, ""),
                state=STATES.get(name, ""),
                state_by_number=name != SELECTED,
            )
            for name, count in work.items()
        ),
        *(
            Topic(name=name + DEAD_LETTERS, partitions=1, cleanup="delete", retention_s=_MONTH_S)
            for name in READERS
        ),
    )


def pipeline_key(pipeline: str, identifier: str = "") -> bytes:
    """Key of a fact that belongs to a pipeline: its name, then the fact's own id."""
    return f"{pipeline}/{identifier}".encode() if identifier else pipeline.encode()


@dataclass(frozen=True, slots=True)
class PipelineTopics:
    """Where a pipeline's facts go: one partition number for all of them, by the pipeline's name alone."""

    control_partitions: int

    def partition(self, pipeline: str) -> int:
        """The control partition that everything of this pipeline shares."""
        return partition_for(pipeline.encode(), self.control_partitions)

    def output(self, topic: str, pipeline: str, identifier: str, value: bytes) -> Output:
        """A fact of the pipeline, ready to be committed."""
        key = pipeline_key(pipeline, identifier)
        return Output(topic=topic, key=key, value=value, partition=self.partition(pipeline))

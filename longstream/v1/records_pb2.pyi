import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Example(_message.Message):
    __slots__ = ("id", "response", "instruction", "input", "source", "source_index", "external_id", "licence", "provenance", "trace", "time")
    class ProvenanceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_INDEX_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ID_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: str
    instruction: str
    input: str
    source: str
    source_index: int
    external_id: str
    licence: str
    provenance: _containers.ScalarMap[str, str]
    trace: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., response: _Optional[str] = ..., instruction: _Optional[str] = ..., input: _Optional[str] = ..., source: _Optional[str] = ..., source_index: _Optional[int] = ..., external_id: _Optional[str] = ..., licence: _Optional[str] = ..., provenance: _Optional[_Mapping[str, str]] = ..., trace: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PipelineRevision(_message.Message):
    __slots__ = ("pipeline", "revision", "document")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    revision: str
    document: str
    def __init__(self, pipeline: _Optional[str] = ..., revision: _Optional[str] = ..., document: _Optional[str] = ...) -> None: ...

class Barrier(_message.Message):
    __slots__ = ("pipeline", "release_id", "revision", "time")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    release_id: str
    revision: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, pipeline: _Optional[str] = ..., release_id: _Optional[str] = ..., revision: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExamplesRecord(_message.Message):
    __slots__ = ("example", "revision", "barrier", "erase")
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    BARRIER_FIELD_NUMBER: _ClassVar[int]
    ERASE_FIELD_NUMBER: _ClassVar[int]
    example: Example
    revision: PipelineRevision
    barrier: Barrier
    erase: Erase
    def __init__(self, example: _Optional[_Union[Example, _Mapping]] = ..., revision: _Optional[_Union[PipelineRevision, _Mapping]] = ..., barrier: _Optional[_Union[Barrier, _Mapping]] = ..., erase: _Optional[_Union[Erase, _Mapping]] = ...) -> None: ...

class Erase(_message.Message):
    __slots__ = ("pipeline", "example_id")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    example_id: str
    def __init__(self, pipeline: _Optional[str] = ..., example_id: _Optional[str] = ...) -> None: ...

class Rank(_message.Message):
    __slots__ = ("length", "source_order", "source_index", "example_id", "score", "draw")
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ORDER_FIELD_NUMBER: _ClassVar[int]
    SOURCE_INDEX_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DRAW_FIELD_NUMBER: _ClassVar[int]
    length: int
    source_order: int
    source_index: int
    example_id: str
    score: int
    draw: int
    def __init__(self, length: _Optional[int] = ..., source_order: _Optional[int] = ..., source_index: _Optional[int] = ..., example_id: _Optional[str] = ..., score: _Optional[int] = ..., draw: _Optional[int] = ...) -> None: ...

class CuratorStateRecord(_message.Message):
    __slots__ = ("kept", "marks", "erased")
    KEPT_FIELD_NUMBER: _ClassVar[int]
    MARKS_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    kept: KeptExample
    marks: PartitionMarks
    erased: ErasedExample
    def __init__(self, kept: _Optional[_Union[KeptExample, _Mapping]] = ..., marks: _Optional[_Union[PartitionMarks, _Mapping]] = ..., erased: _Optional[_Union[ErasedExample, _Mapping]] = ...) -> None: ...

class ErasedExample(_message.Message):
    __slots__ = ("pipeline", "example_id", "rank", "stratum", "time_ms")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    example_id: str
    rank: Rank
    stratum: str
    time_ms: int
    def __init__(self, pipeline: _Optional[str] = ..., example_id: _Optional[str] = ..., rank: _Optional[_Union[Rank, _Mapping]] = ..., stratum: _Optional[str] = ..., time_ms: _Optional[int] = ...) -> None: ...

class KeptExample(_message.Message):
    __slots__ = ("pipeline", "rank", "example", "had_duplicates", "stratum", "time_ms")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    HAD_DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    rank: Rank
    example: Example
    had_duplicates: bool
    stratum: str
    time_ms: int
    def __init__(self, pipeline: _Optional[str] = ..., rank: _Optional[_Union[Rank, _Mapping]] = ..., example: _Optional[_Union[Example, _Mapping]] = ..., had_duplicates: bool = ..., stratum: _Optional[str] = ..., time_ms: _Optional[int] = ...) -> None: ...

class PartitionMarks(_message.Message):
    __slots__ = ("revision", "evicted", "sources", "dropped", "seen", "lengths", "metric", "begun_late", "divisions")
    class SourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: SourceCounts
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[SourceCounts, _Mapping]] = ...) -> None: ...
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LengthsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EVICTED_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    BEGUN_LATE_FIELD_NUMBER: _ClassVar[int]
    DIVISIONS_FIELD_NUMBER: _ClassVar[int]
    revision: PipelineRevision
    evicted: Rank
    sources: _containers.MessageMap[str, SourceCounts]
    dropped: _containers.ScalarMap[str, int]
    seen: int
    lengths: _containers.ScalarMap[str, int]
    metric: str
    begun_late: bool
    divisions: _containers.RepeatedCompositeFieldContainer[Division]
    def __init__(self, revision: _Optional[_Union[PipelineRevision, _Mapping]] = ..., evicted: _Optional[_Union[Rank, _Mapping]] = ..., sources: _Optional[_Mapping[str, SourceCounts]] = ..., dropped: _Optional[_Mapping[str, int]] = ..., seen: _Optional[int] = ..., lengths: _Optional[_Mapping[str, int]] = ..., metric: _Optional[str] = ..., begun_late: bool = ..., divisions: _Optional[_Iterable[_Union[Division, _Mapping]]] = ...) -> None: ...

class Division(_message.Message):
    __slots__ = ("stratum", "bucket", "seen", "evicted")
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    EVICTED_FIELD_NUMBER: _ClassVar[int]
    stratum: str
    bucket: int
    seen: int
    evicted: Rank
    def __init__(self, stratum: _Optional[str] = ..., bucket: _Optional[int] = ..., seen: _Optional[int] = ..., evicted: _Optional[_Union[Rank, _Mapping]] = ...) -> None: ...

class SourceCounts(_message.Message):
    __slots__ = ("seen", "length")
    SEEN_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    seen: int
    length: int
    def __init__(self, seen: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class CurationRecord(_message.Message):
    __slots__ = ("pipeline", "request_id", "request_hash", "cut", "snapshot", "progress", "erase")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERASE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    request_id: str
    request_hash: str
    cut: CutCommand
    snapshot: PartitionSnapshot
    progress: PartitionProgress
    erase: EraseCommand
    def __init__(self, pipeline: _Optional[str] = ..., request_id: _Optional[str] = ..., request_hash: _Optional[str] = ..., cut: _Optional[_Union[CutCommand, _Mapping]] = ..., snapshot: _Optional[_Union[PartitionSnapshot, _Mapping]] = ..., progress: _Optional[_Union[PartitionProgress, _Mapping]] = ..., erase: _Optional[_Union[EraseCommand, _Mapping]] = ...) -> None: ...

class CutCommand(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EraseCommand(_message.Message):
    __slots__ = ("example_id",)
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    example_id: str
    def __init__(self, example_id: _Optional[str] = ...) -> None: ...

class PartitionSnapshot(_message.Message):
    __slots__ = ("release_id", "partition", "address", "marks", "erased")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MARKS_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    partition: int
    address: str
    marks: PartitionMarks
    erased: _containers.RepeatedCompositeFieldContainer[ErasedExample]
    def __init__(self, release_id: _Optional[str] = ..., partition: _Optional[int] = ..., address: _Optional[str] = ..., marks: _Optional[_Union[PartitionMarks, _Mapping]] = ..., erased: _Optional[_Iterable[_Union[ErasedExample, _Mapping]]] = ...) -> None: ...

class PartitionProgress(_message.Message):
    __slots__ = ("partition", "seen")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    partition: int
    seen: int
    def __init__(self, partition: _Optional[int] = ..., seen: _Optional[int] = ...) -> None: ...

class HandledRequest(_message.Message):
    __slots__ = ("request_id", "request_hash", "resource_id", "error_code", "error_message")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    request_hash: str
    resource_id: str
    error_code: str
    error_message: str
    def __init__(self, request_id: _Optional[str] = ..., request_hash: _Optional[str] = ..., resource_id: _Optional[str] = ..., error_code: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class OwnerState(_message.Message):
    __slots__ = ("pipeline", "control_offset", "handled", "curation")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    CONTROL_OFFSET_FIELD_NUMBER: _ClassVar[int]
    HANDLED_FIELD_NUMBER: _ClassVar[int]
    CURATION_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    control_offset: int
    handled: _containers.RepeatedCompositeFieldContainer[HandledRequest]
    curation: CurationState
    def __init__(self, pipeline: _Optional[str] = ..., control_offset: _Optional[int] = ..., handled: _Optional[_Iterable[_Union[HandledRequest, _Mapping]]] = ..., curation: _Optional[_Union[CurationState, _Mapping]] = ...) -> None: ...

class CurationState(_message.Message):
    __slots__ = ("revision", "releases", "open_release_id", "snapshots", "sent", "last_final_id", "seen", "seen_at_cut", "cut_time", "sent_by_stratum", "erased", "erased_rows")
    class SeenEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    class SentByStratumEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ErasedRowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    OPEN_RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    LAST_FINAL_ID_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    SEEN_AT_CUT_FIELD_NUMBER: _ClassVar[int]
    CUT_TIME_FIELD_NUMBER: _ClassVar[int]
    SENT_BY_STRATUM_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    ERASED_ROWS_FIELD_NUMBER: _ClassVar[int]
    revision: PipelineRevision
    releases: int
    open_release_id: str
    snapshots: _containers.RepeatedCompositeFieldContainer[PartitionSnapshot]
    sent: int
    last_final_id: str
    seen: _containers.ScalarMap[int, int]
    seen_at_cut: int
    cut_time: _timestamp_pb2.Timestamp
    sent_by_stratum: _containers.ScalarMap[str, int]
    erased: _containers.RepeatedScalarFieldContainer[str]
    erased_rows: _containers.ScalarMap[str, str]
    def __init__(self, revision: _Optional[_Union[PipelineRevision, _Mapping]] = ..., releases: _Optional[int] = ..., open_release_id: _Optional[str] = ..., snapshots: _Optional[_Iterable[_Union[PartitionSnapshot, _Mapping]]] = ..., sent: _Optional[int] = ..., last_final_id: _Optional[str] = ..., seen: _Optional[_Mapping[int, int]] = ..., seen_at_cut: _Optional[int] = ..., cut_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sent_by_stratum: _Optional[_Mapping[str, int]] = ..., erased: _Optional[_Iterable[str]] = ..., erased_rows: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SelectedTask(_message.Message):
    __slots__ = ("pipeline", "release_id", "row_id", "example", "task", "refine")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ROW_ID_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    release_id: str
    row_id: str
    example: Example
    task: str
    refine: str
    def __init__(self, pipeline: _Optional[str] = ..., release_id: _Optional[str] = ..., row_id: _Optional[str] = ..., example: _Optional[_Union[Example, _Mapping]] = ..., task: _Optional[str] = ..., refine: _Optional[str] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("pipeline", "row_id", "example_id", "release_id", "instruction", "style", "refusal", "prompt_revision", "engine", "model", "model_revision", "seed", "excerpted", "prompt_tokens", "completion_tokens", "language", "length_info", "score", "tries", "refinement")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    ROW_ID_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_REVISION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_REVISION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    EXCERPTED_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_INFO_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    REFINEMENT_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    row_id: str
    example_id: str
    release_id: str
    instruction: str
    style: str
    refusal: str
    prompt_revision: str
    engine: str
    model: str
    model_revision: str
    seed: int
    excerpted: bool
    prompt_tokens: int
    completion_tokens: int
    language: str
    length_info: str
    score: int
    tries: int
    refinement: Refinement
    def __init__(self, pipeline: _Optional[str] = ..., row_id: _Optional[str] = ..., example_id: _Optional[str] = ..., release_id: _Optional[str] = ..., instruction: _Optional[str] = ..., style: _Optional[str] = ..., refusal: _Optional[str] = ..., prompt_revision: _Optional[str] = ..., engine: _Optional[str] = ..., model: _Optional[str] = ..., model_revision: _Optional[str] = ..., seed: _Optional[int] = ..., excerpted: bool = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., language: _Optional[str] = ..., length_info: _Optional[str] = ..., score: _Optional[int] = ..., tries: _Optional[int] = ..., refinement: _Optional[_Union[Refinement, _Mapping]] = ...) -> None: ...

class Refinement(_message.Message):
    __slots__ = ("outcome", "text", "critique", "prompt_revision", "seed", "prompt_tokens", "completion_tokens", "as_response")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CRITIQUE_FIELD_NUMBER: _ClassVar[int]
    PROMPT_REVISION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    AS_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    text: str
    critique: str
    prompt_revision: str
    seed: int
    prompt_tokens: int
    completion_tokens: int
    as_response: bool
    def __init__(self, outcome: _Optional[str] = ..., text: _Optional[str] = ..., critique: _Optional[str] = ..., prompt_revision: _Optional[str] = ..., seed: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., as_response: bool = ...) -> None: ...

class Shard(_message.Message):
    __slots__ = ("address", "rows", "bytes")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    address: str
    rows: int
    bytes: int
    def __init__(self, address: _Optional[str] = ..., rows: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("pipeline", "id", "state", "parent_id", "revision", "rows_wanted", "rows_ready", "refused", "exact", "short", "content_hash", "manifest_address", "data_card_address", "shards", "cut_time", "seen", "metric", "asked_by", "trace", "parent_trace", "costs")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Release.State]
        STATE_OPEN: _ClassVar[Release.State]
        STATE_INSTRUCTING: _ClassVar[Release.State]
        STATE_FINAL: _ClassVar[Release.State]
    STATE_UNSPECIFIED: Release.State
    STATE_OPEN: Release.State
    STATE_INSTRUCTING: Release.State
    STATE_FINAL: Release.State
    class RefusedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ROWS_WANTED_FIELD_NUMBER: _ClassVar[int]
    ROWS_READY_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    SHORT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DATA_CARD_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    CUT_TIME_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    PARENT_TRACE_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    id: str
    state: Release.State
    parent_id: str
    revision: PipelineRevision
    rows_wanted: int
    rows_ready: int
    refused: _containers.ScalarMap[str, int]
    exact: bool
    short: bool
    content_hash: str
    manifest_address: str
    data_card_address: str
    shards: _containers.RepeatedCompositeFieldContainer[Shard]
    cut_time: _timestamp_pb2.Timestamp
    seen: int
    metric: str
    asked_by: str
    trace: str
    parent_trace: str
    costs: _containers.RepeatedCompositeFieldContainer[WritingCost]
    def __init__(self, pipeline: _Optional[str] = ..., id: _Optional[str] = ..., state: _Optional[_Union[Release.State, str]] = ..., parent_id: _Optional[str] = ..., revision: _Optional[_Union[PipelineRevision, _Mapping]] = ..., rows_wanted: _Optional[int] = ..., rows_ready: _Optional[int] = ..., refused: _Optional[_Mapping[str, int]] = ..., exact: bool = ..., short: bool = ..., content_hash: _Optional[str] = ..., manifest_address: _Optional[str] = ..., data_card_address: _Optional[str] = ..., shards: _Optional[_Iterable[_Union[Shard, _Mapping]]] = ..., cut_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seen: _Optional[int] = ..., metric: _Optional[str] = ..., asked_by: _Optional[str] = ..., trace: _Optional[str] = ..., parent_trace: _Optional[str] = ..., costs: _Optional[_Iterable[_Union[WritingCost, _Mapping]]] = ...) -> None: ...

class WritingCost(_message.Message):
    __slots__ = ("engine", "model", "rows", "refused", "prompt_tokens", "completion_tokens", "remembered")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REMEMBERED_FIELD_NUMBER: _ClassVar[int]
    engine: str
    model: str
    rows: int
    refused: int
    prompt_tokens: int
    completion_tokens: int
    remembered: int
    def __init__(self, engine: _Optional[str] = ..., model: _Optional[str] = ..., rows: _Optional[int] = ..., refused: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., remembered: _Optional[int] = ...) -> None: ...

class TrainingCommand(_message.Message):
    __slots__ = ("pipeline", "request_id", "request_hash", "create", "cancel", "report")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    request_id: str
    request_hash: str
    create: CreateTraining
    cancel: CancelTraining
    report: ReportTraining
    def __init__(self, pipeline: _Optional[str] = ..., request_id: _Optional[str] = ..., request_hash: _Optional[str] = ..., create: _Optional[_Union[CreateTraining, _Mapping]] = ..., cancel: _Optional[_Union[CancelTraining, _Mapping]] = ..., report: _Optional[_Union[ReportTraining, _Mapping]] = ...) -> None: ...

class CreateTraining(_message.Message):
    __slots__ = ("release_id", "recipe")
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    release_id: str
    recipe: str
    def __init__(self, release_id: _Optional[str] = ..., recipe: _Optional[str] = ...) -> None: ...

class CancelTraining(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ReportTraining(_message.Message):
    __slots__ = ("job_id", "attempt", "source", "number", "event")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    source: str
    number: int
    event: str
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., source: _Optional[str] = ..., number: _Optional[int] = ..., event: _Optional[str] = ...) -> None: ...

class TrainingJob(_message.Message):
    __slots__ = ("pipeline", "id", "state", "release_id", "base_model", "recipe", "attempt", "step", "steps", "loss", "model_id", "reason", "create_time", "start_time", "end_time", "revision", "events", "report_source", "report_number", "latest", "progress_time", "checkpoint_time", "gpus", "trace", "parent_trace", "decision", "checkpoint")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[TrainingJob.State]
        STATE_QUEUED: _ClassVar[TrainingJob.State]
        STATE_RUNNING: _ClassVar[TrainingJob.State]
        STATE_SUCCEEDED: _ClassVar[TrainingJob.State]
        STATE_FAILED: _ClassVar[TrainingJob.State]
        STATE_CANCELLED: _ClassVar[TrainingJob.State]
        STATE_WAITING: _ClassVar[TrainingJob.State]
        STATE_SKIPPED: _ClassVar[TrainingJob.State]
    STATE_UNSPECIFIED: TrainingJob.State
    STATE_QUEUED: TrainingJob.State
    STATE_RUNNING: TrainingJob.State
    STATE_SUCCEEDED: TrainingJob.State
    STATE_FAILED: TrainingJob.State
    STATE_CANCELLED: TrainingJob.State
    STATE_WAITING: TrainingJob.State
    STATE_SKIPPED: TrainingJob.State
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REPORT_SOURCE_FIELD_NUMBER: _ClassVar[int]
    REPORT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LATEST_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_TIME_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_TIME_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    PARENT_TRACE_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    id: str
    state: TrainingJob.State
    release_id: str
    base_model: str
    recipe: str
    attempt: int
    step: int
    steps: int
    loss: float
    model_id: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    revision: PipelineRevision
    events: int
    report_source: str
    report_number: int
    latest: TrainingStep
    progress_time: _timestamp_pb2.Timestamp
    checkpoint_time: _timestamp_pb2.Timestamp
    gpus: int
    trace: str
    parent_trace: str
    decision: str
    checkpoint: str
    def __init__(self, pipeline: _Optional[str] = ..., id: _Optional[str] = ..., state: _Optional[_Union[TrainingJob.State, str]] = ..., release_id: _Optional[str] = ..., base_model: _Optional[str] = ..., recipe: _Optional[str] = ..., attempt: _Optional[int] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., loss: _Optional[float] = ..., model_id: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[_Union[PipelineRevision, _Mapping]] = ..., events: _Optional[int] = ..., report_source: _Optional[str] = ..., report_number: _Optional[int] = ..., latest: _Optional[_Union[TrainingStep, _Mapping]] = ..., progress_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., checkpoint_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., gpus: _Optional[int] = ..., trace: _Optional[str] = ..., parent_trace: _Optional[str] = ..., decision: _Optional[str] = ..., checkpoint: _Optional[str] = ...) -> None: ...

class TrainingEvent(_message.Message):
    __slots__ = ("pipeline", "job_id", "attempt", "sequence", "time", "started", "step", "checkpoint", "finished", "failed")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    job_id: str
    attempt: int
    sequence: int
    time: _timestamp_pb2.Timestamp
    started: TrainingStarted
    step: TrainingStep
    checkpoint: TrainingCheckpoint
    finished: TrainingFinished
    failed: TrainingFailed
    def __init__(self, pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started: _Optional[_Union[TrainingStarted, _Mapping]] = ..., step: _Optional[_Union[TrainingStep, _Mapping]] = ..., checkpoint: _Optional[_Union[TrainingCheckpoint, _Mapping]] = ..., finished: _Optional[_Union[TrainingFinished, _Mapping]] = ..., failed: _Optional[_Union[TrainingFailed, _Mapping]] = ...) -> None: ...

class TrainingStarted(_message.Message):
    __slots__ = ("steps", "examples", "supervised_tokens", "dropped", "resumed_from_step", "gpus", "memory_needed_bytes", "least_seconds")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    SUPERVISED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_NEEDED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEAST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    steps: int
    examples: int
    supervised_tokens: int
    dropped: _containers.ScalarMap[str, int]
    resumed_from_step: int
    gpus: int
    memory_needed_bytes: int
    least_seconds: float
    def __init__(self, steps: _Optional[int] = ..., examples: _Optional[int] = ..., supervised_tokens: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ..., resumed_from_step: _Optional[int] = ..., gpus: _Optional[int] = ..., memory_needed_bytes: _Optional[int] = ..., least_seconds: _Optional[float] = ...) -> None: ...

class TrainingStep(_message.Message):
    __slots__ = ("step", "loss", "learning_rate", "gradient_norm", "tokens", "seconds", "useful_tokens_ratio", "neftune_effective_alpha", "flops", "mfu_ratio", "step_tokens", "seconds_left", "memory_bytes")
    STEP_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    USEFUL_TOKENS_RATIO_FIELD_NUMBER: _ClassVar[int]
    NEFTUNE_EFFECTIVE_ALPHA_FIELD_NUMBER: _ClassVar[int]
    FLOPS_FIELD_NUMBER: _ClassVar[int]
    MFU_RATIO_FIELD_NUMBER: _ClassVar[int]
    STEP_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float
    useful_tokens_ratio: float
    neftune_effective_alpha: float
    flops: float
    mfu_ratio: float
    step_tokens: int
    seconds_left: float
    memory_bytes: int
    def __init__(self, step: _Optional[int] = ..., loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., gradient_norm: _Optional[float] = ..., tokens: _Optional[int] = ..., seconds: _Optional[float] = ..., useful_tokens_ratio: _Optional[float] = ..., neftune_effective_alpha: _Optional[float] = ..., flops: _Optional[float] = ..., mfu_ratio: _Optional[float] = ..., step_tokens: _Optional[int] = ..., seconds_left: _Optional[float] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class TrainingCheckpoint(_message.Message):
    __slots__ = ("step", "address")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    step: int
    address: str
    def __init__(self, step: _Optional[int] = ..., address: _Optional[str] = ...) -> None: ...

class TrainingFinished(_message.Message):
    __slots__ = ("loss", "base_bits_per_byte", "bits_per_byte", "seconds")
    LOSS_FIELD_NUMBER: _ClassVar[int]
    BASE_BITS_PER_BYTE_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_BYTE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    loss: float
    base_bits_per_byte: float
    bits_per_byte: float
    seconds: float
    def __init__(self, loss: _Optional[float] = ..., base_bits_per_byte: _Optional[float] = ..., bits_per_byte: _Optional[float] = ..., seconds: _Optional[float] = ...) -> None: ...

class TrainingFailed(_message.Message):
    __slots__ = ("reason", "message", "retryable")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    retryable: bool
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., retryable: bool = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("pipeline", "id", "kind", "address", "base_model", "base_revision", "job_id", "release_id", "release_content_hash", "recipe", "template", "revision", "create_time", "metrics", "trace")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Model.Kind]
        KIND_ADAPTER: _ClassVar[Model.Kind]
        KIND_WEIGHTS: _ClassVar[Model.Kind]
    KIND_UNSPECIFIED: Model.Kind
    KIND_ADAPTER: Model.Kind
    KIND_WEIGHTS: Model.Kind
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    BASE_REVISION_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    RELEASE_CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    id: str
    kind: Model.Kind
    address: str
    base_model: str
    base_revision: str
    job_id: str
    release_id: str
    release_content_hash: str
    recipe: str
    template: str
    revision: PipelineRevision
    create_time: _timestamp_pb2.Timestamp
    metrics: TrainingFinished
    trace: str
    def __init__(self, pipeline: _Optional[str] = ..., id: _Optional[str] = ..., kind: _Optional[_Union[Model.Kind, str]] = ..., address: _Optional[str] = ..., base_model: _Optional[str] = ..., base_revision: _Optional[str] = ..., job_id: _Optional[str] = ..., release_id: _Optional[str] = ..., release_content_hash: _Optional[str] = ..., recipe: _Optional[str] = ..., template: _Optional[str] = ..., revision: _Optional[_Union[PipelineRevision, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metrics: _Optional[_Union[TrainingFinished, _Mapping]] = ..., trace: _Optional[str] = ...) -> None: ...

class JudgingCommand(_message.Message):
    __slots__ = ("pipeline", "request_id", "request_hash", "evaluate", "roll_back", "promote")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_FIELD_NUMBER: _ClassVar[int]
    ROLL_BACK_FIELD_NUMBER: _ClassVar[int]
    PROMOTE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    request_id: str
    request_hash: str
    evaluate: EvaluateModel
    roll_back: RollBack
    promote: Promote
    def __init__(self, pipeline: _Optional[str] = ..., request_id: _Optional[str] = ..., request_hash: _Optional[str] = ..., evaluate: _Optional[_Union[EvaluateModel, _Mapping]] = ..., roll_back: _Optional[_Union[RollBack, _Mapping]] = ..., promote: _Optional[_Union[Promote, _Mapping]] = ...) -> None: ...

class Promote(_message.Message):
    __slots__ = ("model_id", "expected_champion_id", "reason")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_CHAMPION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    expected_champion_id: str
    reason: str
    def __init__(self, model_id: _Optional[str] = ..., expected_champion_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class EvaluateModel(_message.Message):
    __slots__ = ("model_id",)
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    def __init__(self, model_id: _Optional[str] = ...) -> None: ...

class RollBack(_message.Message):
    __slots__ = ("expected_champion_id", "reason")
    EXPECTED_CHAMPION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    expected_champion_id: str
    reason: str
    def __init__(self, expected_champion_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("mean", "low", "high", "confidence", "n", "error")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    mean: float
    low: float
    high: float
    confidence: float
    n: int
    error: float
    def __init__(self, mean: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., confidence: _Optional[float] = ..., n: _Optional[int] = ..., error: _Optional[float] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("passed", "accuracy", "slot_effect_logits", "flip_rate", "reason")
    PASSED_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    SLOT_EFFECT_LOGITS_FIELD_NUMBER: _ClassVar[int]
    FLIP_RATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    passed: bool
    accuracy: Interval
    slot_effect_logits: float
    flip_rate: float
    reason: str
    def __init__(self, passed: bool = ..., accuracy: _Optional[_Union[Interval, _Mapping]] = ..., slot_effect_logits: _Optional[float] = ..., flip_rate: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class EvaluationPlan(_message.Message):
    __slots__ = ("prompts", "level", "looks", "detectable", "answers", "verdicts", "tokens")
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LOOKS_FIELD_NUMBER: _ClassVar[int]
    DETECTABLE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    prompts: int
    level: float
    looks: _containers.RepeatedScalarFieldContainer[int]
    detectable: float
    answers: int
    verdicts: int
    tokens: int
    def __init__(self, prompts: _Optional[int] = ..., level: _Optional[float] = ..., looks: _Optional[_Iterable[int]] = ..., detectable: _Optional[float] = ..., answers: _Optional[int] = ..., verdicts: _Optional[int] = ..., tokens: _Optional[int] = ...) -> None: ...

class PanelMember(_message.Message):
    __slots__ = ("engine", "model", "model_revision", "family", "calibration", "win_rate", "slot_effect_logits", "flip_rate", "lost")
    class LostEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_REVISION_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    SLOT_EFFECT_LOGITS_FIELD_NUMBER: _ClassVar[int]
    FLIP_RATE_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    engine: str
    model: str
    model_revision: str
    family: str
    calibration: Calibration
    win_rate: Interval
    slot_effect_logits: Interval
    flip_rate: float
    lost: _containers.ScalarMap[str, int]
    def __init__(self, engine: _Optional[str] = ..., model: _Optional[str] = ..., model_revision: _Optional[str] = ..., family: _Optional[str] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., win_rate: _Optional[_Union[Interval, _Mapping]] = ..., slot_effect_logits: _Optional[_Union[Interval, _Mapping]] = ..., flip_rate: _Optional[float] = ..., lost: _Optional[_Mapping[str, int]] = ...) -> None: ...

class SliceRate(_message.Message):
    __slots__ = ("name", "win_rate")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    win_rate: Interval
    def __init__(self, name: _Optional[str] = ..., win_rate: _Optional[_Union[Interval, _Mapping]] = ...) -> None: ...

class Spending(_message.Message):
    __slots__ = ("engine", "model", "call", "requests", "prompt_tokens", "completion_tokens", "seconds", "remembered")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    REMEMBERED_FIELD_NUMBER: _ClassVar[int]
    engine: str
    model: str
    call: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    remembered: int
    def __init__(self, engine: _Optional[str] = ..., model: _Optional[str] = ..., call: _Optional[str] = ..., requests: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., seconds: _Optional[float] = ..., remembered: _Optional[int] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("pipeline", "id", "state", "model_id", "champion_id", "attempt", "stage", "stage_done", "stage_total", "win_rate", "slot_effect_logits", "flip_rate", "bits_per_byte_change", "candidate_bits_per_byte", "champion_bits_per_byte", "calibration", "lost", "findings", "verdicts_address", "promotion_id", "reason", "create_time", "end_time", "judge", "trace", "parent_trace", "length_controlled", "kind", "plan", "looks", "stopped", "slices", "contaminated", "panel", "spent", "drift", "canaries_address", "canaries_key")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Evaluation.Kind]
        KIND_RECHECK: _ClassVar[Evaluation.Kind]
    KIND_UNSPECIFIED: Evaluation.Kind
    KIND_RECHECK: Evaluation.Kind
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Evaluation.State]
        STATE_QUEUED: _ClassVar[Evaluation.State]
        STATE_RUNNING: _ClassVar[Evaluation.State]
        STATE_DONE: _ClassVar[Evaluation.State]
        STATE_FAILED: _ClassVar[Evaluation.State]
    STATE_UNSPECIFIED: Evaluation.State
    STATE_QUEUED: Evaluation.State
    STATE_RUNNING: Evaluation.State
    STATE_DONE: Evaluation.State
    STATE_FAILED: Evaluation.State
    class LostEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STAGE_DONE_FIELD_NUMBER: _ClassVar[int]
    STAGE_TOTAL_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    SLOT_EFFECT_LOGITS_FIELD_NUMBER: _ClassVar[int]
    FLIP_RATE_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_BYTE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_BITS_PER_BYTE_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_BITS_PER_BYTE_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    JUDGE_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    PARENT_TRACE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_CONTROLLED_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    LOOKS_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    CONTAMINATED_FIELD_NUMBER: _ClassVar[int]
    PANEL_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    CANARIES_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CANARIES_KEY_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    id: str
    state: Evaluation.State
    model_id: str
    champion_id: str
    attempt: int
    stage: str
    stage_done: int
    stage_total: int
    win_rate: Interval
    slot_effect_logits: Interval
    flip_rate: float
    bits_per_byte_change: Interval
    candidate_bits_per_byte: float
    champion_bits_per_byte: float
    calibration: Calibration
    lost: _containers.ScalarMap[str, int]
    findings: _containers.RepeatedScalarFieldContainer[str]
    verdicts_address: str
    promotion_id: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    judge: str
    trace: str
    parent_trace: str
    length_controlled: Interval
    kind: Evaluation.Kind
    plan: EvaluationPlan
    looks: int
    stopped: str
    slices: _containers.RepeatedCompositeFieldContainer[SliceRate]
    contaminated: int
    panel: _containers.RepeatedCompositeFieldContainer[PanelMember]
    spent: _containers.RepeatedCompositeFieldContainer[Spending]
    drift: Interval
    canaries_address: str
    canaries_key: str
    def __init__(self, pipeline: _Optional[str] = ..., id: _Optional[str] = ..., state: _Optional[_Union[Evaluation.State, str]] = ..., model_id: _Optional[str] = ..., champion_id: _Optional[str] = ..., attempt: _Optional[int] = ..., stage: _Optional[str] = ..., stage_done: _Optional[int] = ..., stage_total: _Optional[int] = ..., win_rate: _Optional[_Union[Interval, _Mapping]] = ..., slot_effect_logits: _Optional[_Union[Interval, _Mapping]] = ..., flip_rate: _Optional[float] = ..., bits_per_byte_change: _Optional[_Union[Interval, _Mapping]] = ..., candidate_bits_per_byte: _Optional[float] = ..., champion_bits_per_byte: _Optional[float] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., lost: _Optional[_Mapping[str, int]] = ..., findings: _Optional[_Iterable[str]] = ..., verdicts_address: _Optional[str] = ..., promotion_id: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., judge: _Optional[str] = ..., trace: _Optional[str] = ..., parent_trace: _Optional[str] = ..., length_controlled: _Optional[_Union[Interval, _Mapping]] = ..., kind: _Optional[_Union[Evaluation.Kind, str]] = ..., plan: _Optional[_Union[EvaluationPlan, _Mapping]] = ..., looks: _Optional[int] = ..., stopped: _Optional[str] = ..., slices: _Optional[_Iterable[_Union[SliceRate, _Mapping]]] = ..., contaminated: _Optional[int] = ..., panel: _Optional[_Iterable[_Union[PanelMember, _Mapping]]] = ..., spent: _Optional[_Iterable[_Union[Spending, _Mapping]]] = ..., drift: _Optional[_Union[Interval, _Mapping]] = ..., canaries_address: _Optional[str] = ..., canaries_key: _Optional[str] = ...) -> None: ...

class ComparisonVerdict(_message.Message):
    __slots__ = ("pipeline", "evaluation_id", "comparison_id", "example_id", "preference", "forward", "swapped", "slot_effect_logits", "lost", "candidate_characters", "champion_characters")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_ID_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_ID_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    SWAPPED_FIELD_NUMBER: _ClassVar[int]
    SLOT_EFFECT_LOGITS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    evaluation_id: str
    comparison_id: str
    example_id: str
    preference: float
    forward: float
    swapped: float
    slot_effect_logits: float
    lost: str
    candidate_characters: int
    champion_characters: int
    def __init__(self, pipeline: _Optional[str] = ..., evaluation_id: _Optional[str] = ..., comparison_id: _Optional[str] = ..., example_id: _Optional[str] = ..., preference: _Optional[float] = ..., forward: _Optional[float] = ..., swapped: _Optional[float] = ..., slot_effect_logits: _Optional[float] = ..., lost: _Optional[str] = ..., candidate_characters: _Optional[int] = ..., champion_characters: _Optional[int] = ...) -> None: ...

class Promotion(_message.Message):
    __slots__ = ("pipeline", "id", "sequence", "outcome", "model_id", "expected_champion_id", "champion_id", "evaluation_id", "reasons", "time", "error_level", "by_hand")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[Promotion.Outcome]
        OUTCOME_PROMOTED: _ClassVar[Promotion.Outcome]
        OUTCOME_REFUSED: _ClassVar[Promotion.Outcome]
        OUTCOME_ROLLED_BACK: _ClassVar[Promotion.Outcome]
    OUTCOME_UNSPECIFIED: Promotion.Outcome
    OUTCOME_PROMOTED: Promotion.Outcome
    OUTCOME_REFUSED: Promotion.Outcome
    OUTCOME_ROLLED_BACK: Promotion.Outcome
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_CHAMPION_ID_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_ID_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_ID_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_LEVEL_FIELD_NUMBER: _ClassVar[int]
    BY_HAND_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    id: str
    sequence: int
    outcome: Promotion.Outcome
    model_id: str
    expected_champion_id: str
    champion_id: str
    evaluation_id: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    time: _timestamp_pb2.Timestamp
    error_level: float
    by_hand: bool
    def __init__(self, pipeline: _Optional[str] = ..., id: _Optional[str] = ..., sequence: _Optional[int] = ..., outcome: _Optional[_Union[Promotion.Outcome, str]] = ..., model_id: _Optional[str] = ..., expected_champion_id: _Optional[str] = ..., champion_id: _Optional[str] = ..., evaluation_id: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error_level: _Optional[float] = ..., by_hand: bool = ...) -> None: ...

class Settlement(_message.Message):
    __slots__ = ("letter", "outcome", "time", "by", "why")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[Settlement.Outcome]
        OUTCOME_REPLAYED: _ClassVar[Settlement.Outcome]
        OUTCOME_DROPPED: _ClassVar[Settlement.Outcome]
    OUTCOME_UNSPECIFIED: Settlement.Outcome
    OUTCOME_REPLAYED: Settlement.Outcome
    OUTCOME_DROPPED: Settlement.Outcome
    LETTER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    letter: str
    outcome: Settlement.Outcome
    time: _timestamp_pb2.Timestamp
    by: str
    why: str
    def __init__(self, letter: _Optional[str] = ..., outcome: _Optional[_Union[Settlement.Outcome, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

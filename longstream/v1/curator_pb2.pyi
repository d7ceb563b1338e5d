import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from longstream.v1 import records_pb2 as _records_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Document(_message.Message):
    __slots__ = ("text", "source", "source_index", "external_id", "licence", "provenance", "time")
    class ProvenanceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_INDEX_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ID_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    text: str
    source: str
    source_index: int
    external_id: str
    licence: str
    provenance: _containers.ScalarMap[str, str]
    time: _timestamp_pb2.Timestamp
    def __init__(self, text: _Optional[str] = ..., source: _Optional[str] = ..., source_index: _Optional[int] = ..., external_id: _Optional[str] = ..., licence: _Optional[str] = ..., provenance: _Optional[_Mapping[str, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Pair(_message.Message):
    __slots__ = ("instruction", "input", "response", "source", "source_index", "external_id", "licence", "provenance", "time")
    class ProvenanceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_INDEX_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ID_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    input: str
    response: str
    source: str
    source_index: int
    external_id: str
    licence: str
    provenance: _containers.ScalarMap[str, str]
    time: _timestamp_pb2.Timestamp
    def __init__(self, instruction: _Optional[str] = ..., input: _Optional[str] = ..., response: _Optional[str] = ..., source: _Optional[str] = ..., source_index: _Optional[int] = ..., external_id: _Optional[str] = ..., licence: _Optional[str] = ..., provenance: _Optional[_Mapping[str, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SelectDiverseRequest(_message.Message):
    __slots__ = ("options", "texts")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    options: SelectDiverseOptions
    texts: _containers.RepeatedCompositeFieldContainer[SelectDiverseText]
    def __init__(self, options: _Optional[_Union[SelectDiverseOptions, _Mapping]] = ..., texts: _Optional[_Iterable[_Union[SelectDiverseText, _Mapping]]] = ...) -> None: ...

class SelectDiverseOptions(_message.Message):
    __slots__ = ("count", "seed", "most_per_site")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MOST_PER_SITE_FIELD_NUMBER: _ClassVar[int]
    count: int
    seed: int
    most_per_site: int
    def __init__(self, count: _Optional[int] = ..., seed: _Optional[int] = ..., most_per_site: _Optional[int] = ...) -> None: ...

class SelectDiverseText(_message.Message):
    __slots__ = ("text", "site")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    text: str
    site: str
    def __init__(self, text: _Optional[str] = ..., site: _Optional[str] = ...) -> None: ...

class SelectDiverseResponse(_message.Message):
    __slots__ = ("picked", "seen", "repeats", "blank", "clusters", "embedding")
    class Picked(_message.Message):
        __slots__ = ("index", "cluster_size", "made_up")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        CLUSTER_SIZE_FIELD_NUMBER: _ClassVar[int]
        MADE_UP_FIELD_NUMBER: _ClassVar[int]
        index: int
        cluster_size: int
        made_up: bool
        def __init__(self, index: _Optional[int] = ..., cluster_size: _Optional[int] = ..., made_up: bool = ...) -> None: ...
    PICKED_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    BLANK_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    picked: _containers.RepeatedCompositeFieldContainer[SelectDiverseResponse.Picked]
    seen: int
    repeats: int
    blank: int
    clusters: int
    embedding: str
    def __init__(self, picked: _Optional[_Iterable[_Union[SelectDiverseResponse.Picked, _Mapping]]] = ..., seen: _Optional[int] = ..., repeats: _Optional[int] = ..., blank: _Optional[int] = ..., clusters: _Optional[int] = ..., embedding: _Optional[str] = ...) -> None: ...

class SubmitDocumentsRequest(_message.Message):
    __slots__ = ("documents",)
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[Document]
    def __init__(self, documents: _Optional[_Iterable[_Union[Document, _Mapping]]] = ...) -> None: ...

class SubmitPairsRequest(_message.Message):
    __slots__ = ("pairs",)
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[Pair]
    def __init__(self, pairs: _Optional[_Iterable[_Union[Pair, _Mapping]]] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("index", "external_id", "reason", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    external_id: str
    reason: str
    message: str
    def __init__(self, index: _Optional[int] = ..., external_id: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class SubmitDocumentsResponse(_message.Message):
    __slots__ = ("accepted", "rejected", "rejections")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejected: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    def __init__(self, accepted: _Optional[int] = ..., rejected: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ...) -> None: ...

class SubmitPairsResponse(_message.Message):
    __slots__ = ("accepted", "rejected", "rejections")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejected: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    def __init__(self, accepted: _Optional[int] = ..., rejected: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ...) -> None: ...

class RankRequest(_message.Message):
    __slots__ = ("responses", "metric", "k")
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    responses: _containers.RepeatedScalarFieldContainer[str]
    metric: str
    k: int
    def __init__(self, responses: _Optional[_Iterable[str]] = ..., metric: _Optional[str] = ..., k: _Optional[int] = ...) -> None: ...

class RankResponse(_message.Message):
    __slots__ = ("ranked", "metric")
    class Ranked(_message.Message):
        __slots__ = ("index", "length")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        LENGTH_FIELD_NUMBER: _ClassVar[int]
        index: int
        length: int
        def __init__(self, index: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...
    RANKED_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    ranked: _containers.RepeatedCompositeFieldContainer[RankResponse.Ranked]
    metric: str
    def __init__(self, ranked: _Optional[_Iterable[_Union[RankResponse.Ranked, _Mapping]]] = ..., metric: _Optional[str] = ...) -> None: ...

class GetSelectionRequest(_message.Message):
    __slots__ = ("pipeline", "page_size", "page_token")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    page_size: int
    page_token: str
    def __init__(self, pipeline: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetSelectionResponse(_message.Message):
    __slots__ = ("selected", "next_page_token", "seen", "kept", "dropped", "metric")
    class Selected(_message.Message):
        __slots__ = ("rank", "source", "external_id")
        RANK_FIELD_NUMBER: _ClassVar[int]
        SOURCE_FIELD_NUMBER: _ClassVar[int]
        EXTERNAL_ID_FIELD_NUMBER: _ClassVar[int]
        rank: _records_pb2.Rank
        source: str
        external_id: str
        def __init__(self, rank: _Optional[_Union[_records_pb2.Rank, _Mapping]] = ..., source: _Optional[str] = ..., external_id: _Optional[str] = ...) -> None: ...
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SELECTED_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    selected: _containers.RepeatedCompositeFieldContainer[GetSelectionResponse.Selected]
    next_page_token: str
    seen: int
    kept: int
    dropped: _containers.ScalarMap[str, int]
    metric: str
    def __init__(self, selected: _Optional[_Iterable[_Union[GetSelectionResponse.Selected, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., seen: _Optional[int] = ..., kept: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ..., metric: _Optional[str] = ...) -> None: ...

class CutReleaseRequest(_message.Message):
    __slots__ = ("pipeline", "request_id")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    request_id: str
    def __init__(self, pipeline: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CutReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: _records_pb2.Release
    def __init__(self, release: _Optional[_Union[_records_pb2.Release, _Mapping]] = ...) -> None: ...

class GetReleaseRequest(_message.Message):
    __slots__ = ("pipeline", "release_id")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    release_id: str
    def __init__(self, pipeline: _Optional[str] = ..., release_id: _Optional[str] = ...) -> None: ...

class GetReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: _records_pb2.Release
    def __init__(self, release: _Optional[_Union[_records_pb2.Release, _Mapping]] = ...) -> None: ...

class ListReleasesRequest(_message.Message):
    __slots__ = ("pipeline", "page_size", "page_token")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    page_size: int
    page_token: str
    def __init__(self, pipeline: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("releases", "next_page_token")
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[_records_pb2.Release]
    next_page_token: str
    def __init__(self, releases: _Optional[_Iterable[_Union[_records_pb2.Release, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("pipeline", "example_id", "document", "pair")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    example_id: str
    document: Document
    pair: Pair
    def __init__(self, pipeline: _Optional[str] = ..., example_id: _Optional[str] = ..., document: _Optional[_Union[Document, _Mapping]] = ..., pair: _Optional[_Union[Pair, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("example_id", "outcome", "reason", "message", "rank", "place", "stratum", "held_by")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[ExplainResponse.Outcome]
        OUTCOME_SELECTED: _ClassVar[ExplainResponse.Outcome]
        OUTCOME_RESERVE: _ClassVar[ExplainResponse.Outcome]
        OUTCOME_NOT_KEPT: _ClassVar[ExplainResponse.Outcome]
        OUTCOME_ERASED: _ClassVar[ExplainResponse.Outcome]
        OUTCOME_HELD_OUT: _ClassVar[ExplainResponse.Outcome]
        OUTCOME_UNKNOWN: _ClassVar[ExplainResponse.Outcome]
    OUTCOME_UNSPECIFIED: ExplainResponse.Outcome
    OUTCOME_SELECTED: ExplainResponse.Outcome
    OUTCOME_RESERVE: ExplainResponse.Outcome
    OUTCOME_NOT_KEPT: ExplainResponse.Outcome
    OUTCOME_ERASED: ExplainResponse.Outcome
    OUTCOME_HELD_OUT: ExplainResponse.Outcome
    OUTCOME_UNKNOWN: ExplainResponse.Outcome
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_FIELD_NUMBER: _ClassVar[int]
    example_id: str
    outcome: ExplainResponse.Outcome
    reason: str
    message: str
    rank: _records_pb2.Rank
    place: int
    stratum: str
    held_by: _containers.RepeatedCompositeFieldContainer[HeldBy]
    def __init__(self, example_id: _Optional[str] = ..., outcome: _Optional[_Union[ExplainResponse.Outcome, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., rank: _Optional[_Union[_records_pb2.Rank, _Mapping]] = ..., place: _Optional[int] = ..., stratum: _Optional[str] = ..., held_by: _Optional[_Iterable[_Union[HeldBy, _Mapping]]] = ...) -> None: ...

class HeldBy(_message.Message):
    __slots__ = ("pipeline", "release_id", "row", "model_ids")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    MODEL_IDS_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    release_id: str
    row: int
    model_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pipeline: _Optional[str] = ..., release_id: _Optional[str] = ..., row: _Optional[int] = ..., model_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class EraseDocumentRequest(_message.Message):
    __slots__ = ("example_id", "document", "pair", "request_id")
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    example_id: str
    document: Document
    pair: Pair
    request_id: str
    def __init__(self, example_id: _Optional[str] = ..., document: _Optional[_Union[Document, _Mapping]] = ..., pair: _Optional[_Union[Pair, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class EraseDocumentResponse(_message.Message):
    __slots__ = ("example_id", "held_by", "remains")
    EXAMPLE_ID_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_FIELD_NUMBER: _ClassVar[int]
    REMAINS_FIELD_NUMBER: _ClassVar[int]
    example_id: str
    held_by: _containers.RepeatedCompositeFieldContainer[HeldBy]
    remains: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, example_id: _Optional[str] = ..., held_by: _Optional[_Iterable[_Union[HeldBy, _Mapping]]] = ..., remains: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchReleasesRequest(_message.Message):
    __slots__ = ("pipeline",)
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    def __init__(self, pipeline: _Optional[str] = ...) -> None: ...

class WatchReleasesResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: _records_pb2.Release
    def __init__(self, release: _Optional[_Union[_records_pb2.Release, _Mapping]] = ...) -> None: ...

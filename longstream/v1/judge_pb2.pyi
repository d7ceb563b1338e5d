from longstream.v1 import records_pb2 as _records_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ComparePairsRequest(_message.Message):
    __slots__ = ("request_id", "question", "candidate", "baseline", "way", "reference", "rubric")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    WAY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    question: str
    candidate: str
    baseline: str
    way: str
    reference: str
    rubric: str
    def __init__(self, request_id: _Optional[str] = ..., question: _Optional[str] = ..., candidate: _Optional[str] = ..., baseline: _Optional[str] = ..., way: _Optional[str] = ..., reference: _Optional[str] = ..., rubric: _Optional[str] = ...) -> None: ...

class ComparePairsResponse(_message.Message):
    __slots__ = ("request_id", "comparison", "failure")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    comparison: PairComparison
    failure: CompareFailure
    def __init__(self, request_id: _Optional[str] = ..., comparison: _Optional[_Union[PairComparison, _Mapping]] = ..., failure: _Optional[_Union[CompareFailure, _Mapping]] = ...) -> None: ...

class PairComparison(_message.Message):
    __slots__ = ("preference", "forward", "swapped", "slot_effect_logits", "lost", "said", "engine", "model", "model_revision", "prompt_revision", "judges")
    PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    SWAPPED_FIELD_NUMBER: _ClassVar[int]
    SLOT_EFFECT_LOGITS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_REVISION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_REVISION_FIELD_NUMBER: _ClassVar[int]
    JUDGES_FIELD_NUMBER: _ClassVar[int]
    preference: float
    forward: float
    swapped: float
    slot_effect_logits: float
    lost: str
    said: _containers.RepeatedScalarFieldContainer[str]
    engine: str
    model: str
    model_revision: str
    prompt_revision: str
    judges: _containers.RepeatedCompositeFieldContainer[JudgeVerdict]
    def __init__(self, preference: _Optional[float] = ..., forward: _Optional[float] = ..., swapped: _Optional[float] = ..., slot_effect_logits: _Optional[float] = ..., lost: _Optional[str] = ..., said: _Optional[_Iterable[str]] = ..., engine: _Optional[str] = ..., model: _Optional[str] = ..., model_revision: _Optional[str] = ..., prompt_revision: _Optional[str] = ..., judges: _Optional[_Iterable[_Union[JudgeVerdict, _Mapping]]] = ...) -> None: ...

class JudgeVerdict(_message.Message):
    __slots__ = ("engine", "model", "model_revision", "preference", "forward", "swapped", "lost")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_REVISION_FIELD_NUMBER: _ClassVar[int]
    PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    SWAPPED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    engine: str
    model: str
    model_revision: str
    preference: float
    forward: float
    swapped: float
    lost: str
    def __init__(self, engine: _Optional[str] = ..., model: _Optional[str] = ..., model_revision: _Optional[str] = ..., preference: _Optional[float] = ..., forward: _Optional[float] = ..., swapped: _Optional[float] = ..., lost: _Optional[str] = ...) -> None: ...

class CompareFailure(_message.Message):
    __slots__ = ("code", "reason", "message", "field")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    message: str
    field: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class CreateEvaluationRequest(_message.Message):
    __slots__ = ("pipeline", "request_id", "model_id")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    request_id: str
    model_id: str
    def __init__(self, pipeline: _Optional[str] = ..., request_id: _Optional[str] = ..., model_id: _Optional[str] = ...) -> None: ...

class CreateEvaluationResponse(_message.Message):
    __slots__ = ("evaluation",)
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    evaluation: _records_pb2.Evaluation
    def __init__(self, evaluation: _Optional[_Union[_records_pb2.Evaluation, _Mapping]] = ...) -> None: ...

class GetEvaluationRequest(_message.Message):
    __slots__ = ("pipeline", "evaluation_id")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_ID_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    evaluation_id: str
    def __init__(self, pipeline: _Optional[str] = ..., evaluation_id: _Optional[str] = ...) -> None: ...

class GetEvaluationResponse(_message.Message):
    __slots__ = ("evaluation", "promotion")
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_FIELD_NUMBER: _ClassVar[int]
    evaluation: _records_pb2.Evaluation
    promotion: _records_pb2.Promotion
    def __init__(self, evaluation: _Optional[_Union[_records_pb2.Evaluation, _Mapping]] = ..., promotion: _Optional[_Union[_records_pb2.Promotion, _Mapping]] = ...) -> None: ...

class ListEvaluationsRequest(_message.Message):
    __slots__ = ("pipeline", "page_size", "page_token")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    page_size: int
    page_token: str
    def __init__(self, pipeline: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEvaluationsResponse(_message.Message):
    __slots__ = ("evaluations", "next_page_token")
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    evaluations: _containers.RepeatedCompositeFieldContainer[_records_pb2.Evaluation]
    next_page_token: str
    def __init__(self, evaluations: _Optional[_Iterable[_Union[_records_pb2.Evaluation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchEvaluationRequest(_message.Message):
    __slots__ = ("pipeline", "evaluation_id")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_ID_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    evaluation_id: str
    def __init__(self, pipeline: _Optional[str] = ..., evaluation_id: _Optional[str] = ...) -> None: ...

class WatchEvaluationResponse(_message.Message):
    __slots__ = ("evaluation",)
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    evaluation: _records_pb2.Evaluation
    def __init__(self, evaluation: _Optional[_Union[_records_pb2.Evaluation, _Mapping]] = ...) -> None: ...

class GetChampionRequest(_message.Message):
    __slots__ = ("pipeline",)
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    def __init__(self, pipeline: _Optional[str] = ...) -> None: ...

class GetChampionResponse(_message.Message):
    __slots__ = ("champion", "history")
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    champion: _records_pb2.Model
    history: _containers.RepeatedCompositeFieldContainer[_records_pb2.Promotion]
    def __init__(self, champion: _Optional[_Union[_records_pb2.Model, _Mapping]] = ..., history: _Optional[_Iterable[_Union[_records_pb2.Promotion, _Mapping]]] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("pipeline", "request_id", "expected_champion_id", "reason")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_CHAMPION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    request_id: str
    expected_champion_id: str
    reason: str
    def __init__(self, pipeline: _Optional[str] = ..., request_id: _Optional[str] = ..., expected_champion_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RollbackResponse(_message.Message):
    __slots__ = ("promotion",)
    PROMOTION_FIELD_NUMBER: _ClassVar[int]
    promotion: _records_pb2.Promotion
    def __init__(self, promotion: _Optional[_Union[_records_pb2.Promotion, _Mapping]] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("pipeline", "request_id", "model_id", "expected_champion_id", "reason")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_CHAMPION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    request_id: str
    model_id: str
    expected_champion_id: str
    reason: str
    def __init__(self, pipeline: _Optional[str] = ..., request_id: _Optional[str] = ..., model_id: _Optional[str] = ..., expected_champion_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PromoteResponse(_message.Message):
    __slots__ = ("promotion",)
    PROMOTION_FIELD_NUMBER: _ClassVar[int]
    promotion: _records_pb2.Promotion
    def __init__(self, promotion: _Optional[_Union[_records_pb2.Promotion, _Mapping]] = ...) -> None: ...

class GetLeaderboardRequest(_message.Message):
    __slots__ = ("pipeline",)
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    def __init__(self, pipeline: _Optional[str] = ...) -> None: ...

class GetLeaderboardResponse(_message.Message):
    __slots__ = ("standings", "left_out")
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    standings: _containers.RepeatedCompositeFieldContainer[Standing]
    left_out: int
    def __init__(self, standings: _Optional[_Iterable[_Union[Standing, _Mapping]]] = ..., left_out: _Optional[int] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("model_id", "place", "evaluations", "win_rate", "length_controlled", "bits_per_byte")
    class Place(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PLACE_UNSPECIFIED: _ClassVar[Standing.Place]
        PLACE_CHAMPION: _ClassVar[Standing.Place]
        PLACE_FORMER: _ClassVar[Standing.Place]
        PLACE_REFUSED: _ClassVar[Standing.Place]
        PLACE_ROLLED_BACK: _ClassVar[Standing.Place]
        PLACE_BASE: _ClassVar[Standing.Place]
    PLACE_UNSPECIFIED: Standing.Place
    PLACE_CHAMPION: Standing.Place
    PLACE_FORMER: Standing.Place
    PLACE_REFUSED: Standing.Place
    PLACE_ROLLED_BACK: Standing.Place
    PLACE_BASE: Standing.Place
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_CONTROLLED_FIELD_NUMBER: _ClassVar[int]
    BITS_PER_BYTE_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    place: Standing.Place
    evaluations: int
    win_rate: _records_pb2.Interval
    length_controlled: _records_pb2.Interval
    bits_per_byte: float
    def __init__(self, model_id: _Optional[str] = ..., place: _Optional[_Union[Standing.Place, str]] = ..., evaluations: _Optional[int] = ..., win_rate: _Optional[_Union[_records_pb2.Interval, _Mapping]] = ..., length_controlled: _Optional[_Union[_records_pb2.Interval, _Mapping]] = ..., bits_per_byte: _Optional[float] = ...) -> None: ...

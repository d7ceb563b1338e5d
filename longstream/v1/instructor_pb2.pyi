from longstream.v1 import records_pb2 as _records_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateRequest(_message.Message):
    __slots__ = ("document", "style", "seed", "options")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    document: str
    style: str
    seed: int
    options: str
    def __init__(self, document: _Optional[str] = ..., style: _Optional[str] = ..., seed: _Optional[int] = ..., options: _Optional[str] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("instruction", "style", "refusal", "prompt_revision", "engine", "model", "model_revision", "excerpted", "prompt_tokens", "completion_tokens", "language", "length_info", "score", "tries")
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_REVISION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_REVISION_FIELD_NUMBER: _ClassVar[int]
    EXCERPTED_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_INFO_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    style: str
    refusal: str
    prompt_revision: str
    engine: str
    model: str
    model_revision: str
    excerpted: bool
    prompt_tokens: int
    completion_tokens: int
    language: str
    length_info: str
    score: int
    tries: int
    def __init__(self, instruction: _Optional[str] = ..., style: _Optional[str] = ..., refusal: _Optional[str] = ..., prompt_revision: _Optional[str] = ..., engine: _Optional[str] = ..., model: _Optional[str] = ..., model_revision: _Optional[str] = ..., excerpted: bool = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., language: _Optional[str] = ..., length_info: _Optional[str] = ..., score: _Optional[int] = ..., tries: _Optional[int] = ...) -> None: ...

class GenerateStreamRequest(_message.Message):
    __slots__ = ("request_id", "request")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    request: GenerateRequest
    def __init__(self, request_id: _Optional[str] = ..., request: _Optional[_Union[GenerateRequest, _Mapping]] = ...) -> None: ...

class GenerateStreamResponse(_message.Message):
    __slots__ = ("request_id", "response", "failure")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    response: GenerateResponse
    failure: GenerateFailure
    def __init__(self, request_id: _Optional[str] = ..., response: _Optional[_Union[GenerateResponse, _Mapping]] = ..., failure: _Optional[_Union[GenerateFailure, _Mapping]] = ...) -> None: ...

class GenerateFailure(_message.Message):
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

class RefineRequest(_message.Message):
    __slots__ = ("instruction", "input", "response", "seed", "options")
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    instruction: str
    input: str
    response: str
    seed: int
    options: str
    def __init__(self, instruction: _Optional[str] = ..., input: _Optional[str] = ..., response: _Optional[str] = ..., seed: _Optional[int] = ..., options: _Optional[str] = ...) -> None: ...

class RefineResponse(_message.Message):
    __slots__ = ("response", "refinement", "engine", "model", "model_revision")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    REFINEMENT_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_REVISION_FIELD_NUMBER: _ClassVar[int]
    response: str
    refinement: _records_pb2.Refinement
    engine: str
    model: str
    model_revision: str
    def __init__(self, response: _Optional[str] = ..., refinement: _Optional[_Union[_records_pb2.Refinement, _Mapping]] = ..., engine: _Optional[str] = ..., model: _Optional[str] = ..., model_revision: _Optional[str] = ...) -> None: ...

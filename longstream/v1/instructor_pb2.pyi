from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateRequest(_message.Message):
    __slots__ = ("document", "style", "seed")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    document: str
    style: str
    seed: int
    def __init__(self, document: _Optional[str] = ..., style: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("instruction", "style", "refusal", "prompt_revision", "engine", "model", "model_revision", "excerpted", "prompt_tokens", "completion_tokens")
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
    def __init__(self, instruction: _Optional[str] = ..., style: _Optional[str] = ..., refusal: _Optional[str] = ..., prompt_revision: _Optional[str] = ..., engine: _Optional[str] = ..., model: _Optional[str] = ..., model_revision: _Optional[str] = ..., excerpted: bool = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ...) -> None: ...

"""A tokenizer as the engines use it: shared by many threads, and told where a continuation begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from longstream.errors import InvalidInput
from longstream.llm.tokens import TokenEncoder
from longstream.llm.types import Prompt


class Encoding:
    """Prompts, continuations and choices as token ids of one tokenizer; safe to call from many threads."""

    def __init__(self, folder: Path) -> None:
        """Raises InvalidInput if folder holds no fast tokenizer."""
        self.tokenizer = load_tokenizer(folder)
        self._encoder = TokenEncoder(self.tokenizer)
        self.suffix = ending_of(self.tokenizer)
        # A fast tokenizer keeps its settings in shared state and fails where two threads change them.
        self._lock = Lock()

    def prompt(self, prompt: Prompt) -> list[int]:
        """Token ids of prompt, BOS first where the tokenizer puts it. Raises InvalidInput if none."""
        with self._lock:
            ids = self._encoder.prompt(prompt)
        if not ids:
            raise InvalidInput("the prompt is empty", field="prompt")
        return ids

    def continued(self, prompt: Prompt, continuation: str) -> tuple[list[int], list[int]]:
        """Token ids of prompt, and of continuation (as data) after it. Raises InvalidInput without one."""
        with self._lock:
            ids, rest = self._encoder.continued(prompt, continuation)
        if not ids:
            raise InvalidInput("the prompt is empty", field="prompt")
        return ids, rest

    def first_tokens(self, prompt: Prompt | None, choices: Sequence[str]) -> dict[str, int]:
        """The first token of each choice after prompt, or of each by itself where a decoder begins with it.

        Raises InvalidInput if there is no choice, an empty one, or two that begin with the same token.
        """
        tokens = [self.data(text) if prompt is None else self.continued(prompt, text)[1] for text in choices]
        if not tokens or not all(tokens):
            raise InvalidInput("there is no choice, or an empty one", field="choices")
        first = {choice: ids[0] for choice, ids in zip(choices, tokens, strict=True)}
        if len(set(first.values())) < len(choices):
            raise InvalidInput("choices must begin with different tokens", field="choices")
        return first

    def data(self, text: str) -> list[int]:
        """Token ids of text in which nothing is a control token, without BOS or EOS."""
        with self._lock:
            return self._encoder.data(text)


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer in folder. Raises InvalidInput if there is none; runs no code that comes with it."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"no tokenizer can be loaded from {folder}: {first_line(error)}") from error


def ending_of(tokenizer: Any) -> list[int]:
    """What the tokenizer puts last, which an encoder is to see (T5: EOS) and a decoder is not."""
    plain = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    framed = list(tokenizer("a", add_special_tokens=True)["input_ids"])
    ends = [i + len(plain) for i in range(len(framed)) if framed[i : i + len(plain)] == plain]
    return framed[ends[-1] :] if ends else []


def first_line(error: BaseException) -> str:
    """The first line of an error's text, cut to 300 characters, or its class where there is none."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__

"""From a prompt's parts to token ids, the same way in training and in answering.

Our own words may hold a model's control tokens (`<|user|>`); data may only spell them: "</s>" inside a
document is encoded as its letters. Text between two control tokens is encoded in one piece, as the tokenizer
itself would do it, so that a part's border leaves no seam. Works on any fast tokenizer of transformers
without importing it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from longstream.errors import InvalidInput
from longstream.llm.types import Part, Prompt


class Tokenizer(Protocol):
    """What is used of a fast transformers tokenizer."""

    __call__: Callable[..., Any]
    """Encodes a text to a mapping with `input_ids` and, if asked for, `offset_mapping`."""

    @property
    def is_fast(self) -> bool:
        """Whether it can tell a token's place in the text."""

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of BOS, EOS and the like."""

    @property
    def unk_token_id(self) -> Any:
        """Id of letters outside the vocabulary, or None."""

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        """Id to added token, the special ones included."""


class TokenEncoder:
    """Encodes prompts and data for one tokenizer. Keep one where many are encoded.

    Raises InvalidInput for a tokenizer that cannot tell a token's place in the text (one that is not fast).
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not tokenizer.is_fast:
            raise InvalidInput("the model has no fast tokenizer (tokenizer.json); convert it first")
        self._tokenizer = tokenizer
        added = {key: token for key, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
        self._by_content = {token.content: (key, token) for key, token in added.items()}
        longest_first = sorted(self._by_content, key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        self._guarded = (set(added) | self._special) - {tokenizer.unk_token_id}
        self._prefix = _prefix(tokenizer)

    def prompt(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt, led by what the tokenizer itself puts first (BOS, if any; never twice)."""
        ids: list[int] = []
        text = ""
        for piece in self._pieces(prompt):
            if isinstance(piece, str):
                text += piece
            else:
                ids += [*self.data(text), piece]
                text = ""
        ids += self.data(text)
        return ids if ids[: len(self._prefix)] == self._prefix else self._prefix + ids

    def continued(self, prompt: Prompt, continuation: str) -> tuple[list[int], list[int]]:
        """Token ids of prompt, and of continuation (as data) after it, as training and scoring see them.

        Both are cut from one encoding of the whole, unless a token would straddle the border: the prompt
        always has the tokens that it has when it is sent alone.
        """
        ids = self.prompt(prompt)
        whole = self.prompt(Prompt((*prompt.parts, Part(continuation, data=True))))
        if whole[: len(ids)] == ids:
            return ids, whole[len(ids) :]
        return ids, self.data(continuation)

    def data(self, text: str) -> list[int]:
        """Token ids of text in which nothing is a control token; no BOS, no EOS."""
        ids: list[int] = []
        waiting = [text]
        while waiting:
            piece = waiting.pop()
            if not piece:
                continue
            encoded = self._encode(piece)
            cuts = self._cuts(encoded)
            if cuts:
                ends = [*cuts, len(piece)]
                waiting += [piece[a:b] for a, b in zip([0, *cuts], ends, strict=True)][::-1]
            else:
                ids += [token for token in encoded["input_ids"] if token not in self._special]
        return ids

    def _encode(self, text: str) -> Any:
        options = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
        # Rust tokenizers cannot encode half of a surrogate pair; such a letter becomes a question mark.
        return self._tokenizer(text.encode("utf-8", "replace").decode("utf-8"), verbose=False, **options)

    def _cuts(self, encoded: Any) -> list[int]:
        # A control token is undone by encoding its first letter and its rest apart. One of a single letter
        # cannot be undone: it is left out where it is special, and kept where it is only an added word.
        pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return sorted({a + 1 for token, (a, b) in pairs if token in self._guarded and b - a > 1})

    def _pieces(self, prompt: Prompt) -> list[str | int]:
        pieces: list[str | int] = []
        for part in prompt.parts:
            pieces += [part.text] if part.data else self._split(part)
        return pieces

    def _split(self, part: Part) -> list[str | int]:
        pieces: list[str | int] = []
        end, strip_next = 0, False
        for match in self._controls.finditer(part.text) if self._controls else ():
            key, token = self._by_content[match.group()]
            between = part.text[end : match.start()]
            between = between.lstrip() if strip_next else between
            pieces += [between.rstrip() if token.lstrip else between, key]
            end, strip_next = match.end(), token.rstrip
        rest = part.text[end:]
        return [*pieces, rest.lstrip() if strip_next else rest]


def encode_prompt(tokenizer: Tokenizer, prompt: Prompt) -> list[int]:
    """Token ids of prompt for tokenizer, as `TokenEncoder.prompt` gives them."""
    return TokenEncoder(tokenizer).prompt(prompt)


def _prefix(tokenizer: Tokenizer) -> list[int]:
    plain = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    framed = list(tokenizer("a", add_special_tokens=True)["input_ids"])
    starts = [i for i in range(len(framed)) if framed[i : i + len(plain)] == plain]
    return framed[: starts[0]] if starts else []

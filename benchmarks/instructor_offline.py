"""vLLM by itself on the prompts that the service makes: the peer of the instructor's benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.instructor_model import documents, salted
from longstream.instructing import Instruct, Lengths
from longstream.llm.options import EngineOptions
from longstream.llm.tokens import TokenEncoder
from longstream.llm.types import Part, Prompt
from longstream.llm.vllm_engine import engine_settings
from longstream_instructor.prompts import Room, Shown, instruction_prompt, show
from longstream_instructor.styles import Style
from longstream_instructor.wording import ASKINGS

IN_FLIGHT = 64
REPLY_TOKENS = 24
MEAN, LONG = 2_400, 6_000
"""Characters of a document: about LongForm's mean of 408 words, and what ranking by length selects."""
WARM = 8
_ENGLISH = ASKINGS["en"]
_ANYTHING = {
    "max_words": 1e9,
    "min_words": 0,
    "max_shared_run_words": 1e9,
    "max_shared_share": 2,
    "min_script_share": 0,
    "min_language_probability": 0,
    "allow_cut": 1,
    "allow_refusal": 1,
    "allow_reference": 1,
}
"""The model writes noise, and is asked once for each document all the same."""


def task() -> Instruct:
    """One style, one try, replies of one length."""
    return Instruct(
        styles={"instruction": 1.0},
        max_tokens=REPLY_TOKENS,
        language="en",
        lengths=Lengths(share=0),
        limits=_ANYTHING,
    ).on("paper")


def shown(text: str, count_tokens: Callable[[str], int], context_tokens: int) -> Shown:
    """A document as the service shows it."""
    room = Room(context_tokens=context_tokens, reply_tokens=REPLY_TOKENS, count_tokens=count_tokens)
    return show(text, _ENGLISH, room)


@dataclass(frozen=True, slots=True)
class Offline:
    """vLLM by itself: prompts in, replies out, all at once."""

    llm: Any
    encoder: TokenEncoder
    context_tokens: int

    @classmethod
    def on(cls, folder: Path) -> Offline:
        """With the very settings that the service has."""
        from transformers import AutoTokenizer
        from vllm import LLM
        from vllm.platforms import current_platform

        settings = engine_settings(folder, options(), on_cpu=current_platform.is_cpu())
        llm = LLM(**settings, disable_log_stats=True)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        encoder = TokenEncoder(tokenizer)
        return cls(llm, encoder, llm.llm_engine.model_config.max_model_len)

    def run(self, prompts: Sequence[Prompt]) -> dict[str, float]:
        """Seconds, prompt tokens, those of them that were found in the cache, and tokens that were computed."""
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt

        ids = [TokensPrompt(prompt_token_ids=self.encoder.prompt(prompt)) for prompt in prompts]
        drawn = task()
        params = [
            SamplingParams(
                max_tokens=REPLY_TOKENS,
                temperature=drawn.temperature,
                top_p=drawn.top_p,
                seed=number,
                stop=["\n\n"],
            )
            for number in range(len(ids))
        ]
        began = time.perf_counter()
        done = self.llm.generate(ids, params, use_tqdm=False)
        took = time.perf_counter() - began
        prompted = sum(len(one.prompt_token_ids) for one in done)
        cached = sum(one.num_cached_tokens or 0 for one in done)
        written = sum(len(one.outputs[0].token_ids) for one in done)
        return {"s": took, "hits": cached / prompted, "computed": prompted - cached + written}

    def show(self, text: str) -> Shown:
        """A document as the service shows it."""
        return shown(text, lambda part: len(self.encoder.data(part)), self.context_tokens)


def options() -> EngineOptions:
    """Of both engines."""
    return EngineOptions(max_sequences=IN_FLIGHT)


def offline(folder: Path, count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """What a process of its own measures with vLLM alone: each way once in every round."""
    engine = Offline.on(folder)
    numbers = iter(range(10_000))
    mean, long = documents(count, MEAN), documents(count // 2, LONG)

    def asked(text: str, style: Style) -> Prompt:
        return instruction_prompt(engine.show(text), _ENGLISH, style)

    def turned(text: str, style: Style) -> Prompt:
        return Prompt((Part(_ENGLISH.requests[style].text + "\n"), *engine.show(text).parts))

    ways: dict[str, tuple[Callable[[str, Style], Prompt], Sequence[str], Sequence[Style]]] = {
        "one": (asked, mean, [Style.INSTRUCTION]),
        "three": (asked, mean, list(Style)),
        "request_first": (turned, mean, list(Style)),
        "long_one": (asked, long, [Style.INSTRUCTION]),
        "long_three": (asked, long, list(Style)),
    }
    engine.run([asked(text, Style.QUERY) for text in salted(mean[:WARM], next(numbers))])
    told: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (ask, texts, styles) in ways.items():
            prompts = [ask(text, style) for text in salted(texts, next(numbers)) for style in styles]
            told[name].append(engine.run(prompts))
    return told

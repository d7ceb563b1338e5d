"""The engine of a file command: opened by URL, waited for, asked again when it stumbles, its replies kept."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from longstream.commands.terminal import TerminalLine
from longstream.data.whole import STDOUT
from longstream.errors import EngineUnavailable, InvalidInput, SuiteError
from longstream.llm import open_model
from longstream.llm.options import EngineOptions
from longstream.llm.replies import RememberingModel, ReplyStore
from longstream.llm.types import Completion, LanguageModel
from longstream.runtime import load

Done = TypeVar("Done")
_STORE_BYTES = 4 * 1024**3
_LOAD_S = 1_800.0
_TRIES = 3
_PAUSE_S = 2.0


def add_engine(parser: argparse.ArgumentParser) -> None:
    """The options that say what writes, and how much of it at once."""
    option = parser.add_argument_group("the model").add_argument
    option(
        "--model",
        required=True,
        metavar="M",
        help="folder or cached hub id, run by vLLM; or hf:FOLDER, openai:http://HOST:PORT/v1?model=NAME",
    )
    option("--in-flight", type=int, default=32, metavar="N", help="asked about at once (%(default)s)")
    option(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds for one generation (%(default)s)"
    )
    option(
        "--cache",
        type=Path,
        metavar="FILE",
        help="keep replies there for good; else OUTPUT.replies, until the output stands",
    )


@dataclass(slots=True)
class Remembered:
    """How many replies were there already, and what they would have cost."""

    requests: int = 0
    completion_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, completion: Completion) -> None:
        """One was there."""
        with self._lock:
            self.requests += 1
            self.completion_tokens += completion.completion_tokens


@contextmanager
def engine(args: argparse.Namespace, remembered: Remembered, prefix: str) -> Iterator[LanguageModel]:
    """The model, ready. prefix: of the variables that hold the engine's knobs, those of the service. Its replies
    outlive a crash; they go when the block ends well, unless --cache names a file.
    """
    if args.in_flight < 1:
        raise InvalidInput("--in-flight must be at least 1", field="--in-flight")
    if args.json and args.output == STDOUT:
        raise InvalidInput("--json and --output - would both write to standard output", field="--json")
    if args.cache is None and args.output == STDOUT:
        raise InvalidInput("--output - needs --cache FILE, to keep replies in", field="--cache")
    path = args.cache or Path(f"{args.output}.replies")
    adapters = int(getattr(args, "adapter", None) is not None)
    with remembering(args.model, path, remembered, prefix, adapters) as (model, store):
        yield model
    if args.cache is None:
        store.remove()


@contextmanager
def remembering(
    name: str, path: Path, remembered: Remembered, prefix: str, adapters: int = 0
) -> Iterator[tuple[LanguageModel, ReplyStore]]:
    """A model by folder, hub id or URL, ready, and the replies that it leaves in the file; closed with the block.

    adapters: that it is to hold.
    """
    asked = _opened(name, prefix, adapters)
    store = ReplyStore(path, _STORE_BYTES)  # only now: a model that is refused leaves no file behind
    model = RememberingModel(asked, store, remembered.add, trusted=True)
    try:
        _wait(model)
        yield model, store
    except BaseException:
        model.close()
        if not isinstance(sys.exc_info()[1], InvalidInput):
            print(f"stopped; the same command goes on from what is in {path}", file=sys.stderr)
        raise
    model.close()


@contextmanager
def loaded(name: str, prefix: str) -> Iterator[LanguageModel]:
    """A model, ready, that remembers nothing and leaves alone what another run remembers; closed with the block."""
    with closing(_opened(name, prefix)) as model:
        _wait(model)
        yield model


def _opened(name: str, prefix: str, adapters: int = 0) -> LanguageModel:
    options = load(EngineOptions, prefix, os.environ)
    return open_model(_url(name), replace(options, max_adapters=max(adapters, options.max_adapters)))


def steadily(model: LanguageModel, do: Callable[[], Done]) -> Done:
    """Do it, and again while an engine restarts. Raises what a retry cannot help, and what it did not."""
    for number in range(1, _TRIES + 1):
        try:
            return do()
        except SuiteError as error:
            if not error.retryable or number == _TRIES:
                raise
            time.sleep(_PAUSE_S)
            model.wait_ready(_LOAD_S)
    raise AssertionError("the last try returns or raises")


def _url(model: str) -> str:
    return model if model.split(":", 1)[0] in {"vllm", "hf", "openai"} else f"vllm:{model}"


def _wait(model: LanguageModel) -> None:
    line, began = TerminalLine(sys.stderr), time.monotonic()
    while True:
        try:
            model.wait_ready(0.2)
            line.clear()
            return
        except EngineUnavailable:
            line.show(lambda: f"loading the model: {time.monotonic() - began:.0f} s")
            if time.monotonic() - began > _LOAD_S:
                raise

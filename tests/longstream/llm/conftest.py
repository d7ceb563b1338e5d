"""One of each engine for all tests here: a vLLM costs half a minute to start, so it is started once."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from longstream.llm import Adapter, EngineOptions, LanguageModel, open_model
from tests.support.standin import MODEL, UNKNOWN, Server
from tests.support.tinymodel import CONTEXT_TOKENS, make_tiny_adapter, make_tiny_llama, make_tiny_t5

OPTIONS = EngineOptions(
    context_tokens=CONTEXT_TOKENS,
    dtype="float32",
    kv_cache_gib=0.25,
    eager=True,
    max_adapters=2,
    max_lora_rank=8,
    restart_backoff_s=0.1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An engine under test, two adapters for it, and one that it must refuse."""

    model: LanguageModel
    name: str
    adapters: tuple[Adapter, Adapter]
    refused: Adapter
    server: Server | None = None


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def adapters(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Adapter, Adapter]:
    return _adapters(llama, tmp_path_factory)


@pytest.fixture(scope="session")
def vllm(llama: Path) -> Iterator[LanguageModel]:
    model = open_model(f"vllm:{llama}", OPTIONS)
    try:
        model.wait_ready(240)
        yield model
    finally:
        model.close()


@pytest.fixture(scope="session")
def vllm_subject(vllm: LanguageModel, llama: Path, adapters: tuple[Adapter, Adapter]) -> Subject:
    return Subject(model=vllm, name=str(llama), adapters=adapters, refused=Adapter("none", "/no/such/folder"))


@pytest.fixture(scope="session")
def hf_subject(llama: Path, adapters: tuple[Adapter, Adapter]) -> Iterator[Subject]:
    model = open_model(f"hf:{llama}", OPTIONS)
    yield Subject(model=model, name=str(llama), adapters=adapters, refused=Adapter("none", "/no/such/folder"))
    model.close()


@pytest.fixture(scope="session")
def t5_subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    folder = make_tiny_t5(tmp_path_factory.mktemp("t5"))
    model = open_model(f"hf:{folder}", OPTIONS)
    adapters = _adapters(folder, tmp_path_factory)
    yield Subject(
        model=model, name=str(folder), adapters=adapters, refused=Adapter("none", "/no/such/folder")
    )
    model.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def endpoint_subject(server: Server) -> Iterator[Subject]:
    yield from _endpoint(server, EngineOptions())


@pytest.fixture(scope="session")
def endpoint_ids_subject(server: Server, llama: Path) -> Iterator[Subject]:
    yield from _endpoint(server, EngineOptions(tokenizer=str(llama)))


@pytest.fixture(scope="session")
def reference(llama: Path) -> Reference:
    return Reference(llama)


class Reference:
    """The tiny model asked through transformers alone, sharing no code with the engines."""

    def __init__(self, folder: Path) -> None:
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def greedy(self, text: str, max_tokens: int) -> str:
        """The most likely continuation; a last letter that was not written out is left off."""
        ids = self._tokenizer(text, return_tensors="pt").input_ids
        written = self._model.generate(ids, do_sample=False, max_new_tokens=max_tokens)[0][ids.shape[1] :]
        return str(self._tokenizer.decode(written, skip_special_tokens=True)).rstrip("\ufffd")

    def log_probability(self, text: str, continuation: str) -> float:
        """Of continuation after text, in nats."""
        start = len(self._tokenizer(text).input_ids)
        ids = self._tokenizer(text + continuation).input_ids
        rows = self._rows(ids)
        return math.fsum(float(rows[i - 1, ids[i]]) for i in range(start, len(ids)))

    def choices(self, text: str, choices: Sequence[str]) -> dict[str, float]:
        """Log-probability of each choice, a single token, after text."""
        last = self._rows(self._tokenizer(text).input_ids)[-1]
        ids = {choice: self._tokenizer(choice, add_special_tokens=False).input_ids for choice in choices}
        assert all(len(tokens) == 1 for tokens in ids.values())
        return {choice: float(last[tokens[0]]) for choice, tokens in ids.items()}

    def _rows(self, ids: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            return torch.log_softmax(self._model(torch.tensor([ids])).logits[0], dim=-1)


def _adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Adapter, Adapter]:
    folders = [make_tiny_adapter(model, tmp_path_factory.mktemp("adapter"), seed) for seed in (1, 2)]
    return Adapter("first.v1", str(folders[0])), Adapter("second.v1", str(folders[1]))


def _endpoint(server: Server, options: EngineOptions) -> Iterator[Subject]:
    model = open_model(f"openai:http://127.0.0.1:{server.server_port}/v1?model={MODEL}", options)
    yield Subject(
        model=model,
        name=MODEL,
        adapters=(Adapter("first", ""), Adapter("second", "")),
        refused=Adapter(f"{UNKNOWN}adapter", ""),
        server=server,
    )
    model.close()

"""vLLM behind the door: right numbers, real batches, restarts, and no process left behind."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from safetensors.torch import load_file, save_file

from longstream.errors import EngineDied, EngineUnavailable, InvalidInput
from longstream.llm import Adapter, EngineOptions, LanguageModel, Part, Prompt, Sampling, open_model
from longstream.llm.vllm_engine import engine_settings
from tests.longstream.llm.conftest import OPTIONS, Reference
from tests.support.tinymodel import CONTEXT_TOKENS, make_tiny_t5

TEXTS = [
    "Write a long answer",
    "The old harbour town keeps its records",
    "Explain how the gardener keeps the roses alive through a hard winter. The",
    "In 1987 the council paid 12,400 crowns",
]
PATIENT_S = 60.0


def prompt(text: str) -> Prompt:
    return Prompt((Part(text, data=True),))


def eventually(true: Callable[[], bool], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Living descendants of a process that run Python code for an engine; zombies are dead."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        is_engine = b"VLLM::" in command or b"spawn_main" in command
        if int(parent) == pid and state != "Z" and is_engine:
            found += [int(folder.name), *children(int(folder.name))]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_engine_runs_no_foreign_code_and_on_a_cpu_takes_prompts_whole(llama: Path) -> None:
    settings = engine_settings(llama, EngineOptions(), on_cpu=True)
    assert settings["trust_remote_code"] is False
    assert settings["load_format"] == "safetensors"
    assert settings["enable_chunked_prefill"] is False
    assert settings["max_model_len"] == CONTEXT_TOKENS <= settings["max_num_batched_tokens"]
    assert settings["kv_cache_memory_bytes"] == 2**30
    on_gpu = engine_settings(llama, EngineOptions(), on_cpu=False)
    assert "enable_chunked_prefill" not in on_gpu
    assert on_gpu["kv_cache_memory_bytes"] is None


def test_copying_the_settings_inside_a_process_binds_it_to_nobody(llama: Path) -> None:
    copy.deepcopy(engine_settings(llama, OPTIONS, on_cpu=True))
    program = "import ctypes; s = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(s)); print(s.value)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"0\n"


@pytest.mark.engine
@pytest.mark.parametrize("text", TEXTS)
def test_greedy_text_equals_transformers(vllm: LanguageModel, reference: Reference, text: str) -> None:
    completion = vllm.generate(prompt(text), Sampling(max_tokens=40), timeout_s=PATIENT_S)
    assert completion.text == reference.greedy(text, 40)


@pytest.mark.engine
@pytest.mark.parametrize("text", TEXTS)
def test_scores_equal_transformers(vllm: LanguageModel, reference: Reference, text: str) -> None:
    continuation = " and nobody knows who drew the plans."
    score = vllm.score(prompt(text), continuation, timeout_s=PATIENT_S)
    assert score.log_probability == pytest.approx(reference.log_probability(text, continuation), abs=1e-3)


@pytest.mark.engine
@pytest.mark.parametrize("text", TEXTS)
def test_choices_get_the_models_own_probabilities(
    vllm: LanguageModel, reference: Reference, text: str
) -> None:
    """And not those among the choices, which a guided engine reports."""
    expected = reference.choices(text, ["A", "B", "7"])
    assert vllm.choose(prompt(text), ["A", "B", "7"], timeout_s=PATIENT_S) == pytest.approx(
        expected, abs=1e-3
    )
    assert max(expected.values()) < -1


@pytest.mark.engine
def test_a_repeated_prompt_is_read_from_the_prefix_cache_and_answered_alike(vllm: LanguageModel) -> None:
    long = prompt("The council paid for the bridge. " * 25)
    before = metric("vllm:prefix_cache_hits_total")
    first = vllm.choose(long, ["A", "B"], timeout_s=PATIENT_S)
    second = vllm.choose(long, ["A", "B"], timeout_s=PATIENT_S)
    assert second == pytest.approx(first, abs=1e-3)
    assert metric("vllm:prefix_cache_hits_total") >= before + 128


@pytest.mark.engine
def test_callers_in_32_threads_share_the_engines_steps(vllm: LanguageModel) -> None:
    """One after the other, 32 requests of 40 tokens are 1,280 steps."""
    before = metric("vllm:iteration_tokens_total_count")
    with ThreadPoolExecutor(32) as pool:
        told = list(pool.map(lambda i: write_40(vllm, i), range(32)))
    assert told == [40] * 32
    assert metric("vllm:iteration_tokens_total_count") - before < 400


def write_40(model: LanguageModel, seed: int) -> int:
    sampling = Sampling(max_tokens=40, temperature=1.0, seed=seed)
    text = prompt(f"{seed} bridges " * 40)  # 32 of these fill more than one batch of prompts
    tokens = 0
    while tokens < 40:
        tokens += model.generate(text, sampling, timeout_s=PATIENT_S).completion_tokens
        sampling = (
            Sampling(max_tokens=40 - tokens, temperature=1.0, seed=seed + 1) if tokens < 40 else sampling
        )
    return tokens


@pytest.mark.engine
def test_more_adapters_than_fit_take_turns(vllm: LanguageModel, adapters: tuple[Adapter, Adapter]) -> None:
    def by(adapter: Adapter) -> str:
        return vllm.generate(prompt("The"), Sampling(max_tokens=8), adapter=adapter, timeout_s=PATIENT_S).text

    texts = [by(adapter) for adapter in adapters]
    many = [Adapter(f"copy-{i}", adapters[i % 2].path) for i in range(6)]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(by, [*many, *many])) == texts * 6
    assert [by(adapter) for adapter in adapters] == texts


@pytest.mark.engine
def test_the_bare_model_and_adapters_do_not_mix_in_a_batch(
    vllm: LanguageModel, adapters: tuple[Adapter, Adapter], reference: Reference
) -> None:
    def by(adapter: Adapter | None) -> str:
        sampling = Sampling(max_tokens=8)
        return vllm.generate(prompt("The"), sampling, adapter=adapter, timeout_s=PATIENT_S).text

    alone = [reference.greedy("The", 8), by(adapters[0]), by(adapters[1])]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(by, [None, *adapters] * 8)) == alone * 8


@pytest.mark.engine
def test_scores_asked_for_at_once_are_those_asked_for_alone(
    vllm: LanguageModel, adapters: tuple[Adapter, Adapter]
) -> None:
    def by(case: tuple[Adapter | None, str]) -> float:
        adapter, words = case
        return vllm.score(prompt("The"), words, adapter=adapter, timeout_s=PATIENT_S).log_probability

    cases = [(adapter, " harbour" * length) for length in (3, 30) for adapter in (None, *adapters)]
    alone = [by(case) for case in cases]
    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(by, cases * 4)) == pytest.approx(alone * 4, abs=1e-2)


@pytest.mark.engine
def test_an_adapter_that_fits_another_model_is_refused_and_the_engine_lives(
    vllm: LanguageModel, tmp_path: Path, adapters: tuple[Adapter, Adapter]
) -> None:
    folder = Path(shutil.copytree(adapters[0].path, tmp_path / "adapter"))
    weights = load_file(folder / "adapter_model.safetensors")
    wrong = {name.replace("q_proj", "w_proj"): weight for name, weight in weights.items()}
    save_file(wrong, folder / "adapter_model.safetensors")
    with pytest.raises(InvalidInput):
        vllm.generate(
            prompt("The"), Sampling(max_tokens=4), adapter=Adapter("wrong", str(folder)), timeout_s=PATIENT_S
        )
    assert vllm.generate(prompt("The"), Sampling(max_tokens=4), timeout_s=PATIENT_S).completion_tokens


def test_an_encoder_decoder_is_refused_and_the_other_engine_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="open it as hf:"):
        open_model(f"vllm:{make_tiny_t5(tmp_path / 't5')}", OPTIONS)


@pytest.mark.engine
@pytest.mark.usefixtures("vllm")  # which has imported vLLM already
def test_a_model_that_will_not_load_is_tried_once_and_refused(llama: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["UnheardOfForCausalLM"], "model_type": "unheard-of"}
    (folder / "config.json").write_text(json.dumps(config))
    model = open_model(f"vllm:{folder}", OPTIONS)
    try:
        with pytest.raises(InvalidInput, match="cannot serve"):
            model.wait_ready(PATIENT_S)
        with pytest.raises(InvalidInput, match="cannot serve"):
            model.generate(prompt("The"), Sampling(), timeout_s=1)
        assert not model.ready
    finally:
        model.close()


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(700)
def test_an_engine_that_is_killed_is_noticed_and_replaced(
    vllm: LanguageModel, adapters: tuple[Adapter, Adapter]
) -> None:
    def by_adapter() -> str:
        sampling = Sampling(max_tokens=8)
        return vllm.generate(prompt("The"), sampling, adapter=adapters[0], timeout_s=PATIENT_S).text

    before = by_adapter()
    long = Sampling(max_tokens=CONTEXT_TOKENS, temperature=1.0)
    with ThreadPoolExecutor(24) as pool:
        futures = [pool.submit(vllm.generate, prompt(text), long, timeout_s=PATIENT_S) for text in TEXTS * 6]
        time.sleep(0.15)
        processes = children(os.getpid())
        os.kill(processes[0], signal.SIGKILL)
        told = [future.exception(PATIENT_S) for future in futures]
    assert any(isinstance(error, EngineDied) for error in told)
    assert all(error is None or isinstance(error, EngineDied | EngineUnavailable) for error in told)
    with pytest.raises(EngineUnavailable):
        vllm.generate(prompt("The"), Sampling(), timeout_s=PATIENT_S)
    eventually(lambda: not any(alive(pid) for pid in processes), within_s=10)
    vllm.wait_ready(540)
    assert by_adapter() == before


@pytest.mark.engine
@pytest.mark.slow
def test_no_engine_outlives_a_program_that_is_killed(llama: Path, tmp_path: Path) -> None:
    """Killed while its first process has not yet read its settings, and another while a second one has not."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def killed(started: int) -> list[int]:
        """The processes that a program left behind which was killed as soon as it had so many."""
        running = subprocess.Popen(
            [sys.executable, str(program), str(llama)], env={**os.environ, "PYTHONPATH": str(Path.cwd())}
        )
        try:
            eventually(lambda: len(children(running.pid)) >= started, within_s=200)
            return children(running.pid)
        finally:
            running.kill()
            running.wait()

    with ThreadPoolExecutor(2) as both:
        for processes in both.map(killed, (1, 2)):
            assert processes
            eventually(lambda these=processes: not any(alive(pid) for pid in these), within_s=60)  # type: ignore[misc]


PROGRAM = """
import sys
from longstream.llm import open_model
from tests.longstream.llm.conftest import OPTIONS

if __name__ == "__main__":
    open_model(f"vllm:{sys.argv[1]}", OPTIONS).wait_ready(240)
    sys.stdin.read()
"""


def metric(name: str) -> float:
    """Sum over all label sets of a sample that vLLM keeps in the default registry."""
    samples = [sample for family in REGISTRY.collect() for sample in family.samples if sample.name == name]
    assert samples, name
    return sum(sample.value for sample in samples)

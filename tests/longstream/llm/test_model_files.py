"""Models and adapters are found here or refused at once, in words that say what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from longstream.errors import InvalidInput
from longstream.llm import Adapter, EngineOptions, open_model
from longstream.llm.model_files import check_adapter, find_model


def test_a_folder_is_a_model_by_its_configuration_and_weights(llama: Path) -> None:
    assert find_model(str(llama)) == llama


@pytest.mark.parametrize("name", ["/no/such/folder", "owner/never-downloaded", "a//b", "", "../x/y/z"])
@pytest.mark.parametrize("kind", ["vllm", "hf"])
def test_a_model_that_is_not_here_is_refused_at_once(kind: str, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"hf download|no engine is called|no config\.json"):
        open_model(f"{kind}:{name}", EngineOptions())


def test_a_model_in_the_local_cache_is_found_by_its_hub_id(llama: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models--owner--tiny"
    shutil.copytree(llama, cache / "snapshots" / "abc123")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc123")
    program = "from longstream.llm.model_files import find_model; print(find_model('owner/tiny'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HF_HUB_CACHE": str(tmp_path), "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == cache / "snapshots" / "abc123"


def test_weights_that_could_run_code_are_refused(llama: Path, tmp_path: Path) -> None:
    shutil.copy(llama / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(InvalidInput, match="safetensors"):
        find_model(str(tmp_path))


def test_an_adapter_of_peft_is_accepted(adapters: tuple[Adapter, Adapter]) -> None:
    check_adapter(adapters[0], max_rank=4)


def test_an_adapter_over_the_rank_names_the_setting(adapters: tuple[Adapter, Adapter]) -> None:
    with pytest.raises(InvalidInput, match="max_lora_rank=4"):
        check_adapter(adapters[0], max_rank=2)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("adapter_config.json", None, "holds no adapter_config"),
        ("adapter_model.safetensors", None, "holds no adapter_model"),
        ("adapter_config.json", b"{", "damaged"),
        ("adapter_config.json", b"[]", "damaged"),
        ("adapter_model.safetensors", b"short", "damaged"),
        ("adapter_config.json", json.dumps({"peft_type": "IA3", "r": 1}).encode(), "IA3"),
    ],
)
def test_an_adapter_that_could_not_be_loaded_is_refused(
    adapters: tuple[Adapter, Adapter], tmp_path: Path, file: str, content: bytes | None, words: str
) -> None:
    folder = Path(shutil.copytree(adapters[0].path, tmp_path / "adapter"))
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        check_adapter(Adapter("x", str(folder)))


def test_weights_cut_short_are_refused(adapters: tuple[Adapter, Adapter], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(adapters[0].path, tmp_path / "adapter"))
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(InvalidInput, match="damaged"):
        check_adapter(Adapter("x", str(folder)))


@pytest.mark.parametrize("url", ["", "vllm:", "gpt-4", "http://127.0.0.1/v1?model=x", "openai:127.0.0.1"])
def test_a_url_that_names_no_engine_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="openai:http://HOST"):
        open_model(url, EngineOptions())


def test_the_door_itself_is_light() -> None:
    heavy = "[name for name in ('torch', 'vllm', 'httpx', 'peft') if name in sys.modules]"
    program = f"import sys, longstream.llm; print({heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

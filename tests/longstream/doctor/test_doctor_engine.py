"""Engines: a model's folder that is whole or not, and an endpoint that answers or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from longstream.doctor.engine import engines, model_folder, weights_bytes
from longstream.doctor.finding import shown
from longstream.doctor.place import Place
from tests.support.findings import hanging, levels, only


def place(url: str) -> Place:
    return Place(environ={}, services={"judge": {"JUDGE_ENGINE_URL": url}})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's files with one tensor of eight bytes: what no engine runs, and what is whole."""
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {}}
    ).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    return tmp_path


def test_a_whole_model_is_found(model: Path) -> None:
    assert only(engines, place(f"vllm:{model}")).level == "ok"
    assert model_folder(f"hf:{model}") == model
    assert weights_bytes(model) > 8


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "cannot be read"),
        ("model.safetensors", b"", "header"),
        ("config.json", b"{", "no JSON object"),
        ("tokenizer.json", b"[]", "no JSON object"),
        ("model.safetensors.index.json", b'{"weight_map": {"w": "model-2.safetensors"}}', "lacks model-2"),
    ],
)
def test_a_damaged_file_is_named(model: Path, file: str, content: bytes, told: str) -> None:
    (model / file).write_bytes(content)
    finding = only(engines, place(f"vllm:{model}"))
    assert finding.level == "fail"
    assert told in finding.what


def test_weights_that_were_cut_short_are_told_with_both_lengths(model: Path) -> None:
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[:-3])
    finding = only(engines, place(f"hf:{model}"))
    assert f"has {len(whole) - 3} bytes, its header tells of {len(whole)}" in finding.what


def test_a_model_without_a_tokenizer_or_without_weights_fails(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    assert "no tokenizer" in only(engines, place(f"vllm:{model}")).what
    (model / "model.safetensors").unlink()
    assert "no *.safetensors" in only(engines, place(f"vllm:{model}")).what
    assert levels(engines, place("vllm:/none/such")) == ["fail"]


def test_a_url_of_no_known_kind_fails_and_shows_no_password() -> None:
    finding = only(engines, place("http://me:hunter2@host/v1"))
    assert finding.level == "fail"
    assert "hunter2" not in finding.line()
    assert shown("openai:http://me:hunter2@host/v1?model=x") == "openai:http://***@host/v1?model=x"


class Listing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "m", "max_model_len": 512}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def listing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Listing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_endpoint_must_answer_and_have_the_model() -> None:
    with listing() as address:
        assert only(engines, place(f"openai:http://{address}/v1?model=m")).level == "ok"
        other = only(engines, place(f"openai:http://{address}/v1?model=other"))
    assert other.level == "fail"
    assert "serves m, not other" in other.what


def test_an_endpoint_that_hangs_or_is_away_fails() -> None:
    with hanging() as address:
        assert only(engines, place(f"openai:http://{address}/v1?model=m")).level == "fail"
    assert only(engines, place(f"openai:http://{address}/v1?model=m")).level == "fail"

"""A stand-in for a language model's server: OpenAI's completions protocol, answers made by rule and hash.

`python tests/support/standin.py --port 0` prints its port and serves until it is ended. The same request
always gets the same answer, whatever came before and whatever runs beside it, so tests that kill everything
else can ask for equal bytes. Standard library only.

- text: a sentence of 5 to 12 words, some of them the document's own, drawn by (model, prompt, seed,
max_tokens)
- the next token's log-probabilities: of A and B, the longer answer leads, if the prompt shows answers between
  lines like `[answer (A) ...]` and `[end of answer (A) ...]`; otherwise drawn by hash
- a prompt's log-probabilities: drawn by hash, word by word
- a token is a word with the space before it; any model name is served, as adapters are, but for `no-such-*`
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

MODEL = "standin"
UNKNOWN = "no-such-"
_VERBS = ("Explain", "Describe", "Compare", "Discuss", "Summarise", "Outline", "Review", "Examine")
_LINKS = ("how", "why", "when", "where", "whether")
_JOINS = ("and", "or", "with", "beside", "before", "after")
_ENDS = ("matter to people", "belong together", "came to be", "change with time", "work in practice")
_LABELS = [*"ABCDEFGHIJKLMNOPQRST0123456789", " A", " B", " C", " D", "Yes", "No", " Yes", " No"]
_TOKEN = re.compile(r"\s*\S+|\s+$")
_MARKED = re.compile(
    r"^\[(?P<title>[^\]\n]*)\]\n(?P<body>.*?)\n\[end of (?P=title)\]$", re.DOTALL | re.MULTILINE
)
_TOKEN_IDS = 512


def draw(*facts: object) -> int:
    """A number of 64 bits that depends on facts alone."""
    text = "\x1f".join(map(str, facts))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def sentence(model: str, prompt: str, seed: object, max_tokens: int) -> str:
    """A sentence of 5 to 12 words about the longest marked text of the prompt, or about all of it."""
    bodies = [match["body"] for match in _MARKED.finditer(prompt)]
    subject = max(bodies, key=len, default=prompt)
    own = sorted({word.lower() for word in re.findall(r"[^\W\d_]{5,14}", subject)}) or ["things"]
    keys = [draw(model, prompt, seed, max_tokens, i) for i in range(8)]
    names = [own[key % len(own)] for key in keys[:3]]
    words = [_VERBS[keys[3] % 8], _LINKS[keys[4] % 5], "the", names[0]]
    words += [_JOINS[keys[5] % 6], "the", names[1]] if keys[6] % 2 else []
    return " ".join([*words, _ENDS[keys[7] % 5]]) + "."


def next_token(model: str, prompt: str) -> dict[str, float]:
    """Log-probabilities in nats of the labels that could come next; they sum to 1."""
    answers = {
        label[1]: len(match["body"].split())
        for match in _MARKED.finditer(prompt)
        if (label := re.search(r"\((\w)\)", match["title"]))
    }
    logits = {label: -4.0 - draw(model, prompt, label) % 1000 / 250 for label in _LABELS}
    if len(answers) > 1:
        total = sum(answers.values()) or 1
        logits |= {label: 4.0 * words / total for label, words in answers.items()}
    else:
        logits |= {label: draw(model, prompt, label) % 1000 / 250 for label in "AB"}
    rest = math.log(sum(map(math.exp, logits.values())))
    return {label: logit - rest for label, logit in logits.items()}


def token_logprobs(model: str, tokens: Sequence[object]) -> list[float | None]:
    """Log-probability in nats of each token after the ones before it; none for the first."""
    return [None, *(-0.05 - draw(model, a, b) % 1000 / 200 for a, b in pairwise(tokens))]


def complete(body: Mapping[str, Any], context_tokens: int) -> tuple[HTTPStatus, dict[str, Any]]:
    """Answer a completion request."""
    model, prompt, max_tokens = str(body["model"]), body["prompt"], int(body.get("max_tokens", 16))
    if model.startswith(UNKNOWN):
        return HTTPStatus.NOT_FOUND, {"error": {"message": "no such model"}}
    tokens: list[Any] = _TOKEN.findall(prompt) if isinstance(prompt, str) else list(prompt)
    if not tokens or len(tokens) + max_tokens > context_tokens:
        return HTTPStatus.BAD_REQUEST, {"error": {"message": "the prompt is empty or over the context"}}
    text = prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
    written = _TOKEN.findall(sentence(model, text, body.get("seed"), max_tokens))
    kept = "".join(written[:max_tokens])
    ends = [at for word in body.get("stop") or () if (at := kept.find(word)) >= 0]
    cut = len(written) > max_tokens and not ends
    choice = {
        "index": 0,
        "text": kept[: min(ends, default=None)],
        "finish_reason": "length" if cut else "stop",
        "logprobs": _logprobs(model, prompt, tokens, kept, body) if body.get("logprobs") else None,
    }
    usage = {"prompt_tokens": len(tokens), "completion_tokens": min(len(written), max_tokens)}
    return HTTPStatus.OK, {"object": "text_completion", "model": model, "choices": [choice], "usage": usage}


def _logprobs(
    model: str, prompt: str | list[int], tokens: Sequence[Any], kept: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    if body.get("echo"):
        offsets = [0]
        for token in tokens:
            offsets.append(offsets[-1] + len(str(token)))
        told = [*token_logprobs(model, tokens), -1.0]
        return {"tokens": [*tokens, kept], "token_logprobs": told, "text_offset": offsets}
    if isinstance(prompt, str):
        top = next_token(model, prompt)
    else:
        ids = " ".join(map(str, prompt))
        top = {f"token_id:{i}": -6.3 - draw(model, ids, i) % 1000 / 1000 for i in range(_TOKEN_IDS)}
    return {"tokens": [kept], "token_logprobs": [-1.0], "top_logprobs": [top]}


class Server(ThreadingHTTPServer):
    """Serves on a port of 127.0.0.1; remembers how many completions were asked for, and the last one.

    `on_asked` gets that number before the completion is answered.
    """

    request_queue_size = 256
    daemon_threads = True

    def __init__(self, port: int, *, latency_s: float = 0.0, context_tokens: int = 4096) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.latency_s = latency_s
        self.context_tokens = context_tokens
        self.asked = 0
        self.last: Mapping[str, Any] = {}
        self.on_asked: Callable[[int], object] = lambda asked: None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that are gone: tests kill them."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """The routes of an OpenAI-compatible server that vLLM's has too, and /asked."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        card = {"id": MODEL, "object": "model", "max_model_len": self.server.context_tokens}
        routes: dict[str, dict[str, Any]] = {
            "/health": {},
            "/version": {"version": "standin-1"},
            "/v1/models": {"object": "list", "data": [card]},
            "/asked": {"completions": self.server.asked, "last": self.server.last},
        }
        if self.path in routes:
            self._answer(HTTPStatus.OK, routes[self.path])
        else:
            self._answer(HTTPStatus.NOT_FOUND, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self._answer(HTTPStatus.OK, {"count": len(_TOKEN.findall(body["prompt"]))})
        elif self.path == "/v1/completions":
            time.sleep(self.server.latency_s)
            self.server.asked += 1
            self.server.last = body
            self.server.on_asked(self.server.asked)
            self._answer(*complete(body, self.server.context_tokens))
        else:
            self._answer(HTTPStatus.NOT_FOUND, {})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: stdout holds the port, and tests read stderr."""

    def _answer(self, status: HTTPStatus, told: Mapping[str, Any]) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--latency-s", type=float, default=0.0, help="pause before each completion")
    parser.add_argument("--context-tokens", type=int, default=4096)
    options = parser.parse_args()
    server = Server(options.port, latency_s=options.latency_s, context_tokens=options.context_tokens)
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()

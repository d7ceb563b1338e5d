"""`longstream sizing`: settings of an engine for a model on a GPU, with the numbers that they follow from."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict

from longstream.commands.common import Subparsers
from longstream.errors import InvalidInput
from longstream.llm.sizing import GPUS, Gpu, Setup, Shape, setup, shape_of

_EPILOG = """\
Worked out from the model's files and the GPU's data sheet, for the lengths that you expect: reverse instructions have
the document and some 100 tokens before an answer of some 40, a judge two answers and one token.
"""


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "sizing",
        help="settings of an engine for a model on a GPU",
        description="Settings of an engine for a model on a GPU.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    option = parser.add_argument
    option("--model", required=True, metavar="M", help="folder or cached hub id")
    option("--gpu", required=True, metavar="NAME", help=f"{', '.join(GPUS)}, or GIB,GB/S of another")
    option("--service", choices=("instructor", "judge"), default="instructor", help="(%(default)s)")
    option("--prompt-tokens", type=int, default=1_500, metavar="N", help="of a request (%(default)s)")
    option("--answer-tokens", type=int, default=96, metavar="N", help="at most (%(default)s)")
    option("--memory-ratio", type=float, default=0.9, metavar="R", help="of the GPU for it (%(default)s)")
    option("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the settings as environment variables, and why."""
    if args.prompt_tokens < 1 or args.answer_tokens < 1:
        raise InvalidInput("--prompt-tokens and --answer-tokens must be at least 1", field="--prompt-tokens")
    if not 0 < args.memory_ratio <= 1:
        raise InvalidInput("--memory-ratio must be above 0 and at most 1", field="--memory-ratio")
    shape, gpu = shape_of(args.model), _gpu(args.gpu)
    found = setup(shape, gpu, args.prompt_tokens, args.answer_tokens, args.memory_ratio)
    if args.json:
        told = {
            "model": asdict(shape),
            "token_bytes": shape.token_bytes,
            "gpu": gpu._asdict(),
            **asdict(found),
        }
        print(json.dumps({**told, "settings": _settings(args, found)}))
    else:
        print(_text(shape, gpu, found))
        print("\n".join(f"{name}={value}" for name, value in _settings(args, found).items()))
    return 0


def _gpu(told: str) -> Gpu:
    known = {name.lower(): gpu for name, gpu in GPUS.items()}
    if told.lower() in known:
        return known[told.lower()]
    memory, comma, bandwidth = told.partition(",")
    try:
        found = Gpu(float(memory) * 2**30, float(bandwidth) * 1e9)
    except ValueError:
        found = Gpu(0.0, 0.0)
    if not comma or not all(math.isfinite(value) and value > 0 for value in found):
        raise InvalidInput(
            f"--gpu knows {', '.join(GPUS)}, or GIB,GB/S such as 24,600; not {told}", field="--gpu"
        )
    return found


def _settings(args: argparse.Namespace, found: Setup) -> dict[str, str]:
    prefix = args.service.upper()
    return {
        f"{prefix}_ENGINE_CONTEXT_TOKENS": str(found.context_tokens),
        f"{prefix}_ENGINE_MAX_SEQUENCES": str(found.sequences),
        f"{prefix}_ENGINE_GPU_MEMORY_RATIO": f"{args.memory_ratio:g}",
        f"{prefix}_IN_FLIGHT": str(found.in_flight),
    }


def _text(shape: Shape, gpu: Gpu, found: Setup) -> str:
    lines = (
        f"weights {shape.weights / 1e9:.1f} GB of {gpu.memory / 1e9:.0f}, {shape.token_bytes / 1024:,.0f} KiB for each "
        f"token that is kept",
        f"{found.cache_tokens:,} tokens fit beside them: {found.sequences} requests at a time",
        f"its memory lets it write {found.most_tokens_s:,.0f} tokens a second at most",
    )
    return "\n".join(f"# {line}" for line in lines)

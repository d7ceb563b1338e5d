"""Options that commands share which let a model answer: template, decoding, bounds, adapter."""

from __future__ import annotations

import argparse
from pathlib import Path

from longstream.llm.revision import model_revision
from longstream.llm.types import Adapter
from longstream.template import DEFAULT_TEMPLATE, TEMPLATES, template_named
from longstream_judge.answers import Writing
from longstream_judge.presets import DECODINGS, sampling


def add_writing(parser: argparse.ArgumentParser) -> None:
    """The options."""
    option = parser.add_argument_group("how it answers").add_argument
    option(
        "--template",
        default=DEFAULT_TEMPLATE,
        choices=list(TEMPLATES),
        help="what stands around an instruction, as in the model's training (%(default)s)",
    )
    option(
        "--decoding",
        default="greedy",
        choices=list(DECODINGS),
        help="the likeliest tokens, or as a paper drew them (%(default)s)",
    )
    option("--max-tokens", type=int, metavar="N", help="of an answer (256; long-is-more: 512)")
    option(
        "--min-tokens", type=int, default=0, metavar="N", help="before them none ends by itself (%(default)s)"
    )


def writing(args: argparse.Namespace, generator: str, adapter: Path | None, *, references: bool) -> Writing:
    """What the options say. Raises InvalidInput."""
    return Writing(
        generator=generator,
        template=template_named(args.template),
        sampling=sampling(args.decoding, args.max_tokens, args.min_tokens),
        # Named by its files, so that replies of another one under the same path are not taken for its own.
        adapter=None if adapter is None else Adapter(model_revision(adapter), str(adapter)),
        references=references,
        timeout_s=args.timeout,
    )

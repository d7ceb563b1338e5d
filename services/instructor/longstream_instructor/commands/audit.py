"""`longstream audit`: a blinded sample as a sheet for people, and what their answers say."""

from __future__ import annotations

import argparse
import csv
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longstream.data import Origin, Pair, open_source
from longstream.data.whole import whole
from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream_instructor.agreement import agreement, share_of

COLUMNS = ("number", "instruction", "input", "response", "relevant", "note")
_YES = frozenset({"yes", "y", "1", "true", "x", "ja", "oui", "да", "sí", "si"})
_NO = frozenset({"no", "n", "0", "false", "nein", "non", "нет"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FORMAT = "longstream-audit/1"

_EPILOG = """\
sheet draws N pairs of each input by a seed, shuffles them together and writes a CSV that says nothing of where they
come from; what each is stays in SHEET.key.json. Fill in the column `relevant` with yes or no. score reads the answers
and prints the share with its interval of 95 %, for each input; of two sheets also how far their raters agree (Cohen's
kappa).
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "audit",
        help="let people check a sample of pairs",
        description="Let people check whether instructions fit their responses.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(title="steps", metavar="STEP", required=True)
    sheet = steps.add_parser("sheet", help="write the sheet")
    sheet.set_defaults(run=write_sheet)
    option = sheet.add_argument
    option(
        "paths",
        type=Path,
        nargs="+",
        metavar="PAIRS",
        help="files of pairs; each is told apart in the result",
    )
    option("--n", type=int, default=100, metavar="N", help="pairs of each file (%(default)s)")
    option("--seed", type=int, default=0, metavar="S", help="of the draw (%(default)s)")
    option("--output", type=Path, required=True, metavar="SHEET", help="the CSV; its key lies beside it")
    score = steps.add_parser("score", help="read the answers")
    score.set_defaults(run=print_scores)
    option = score.add_argument
    option("sheets", type=Path, nargs="+", metavar="SHEET", help="one, or those of two raters")
    option("--key", type=Path, metavar="FILE", help="of the sheet that was written (SHEET.key.json)")
    option("--json", action="store_true", help="print JSON")


@dataclass(frozen=True, slots=True, order=True)
class _Drawn:
    """A pair of the sample, in the order of its draw."""

    draw: str
    file: str
    pair: Pair


def write_sheet(args: argparse.Namespace) -> int:
    """Write the sheet and its key. Raises InvalidInput where there is nothing to be checked."""
    if args.n < 1:
        raise InvalidInput("--n must be at least 1", field="--n")
    drawn = sorted(one for path in args.paths for one in _sample(path, args.n, args.seed))
    if not drawn:
        raise InvalidInput("there is no pair in these files", field="paths")
    with whole(args.output) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        # A spreadsheet takes UTF-8 for something else unless it is told.
        file.write("\ufeff")
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, one in enumerate(drawn, 1):
            texts = (one.pair.instruction, one.pair.input, one.pair.response)
            writer.writerow([number, *map(_cell, texts), "", ""])
    entries = [
        {"number": number, "file": one.file, "id": one.pair.external_id, "record": one.pair.source_index}
        for number, one in enumerate(drawn, 1)
    ]
    key = {"format": _FORMAT, "seed": args.seed, "pairs": entries}
    with whole(_key_of(args.output)) as draft:
        draft.write_text(json.dumps(key, indent=1), encoding="utf-8")
    print(
        f"{len(drawn):,} pairs in {args.output}; fill in `relevant`, then: longstream audit score {args.output}"
    )
    return 0


def print_scores(args: argparse.Namespace) -> int:
    """Print shares and agreement. Raises InvalidInput for an answer that is neither yes nor no."""
    if len(args.sheets) > 2:
        raise InvalidInput("agreement is told of two sheets; give one or two", field="sheets")
    files = _files(args.key or _key_of(args.sheets[0]))
    raters = [_answers(sheet, files) for sheet in args.sheets]
    told: dict[str, Any] = {
        "sheets": [_told(sheet, rater, files) for sheet, rater in zip(args.sheets, raters, strict=True)]
    }
    if len(raters) == 2:
        both = sorted(raters[0].keys() & raters[1].keys())
        found = agreement(*([rater[number] for number in both] for rater in raters))
        told["agreement"] = {"n": found.n, "agreed": found.agreed, "kappa": found.kappa}
    print(json.dumps(told) if args.json else _text(told))
    return 0


def _sample(path: Path, n: int, seed: int) -> Iterator[_Drawn]:
    """The n pairs of a file whose hashes are lowest: the same whatever the order of its lines."""

    def draws() -> Iterator[_Drawn]:
        for item in open_source(path, origin=Origin()):
            if isinstance(item, Pair):
                yield _Drawn(
                    digest("audit", seed, item.instruction, item.input, item.response), str(path), item
                )

    yield from heapq.nsmallest(n, draws(), key=lambda one: one.draw)


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _key_of(sheet: Path) -> Path:
    return sheet.with_name(f"{sheet.name}.key.json")


def _files(key: Path) -> dict[int, str]:
    """Number of a pair -> the file that it is from."""
    try:
        known = json.loads(key.read_text(encoding="utf-8"))
        if known["format"] != _FORMAT:
            raise ValueError(known["format"])
        return {int(one["number"]): str(one["file"]) for one in known["pairs"]}
    except FileNotFoundError:
        raise InvalidInput(f"there is no key {key}; name it with --key", field="--key") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(f"{key} is no key of an audit", field="--key") from None


def _answers(sheet: Path, files: dict[int, str]) -> dict[int, bool]:
    """Number of a pair -> whether it is relevant; those without an answer are absent."""
    answers = {}
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if missing := {"number", "relevant"} - set(reader.fieldnames or ()):
            raise InvalidInput(f"{sheet} has no column {min(missing)}", field="sheets")
        for row in reader:
            word = (row["relevant"] or "").strip().casefold()
            number = (row["number"] or "").strip()
            if not number.isdecimal() or int(number) not in files:
                raise InvalidInput(f"{sheet}: pair {number!r} is not in the key", field="sheets")
            if word and word not in _YES | _NO:
                raise InvalidInput(
                    f"{sheet}: {word!r} for pair {number} is neither yes nor no", field="sheets"
                )
            if word:
                answers[int(number)] = word in _YES
    return answers


def _told(sheet: Path, rater: dict[int, bool], files: dict[int, str]) -> dict[str, Any]:
    by_file: dict[str, list[bool]] = {}
    for number, relevant in rater.items():
        by_file.setdefault(files[number], []).append(relevant)
    shares = {name: share_of(sum(answers), len(answers)) for name, answers in sorted(by_file.items())}
    return {
        "sheet": str(sheet),
        "unanswered": len(files) - len(rater),
        "files": {
            name: {"relevant": one.yes, "n": one.n, "share": one.share, "low": one.low, "high": one.high}
            for name, one in shares.items()
        },
    }


def _text(told: dict[str, Any]) -> str:
    lines = []
    for sheet in told["sheets"]:
        lines.append(f"{sheet['sheet']}: {sheet['unanswered']} without an answer")
        for name, one in sheet["files"].items():
            lines.append(
                f"  {name}: {one['relevant']} of {one['n']} relevant, {one['share']:.1%} "
                f"(95 %: {one['low']:.1%} to {one['high']:.1%})"
            )
    if found := told.get("agreement"):
        kappa = "not defined" if found["kappa"] is None else f"{found['kappa']:.2f}"
        lines.append(f"both rated {found['n']}; they agree on {found['agreed']}, kappa {kappa}")
    return "\n".join(lines)

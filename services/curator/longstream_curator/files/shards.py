"""A corpus that is too large for one machine: each shard keeps its own, and what they kept is merged.

The k longest of all are among the k longest of each shard, so merging offers what was kept to a selection of the same
rule. A kept set is a file of JSON lines: first what it is of and what was counted, then a line for each record. Inputs
keep their numbers of the whole list, by which equal lengths are ranked, so the outcome is that of a single run.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longstream.commands.rejections import TOLD, Rejections
from longstream.data.whole import STDOUT, whole
from longstream.errors import InvalidInput, Unavailable
from longstream_curator.files.blocks import Record
from longstream_curator.files.inputs import Source
from longstream_curator.files.longest import Held, Longest, State
from longstream_curator.files.rule import Rule
from longstream_curator.screening.screens import VERSION
from longstream_curator.selection import Candidate, Rank, Standing

_FORM = "longstream kept set 1"
_RANKING = ("k", "dedup", "max_length", "field", "by", "seed", "strata", "share", "quota", "since", "split")
_SCREENING = ("screen", "languages", "licences", "most_pii", "ngram", "near_duplicates")
"""Options that must be the same for every shard and for the merging."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `of`th input, beginning with the one of that number."""

    number: int
    of: int

    def has(self, number: int) -> bool:
        """Whether the input of that number is this shard's."""
        return number % self.of == self.number


def shard_of(text: str) -> Shard:
    """What --shard I/N names. Raises InvalidInput."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise InvalidInput(f"--shard takes I/N, from 0/N to N-1/N, not {text}", field="--shard")
    return Shard(int(number), int(of))


def check_alone(args: argparse.Namespace) -> None:
    """Raise InvalidInput where --shard or --merge meets what only a whole run can tell."""
    option = "--shard" if args.shard else "--merge"
    for name, given in (("--compare", args.compare), ("--plot", args.plot), ("--explain", args.explain)):
        if given:
            raise InvalidInput(f"{name} needs all records; leave it out with {option}", field=name)
    if args.shard and args.merge:
        raise InvalidInput(
            "--shard reads inputs and --merge what shards have kept; give one of them", field="--merge"
        )
    if args.shard and args.output in {"", STDOUT}:
        raise InvalidInput("--shard needs --output: the file for what it keeps", field="--output")


def check_inputs(inputs: Sequence[Source]) -> None:
    """Raise InvalidInput for a table with columns that a kept set, which is JSON, cannot bring back as they were."""
    for source in inputs:
        if source.form != "parquet":
            continue
        import pyarrow.parquet as pq  # it takes long to import, and only Parquet needs it

        schema = pq.read_schema(source.path)
        lost = [field.name for field in schema if not _comes_back(field.type)]
        if lost:
            raise InvalidInput(
                f"{source.path}: --shard cannot carry the columns {', '.join(lost)} ({schema.field(lost[0]).type}); "
                f"convert them to text or numbers, or read everything in one run",
                field="INPUT",
            )


def _comes_back(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return all(_comes_back(field.type) for field in kind)
    if types.is_list(kind) or types.is_large_list(kind):
        return _comes_back(kind.value_type)
    if types.is_dictionary(kind):
        return _comes_back(kind.value_type)
    plain = (types.is_boolean, types.is_integer, types.is_float64, types.is_null)
    return any(test(kind) for test in (*plain, types.is_string, types.is_large_string))


def asked(args: argparse.Namespace, rule: Rule) -> dict[str, Any]:
    """What must be equal wherever shards of one run are read or merged."""
    words = {name: getattr(args, name) for name in (*_RANKING, *_SCREENING)}
    against = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in args.against]
    return {
        **words,
        "metric": rule.metric.version,
        "nltk_data": _digest_of(args.nltk_data),
        "reserve": rule.reserve,
        "against": against,
        "screens": VERSION if rule.screening is not None else "",
    }


def _digest_of(folder: Path | None) -> str:
    """Of all files below it; a metric's version tells only whether there are any."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder is not None else []
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest() if files else ""


def kept_sets(patterns: Sequence[str]) -> list[Path]:
    """The files that --merge is given, those of a glob by name. Raises Unavailable where there is none yet."""
    found: list[Path] = []
    for pattern in patterns:
        paths = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))
        if not paths:
            raise Unavailable(f"there is no file {pattern}; merge when the shards are done")
        found += map(Path, paths)
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One shard's outcome."""

    shard: Shard
    asked: Mapping[str, Any]
    inputs: Sequence[Source]
    """All of the run, this shard's and others'."""
    state: State
    rejections: Rejections

    def document(self) -> dict[str, Any]:
        """What was read and kept, as plain values."""
        return {
            "shard": self.shard.number,
            "of": self.shard.of,
            "inputs": sum(self.shard.has(number) for number in range(len(self.inputs))),
            "seen": self.state.seen,
            "counted": self.state.counted,
            "kept": sum(map(len, self.state.kept.values())),
            **self.rejections.document(),
        }

    def text(self, output: str) -> str:
        """The same for people."""
        told = self.document()
        first = (
            f"shard {told['shard']} of {told['of']}: kept {told['kept']:,} of {told['seen']:,} "
            f"from {told['inputs']:,} inputs"
        )
        return "\n".join([first, *self.rejections.lines(), f"written to {output}"])


def write_part(part: Part, output: str) -> None:
    """Write a kept set; it appears whole or not at all."""
    state, rejections = part.state, part.rejections
    head = {
        "form": _FORM,
        "shard": [part.shard.number, part.shard.of],
        "asked": part.asked,
        "inputs": [asdict(source) for source in part.inputs],
        "seen": state.seen,
        "counted": state.counted,
        "seen_of": state.seen_of,
        "left_out": state.left_out,
        "marks": state.marks,
        "rejected": rejections.reasons,
        "rejections": rejections.told,
        "kept": sum(map(len, state.kept.values())),
    }
    with whole(Path(output)) as draft, draft.open("wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        for stratum, kept in state.kept.items():
            file.writelines(_line(stratum, held) for held in kept)


def merge(
    paths: Sequence[Path], options: Mapping[str, Any], longest: Longest
) -> tuple[list[Source], Rejections]:
    """Take in what the shards kept; returns the run's inputs and rejections.

    Raises InvalidInput for shards of different runs or made with other options, Unavailable while any is missing.
    """
    rejections, inputs, seen = Rejections(), None, dict[int, Path]()
    of = 0
    for path in paths:
        part = _read(path, options)
        if inputs not in (None, part.inputs) or of not in (0, part.shard.of):
            raise InvalidInput(
                f"{path} is of another run than {paths[0]}: other inputs, or another number of shards"
            )
        if other := seen.get(part.shard.number):
            raise InvalidInput(f"{path} and {other} are the same shard")
        seen[part.shard.number], inputs, of = path, part.inputs, part.shard.of
        longest.merge(part.state)
        rejections.reasons.update(part.rejections.reasons)
        rejections.told += part.rejections.told[: TOLD - len(rejections.told)]
    if missing := sorted(set(range(of)) - seen.keys()):
        raise Unavailable(
            f"of {of} shards {', '.join(map(str, missing[:10]))} are missing; merge when they are there"
        )
    return list(inputs or ()), rejections


def _line(stratum: str, held: Held) -> bytes:
    one, record = held.candidate, held.record
    fields = {
        "stratum": stratum,
        "length": one.length,
        "source": one.source_order,
        "place": one.source_index,
        "key": one.dedup_key,
        "twins": one.had_duplicates,
        "standing": one.standing,
        "response": held.response,
        # As its author wrote it, numbers and escapes included; a table's row has no such form.
        "record": record.decode("utf-8", "surrogateescape") if isinstance(record, bytes) else dict(record),
    }
    return json.dumps(fields).encode() + b"\n"  # escaped, so that what is no Unicode comes back too


def _read(path: Path, options: Mapping[str, Any]) -> Part:
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline())
            if head["form"] != _FORM:
                raise ValueError(head["form"])
            kept = _kept(file)
            if sum(map(len, kept.values())) != head["kept"]:
                raise ValueError("lines are missing")
            return _part(head, kept, options, path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{path} is no kept set of `longstream curate --shard` ({type(error).__name__})"
        ) from error


def _part(head: dict[str, Any], kept: dict[str, list[Held]], options: Mapping[str, Any], path: Path) -> Part:
    theirs = head["asked"]
    if differing := sorted(
        name for name in {*options, *theirs} if _plain(options.get(name)) != theirs.get(name)
    ):
        names = ", ".join(differing)
        raise InvalidInput(f"{path} was made with another {names}; give the options that it was made with")
    state = State(
        seen=head["seen"],
        counted=head["counted"],
        seen_of=Counter(head["seen_of"]),
        left_out=Counter(head["left_out"]),
        marks={name: None if mark is None else Rank(*mark) for name, mark in head["marks"].items()},
        kept=kept,
    )
    return Part(
        shard=Shard(*head["shard"]),
        asked=theirs,
        inputs=[Source(**source) for source in head["inputs"]],
        state=state,
        rejections=Rejections(Counter(head["rejected"]), head["rejections"]),
    )


def _kept(lines: Iterator[bytes]) -> dict[str, list[Held]]:
    found: dict[str, list[Held]] = {}
    for line in lines:
        fields = json.loads(line)
        record = fields["record"]
        candidate = Candidate(
            id=f"{fields['source']}/{fields['place']}",
            length=fields["length"],
            source_order=fields["source"],
            source_index=fields["place"],
            dedup_key=fields["key"],
            had_duplicates=fields["twins"],
            standing=Standing(*fields["standing"]),
        )
        held = Held(candidate, fields["response"], _record(record))
        found.setdefault(fields["stratum"], []).append(held)
    return found


def _record(told: str | dict[str, Any]) -> Record:
    return told.encode("utf-8", "surrogateescape") if isinstance(told, str) else told


def _plain(value: Any) -> Any:
    """As it comes back from JSON."""
    return json.loads(json.dumps(value))

"""What the judges do in an evaluation: they are calibrated, then compare answers, all of them every pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from longstream.ids import digest
from longstream.llm.types import LanguageModel
from longstream_judge import drift as drifting
from longstream_judge.answering import Run
from longstream_judge.asking import Lost
from longstream_judge.calibration import Calibration, calibrate, known_pairs
from longstream_judge.comparison import Comparison, Pair, lost
from longstream_judge.drift import Drift, drift
from longstream_judge.fitting import longest_fitting
from longstream_judge.panel import combined
from longstream_judge.spec import (
    Answer,
    CalibratedRow,
    Canary,
    ComparedRow,
    EvaluationSpec,
    Example,
    MemberReport,
    admitted,
)
from longstream_judge.ways import Way, compared, way_named
from longstream_judge.winrate import Row, win_rate

_CANARIES = 20
"""Of each kind."""


@dataclass(frozen=True, slots=True)
class Member:
    """One judge, and what its calibration showed."""

    model: LanguageModel
    rows: list[CalibratedRow]
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Panel:
    """Judges that were calibrated."""

    run: Run
    way: Way
    members: tuple[Member, ...]
    calibrated: list[CalibratedRow]
    calibration: Calibration

    @property
    def admitted(self) -> tuple[Member, ...]:
        """Those whose verdicts count."""
        return admitted(self.members)

    def drift(self) -> Drift | None:
        """How far the judges moved from what they said of the same pairs before."""
        known = self.run.spec.canaries
        rows: list[tuple[str, float, Comparison]] = []
        for place, member in enumerate(self.members if known else ()):
            said = ask(self.run, "canaries", member.model, self.way, [canary.pair for canary in known])
            for canary, now in zip(known, said, strict=True):
                then = canary.preferences[place]
                if then is not None:
                    rows.append((canary.pair.id, then, now))
        return drift(rows, self.run.spec.bootstrap)

    def canaries(self, compared: Sequence[ComparedRow]) -> list[Canary]:
        """Pairs to be seen again later: some of the known ones, and some of those that were compared."""
        known = [
            Canary(pair=rows[0].known.pair, preferences=tuple(row.comparison.preference for row in rows))
            for rows in zip(*(member.rows for member in self.members), strict=True)
        ]
        counting = self.admitted
        places = [counting.index(member) if member in counting else None for member in self.members]
        met = [
            Canary(
                pair=pair_of(self.run.spec, row),
                preferences=tuple(_preference(row, place) for place in places),
            )
            for row in compared
            if not row.comparison.failure
        ]
        return [one for group in (known, met) for one in _sample(group, self.run.spec.seed)]

    def compared(
        self, prompts: Sequence[Example], sides: tuple[Sequence[Answer], Sequence[Answer]], stage: str
    ) -> list[ComparedRow]:
        """Both sides' answers to each prompt."""
        candidate, champion = sides
        spec = self.run.spec
        pairs = [_pair(spec, *each) for each in zip(prompts, candidate, champion, strict=True)]
        failures = [_missing(mine, theirs) for mine, theirs in zip(candidate, champion, strict=True)]
        whole = [pair for pair, failure in zip(pairs, failures, strict=True) if not failure]
        judged = iter(self._said(stage, whole))
        everybody = len(self.admitted)
        said = [(lost(failure),) * everybody if failure else next(judged) for failure in failures]
        return [
            ComparedRow(
                prompt=prompt, candidate=mine, champion=theirs, comparison=combined(each), members=each
            )
            for prompt, mine, theirs, each in zip(prompts, candidate, champion, said, strict=True)
        ]

    def reports(self, rows: Sequence[ComparedRow]) -> list[MemberReport]:
        """What each judge was and said by itself."""
        told: list[MemberReport] = []
        counting = self.admitted
        for member in self.members:
            own = None
            if member in counting and rows:
                place = counting.index(member)
                alone = (row_of(row, row.members[place]) for row in rows)
                own = win_rate(alone, self.run.spec.bootstrap)
            told.append(
                MemberReport(judge=member.model.identity, calibration=member.calibration, win_rate=own)
            )
        return told

    def _said(self, stage: str, pairs: Sequence[Pair]) -> list[tuple[Comparison, ...]]:
        """For each pair what each of the admitted says."""
        columns = [ask(self.run, stage, member.model, self.way, pairs) for member in self.admitted]
        return list(zip(*columns, strict=True))


def panel(run: Run, judges: Sequence[LanguageModel]) -> Panel:
    """Calibrate every judge on the known pairs."""
    way = way_named(run.spec.way, run.spec.policy.max_lost_mass)
    members = tuple(_member(run, way, judge) for judge in judges)
    rows = [
        CalibratedRow(known=each[0].known, comparison=combined([row.comparison for row in each]))
        for each in zip(*(member.rows for member in admitted(members)), strict=True)
    ]
    calibration = calibrate([(row.known, row.comparison) for row in rows], run.spec.policy.calibration)
    if len(members) > 1 and not any(one.calibration.passed for one in members):
        reasons = "; ".join(f"{one.model.identity.model}: {one.calibration.reason}" for one in members)
        calibration = replace(calibration, passed=False, reason=f"nobody of the panel is believed: {reasons}")
    return Panel(run, way, members, rows, calibration)


def checked(calibration: Calibration, found: Drift | None, most: float) -> Calibration:
    """The calibration of a judge that drifted too far is not passed."""
    why = drifting.objection(found, most)
    return replace(calibration, passed=False, reason=why) if calibration.passed and why else calibration


def ask(run: Run, stage: str, judge: LanguageModel, way: Way, pairs: Sequence[Pair]) -> list[Comparison]:
    """What one judge says of each pair; both orders are asked by one thread, so they share the question's cache."""
    timeout_s = run.spec.patience.timeout_s

    def compare(pair: Pair) -> Comparison:
        return compared(way, judge, pair, timeout_s)

    replies = run.asker.ask_all(stage, judge, pairs, compare)
    return [lost(f"judge_{one.reason}") if isinstance(one, Lost) else one for one in replies]


def row_of(row: ComparedRow, comparison: Comparison | None = None) -> Row:
    """The row as rates are worked out from it. comparison: that of one judge; None: all together."""
    return Row(
        instruction_id=row.prompt.id,
        comparison=comparison or row.comparison,
        candidate_characters=len(row.candidate.text),
        champion_characters=len(row.champion.text),
        slice=row.prompt.slice,
    )


def _member(run: Run, way: Way, judge: LanguageModel) -> Member:
    """The judge's verdicts on known pairs, whose answers are cut to the length that contestants may write."""
    most = run.spec.sampling.max_tokens
    judge.wait_ready(run.spec.patience.timeout_s)
    cut = [
        replace(known, answer=longest_fitting(known.answer, lambda text: judge.count_tokens(text) <= most))
        for known in run.spec.known
    ]
    known = known_pairs(cut, run.spec.seed)
    # With the rubric, and without a reference: of a known pair that would be the better answer itself.
    pairs = [replace(one, pair=replace(one.pair, rubric=run.spec.rubric)) for one in known]
    comparisons = ask(run, "calibration", judge, way, [known.pair for known in pairs])
    rows = [CalibratedRow(known=known, comparison=c) for known, c in zip(pairs, comparisons, strict=True)]
    limits = run.spec.policy.calibration
    return Member(judge, rows, calibrate([(row.known, row.comparison) for row in rows], limits))


def pair_of(spec: EvaluationSpec, row: ComparedRow) -> Pair:
    """What the judges saw of the row."""
    return _pair(spec, row.prompt, row.candidate, row.champion)


def _pair(spec: EvaluationSpec, prompt: Example, candidate: Answer, champion: Answer) -> Pair:
    return Pair(
        id=prompt.id,
        question=prompt.question,
        candidate=candidate.text,
        champion=champion.text,
        reference=prompt.response if spec.references else "",
        rubric=spec.rubric,
    )


def _preference(row: ComparedRow, place: int | None) -> float | None:
    return None if place is None else row.members[place].preference


def _sample(canaries: Sequence[Canary], seed: int) -> list[Canary]:
    return sorted(canaries, key=lambda one: digest("canary", seed, one.pair.id))[:_CANARIES]


def _missing(candidate: Answer, champion: Answer) -> str:
    sides = {"candidate": candidate.failure, "champion": champion.failure}
    return "_and_".join(f"{side}_{failure}" for side, failure in sides.items() if failure)

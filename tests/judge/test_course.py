"""How an evaluation goes: what ends it early, what a panel says together, what a judge that changed does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from longstream.errors import EngineDied
from longstream.llm.types import EngineIdentity, Part, Prompt
from longstream_judge.comparison import TIE, Comparison, lost
from longstream_judge.drift import drift
from longstream_judge.evaluation import evaluate
from longstream_judge.panel import combined
from longstream_judge.planning import detectable, look_sizes
from longstream_judge.policy import Policy
from longstream_judge.spec import Contestant, EvaluationResult, Example, Models
from tests.judge.test_evaluation import (
    EXAMPLES,
    GOOD,
    POOR,
    SPEC,
    answering,
    nats_per_word,
    nothing,
    orderly,
    ruled,
    run,
)
from tests.support.ruledmodel import Judging, RuledModel

# The same prompts over and over: what is judged is the course, not the variety.
MANY = [replace(example, id=f"{turn}-{example.id}") for turn in range(4) for example in EXAMPLES[:24]]
LONG = replace(SPEC, prompts=MANY)


def unsure(question: str, first: str, second: str) -> float:
    """Sees quality, and has moods besides."""
    mood = (hash_of(question + first) - hash_of(question + second)) * 3.0
    return orderly(question, first, second) / 4 + mood


def hash_of(text: str) -> float:
    return sum(map(ord, text)) % 97 / 97 - 0.5


def test_a_clear_lead_ends_the_comparisons_early_and_pays_for_no_more() -> None:
    result = run(GOOD, None, spec=LONG)
    assert result.plan.looks == (32, 64, 96)
    assert (result.verdict.outcome, result.looks) == ("promote", 1)
    assert result.stopped == "clear after 32 of 96 prompts"
    assert len(result.compared) == 32
    assert result.evidence.win_rate is not None
    assert result.evidence.win_rate.rows == 32


def test_a_hopeless_challenger_ends_them_too_unless_the_policy_wants_to_know() -> None:
    beaten = run(POOR, GOOD, spec=LONG)
    assert (beaten.verdict.outcome, beaten.stopped) == ("refuse", "hopeless after 32 of 96 prompts")
    stubborn = run(POOR, GOOD, spec=replace(LONG, policy=Policy(hopeless=0.0)))
    assert (stubborn.verdict.outcome, stubborn.stopped, stubborn.looks) == ("refuse", "", 3)
    once = run(GOOD, None, spec=replace(LONG, policy=Policy(looks=1)))
    assert (once.verdict.outcome, once.looks, len(once.compared)) == ("promote", 1, 96)


def test_what_a_look_sees_is_a_sample_and_not_the_beginning() -> None:
    seen = {row.prompt.id for row in run(GOOD, None, spec=LONG).compared}
    assert seen != {example.id for example in MANY[:32]}
    assert {name.partition("-")[0] for name in seen} == {"0", "1", "2", "3"}
    other = {row.prompt.id for row in run(GOOD, None, spec=replace(LONG, seed=1)).compared}
    assert seen != other


@pytest.mark.parametrize(
    ("policy", "prompts", "sizes"),
    [
        (Policy(), 100, (34, 67, 100)),
        (Policy(), 30, (20, 30)),
        (Policy(), 24, (24,)),
        (Policy(looks=2, min_instructions=60), 100, (100,)),
        (Policy(looks=1), 100, (100,)),
        (Policy(), 0, ()),
        (Policy(decide_by="heldout_bits_per_byte"), 100, (100,)),
    ],
)
def test_no_look_comes_before_there_is_enough_to_decide_by(
    policy: Policy, prompts: int, sizes: tuple[int, ...]
) -> None:
    assert look_sizes(prompts, policy) == sizes


def test_an_evaluation_that_could_decide_nothing_asks_for_nothing() -> None:
    def told(policy: Policy, prompts: int = 24) -> tuple[EvaluationResult, int]:
        judge, model = ruled(), ruled()
        champion = Contestant(model=model)
        models = Models(judges=(judge,), candidate=replace(champion, adapter=GOOD), champion=champion)
        result = evaluate(replace(SPEC, policy=policy, prompts=EXAMPLES[:prompts]), models, nothing)
        return result, len(judge.asked) + len(model.asked)

    for policy, prompts, why in (
        (Policy(), 19, "there are 19 prompts, and 20 are needed"),
        (Policy(find_lead=0.05), 24, "24 prompts find a lead of 23.9 points"),
        (Policy(max_tokens=50_000), 24, "and evaluate.gate.max_tokens is 50000"),
    ):
        result, asked = told(policy, prompts)
        assert (result.verdict.outcome, result.verdict.tested, asked) == ("abstain", False, 0)
        assert why in result.verdict.reasons[0]
    assert told(Policy(find_lead=0.3, max_tokens=10**6))[1] > 0


def test_a_judge_that_is_not_believed_costs_no_answer() -> None:
    model = ruled()
    champion = Contestant(model=model)
    models = Models(
        judges=(ruled(lambda question, first, second: 3.0),),
        candidate=replace(champion, adapter=GOOD),
        champion=champion,
    )
    result = evaluate(SPEC, models, nothing)
    assert (result.verdict.outcome, result.verdict.tested, model.asked) == ("refuse", False, [])


def test_the_plan_bounds_what_is_asked() -> None:
    class Counting(RuledModel):
        tokens = 0

        def _take(self, prompt, more):  # type: ignore[no-untyped-def]
            super()._take(prompt, more)
            self.tokens += self.count_tokens(prompt.text) + more

    judge, model = Counting(judging=orderly), Counting(answering=answering, nats_per_word=nats_per_word)
    champion = Contestant(model=model)
    models = Models(judges=(judge,), candidate=replace(champion, adapter=GOOD), champion=champion)
    result = evaluate(SPEC, models, nothing)
    assert (result.plan.prompts, result.plan.level) == (24, 0.025)
    assert result.plan.answers == len(model.asked) == 24 * 4 + 2 * 12
    assert result.plan.verdicts == len(judge.asked) == 2 * (24 + 48 + 36)
    assert judge.tokens + model.tokens <= result.plan.tokens <= 2.5 * (judge.tokens + model.tokens)
    assert (
        "24 prompts, looked at after 24; a lead of 23.9 points is found 80% of the time" in result.plan.text
    )


def test_the_lead_that_can_be_found_is_that_of_the_textbook() -> None:
    assert detectable(100_000, 0.025, 0.4) == pytest.approx(
        (1.95996 + 0.84162) * 0.4 / 100_000**0.5, rel=1e-3
    )
    assert detectable(100, 0.025, 0.4) > 2 * detectable(500, 0.025, 0.4)
    assert detectable(1, 0.025, 0.4) == float("inf")


class Named(RuledModel):
    """A judge with a name of its own."""

    def __init__(self, name: str, judging: Judging) -> None:
        super().__init__(judging=judging)
        self.name = name

    @property
    def identity(self) -> EngineIdentity:
        return EngineIdentity("rules", self.name, "1", "ruled")


def judged_by(*judges: RuledModel, spec: object = SPEC) -> EvaluationResult:
    champion = Contestant(model=ruled())
    models = Models(judges=judges, candidate=replace(champion, adapter=GOOD), champion=champion)
    return evaluate(spec, models, nothing)  # type: ignore[arg-type]


def test_a_panel_says_the_mean_of_those_that_are_believed() -> None:
    blind = Named("blind", lambda question, first, second: 3.0)
    alone = judged_by(Named("seer", orderly))
    result = judged_by(Named("seer", orderly), blind, Named("moody", unsure))
    told = {member.judge.model: member for member in result.members}
    assert [member.calibration.passed for member in result.members] == [True, False, True]
    assert [judge.model for judge in result.judges] == ["seer", "moody"]
    assert told["blind"].win_rate is None
    rates = [
        member.win_rate.rate.mean for member in result.members if member.win_rate and member.win_rate.rate
    ]
    assert result.evidence.win_rate is not None
    assert result.evidence.win_rate.rate is not None
    assert result.evidence.win_rate.rate.mean == pytest.approx(sum(rates) / 2)
    assert alone.evidence.win_rate is not None
    assert told["seer"].win_rate is not None
    assert told["seer"].win_rate.rate == alone.evidence.win_rate.rate
    assert all(len(row.members) == 2 for row in result.compared)
    # Who has no say is asked about nothing but what it was tried with.
    assert len(blind.asked) == 72


def test_a_panel_that_nobody_believes_abstains_with_every_reason() -> None:
    result = judged_by(*(Named(name, lambda question, first, second: 3.0) for name in ("one", "two")))
    assert result.verdict.outcome == "refuse"
    assert "nobody of the panel is believed: one: it found" in result.verdict.reasons[0]
    assert "; two: it found" in result.verdict.reasons[0]


def test_pairs_are_combined_from_the_verdicts_that_there_are() -> None:
    one = Comparison(preference=0.8, forward=0.9, swapped=0.7, slot_effect_logits=0.5, lost_mass=0.1)
    two = Comparison(preference=0.4, forward=0.2, swapped=0.6, slot_effect_logits=-0.5, lost_mass=0.3)
    both = combined([one, two, lost("judge_engine_died")])
    assert both.preference == pytest.approx(0.6)
    assert both.forward == pytest.approx(0.55)
    assert both.swapped == pytest.approx(0.65)
    assert (both.slot_effect_logits, both.lost_mass) == (0.0, 0.3)
    assert combined([one]) is one
    assert combined([TIE, TIE]).preference == 0.5
    assert combined([lost("b"), lost("a"), lost("b")]) == lost("a_or_b")


def test_a_judge_of_the_panel_that_dies_loses_its_own_verdicts_only() -> None:
    def deadly(question: str, first: str, second: str) -> float:
        if question == EXAMPLES[3].instruction and "I do not know" in first + second:
            raise EngineDied("the engine died")
        return orderly(question, first, second)

    result = judged_by(Named("seer", orderly), Named("mortal", deadly))
    assert result.evidence.win_rate is not None
    assert result.evidence.win_rate.lost == {}
    mortal = result.members[1].win_rate
    assert mortal is not None
    assert mortal.lost == {"judge_engine_died": 1}


def test_a_judge_that_is_as_it_was_has_no_drift_and_one_that_changed_abstains() -> None:
    first = run(GOOD, None)
    assert first.drift is None
    assert len(first.canaries) == 40
    again = replace(SPEC, canaries=first.canaries)
    same = run(GOOD, None, spec=again)
    assert same.drift is not None
    assert (same.drift.change.mean, same.drift.lost, same.verdict.outcome) == (0.0, 0, "promote")

    def warier(question: str, one: str, other: str) -> float:
        return orderly(question, one, other) / 3

    changed = run(GOOD, None, spec=again, judging=warier)
    assert changed.drift is not None
    assert changed.drift.change.mean > 0.1 > changed.drift.shift.mean
    assert changed.verdict.outcome == "refuse"
    assert "it says otherwise than it did: the preference for" in changed.verdict.reasons[0]
    tolerant = replace(again, policy=Policy(max_drift=0.5))
    assert run(GOOD, None, spec=tolerant, judging=warier).verdict.outcome == "promote"


def test_pairs_without_a_verdict_now_are_told_and_not_taken_for_a_drift() -> None:
    found = drift([("a", 0.5, Comparison(preference=0.7)), ("b", 0.9, lost("judge_engine_died"))])
    assert found is not None
    assert found.lost == 1
    assert found.change.mean == pytest.approx(0.2) == found.shift.mean
    assert drift([("b", 0.9, lost("judge_engine_died"))]) is None


def test_slices_are_told_and_a_worse_one_is_refused() -> None:
    def sliced(example: Example) -> Example:
        return replace(example, slice="odd" if int(example.id[-2:]) % 2 else "even")

    def against_odd(question: str, first: str, second: str) -> float:
        odd = [e.instruction for e in EXAMPLES].index(question) % 2
        return orderly(question, first, second) * (-0.3 if odd and "I do not know" in first + second else 1.0)

    spec = replace(LONG, prompts=[sliced(example) for example in MANY])
    assert run(GOOD, None, spec=spec).verdict.outcome == "promote"
    result = run(GOOD, None, spec=spec, judging=against_odd)
    assert result.evidence.win_rate is not None
    assert set(result.evidence.win_rate.slices) == {"even", "odd"}
    assert result.verdict.outcome == "refuse"
    assert any(reason.startswith("on odd the win rate is") for reason in result.verdict.reasons)


def test_a_slice_of_some_prompts_is_told_and_one_of_all_is_not() -> None:
    def slices(named: int) -> set[str]:
        prompts = [replace(one, slice="law" if at < named else "") for at, one in enumerate(EXAMPLES[:24])]
        rates = run(GOOD, None, spec=replace(SPEC, prompts=prompts)).evidence.win_rate
        assert rates is not None
        return set(rates.slices)

    assert (slices(10), slices(24), slices(0)) == ({"law"}, set(), set())


def test_the_judge_sees_rubric_and_references_but_no_known_answer_as_its_own_reference() -> None:
    seen: list[list[str]] = []

    class Reading(RuledModel):
        def choose(self, prompt, choices, *, adapter=None, timeout_s):  # type: ignore[no-untyped-def]
            seen.append([part.text for part in prompt.parts if part.data])
            texts = seen[-1]
            plain = Prompt(tuple(Part(text, data=True) for text in (texts[1], *texts[-2:])))
            return super().choose(plain, choices, adapter=adapter, timeout_s=timeout_s)

    spec = replace(SPEC, rubric="Be exact.", references=True)
    result = judged_by(Reading(judging=orderly), spec=spec)
    assert result.verdict.outcome == "promote"
    assert {texts[0] for texts in seen} == {"Be exact."}
    known, shown = ([texts for texts in seen if len(texts) == size] for size in (4, 5))
    assert (len(known), len(shown)) == (72, 2 * (24 + 48))
    references = {example.instruction: example.response for example in EXAMPLES}
    assert all(texts[2] == references[texts[1]] for texts in shown)
    assert {canary.pair.rubric for canary in result.canaries} == {"Be exact."}


def test_prompts_that_were_trained_on_are_told() -> None:
    result = run(GOOD, None, spec=replace(SPEC, contaminated=2))
    assert result.verdict.outcome == "promote"
    said = "noted: 2 of 26 prompts share a run of words with the training rows and were left out"
    assert said in result.verdict.reasons
    strict = Policy(blocking_findings=("contaminated_prompts",))
    assert run(GOOD, None, spec=replace(SPEC, contaminated=2, policy=strict)).verdict.outcome == "refuse"

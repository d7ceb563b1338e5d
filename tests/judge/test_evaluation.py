"""One evaluation from prompts to verdict, with models that follow rules: who wins, what is lost."""

from __future__ import annotations

import io
import random
from collections import Counter
from dataclasses import replace
from threading import Event

import pyarrow.parquet as pq
import pytest

from longstream.errors import EngineDied, InvalidInput
from longstream.llm.types import Adapter, Sampling
from longstream.v1.records_pb2 import Evaluation
from longstream_judge.asking import Cancelled, Patience
from longstream_judge.calibration import CalibrationLimits, Known
from longstream_judge.evaluation import ASKINGS, evaluate
from longstream_judge.facts import table
from longstream_judge.intervals import Bootstrap
from longstream_judge.policy import Policy
from longstream_judge.spec import Contestant, EvaluationResult, EvaluationSpec, Example, Models
from tests.support.questions import QUESTIONS
from tests.support.ruledmodel import Judging, RuledModel

ANSWERS = dict(QUESTIONS)
EXAMPLES = [Example(id=f"{n:02}", instruction=q, response=a) for n, (q, a) in enumerate(QUESTIONS)]
SPEC = EvaluationSpec(
    prompts=EXAMPLES[:24],
    heldout=EXAMPLES[24:],
    known=[Known(id=e.id, question=e.instruction, answer=e.response) for e in EXAMPLES],
    sampling=Sampling(max_tokens=80),
    bootstrap=Bootstrap(resamples=500),
    patience=Patience(in_flight=8, timeout_s=5),
    anchors=24,
)
BY_HELDOUT = Policy(decide_by="heldout_bits_per_byte")
GOOD, POOR = Adapter("good", "adapters/good"), Adapter("poor", "adapters/poor")


def nothing(stage: str, done: int, total: int) -> None:
    """Nobody looks."""


def answering(instruction: str, adapter: str) -> str:
    """The good adapter knows the human answer, the poor one its words in a sorted row, the base little."""
    plain, _, asking = instruction.partition("\n\n")
    answer = ANSWERS[plain]
    texts = {"good": answer, "poor": " ".join(sorted(answer.split())), "": f"{plain} I do not know."}
    text = texts[adapter]
    return {"": text, ASKINGS[0]: f"{text} {text}", ASKINGS[1]: " ".join(text.split()[:4])}[asking]


def nats_per_word(adapter: str) -> float:
    return {"good": -4.0, "poor": -6.5, "": -6.0}[adapter]


def orderly(question: str, first: str, second: str) -> float:
    """Prefers the answer with more of the human one in it, word order included: a judge that sees quality."""
    wanted = triples(ANSWERS[question])
    return 4.0 * (len(triples(first) & wanted) - len(triples(second) & wanted)) / len(wanted)


def triples(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[at : at + 3]) for at in range(len(words) - 2)}


def ruled(judging: Judging = orderly) -> RuledModel:
    return RuledModel(answering=answering, judging=judging, nats_per_word=nats_per_word)


def against_base(judge: RuledModel | None, model: RuledModel) -> Models:
    return Models(
        judges=(judge,) if judge else (),
        candidate=Contestant(model=model, adapter=GOOD),
        champion=Contestant(model=model),
    )


def run(
    candidate: Adapter | None,
    champion: Adapter | None,
    *,
    spec: EvaluationSpec = SPEC,
    judging: Judging | None = orderly,
    model: RuledModel | None = None,
) -> EvaluationResult:
    model = model or ruled()
    judge = ruled(judging) if judging else None
    contestants = (Contestant(model=model, adapter=adapter) for adapter in (candidate, champion))
    return evaluate(
        spec,
        Models(judges=(judge,) if judge else (), candidate=next(contestants), champion=next(contestants)),
        nothing,
    )


def rate(result: EvaluationResult) -> float:
    assert result.evidence.win_rate is not None
    assert result.evidence.win_rate.rate is not None
    return result.evidence.win_rate.rate.mean


def test_the_better_model_is_promoted_and_the_worse_one_refused() -> None:
    won, beaten = run(GOOD, None), run(None, GOOD)
    assert won.verdict.outcome == "promote"
    assert rate(won) == pytest.approx(0.982, abs=0.001)
    assert beaten.verdict.outcome == "refuse"


def lengthy(question: str, first: str, second: str) -> float:
    """Prefers the longer answer, and nothing else."""
    return (len(first) > len(second)) * 4.0 - (len(first) < len(second)) * 4.0


def test_a_candidate_that_is_only_longer_wins_and_is_not_promoted() -> None:
    """What the champion's own longer and shorter answers show about the judge is taken off."""
    policy = Policy(calibration=CalibrationLimits(min_accuracy=0.0))
    longer = run(GOOD, None, judging=lengthy, spec=replace(SPEC, policy=policy))
    measured = longer.evidence.win_rate
    assert measured is not None
    assert measured.rate is not None
    assert measured.rate.low > 0.5
    assert measured.controlled is not None
    assert measured.controlled.low < 0.5
    assert longer.verdict.outcome == "refuse"
    assert longer.verdict.reasons[0].startswith("with length set equal the win rate is")
    assert len(longer.anchors) == 48
    assert {row.prompt.instruction for row in longer.anchors} == {
        row.prompt.instruction for row in longer.compared
    }


def test_anchors_are_kept_beside_the_comparisons() -> None:
    found = run(GOOD, None)
    kept = pq.read_table(io.BytesIO(table(Evaluation(id="e"), found.compared, found.anchors))).to_pylist()
    assert Counter(row["kind"] for row in kept) == {"comparison": 24, "anchor": 48}
    assert len({row["comparison_id"] for row in kept}) == 72
    bare = {row["champion"] for row in kept if row["kind"] == "anchor"}
    assert bare == {answer.champion.text for answer in found.compared}


def test_without_anchors_answers_that_are_always_longer_decide_nothing() -> None:
    alone = run(GOOD, None, spec=replace(SPEC, anchors=0))
    assert alone.evidence.win_rate is not None
    assert alone.evidence.win_rate.entangled
    assert alone.verdict.outcome == "abstain"
    assert "raise evaluate.anchors" in alone.verdict.reasons[0]


def test_held_out_text_decides_without_anchors() -> None:
    assert run(GOOD, None, spec=replace(SPEC, policy=BY_HELDOUT)).anchors == []


def test_exchanged_contestants_mirror_the_evidence() -> None:
    ours, theirs = run(GOOD, POOR), run(POOR, GOOD)
    assert rate(theirs) == pytest.approx(1 - rate(ours), abs=1e-12)
    assert ours.evidence.win_rate is not None
    assert theirs.evidence.win_rate is not None
    assert theirs.evidence.win_rate.slot_effect_logits == ours.evidence.win_rate.slot_effect_logits
    assert ours.evidence.heldout is not None
    assert theirs.evidence.heldout is not None
    assert theirs.evidence.heldout.change.mean == -ours.evidence.heldout.change.mean
    assert theirs.evidence.calibration == ours.evidence.calibration


def test_the_order_of_prompts_and_documents_does_not_matter() -> None:
    shuffled = list(EXAMPLES)
    random.Random(1).shuffle(shuffled)
    known = list(SPEC.known)
    random.Random(2).shuffle(known)
    prompts = [example for example in shuffled if example in SPEC.prompts]
    heldout = [example for example in shuffled if example in SPEC.heldout]
    other = run(GOOD, None, spec=replace(SPEC, prompts=prompts, heldout=heldout, known=known))
    assert other.verdict == run(GOOD, None).verdict
    assert other.evidence == run(GOOD, None).evidence


def test_a_judge_that_goes_by_the_slot_says_one_half_and_abstains() -> None:
    def slotted(question: str, first: str, second: str) -> float:
        return 3.0

    result = run(GOOD, None, spec=replace(SPEC, policy=BY_HELDOUT), judging=slotted)
    assert rate(result) == 0.5
    assert result.evidence.win_rate is not None
    assert result.evidence.win_rate.slot_effect_logits is not None
    assert result.evidence.win_rate.slot_effect_logits.mean == pytest.approx(3.0)
    assert result.evidence.win_rate.flip_rate == 1.0
    decides = run(GOOD, None, judging=slotted)
    assert decides.verdict.outcome == "refuse"
    assert decides.verdict.reasons[0].startswith("the judge abstains")


def test_a_judge_that_prefers_length_abstains_though_it_gives_a_win_rate() -> None:
    def longest(question: str, first: str, second: str) -> float:
        return float(len(first) - len(second))

    assert rate(run(GOOD, None, spec=replace(SPEC, policy=BY_HELDOUT), judging=longest)) > 0.99
    result = run(GOOD, None, judging=longest)
    assert result.verdict.outcome == "refuse"
    assert "abstains" in result.verdict.reasons[0]


def test_a_judge_that_leaves_its_labels_no_mass_is_not_read() -> None:
    model = ruled()
    judge = RuledModel(judging=orderly, mass=0.001)
    models = against_base(judge, model)
    result = evaluate(replace(SPEC, policy=BY_HELDOUT), models, nothing)
    assert result.evidence.win_rate is not None
    assert result.evidence.win_rate.lost == {"forward_and_swapped_unreadable": 24}
    assert result.evidence.win_rate.rate is None
    decides = evaluate(SPEC, models, nothing)
    assert (decides.verdict.outcome, decides.evidence.win_rate) == ("refuse", None)


def test_bits_per_byte_decide_beside_an_abstaining_judge() -> None:
    spec = replace(SPEC, policy=BY_HELDOUT)
    result = run(GOOD, None, spec=spec, judging=lambda question, first, second: 3.0)
    assert result.verdict.outcome == "promote"
    assert "the judge, which does not decide here, abstains" in result.verdict.reasons[1]
    assert run(POOR, None, spec=spec).verdict.outcome == "refuse"


def test_bits_per_byte_need_no_judge() -> None:
    result = run(GOOD, None, spec=replace(SPEC, policy=BY_HELDOUT), judging=None)
    assert result.verdict.outcome == "promote"
    assert (result.judges, result.evidence.win_rate, list(result.compared)) == ((), None, [])


def test_the_held_out_figures_are_those_of_a_count_by_hand() -> None:
    result = run(GOOD, None, spec=replace(SPEC, policy=BY_HELDOUT), judging=None)
    words = sum(len(example.response.split()) for example in SPEC.heldout)
    size = sum(len(example.response.encode()) for example in SPEC.heldout)
    assert result.evidence.heldout is not None
    assert result.evidence.heldout.candidate == pytest.approx(4.0 / 0.6931471805599453 * words / size)
    assert result.evidence.heldout.champion == pytest.approx(6.0 / 0.6931471805599453 * words / size)


def test_a_model_against_itself_is_a_tie_that_no_judge_is_asked_about() -> None:
    judge, model = ruled(), ruled()
    contestant = Contestant(model=model, adapter=GOOD)
    spec = replace(SPEC, known=(), policy=BY_HELDOUT)
    models = Models(judges=(judge,), candidate=contestant, champion=contestant)
    result = evaluate(spec, models, nothing)
    assert rate(result) == 0.5
    assert judge.asked == []
    assert result.verdict.outcome == "refuse"


def test_every_pair_is_judged_in_both_orders() -> None:
    judge, model = ruled(), ruled()
    models = against_base(judge, model)
    evaluate(replace(SPEC, known=(), policy=BY_HELDOUT), models, nothing)
    shown = [tuple(part.text for part in prompt.parts if part.data) for prompt in judge.asked]
    assert len(set(shown)) == 2 * len(SPEC.prompts)
    assert {(question, second, first) for question, first, second in shown} == set(shown)


def test_held_out_text_longer_than_a_context_is_cut_alike_for_both() -> None:
    long = [replace(e, response=f"{e.response} " * 20) for e in SPEC.heldout]
    narrow = ruled()
    narrow.context_tokens = 120
    models = Models(
        judges=(), candidate=Contestant(model=ruled(), adapter=GOOD), champion=Contestant(model=narrow)
    )
    result = evaluate(replace(SPEC, heldout=long, policy=BY_HELDOUT), models, nothing)
    assert result.heldout_lost == {}
    assert result.verdict.outcome == "promote"
    for row, example in zip(result.heldout, long, strict=True):
        room = 120 - len(example.instruction.split()) - 1 - 8
        assert row.document_bytes == len(" ".join(example.response.split()[:room]).encode())


def test_known_answers_are_cut_to_the_length_that_contestants_may_write() -> None:
    known = [replace(known, answer=f"{known.answer} " * 20) for known in SPEC.known]
    result = run(GOOD, None, spec=replace(SPEC, known=known))
    assert result.evidence.calibration is not None
    assert result.evidence.calibration.passed
    assert max(len(row.known.pair.candidate.split()) for row in result.calibrated) == 80


def test_a_prompt_that_one_contestant_refuses_is_lost_under_its_reason() -> None:
    long = Example(id="long", instruction="why " * 500)
    result = run(GOOD, None, spec=replace(SPEC, prompts=[*SPEC.prompts, long]))
    assert result.evidence.win_rate is not None
    assert result.evidence.win_rate.lost == {"candidate_invalid_input_and_champion_invalid_input": 1}
    assert result.compared[-1].candidate.failure == "invalid_input"
    assert result.verdict.outcome == "promote"


def test_a_pair_that_kills_the_engine_is_lost_and_the_rest_is_judged() -> None:
    def deadly(question: str, first: str, second: str) -> float:
        if question == EXAMPLES[3].instruction:
            raise EngineDied("the engine died")
        return orderly(question, first, second)

    result = run(GOOD, None, judging=deadly)
    assert result.evidence.win_rate is not None
    assert result.evidence.win_rate.lost == {"judge_engine_died": 1}
    assert result.evidence.win_rate.rows == 23


def test_constant_answers_forbid_a_promotion_by_the_judge() -> None:
    def flattered(question: str, first: str, second: str) -> float:
        return orderly(question, first, second) + 4.0 * (("flawless" in first) - ("flawless" in second))

    model = RuledModel(answering=lambda q, a: "This is a flawless answer." if a else answering(q, ""))
    result = run(GOOD, None, model=model, judging=flattered)
    assert rate(result) > 0.9
    assert result.verdict.outcome == "refuse"
    assert result.verdict.reasons == ("24 of 24 answers are one and the same",)


def test_answers_cut_at_the_token_limit_are_noted() -> None:
    result = run(GOOD, None, spec=replace(SPEC, sampling=Sampling(max_tokens=30)))
    assert all(row.candidate.truncated for row in result.compared)
    assert "noted: 24 of 24 answers were cut at the token limit" in result.verdict.reasons


def test_the_input_of_an_example_reaches_contestants_and_judge() -> None:
    judge = RuledModel()
    contestant = Contestant(model=RuledModel(answering=lambda q, a: a or "base"), adapter=GOOD)
    models = Models(judges=(judge,), candidate=contestant, champion=replace(contestant, adapter=None))
    example = Example(id="1", instruction="Add these.", input="2 and 3")
    evaluate(EvaluationSpec(prompts=[example], heldout=(), known=(), policy=BY_HELDOUT), models, nothing)
    assert next(part.text for part in judge.asked[0].parts if part.data) == "Add these.\n\n2 and 3"


def test_progress_names_every_stage_with_its_count() -> None:
    seen: dict[str, tuple[int, int]] = {}
    model = ruled()
    models = against_base(ruled(), model)
    evaluate(SPEC, models, lambda stage, done, total: seen.__setitem__(stage, (done, total)))
    assert seen == {
        "candidate_answers": (24, 24),
        "candidate_heldout": (12, 12),
        "champion_answers": (24, 24),
        "champion_heldout": (12, 12),
        "champion_anchors": (48, 48),
        "anchors": (48, 48),
        "calibration": (36, 36),
        "comparisons": (24, 24),
    }


@pytest.mark.parametrize("stage", ["candidate_answers", "champion_heldout", "calibration", "comparisons"])
def test_a_stop_in_any_stage_ends_the_evaluation(stage: str) -> None:
    stop, model = Event(), ruled()
    models = against_base(ruled(), model)

    def stopping(at: str, done: int, total: int) -> None:
        if at == stage:
            stop.set()

    with pytest.raises(Cancelled):
        evaluate(SPEC, models, stopping, stop)


def test_an_unknown_template_is_refused_before_anybody_is_asked() -> None:
    model = ruled()
    contestant = Contestant(model=model)
    with pytest.raises(InvalidInput, match="template"):
        evaluate(
            replace(SPEC, template="none"),
            Models(judges=(), candidate=contestant, champion=contestant),
            nothing,
        )
    assert model.asked == []

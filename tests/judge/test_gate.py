"""Nothing is promoted without evidence, and every decision says why in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream_judge import gate
from longstream_judge.calibration import Calibration
from longstream_judge.gate import Evidence, Verdict, chance_left
from longstream_judge.guards import Finding
from longstream_judge.heldout import HeldoutChange
from longstream_judge.intervals import Interval, normal
from longstream_judge.policy import Policy
from longstream_judge.winrate import LengthView, WinRate

BY_HELDOUT = Policy(decide_by="heldout_bits_per_byte")
BELIEVED = Calibration(
    passed=True, reason="", accuracy=None, unread=0, slot_effect_logits=0.1, flip_rate=0.1, by_damage=()
)
DOUBTED = replace(BELIEVED, passed=False, reason="it found the better answer in 50% of 40 pairs")
NO_VIEW = LengthView(longer=None, shorter=None, equal=None, difference=None)
MARKUP = Finding(name="prompt_markup", share=0.1, message="4 of 40 answers hold prompt markup")
CUT = Finding(name="truncated_answers", share=0.5, message="20 of 40 answers were cut at the token limit")


LEVEL = 0.025


def decide(policy: Policy, evidence: Evidence, level: float = LEVEL) -> Verdict:
    return gate.decide(policy, evidence, level)


def interval(low: float, high: float, n: int = 40) -> Interval:
    return normal((low + high) / 2, (high - low) / 2 / 1.959963984540054, 0.95, n)


def measured(low: float, high: float, n: int = 40, slot: float = 0.2) -> WinRate:
    return WinRate(
        rate=interval(low, high, n),
        rows=n,
        wins=n,
        ties=0,
        losses=0,
        flip_rate=0.1,
        slot_effect_logits=interval(slot - 0.1, slot + 0.1, n),
        length=NO_VIEW,
        controlled=interval(low, high, n),
    )


def heldout(low: float, high: float, n: int = 40) -> HeldoutChange:
    return HeldoutChange(candidate=2.0 + (low + high) / 2, champion=2.0, change=interval(low, high, n))


WON = Evidence(win_rate=measured(0.55, 0.7), calibration=BELIEVED)


def test_a_win_rate_whose_lower_bound_is_above_the_threshold_promotes() -> None:
    verdict = decide(Policy(), WON)
    assert verdict.outcome == "promote"
    assert verdict.reasons == (
        "win rate 62.5 %, 95 % interval 55.0 % to 70.0 % over 40 instructions, with length set equal 62.5 %, "
        "95 % interval 55.0 % to 70.0 %; but for a chance of 2.5 % more than 54.8 % and 54.8 %, where 50.0 % is needed",
    )


@pytest.mark.parametrize(
    ("controlled", "reason"),
    [
        (
            interval(0.4, 0.6),
            "with length set equal the win rate is 50.0 %, 95 % interval 40.0 % to 60.0 %",
        ),
        (None, "so few instructions do not tell what length does"),
    ],
)
def test_a_win_by_length_alone_promotes_nothing(controlled: Interval | None, reason: str) -> None:
    longer = replace(WON, win_rate=replace(measured(0.55, 0.7), controlled=controlled))
    verdict = decide(Policy(), longer)
    assert verdict.outcome == ("refuse" if controlled else "abstain")
    assert verdict.reasons[0].startswith(reason)
    assert decide(Policy(length_controlled=False), longer).outcome == "promote"


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.9), (0.3, 0.7), (0.1, 0.2)])
def test_a_lower_bound_at_or_below_the_threshold_refuses(low: float, high: float) -> None:
    verdict = decide(Policy(), replace(WON, win_rate=measured(low, high)))
    assert verdict.outcome == "refuse"
    assert "where 50.0 % is needed" in verdict.reasons[0]
    assert verdict.tested


def test_a_judge_that_failed_its_calibration_never_promotes_and_the_gate_says_so() -> None:
    verdict = decide(Policy(), replace(WON, calibration=DOUBTED))
    assert verdict.outcome == "refuse"
    assert verdict.reasons[:2] == (
        "the judge abstains: it found the better answer in 50% of 40 pairs",
        "nothing is promoted by default",
    )


def test_a_judge_that_was_not_calibrated_never_promotes() -> None:
    assert decide(Policy(), replace(WON, calibration=None)).outcome == "refuse"


@pytest.mark.parametrize("win_rate", [None, measured(0.9, 1.0, n=19)])
def test_too_few_verdicts_decide_nothing(win_rate: WinRate | None) -> None:
    verdict = decide(Policy(), replace(WON, win_rate=win_rate))
    assert verdict.outcome == "abstain"
    assert "20 are needed" in verdict.reasons[0]


def test_too_many_lost_comparisons_decide_nothing_and_are_named() -> None:
    verdict = decide(Policy(), replace(WON, win_rate=replace(measured(0.9, 1.0), lost={"engine_died": 10})))
    assert verdict.outcome == "abstain"
    assert "20.0 % of the comparisons" in verdict.reasons[0]
    assert "engine_died 10" in verdict.reasons[0]


@pytest.mark.parametrize("slot", [-2.5, 2.5])
def test_a_strong_slot_effect_refuses(slot: float) -> None:
    verdict = decide(Policy(), replace(WON, win_rate=measured(0.6, 0.7, slot=slot)))
    assert verdict.outcome == "refuse"
    assert f"{slot:+.2f} logits" in verdict.reasons[0]


def test_a_blocking_finding_refuses_and_another_is_noted() -> None:
    verdict = decide(Policy(), replace(WON, findings=(MARKUP, CUT)))
    assert verdict.outcome == "refuse"
    assert verdict.reasons == (MARKUP.message, f"noted: {CUT.message}")


def test_which_findings_block_is_the_policys_choice() -> None:
    assert decide(Policy(blocking_findings=()), replace(WON, findings=(MARKUP,))).outcome == "promote"


def test_everything_against_a_promotion_is_told() -> None:
    evidence = replace(WON, win_rate=measured(0.2, 0.3, slot=3.0), findings=(MARKUP,))
    assert len(decide(Policy(), evidence).reasons) == 4
    told = decide(Policy(), replace(WON, objections=("kin",), notes=("seen",)))
    assert (told.outcome, told.reasons) == ("refuse", ("kin", "noted: seen"))


def test_a_win_by_length_is_noted() -> None:
    view = replace(NO_VIEW, longer=interval(0.7, 0.9), shorter=interval(0.2, 0.4))
    verdict = decide(Policy(), replace(WON, win_rate=replace(measured(0.6, 0.7), length=view)))
    assert verdict.outcome == "promote"
    assert "80.0 % where the challenger's answer is the longer one" in verdict.reasons[1]


def test_fewer_bits_per_byte_promote() -> None:
    verdict = decide(BY_HELDOUT, Evidence(heldout=heldout(-0.3, -0.1)))
    assert verdict.outcome == "promote"
    assert verdict.reasons == (
        "held-out bits per byte 1.8000 against 2.0000, change -0.2000, "
        "95 % interval -0.3000 to -0.1000 over 40 documents; but for a chance of 2.5 % below -0.0968, "
        "and less than +0.0000 is needed",
    )


@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.0), (-0.3, 0.1), (0.1, 0.2)])
def test_bits_per_byte_that_may_not_be_fewer_refuse(low: float, high: float) -> None:
    assert decide(BY_HELDOUT, Evidence(heldout=heldout(low, high))).outcome == "refuse"


def test_the_gain_must_reach_the_margin() -> None:
    policy = replace(BY_HELDOUT, min_gain_bits_per_byte=0.15)
    assert decide(policy, Evidence(heldout=heldout(-0.3, -0.1))).outcome == "refuse"
    assert decide(policy, Evidence(heldout=heldout(-0.4, -0.2))).outcome == "promote"


@pytest.mark.parametrize(
    "change",
    [None, heldout(-0.3, -0.1, n=7), replace(heldout(-0.3, -0.1), lost=20)],
    ids=["none", "few", "lost"],
)
def test_too_few_documents_decide_nothing(change: HeldoutChange | None) -> None:
    assert decide(BY_HELDOUT, Evidence(heldout=change)).outcome == "abstain"


def test_the_smaller_the_chance_of_error_the_more_must_be_shown() -> None:
    assert decide(Policy(), WON, 0.01).outcome == "promote"
    assert decide(Policy(), WON, 0.001).outcome == "refuse"
    assert decide(BY_HELDOUT, Evidence(heldout=heldout(-0.3, -0.1)), 1e-5).outcome == "refuse"


def test_only_a_bound_that_was_tried_spends_the_error_rate() -> None:
    assert not decide(Policy(), replace(WON, calibration=DOUBTED)).tested
    assert not decide(Policy(), replace(WON, win_rate=measured(0.9, 1.0, n=19))).tested
    assert not decide(BY_HELDOUT, Evidence()).tested
    assert decide(Policy(), replace(WON, findings=(MARKUP,))).tested


@pytest.mark.parametrize(
    ("slices", "policy", "outcome", "said"),
    [
        ({"news": interval(0.2, 0.4, 30)}, Policy(), "refuse", "on news the win rate is 30.0 %"),
        ({"news": interval(0.2, 0.4, 30)}, Policy(slice_margin=None), "promote", ""),
        ({"news": interval(0.2, 0.4, 29)}, Policy(), "promote", "noted: on news the win rate is 30.0 %"),
        ({"news": interval(0.45, 0.6, 30), "law": interval(0.5, 0.9, 30)}, Policy(), "promote", ""),
        ({"news": interval(0.45, 0.6, 30)}, Policy(slice_margin=0.0), "refuse", "50.0 % must be reached"),
    ],
)
def test_no_slice_may_be_worse_by_more_than_the_margin(
    slices: dict[str, Interval], policy: Policy, outcome: str, said: str
) -> None:
    verdict = decide(policy, replace(WON, win_rate=replace(measured(0.6, 0.8), slices=slices)))
    assert verdict.outcome == outcome
    assert said in " ".join(verdict.reasons)


def test_what_is_left_of_a_chance_falls_with_the_lead_and_with_what_was_seen() -> None:
    def left(low: float, high: float, fraction: float) -> float:
        return chance_left(Policy(), replace(WON, win_rate=measured(low, high)), fraction, LEVEL)

    assert left(0.4, 0.5, 0.5) < 0.001 < left(0.48, 0.58, 0.5) < left(0.55, 0.7, 0.5)
    assert left(0.45, 0.53, 0.8) < left(0.45, 0.53, 0.3)
    assert (left(0.5, 0.5, 0.5), left(0.6, 0.6, 0.5)) == (0.0, 1.0)
    assert chance_left(Policy(), Evidence(), 0.5, LEVEL) == 1.0


def test_what_the_judge_says_is_noted_where_it_does_not_decide() -> None:
    for calibration, said in ((BELIEVED, "says 62.5 %"), (DOUBTED, "abstains: it found")):
        evidence = replace(WON, calibration=calibration, heldout=heldout(-0.3, -0.1), findings=(MARKUP,))
        verdict = decide(BY_HELDOUT, evidence)
        assert verdict.outcome == "promote"
        assert said in verdict.reasons[1]
        assert verdict.reasons[2] == f"noted: {MARKUP.message}"


@given(
    st.builds(
        Evidence,
        win_rate=st.none() | st.builds(measured, st.floats(0, 0.5), st.floats(0.5, 1), st.integers(0, 60)),
        calibration=st.sampled_from([None, DOUBTED, BELIEVED]),
        heldout=st.none() | st.builds(heldout, st.floats(-1, 0), st.floats(0, 1), st.integers(1, 60)),
        findings=st.sampled_from([(), (MARKUP,), (CUT,)]),
    ),
    st.sampled_from([Policy(), BY_HELDOUT]),
)
def test_without_a_bound_beyond_its_threshold_nothing_is_promoted_and_a_reason_is_given(
    evidence: Evidence, policy: Policy
) -> None:
    verdict = decide(policy, evidence)
    assert verdict.outcome != "promote"
    assert all(verdict.reasons)
    assert verdict.reasons


def test_a_policy_comes_from_a_mapping() -> None:
    policy = Policy.from_mapping(
        {
            "decide_by": "heldout_bits_per_byte",
            "min_documents": 3,
            "blocking_findings": ["empty_answers"],
            "calibration": {"min_pairs": 5},
            "guards": {"empty_share": 0.2},
        }
    )
    assert (policy.decide_by, policy.min_documents) == ("heldout_bits_per_byte", 3)
    assert policy.blocking_findings == ("empty_answers",)
    assert (policy.calibration.min_pairs, policy.guards.empty_share) == (5, 0.2)
    assert Policy.from_mapping({}) == Policy()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"min_winrate": 0.5}, "min_winrate"),
        ({"calibration": {"min_pair": 5}}, "calibration.min_pair"),
        ({"guards": {"empty": 1}}, "guards.empty"),
        ({"decide_by": "luck"}, "decide_by"),
        ({"min_win_rate": 1.5}, "min_win_rate"),
        ({"min_documents": 0}, "min_documents"),
        ({"error_rate": 0.5}, "error_rate"),
        ({"spend": "never"}, "spend"),
        ({"looks": 0}, "looks"),
        ({"blocking_findings": ["rudeness"]}, "blocking_findings"),
        ({"min_gain_bits_per_byte": float("nan")}, "min_gain_bits_per_byte"),
    ],
)
def test_an_unknown_name_or_a_wrong_value_is_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        Policy.from_mapping(values)

"""Boards of what happens to documents and models: the curator, the judge."""

from __future__ import annotations

from scripts.monitoring.panels import Board, Query, graph, number
from scripts.monitoring.queries import CHOSEN, RATE, age, fact, rates_that_occur, spread

CURATOR = Board(
    uid="longstream-curator",
    title="Longstream / Curator",
    about="What comes in, what is kept, and how releases come to their rows.",
    by_pipeline=True,
    rows=(
        (
            "Submissions",
            (
                graph(
                    "Accepted a second",
                    "Items made durable.",
                    Query(f"sum(rate(curator_submissions_accepted_total{RATE}))", "accepted"),
                    unit="ops",
                ),
                graph(
                    "Refused a second, by reason",
                    "Items that their senders were told of.",
                    *rates_that_occur("curator_submissions_rejected_total", "reason", "{{reason}}"),
                    unit="ops",
                ),
            ),
        ),
        (
            "Selection",
            (
                graph(
                    "Kept and seen",
                    "Examples in the kept sets, and those that they were chosen from.",
                    Query(f"sum by (pipeline) (curator_kept_records{CHOSEN})", "{{pipeline}} kept"),
                    Query(f"sum by (pipeline) (curator_seen_records{CHOSEN})", "{{pipeline}} seen"),
                ),
                graph(
                    "Not kept, by reason",
                    "Since each kept set began.",
                    Query(
                        f"sum by (pipeline, reason) (curator_dropped_records{CHOSEN})",
                        "{{pipeline}} {{reason}}",
                    ),
                ),
                graph(
                    "Offered and pushed out a second",
                    "How much the kept sets still change.",
                    Query(f"sum(rate(curator_examples_total{RATE}))", "offered"),
                    Query(f"sum(rate(curator_evicted_total{RATE}))", "pushed out"),
                    unit="ops",
                ),
                graph(
                    "Time to rank an example",
                    "From the record to its outputs.",
                    # Between bursts nothing is ranked, and there is no distribution.
                    Query(
                        'sum(worker_handle_seconds_sum{topic="examples"})'
                        ' / sum(worker_handle_seconds_count{topic="examples"})',
                        "mean since the start",
                    ),
                    *spread("worker_handle_seconds", 'topic="examples"', "topic", rare=True),
                    unit="s",
                    exemplars=True,
                ),
            ),
        ),
        (
            "Releases",
            (
                graph(
                    "Rows of the newest release",
                    "Wanted, ready, and refused on the way.",
                    fact("curator_release_rows", "{{pipeline}} {{rows}}", "rows"),
                ),
                graph(
                    "Age of the newest final release",
                    "Since its cut.",
                    age("pipeline_release_timestamp_seconds"),
                    unit="s",
                ),
                number(
                    "Exact",
                    "1 if the newest release equals an exhaustive sort of all that stood before its cut.",
                    fact("curator_release_exact"),
                    red_below=1,
                    width=12,
                ),
                number(
                    "Short",
                    "1 if the newest release has fewer rows than were wanted.",
                    fact("curator_release_short"),
                    red_above=1,
                    width=12,
                ),
            ),
        ),
    ),
)

JUDGE = Board(
    uid="longstream-judge",
    title="Longstream / Judge and promotions",
    about="Who wins, whether the judge can be relied on, and what was decided.",
    by_pipeline=True,
    rows=(
        (
            "Decisions",
            (
                graph(
                    "Win rate of the latest candidate",
                    "With its 95 % interval, as judged and with length set equal; a half is no difference.",
                    fact("judge_win_rate_ratio", "{{pipeline}} {{bound}}", "bound"),
                    fact(
                        "judge_length_controlled_win_rate_ratio",
                        "{{pipeline}} {{bound}}, lengths equal",
                        "bound",
                    ),
                    unit="percentunit",
                ),
                graph(
                    "Held-out text",
                    "Bits per byte of candidate and champion; lower is better.",
                    fact("judge_heldout_bits", "{{pipeline}} {{side}}", "side"),
                    unit="none",
                ),
                graph(
                    "Decisions in a day",
                    "By outcome.",
                    Query(
                        f"sum by (outcome) (increase(judge_promotions_total{CHOSEN}[1d]))",
                        "{{outcome}}",
                    ),
                ),
                graph(
                    "Evaluations waiting and running",
                    "In the log, whichever replica owns them.",
                    fact("judge_open_evaluations", "{{pipeline}} {{state}}", "state"),
                ),
            ),
        ),
        (
            "Can the judge be relied on?",
            (
                number(
                    "Calibration passed",
                    "1 if it told known-better answers from known-worse ones.",
                    fact("judge_calibration_passed"),
                    red_below=1,
                ),
                number(
                    "Calibration accuracy",
                    "Share of known-better answers that it preferred.",
                    fact("judge_calibration_accuracy_ratio"),
                    unit="percentunit",
                    red_below=0.6,
                ),
                number(
                    "Turned by the order",
                    "Share of pairs whose winner changes with the order of the answers.",
                    fact("judge_position_disagreement_ratio"),
                    unit="percentunit",
                    red_above=0.5,
                ),
                number(
                    "Comparisons without a verdict",
                    "Of the latest evaluation.",
                    fact("judge_lost_comparisons"),
                ),
                number(
                    "Drift",
                    "Mean distance of its preferences for known pairs from those that it had first.",
                    fact("judge_drift_ratio", rare=True),
                    unit="percentunit",
                    red_above=0.1,
                ),
                number(
                    "Since it last saw known pairs",
                    "In an evaluation or a recheck.",
                    Query(
                        f"time() - max by (pipeline) (judge_drift_timestamp_seconds{CHOSEN})",
                        "{{pipeline}}",
                        True,
                    ),
                    unit="s",
                ),
                number(
                    "Error allowed",
                    "Chance that a model no better passed the latest test, as the gate allowed it.",
                    fact("judge_error_level_ratio"),
                    unit="percentunit",
                ),
                number(
                    "Tokens of the latest evaluation",
                    "Read and written by all its models; what was remembered cost nothing.",
                    fact("judge_spent_tokens"),
                ),
                graph(
                    "Slot effect",
                    "How far the first place decides, in logits, with its interval; 0 is fair. Answers that are "
                    "equal are not shown to the judge, so an evaluation may have none.",
                    fact("judge_calibration_slot_effect_logits", "{{pipeline}} calibration"),
                    fact("judge_slot_effect_logits", "{{pipeline}} {{bound}}", "bound", rare=True),
                    unit="none",
                ),
                graph(
                    "Duration of the latest evaluation",
                    "From its creation to its end.",
                    fact("judge_evaluation_seconds"),
                    unit="s",
                ),
            ),
        ),
        (
            "What the engine is asked",
            (
                graph(
                    "Pairs compared for callers",
                    "By outcome: read, without a verdict, failed.",
                    Query(
                        "sum by (outcome) (increase(judge_compared_pairs_total[1h]))",
                        "{{outcome}} in an hour",
                    ),
                ),
                graph(
                    "Replies that were there already",
                    "Of evaluations that were begun again; they cost nothing.",
                    Query("sum(increase(judge_remembered_replies_total[1h]))", "in an hour"),
                ),
            ),
        ),
    ),
)

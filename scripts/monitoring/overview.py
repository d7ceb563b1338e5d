"""The board to open first: is the loop turning, how fresh are its results, what do they cost?"""

from __future__ import annotations

from scripts.monitoring.panels import Board, Query, graph, number
from scripts.monitoring.queries import CHOSEN, RATE, age, fact, rate, rates_that_occur

OVERVIEW = Board(
    uid="longstream-overview",
    title="Longstream / Overview",
    about="Is the loop turning, how fresh are its results, and what do they cost?",
    by_pipeline=True,
    rows=(
        (
            "Now",
            (
                number(
                    "Services that answer",
                    "Targets that Prometheus reaches, by service.",
                    Query('sum by (job) (up{job=~"curator|instructor|trainer|judge"})', "{{job}}"),
                    red_below=1,
                ),
                number(
                    "Alerts",
                    "Alerts that fire; the runbook of each is in docs/operations.md.",
                    Query('count(ALERTS{alertname=~"Longstream.*", alertstate="firing"}) or vector(0)'),
                    red_above=1,
                ),
                number(
                    "Records waiting",
                    "In the log and not committed, by the service that must work on them.",
                    Query("sum by (job) (job_topic:worker_lag:records)", "{{job}}"),
                ),
                number(
                    "Dead letters in a day",
                    "Records that no retry helped; `longstream dlq` shows them.",
                    Query("sum(increase(dlq_records_total[1d]))"),
                    red_above=1,
                ),
            ),
        ),
        (
            "The stream",
            (
                graph(
                    "Records a second, by topic",
                    "What each service has worked off and committed.",
                    rate("worker_records_total", "topic", "{{topic}}"),
                    unit="ops",
                ),
                graph(
                    "Age of the oldest record that waits",
                    "Ten minutes is the objective, an hour where an engine must write.",
                    Query("job_topic:worker_oldest:seconds", "{{topic}}"),
                    unit="s",
                    red_above=600,
                ),
                graph(
                    "Written, by topic",
                    "Outputs of all services: what a stage gives to the next.",
                    Query(f"sum(rate(worker_outputs_total{RATE}))", "in all"),
                    Query(f"sum by (topic) (rate(worker_outputs_total{RATE})) > 0", "{{topic}}", rare=True),
                    unit="ops",
                ),
                graph(
                    "Not taken, by reason",
                    "Items refused at submission, and documents left without an instruction.",
                    *rates_that_occur("curator_submissions_rejected_total", "reason", "refused: {{reason}}"),
                    *rates_that_occur("instructor_refusals_total", "reason", "no instruction: {{reason}}"),
                    unit="ops",
                ),
            ),
        ),
        (
            "Results",
            (
                number(
                    "Age of the release",
                    "Since the newest final release was cut.",
                    Query(f"pipeline:release_age:seconds{CHOSEN}", "{{pipeline}}"),
                    unit="s",
                ),
                number(
                    "Age of the model",
                    "Since the newest model was made.",
                    Query(f"pipeline:model_age:seconds{CHOSEN}", "{{pipeline}}"),
                    unit="s",
                ),
                number(
                    "Since the last decision",
                    "Since a model was last promoted, refused or rolled back.",
                    age("pipeline_decision_timestamp_seconds"),
                    unit="s",
                ),
                number(
                    "Age of the champion",
                    "Since it was promoted; none while the base model reigns.",
                    Query(f"pipeline:champion_age:seconds{CHOSEN}", "{{pipeline}}"),
                    unit="s",
                ),
                graph(
                    "From a document to a model",
                    "At least for the newest, at most for the oldest document of the newest model's cut.",
                    fact("pipeline_document_to_model_seconds", "{{pipeline}} {{document}}", "document"),
                    unit="s",
                ),
                graph(
                    "Win rate against the champion",
                    "Of the latest evaluation, with its 95 % interval; a half is no difference.",
                    fact("judge_win_rate_ratio", "{{pipeline}} {{bound}}", "bound"),
                    unit="percentunit",
                ),
            ),
        ),
        (
            "Cost",
            (
                number("GPUs held", "Held, so paid for, busy or not.", Query("job:gpus:sum", "{{job}}")),
                number(
                    "GPU-seconds for a pair",
                    "Held by the instructor, for each instruction accepted in the last day.",
                    Query("longstream:gpu_seconds_per_pair:1d"),
                    unit="s",
                ),
                number(
                    "Cost of a pair",
                    "The same at the price that LONGSTREAM_GPU_HOUR_COST tells.",
                    Query("longstream:cost_per_pair:1d"),
                ),
                number(
                    "Cost of a promoted model",
                    "All GPUs of 30 days, for each model promoted in them.",
                    Query("longstream:cost_per_promotion:30d"),
                ),
            ),
        ),
    ),
)

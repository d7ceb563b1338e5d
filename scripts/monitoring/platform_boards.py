"""The board of calls, log and processes."""

from __future__ import annotations

from scripts.monitoring.panels import Board, Query, graph
from scripts.monitoring.queries import RATE, quantile, rates_that_occur, spread

CALLS_AND_LOG = Board(
    uid="longstream-calls-and-log",
    title="Longstream / gRPC and Kafka",
    about="Calls by rate, errors and duration; the log by lag, commits, retries and dead letters.",
    rows=(
        (
            "Calls",
            (
                graph(
                    "Calls a second",
                    "By service and method.",
                    Query("sum(job_method:grpc_calls:rate5m)", "in all"),
                    Query("job_method:grpc_calls:rate5m > 0", "{{job}} {{grpc_method}}", rare=True),
                    unit="reqps",
                ),
                graph(
                    "Calls that were not OK",
                    "By service and code.",
                    *rates_that_occur(
                        "grpc_server_handled_total",
                        "job, grpc_code",
                        "{{job}} {{grpc_code}}",
                        'grpc_code!="OK"',
                    ),
                    unit="reqps",
                ),
                graph(
                    "Duration",
                    "Watch streams apart.",
                    *spread("grpc_server_handling_seconds", 'grpc_method!~"Watch.*"', "job"),
                    unit="s",
                    exemplars=True,
                ),
                graph(
                    "Budget of faults used",
                    "Share of calls answered with a fault of ours in the last hour; the objective is 0.1 %.",
                    Query("job:grpc_faults:ratio_rate1h", "{{job}}"),
                    unit="percentunit",
                    red_above=0.001,
                ),
            ),
        ),
        (
            "The log",
            (
                graph(
                    "Lag",
                    "Records that are not committed, in hand or not.",
                    Query("job_topic:worker_lag:records", "{{topic}}"),
                ),
                graph(
                    "In hand",
                    "Records taken and not committed.",
                    Query("sum by (topic) (worker_in_flight_records)", "{{topic}}"),
                ),
                graph(
                    "Time to handle a record",
                    "From its first try to its outputs, retries included.",
                    quantile(0.99, "worker_handle_seconds", "topic", "{{topic}} 99 %"),
                    unit="s",
                    exemplars=True,
                ),
                graph(
                    "Time of a commit",
                    "Outputs and positions in one act, waiting included.",
                    quantile(0.5, "worker_commit_seconds", "topic", "{{topic}} half"),
                    quantile(0.99, "worker_commit_seconds", "topic", "{{topic}} 99 %"),
                    unit="s",
                ),
                graph(
                    "Retries a second",
                    "By reason: what the services wait for.",
                    *rates_that_occur("worker_retries_total", "job, reason", "{{job}} {{reason}}"),
                    unit="ops",
                ),
                graph(
                    "Dead letters",
                    "In the last hour, by topic and reason.",
                    Query("sum(increase(dlq_records_total[1h]))", "in all"),
                    Query(
                        "sum by (topic, reason) (increase(dlq_records_total[1h])) > 0",
                        "{{topic}} {{reason}}",
                        rare=True,
                    ),
                    red_above=1,
                ),
            ),
        ),
        (
            "Processes",
            (
                graph(
                    "CPU",
                    "Cores in use; engines and training children have processes of their own.",
                    Query(f"sum by (job) (rate(process_cpu_seconds_total{RATE}))", "{{job}}"),
                    unit="none",
                ),
                graph(
                    "Memory",
                    "Resident bytes.",
                    Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
                    unit="bytes",
                ),
            ),
        ),
    ),
)

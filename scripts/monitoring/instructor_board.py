"""The board of what the instructor and its vLLM do."""

from __future__ import annotations

from scripts.monitoring.panels import Board, Query, graph
from scripts.monitoring.queries import RATE, rate, rates_that_occur, spread

INSTRUCTOR = Board(
    uid="longstream-instructor",
    title="Longstream / Instructor and vLLM",
    about="How fast instructions are written, what is refused, and how full the engine is.",
    rows=(
        (
            "Instructions",
            (
                graph(
                    "Accepted, by style",
                    "Documents that got their instruction.",
                    rate("instructor_instructions_total", "style", "{{style}}"),
                    unit="ops",
                ),
                graph(
                    "Refused, by reason",
                    "Documents left without one; each has its row in the log.",
                    *rates_that_occur("instructor_refusals_total", "reason", "{{reason}}"),
                    unit="ops",
                ),
                graph(
                    "Documents waiting",
                    "Selected, not written yet.",
                    Query('job_topic:worker_lag:records{topic="selected"}', "waiting"),
                ),
                graph(
                    "Shown in part",
                    "Documents too long for the prompt, shown as head and tail.",
                    Query(f"sum(rate(instructor_excerpts_total{RATE}))", "excerpts"),
                    unit="ops",
                ),
                graph(
                    "Requests for an instruction",
                    "Asked of the model, and replies that were remembered from before and cost nothing.",
                    Query(f"sum(rate(instructor_tries_total{RATE}))", "asked for"),
                    Query(f"sum(rate(instructor_remembered_replies_total{RATE}))", "remembered"),
                    unit="ops",
                ),
                graph(
                    "Answers refined, by outcome",
                    "Refined, or why the answer stays as it came.",
                    *rates_that_occur("instructor_refinements_total", "outcome", "{{outcome}}"),
                    unit="ops",
                ),
                graph(
                    "Scores that could not be read",
                    "Replies to the question how well instruction and document fit.",
                    *rates_that_occur("instructor_score_failures_total", "reason", "{{reason}}"),
                    unit="ops",
                    width=24,
                ),
            ),
        ),
        (
            "Requests to engines",
            (
                graph(
                    "Requests a second",
                    "By what was asked and how it ended.",
                    rate('engine_requests_total{outcome="ok"}', "job, call", "{{job}} {{call}}"),
                    Query(
                        f'sum by (job, outcome) (rate(engine_requests_total{{outcome!="ok"}}{RATE})) > 0',
                        "{{job}} {{outcome}}",
                        rare=True,
                    ),
                    unit="reqps",
                ),
                graph(
                    "Duration",
                    "From asking the engine to its answer, queue included.",
                    *spread("engine_request_seconds", 'job=~"instructor|judge"', "job"),
                    unit="s",
                    exemplars=True,
                ),
                graph(
                    "Tokens a second",
                    "Prompts and completions.",
                    rate("engine_prompt_tokens_total", "job", "{{job}} prompt"),
                    rate("engine_completion_tokens_total", "job", "{{job}} completion"),
                    unit="none",
                ),
                graph(
                    "Under way, and engines ready",
                    "Requests asked and not answered.",
                    Query("sum by (job) (engine_in_flight_requests)", "{{job}} under way"),
                    Query("sum by (job) (engine_ready)", "{{job}} ready"),
                ),
            ),
        ),
        (
            "Inside vLLM",
            (
                graph(
                    "Running and waiting",
                    "Requests in the engine's batch and in its queue.",
                    Query("sum by (job) (vllm_num_requests_running)", "{{job}} running"),
                    Query("sum by (job) (vllm_num_requests_waiting)", "{{job}} waiting"),
                ),
                graph(
                    "Key-value cache in use",
                    "Above 95 % work is thrown away and done again.",
                    Query("max by (job) (vllm_kv_cache_usage_perc)", "{{job}}"),
                    unit="percentunit",
                    red_above=0.95,
                ),
                graph(
                    "Prefix cache hits",
                    "Share of prompt tokens that were not computed again.",
                    Query(
                        f"sum by (job) (rate(vllm_prefix_cache_hits_total{RATE}))"
                        f" / sum by (job) (rate(vllm_prefix_cache_queries_total{RATE}))",
                        "{{job}}",
                    ),
                    unit="percentunit",
                ),
                graph(
                    "Time to the first token",
                    "What queue and prompt cost.",
                    *spread("vllm_time_to_first_token_seconds", 'job=~"instructor|judge"', "job"),
                    unit="s",
                ),
                graph(
                    "Tokens computed a second",
                    "As the engine counts them.",
                    rate("vllm_prompt_tokens_total", "job", "{{job}} prompt"),
                    rate("vllm_generation_tokens_total", "job", "{{job}} generation"),
                    unit="none",
                ),
                graph(
                    "Preemptions a second",
                    "Requests that were thrown out of the cache.",
                    rate("vllm_num_preemptions_total", "job", "{{job}}"),
                    unit="ops",
                ),
            ),
        ),
    ),
)

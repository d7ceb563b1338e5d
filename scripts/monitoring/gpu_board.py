"""The board of what devices do, and of training on them."""

from __future__ import annotations

from scripts.monitoring.panels import Board, Query, graph, number
from scripts.monitoring.queries import CHOSEN, age, fact

GPU_JOBS = Board(
    uid="longstream-gpu-jobs",
    title="Longstream / GPU jobs",
    about="What devices do, and how the training on them comes along. The last row needs DCGM's exporter, the one "
    "before it training on Kubernetes.",
    by_pipeline=True,
    rows=(
        (
            "Training now",
            (
                number(
                    "Step",
                    "Optimizer steps of the running attempt, and how many it will make.",
                    fact("trainer_step", "{{pipeline}}"),
                    fact("trainer_planned_steps", "{{pipeline}} planned"),
                ),
                number(
                    "Silent for",
                    "Since the attempt began or reported its latest step.",
                    Query('pipeline:training_silence:seconds{pipeline=~"$pipeline"}', "{{pipeline}}"),
                    unit="s",
                    red_above=1800,
                ),
                number(
                    "Time left",
                    "Steps that are left times the duration of the latest one.",
                    Query(
                        f"(max by (pipeline) (trainer_planned_steps{CHOSEN})"
                        f" - max by (pipeline) (trainer_step{CHOSEN}))"
                        f" * max by (pipeline) (trainer_step_seconds{CHOSEN})",
                        "{{pipeline}}",
                    ),
                    unit="s",
                ),
                number(
                    "Jobs waiting and running",
                    "In the log, whichever replica owns them.",
                    fact("trainer_open_jobs", "{{pipeline}} {{state}}", "state"),
                ),
            ),
        ),
        (
            "Learning",
            (
                graph(
                    "Loss",
                    "Nats per supervised token, under NEFTune's noise.",
                    fact("trainer_loss"),
                    unit="none",
                    width=8,
                ),
                graph(
                    "Gradient norm",
                    "Before clipping; a norm that grows comes before a loss that does.",
                    fact("trainer_gradient_norm"),
                    unit="none",
                    width=8,
                ),
                graph(
                    "Learning rate",
                    "As the schedule has it.",
                    fact("trainer_learning_rate"),
                    unit="none",
                    width=8,
                ),
                graph(
                    "NEFTune's effective alpha",
                    "The alpha that the noise acted like, as measured; it should lie on the recipe's.",
                    fact("trainer_neftune_effective_alpha"),
                    unit="none",
                ),
                graph(
                    "Checkpoint's age",
                    "What a lost node would cost.",
                    age("trainer_checkpoint_timestamp_seconds"),
                    unit="s",
                ),
            ),
        ),
        (
            "Speed",
            (
                graph(
                    "Tokens a second",
                    "Real tokens of the latest step over its duration.",
                    fact("trainer_tokens_per_second"),
                    unit="none",
                ),
                graph(
                    "Share of useful tokens",
                    "Real tokens over computed positions: the rest is padding.",
                    fact("trainer_useful_tokens_ratio"),
                    unit="percentunit",
                ),
                graph(
                    "FLOP a second",
                    "What the model needed for the latest step over its duration.",
                    fact("trainer_flops_per_second", "{{pipeline}} FLOP/s"),
                    unit="flops",
                ),
                graph(
                    "Model FLOPs utilisation",
                    "The same over what the devices could have done (PaLM, appendix B).",
                    fact("trainer_mfu_ratio"),
                    unit="percentunit",
                ),
                graph(
                    "Memory of the attempt",
                    "The most that its first process held: of its GPU, or of the machine where there is none.",
                    fact("trainer_memory_bytes"),
                    unit="bytes",
                    width=8,
                ),
                graph(
                    "GPU time",
                    "That all jobs in the log have held.",
                    fact("trainer_gpu_seconds"),
                    unit="s",
                    width=8,
                ),
                graph(
                    "Cost",
                    "The same at the price that LONGSTREAM_GPU_HOUR_COST tells.",
                    Query(
                        f"max by (pipeline) (trainer_gpu_seconds{CHOSEN}) / 3600"
                        " * on () group_left () max(longstream_gpu_hour_cost)",
                        "{{pipeline}}",
                    ),
                    unit="none",
                    width=8,
                ),
            ),
        ),
        (
            "Pods of training Jobs, as they see themselves",
            (
                graph(
                    "Step of the pod",
                    "Also while the log is away, without which the trainer sees nothing.",
                    fact("training_step", "{{pipeline}} {{pod}}", "pod", rare=True),
                    width=8,
                ),
                graph(
                    "Loss in the pod",
                    "Nats per supervised token; the first pod of a job reports for all.",
                    fact("training_loss", "{{pipeline}} {{pod}}", "pod", rare=True),
                    unit="none",
                    width=8,
                ),
                graph(
                    "Seconds of a step",
                    "Where it differs from one pod of a pipeline to the next, look at their nodes.",
                    fact("training_step_seconds", "{{pipeline}} {{pod}}", "pod", rare=True),
                    unit="s",
                    width=8,
                ),
            ),
        ),
        (
            "Devices (DCGM)",
            (
                graph(
                    "Busy",
                    "Share of time in which the graphics engine was active, by pod and GPU.",
                    Query("avg by (pod, gpu) (DCGM_FI_PROF_GR_ENGINE_ACTIVE)", "{{pod}} {{gpu}}"),
                    unit="percentunit",
                ),
                graph(
                    "Tensor cores busy",
                    "Where it is far below busy, kernels wait for memory.",
                    Query("avg by (pod, gpu) (DCGM_FI_PROF_PIPE_TENSOR_ACTIVE)", "{{pod}} {{gpu}}"),
                    unit="percentunit",
                ),
                graph(
                    "Memory in use",
                    "Framebuffer used over used and free.",
                    Query(
                        "max by (pod, gpu) (DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE))",
                        "{{pod}} {{gpu}}",
                    ),
                    unit="percentunit",
                    width=8,
                ),
                graph(
                    "Power",
                    "A device that is busy and far below its limit waits for something.",
                    Query("max by (pod, gpu) (DCGM_FI_DEV_POWER_USAGE)", "{{pod}} {{gpu}}"),
                    unit="watt",
                    width=8,
                ),
                graph(
                    "Temperature",
                    "Near its limit a device slows itself down.",
                    Query("max by (pod, gpu) (DCGM_FI_DEV_GPU_TEMP)", "{{pod}} {{gpu}}"),
                    unit="celsius",
                    width=8,
                ),
                number(
                    "Last XID",
                    "The driver's latest error code on each GPU; 0 is none.",
                    Query("max by (pod, gpu) (DCGM_FI_DEV_XID_ERRORS)", "{{pod}} {{gpu}}"),
                    red_above=1,
                    width=12,
                ),
                number(
                    "Busy, by service",
                    "Engine activity joined with whose pod it is.",
                    Query("avg by (job) (job_pod:gpu_busy:ratio)", "{{job}}"),
                    unit="percentunit",
                    width=12,
                ),
            ),
        ),
    ),
)

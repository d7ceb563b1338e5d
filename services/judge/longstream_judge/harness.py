"""Tasks of the LM Evaluation Harness, asked of the suite's own engines; the harness makes prompts and figures.

A model answers here as it is served: vLLM with an adapter, transformers, or an endpoint. Prompts are plain text as the
harness writes them, and are data: none of it becomes a control token. Data sets must be here, in files that a task
names or in the hub's cache; nothing is fetched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from longstream.commands.engine import steadily
from longstream.commands.together import in_order
from longstream.errors import InvalidInput
from longstream.llm.model_files import stay_offline
from longstream.llm.types import Adapter, LanguageModel, Part, Prompt, Sampling

_KINDS = ("multiple_choice", "generate_until")
_MAX_TOKENS = 256
"""Of an answer where a task does not say; the harness's own."""
_KEPT = (
    *("doc_id", "doc", "target", "resps", "filtered_resps", "filter", "metrics"),
    *("doc_hash", "prompt_hash", "target_hash"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Which tasks, and how. folder: of tasks beside the harness's own; a task may be code, so only one's own will do.

    shots: examples before each question; None: as many as the task says. limit: questions of each task; None: all.
    """

    tasks: tuple[str, ...]
    folder: Path | None = None
    shots: int | None = None
    limit: int | None = None
    adapter: Adapter | None = None
    in_flight: int = 32
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric of a task, through one filter of the answers."""

    task: str
    filter: str
    metric: str
    value: float
    standard_error: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """samples: by task, as the harness logs them."""

    figures: list[Figure]
    samples: Mapping[str, list[dict[str, Any]]]


def run_tasks(model: LanguageModel, how: Asking, progress: Callable[[int, int], None]) -> Outcome:
    """Ask everything. progress: answers that are there, of how many. Raises InvalidInput, or as the model does."""
    harness = _harness()
    manager = harness.manager(include_path=None if how.folder is None else str(how.folder))
    known = set(manager.all_tasks)
    if unknown := [name for name in how.tasks if name not in known]:
        raise InvalidInput(f"the harness knows no task {', '.join(unknown)}; --tasks-folder adds one's own")
    for name, task in manager.load(list(how.tasks))["tasks"].items():
        if task.OUTPUT_TYPE not in _KINDS:
            raise InvalidInput(
                f"{name} is of the kind {task.OUTPUT_TYPE}; here are asked {' and '.join(_KINDS)}"
            )
    found = harness.evaluate(
        model=harness.adapter(partial(_answers, model, how, progress), model.identity.model),
        tasks=list(how.tasks),
        task_manager=manager,
        num_fewshot=how.shots,
        limit=how.limit,
    )
    samples = {
        task: [{name: row[name] for name in (*_KEPT, *row["metrics"]) if name in row} for row in rows]
        for task, rows in found["samples"].items()
    }
    return Outcome(figures=list(_figures(found)), samples=samples)


def _answers(
    model: LanguageModel, how: Asking, progress: Callable[[int, int], None], requests: Sequence[Any]
) -> list[Any]:
    """Of the harness's requests, in their order."""
    answers = []
    for _, answer in in_order(requests, partial(_answer, model, how), how.in_flight):
        answers.append(answer)
        progress(len(answers), len(requests))
    return answers


def _answer(model: LanguageModel, how: Asking, request: Any) -> Any:
    context, asked = request.args
    if request.request_type == "generate_until":
        sampling = _sampling(asked)
        done = partial(
            model.generate, _prompt(context), sampling, adapter=how.adapter, timeout_s=how.timeout_s
        )
        return steadily(model, done).text
    # As the harness has it: spaces at a context's end belong to what follows.
    bare = context.rstrip(" ")
    rest = context[len(bare) :] + asked
    scored = partial(model.score, _prompt(bare), rest, adapter=how.adapter, timeout_s=how.timeout_s)
    # Whether the choice is what the model would have written itself is asked by no task that is admitted.
    return steadily(model, scored).log_probability, False


def _prompt(context: str) -> Prompt:
    if not context.strip():
        raise InvalidInput("a task asks without a word of context; the engines want some")
    return Prompt((Part(context, data=True),))


def _sampling(asked: Mapping[str, Any]) -> Sampling:
    """A request's own settings. Raises InvalidInput for what an engine here does not have."""
    names = {"until", "max_gen_toks", "do_sample", "temperature", "top_p"}
    if unknown := sorted(set(asked) - names):
        raise InvalidInput(
            f"a task wants {', '.join(unknown)} of generation; known are {', '.join(sorted(names))}"
        )
    until = asked.get("until") or ()
    sampled = asked.get("do_sample", float(asked.get("temperature") or 0) > 0)
    return Sampling(
        max_tokens=int(asked.get("max_gen_toks", _MAX_TOKENS)),
        temperature=float(asked.get("temperature") or 1.0) if sampled else 0.0,
        top_p=float(asked.get("top_p", 1.0)),
        seed=0 if sampled else None,
        stop=(until,) if isinstance(until, str) else tuple(until),
    )


def _figures(found: Mapping[str, Any]) -> Iterator[Figure]:
    for task, values in found["results"].items():
        for name, value in values.items():
            metric, comma, through = name.partition(",")
            if comma and not metric.endswith("_stderr") and isinstance(value, int | float):
                error = values.get(f"{metric}_stderr,{through}")
                yield Figure(
                    task=task,
                    filter=through,
                    metric=metric,
                    value=float(value),
                    standard_error=float(error) if isinstance(error, int | float) else None,
                    n=found["n-samples"][task]["effective"],
                )


@dataclass(frozen=True, slots=True)
class _Harness:
    manager: Callable[..., Any]
    evaluate: Callable[..., Any]
    adapter: Callable[..., Any]


def _harness() -> _Harness:
    """The package, where it is installed; offline before it is imported, since it looks at the environment then."""
    stay_offline()
    os.environ.update(
        {"HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
    )
    try:
        from lm_eval.api.model import LM
        from lm_eval.evaluator import simple_evaluate
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise InvalidInput(
            f"the LM Evaluation Harness is not here ({error}): pip install 'longstream-judge[tasks]'"
        ) from error

    class Served(LM):  # type: ignore[misc]
        """The harness's view of a model that is served here."""

        def __init__(self, answers: Callable[[Sequence[Any]], list[Any]], name: str) -> None:
            super().__init__()
            self._answers = answers
            self._name = name

        @property
        def tokenizer_name(self) -> str:
            return self._name

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            del disable_tqdm
            return self._answers(requests)

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            del disable_tqdm
            return self._answers(requests)

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
            raise InvalidInput(
                "perplexity of whole texts is no task here; `longstream evaluate` has bits per byte"
            )

    return _Harness(TaskManager, simple_evaluate, Served)

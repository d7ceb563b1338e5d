"""Setting up an evaluation: which rows are asked about, which engines serve candidate, champion and judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from longstream import pipeline as pipelines
from longstream.data.contamination import Contamination
from longstream.data.releases import release_rows
from longstream.ids import digest
from longstream.llm.types import Adapter, LanguageModel
from longstream.pipeline import Pipeline, Prompted
from longstream.storage import Storage
from longstream.v1.records_pb2 import Model, Release
from longstream_judge import presets
from longstream_judge.calibration import Known
from longstream_judge.ledger import Ledger
from longstream_judge.policy import Policy
from longstream_judge.seats import Seat, Seated
from longstream_judge.spec import Contestant, EvaluationSpec, Example, Models

READY_S = 600.0
"""How long an engine may take to load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Where answers come from.

    judges: always open. judge_serves: whether the first one's engine also runs that base model. open_weights: loads
    another model, by path or hub id, for the time of an evaluation. together: whether two such models are loaded
    side by side, else one after the other. remembering: a model around another that keeps its replies under the name
    of an evaluation, so that one that is begun again pays for nothing twice.
    """

    judges: tuple[LanguageModel, ...]
    judge_serves: Callable[[str], bool]
    open_weights: Callable[[str], LanguageModel]
    remembering: Callable[[LanguageModel, str], LanguageModel]
    together: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the log says of a pipeline's earlier evaluations.

    tests: of each that spent its level, whether it promoted for good. spread: of preferences in the last one, None if
    there was none. canaries_key, canaries_address: of the last one that handed pairs on.
    """

    tests: tuple[bool, ...] = ()
    spread: float | None = None
    canaries_key: str = ""
    canaries_address: str = ""


def spec_for(
    model: Model, release: Release, storage: Storage, before: Before | None = None
) -> EvaluationSpec:
    """What is asked, from the pipeline revision that the model was made under and its release's held-out rows."""
    before = before or Before()
    pipeline = pipelines.of_revision(model.revision)
    asked = pipeline.evaluate
    policy = Policy.from_mapping(asked.gate)
    if policy.other_family is None:
        policy = replace(policy, other_family=pipeline.profile == "production")
    heldout = list(_drawn(_heldout(release, storage), pipeline))[: asked.max_prompts]
    prompts = (list(map(_given, asked.prompts)) or heldout)[: asked.max_prompts]
    clean = _clean(prompts, release, storage)
    return EvaluationSpec(
        prompts=clean,
        heldout=heldout,
        known=[Known(id=row.id, question=row.question, answer=row.response) for row in heldout],
        policy=policy,
        template=model.template,
        sampling=presets.sampling(asked.decoding, asked.max_tokens, asked.min_tokens),
        seed=pipeline.split.seed,
        anchors=asked.anchors,
        way=asked.way,
        rubric=asked.rubric,
        references=asked.references,
        level=policy.level(before.tests),
        spread=before.spread,
        contaminated=len(prompts) - len(clean),
    )


def with_family(spec: EvaluationSpec, models: Models) -> EvaluationSpec:
    """The same, with what is to be said of judges that are of the candidate's own model family."""
    own = models.candidate.model.identity.family
    kin = [judge.identity.model for judge in models.judges if own and judge.identity.family == own]
    if not kin:
        return spec
    said = (
        f"{' and '.join(kin)} judges a model of its own family, {own}: judges prefer what is like themselves"
    )
    if spec.policy.other_family:
        return replace(spec, objections=(*spec.objections, said))
    return replace(spec, notes=(*spec.notes, said))


@contextmanager
def contestants(
    engines: Engines, storage: Storage, cache: Path, candidate: Model, champion: Model | None
) -> Iterator[Models]:
    """Open what the two need beside the judge's engine; closed at the end of the block."""
    with ExitStack() as stack:
        opened: dict[str, LanguageModel] = {}
        seat = Seat()

        def serving(name: str) -> LanguageModel:
            if engines.judge_serves(name):
                return engines.judges[0]
            if name not in opened:
                own = Seat() if engines.together else seat
                model = Seated(partial(engines.open_weights, name), own, READY_S)
                opened[name] = stack.enter_context(closing(model))
            return opened[name]

        def contestant(model: Model | None) -> Contestant:
            if model is None:
                return Contestant(model=serving(candidate.base_model))
            folder = storage.fetch_tree(model.address, cache / model.id)
            if model.kind == Model.KIND_WEIGHTS:
                return Contestant(model=serving(str(folder)))
            return Contestant(model=serving(model.base_model), adapter=Adapter(model.id, str(folder)))

        for judge in engines.judges:
            judge.wait_ready(READY_S)
        # The candidate is asked first, so it had better be loaded last.
        reigning = contestant(champion)
        yield Models(judges=engines.judges, candidate=contestant(candidate), champion=reigning)


def remembered(models: Models, engines: Engines, evaluation_id: str, ledger: Ledger) -> Models:
    """The same, but what was asked in this evaluation before is not asked again; what is asked is counted."""
    made: dict[int, LanguageModel] = {}

    def around(model: LanguageModel) -> LanguageModel:
        if id(model) not in made:
            made[id(model)] = ledger.asked(engines.remembering(ledger.paid(model), evaluation_id))
        return made[id(model)]

    return Models(
        judges=tuple(map(around, models.judges)),
        candidate=replace(models.candidate, model=around(models.candidate.model)),
        champion=replace(models.champion, model=around(models.champion.model)),
    )


def _given(prompt: str | Prompted) -> Example:
    if isinstance(prompt, str):
        return Example(id=digest("prompt", prompt), instruction=prompt)
    name = digest("prompt", prompt.instruction, prompt.input)
    return Example(
        id=name,
        instruction=prompt.instruction,
        input=prompt.input,
        response=prompt.reference,
        slice=prompt.slice,
    )


def _heldout(release: Release, storage: Storage) -> Iterator[Example]:
    columns = ("example_id", "instruction", "input", "response", "source", "split")
    for row in release_rows(storage, release, columns):
        if row["split"] == "test":
            yield Example(
                id=row["example_id"],
                instruction=row["instruction"],
                input=row["input"],
                response=row["response"],
                slice=row["source"],
            )


def _clean(prompts: Sequence[Example], release: Release, storage: Storage) -> list[Example]:
    """Those that share no run of words with a row that was trained on: what a model has seen shows nothing."""
    known = Contamination(prompt.question for prompt in prompts)
    columns = ("instruction", "input", "response", "split")
    seen: set[int] = set()
    for row in release_rows(storage, release, columns):
        if row["split"] == "train":
            seen |= known.touched(row["instruction"], row["input"], row["response"])
    return [prompt for place, prompt in enumerate(prompts) if place not in seen]


def _drawn(rows: Iterable[Example], pipeline: Pipeline) -> list[Example]:
    """In an order drawn by seed, so that the first n are a sample and not the n longest."""
    return sorted(rows, key=lambda row: digest("evaluate", pipeline.split.seed, row.id))

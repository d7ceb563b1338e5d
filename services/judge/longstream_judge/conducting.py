"""What runs in an evaluation's thread: models are opened, the evaluation is held, its engines' bill is drawn up."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

from longstream import pipeline as pipelines
from longstream.errors import Unavailable
from longstream.pipeline import Evaluate, Pipeline
from longstream.storage import Storage
from longstream.telemetry import parse_traceparent, trace
from longstream.template import template_named
from longstream.v1.records_pb2 import Evaluation, Model, Release
from longstream.view import View
from longstream_judge import canaries
from longstream_judge.answering import Run
from longstream_judge.asking import Asker
from longstream_judge.contest import READY_S, Before, Engines, contestants, remembered, spec_for, with_family
from longstream_judge.drift import Drift
from longstream_judge.evaluation import evaluate
from longstream_judge.grading import panel
from longstream_judge.ledger import Account, Ledger
from longstream_judge.planning import Plan
from longstream_judge.policy import Policy
from longstream_judge.run import EvaluationRun
from longstream_judge.spec import Canary, EvaluationResult, EvaluationSpec
from longstream_judge.ways import way_named

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What an evaluation is held with: facts of the log, objects, engines, and a folder for models."""

    models: View[Model]
    releases: View[Release]
    storage: Storage
    engines: Engines
    cache_dir: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Conducted:
    """What came of it. result: None for a recheck.

    canaries_address: of pairs to be seen again, where the judges are those of the evaluation before; else `canaries`
    are to be stored, if there are any.
    """

    result: EvaluationResult | None
    drift: Drift | None
    account: Account
    canaries_key: str
    canaries_address: str
    canaries: tuple[Canary, ...] = ()


def conduct(
    means: Means,
    evaluation: Evaluation,
    before: Before,
    run: EvaluationRun[Conducted],
    stop: Event,
) -> Conducted:
    """Hold an evaluation. Raises Unavailable while the model, its release or the champion is not known here."""
    candidate, champion, release = _facts(means, evaluation)
    asked = pipelines.of_revision(candidate.revision).evaluate
    ledger = Ledger()
    with (
        trace(parse_traceparent(evaluation.trace)),
        contestants(means.engines, means.storage, means.cache_dir, candidate, champion) as opened,
    ):
        models = remembered(opened, means.engines, evaluation.id, ledger)
        key = _key(means, asked)
        spec = spec_for(candidate, release, means.storage, before)
        spec = with_family(replace(spec, canaries=_known(means, before, key)), models)
        result = evaluate(spec, models, run.progressed, stop, partial(_planned, run))
    return Conducted(
        result=result,
        drift=result.drift,
        account=ledger.account,
        canaries_key=key,
        canaries_address=before.canaries_address if before.canaries_key == key else "",
        canaries=tuple(result.canaries),
    )


def recheck(
    means: Means, pipeline: Pipeline, before: Before, run: EvaluationRun[Conducted], stop: Event
) -> Conducted:
    """Have the judges see pairs again that they saw before, and nothing else."""
    key, ledger = _key(means, pipeline.evaluate), Ledger()
    policy = Policy.from_mapping(pipeline.evaluate.gate)
    spec = EvaluationSpec(
        prompts=(),
        heldout=(),
        known=(),
        policy=policy,
        canaries=_known(means, before, key),
        way=pipeline.evaluate.way,
    )
    asker = Asker(spec.patience, run.progressed, stop)
    judges = [ledger.asked(ledger.paid(judge)) for judge in means.engines.judges]
    found = panel(Run(spec, template_named(spec.template), asker), judges).drift()
    address = before.canaries_address if before.canaries_key == key else ""
    return Conducted(
        result=None, drift=found, account=ledger.account, canaries_key=key, canaries_address=address
    )


def _planned(run: EvaluationRun[Conducted], plan: Plan) -> None:
    _log.info("evaluation planned", extra={"plan": plan.text})
    run.planned(plan)


def _facts(means: Means, evaluation: Evaluation) -> tuple[Model, Model | None, Release]:
    prefix = f"{evaluation.pipeline}/"
    candidate = means.models.get(prefix + evaluation.model_id)
    champion = means.models.get(prefix + evaluation.champion_id) if evaluation.champion_id else None
    release = means.releases.get(prefix + candidate.release_id) if candidate is not None else None
    if candidate is None or release is None or (evaluation.champion_id and champion is None):
        raise Unavailable("the model that is evaluated, its release or the champion is not known here yet")
    return candidate, champion, release


def _key(means: Means, asked: Evaluate) -> str:
    for judge in means.engines.judges:
        judge.wait_ready(READY_S)
    judges = [judge.identity for judge in means.engines.judges]
    return canaries.key(judges, way_named(asked.way).revision, asked.epoch)


def _known(means: Means, before: Before, key: str) -> tuple[Canary, ...]:
    if not before.canaries_address or before.canaries_key != key:
        return ()
    return canaries.read(means.storage.get(before.canaries_address))

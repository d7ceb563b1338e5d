"""The judge as a program: an engine, owners over `judging` that run evaluations, and the calls."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from longstream.components import Closing
from longstream.llm import LanguageModel, open_model
from longstream.llm.component import ModelComponent
from longstream.llm.devices import gpus_held
from longstream.llm.metered import EngineMetrics
from longstream.llm.replies import RememberingModel, ReplyStore
from longstream.runtime import Runtime, load, open_runtime
from longstream.topics import EVALUATIONS, JUDGING, JUDGING_STATE, MODELS, PROMOTIONS, RELEASES
from longstream.v1.judge_pb2_grpc import add_JudgeServiceServicer_to_server
from longstream.v1.records_pb2 import Evaluation, Model, OwnerState, Promotion, Release
from longstream.view import View
from longstream_judge.comparing import Comparer
from longstream_judge.conducting import Means
from longstream_judge.contest import Engines
from longstream_judge.metrics import JudgeMetrics, JudgingFacts
from longstream_judge.owner import JudgeParts, JudgingOwner
from longstream_judge.service import JudgeService, JudgeViews
from longstream_judge.settings import JudgeSettings


def main() -> None:
    """Run until SIGTERM."""
    with open_runtime("judge", (JUDGING,)) as runtime:
        settings = load(JudgeSettings, "JUDGE_")
        # Candidate and champion may both be adapters on one engine.
        options = replace(settings.engine, max_adapters=max(2, settings.engine.max_adapters))
        engines = EngineMetrics(runtime.metrics)

        def opened(url: str) -> LanguageModel:
            return engines.metered(open_model(url, options), partial(gpus_held, url))

        model = opened(settings.engine_url)
        others = tuple(map(opened, settings.panel_urls))
        told = JudgeMetrics(runtime.metrics, tuple(runtime.pipelines))
        replies = ReplyStore(settings.cache_dir / "replies", int(settings.replies_mib * 1024**2))
        models = runtime.view(MODELS, Model)
        views = _views(runtime, models)
        JudgingFacts(views.evaluations, views.promotions).show(runtime.metrics, tuple(runtime.pipelines))
        means = Means(
            storage=runtime.storage,
            models=models,
            releases=runtime.view(RELEASES, Release),
            engines=Engines(
                judges=(model, *others),
                judge_serves=partial(serves, settings.engine_url),
                open_weights=lambda name: opened(f"{settings.weights_engine}:{name}"),
                together=settings.weights_together,
                remembering=lambda one, name: RememberingModel(one, replies, told.remembered, scope=name),
            ),
            cache_dir=settings.cache_dir,
        )
        parts = JudgeParts(bus=runtime.bus, means=means, metrics=told, max_attempts=settings.max_attempts)
        owner = JudgingOwner(runtime.keys, runtime.pipelines, parts)
        port = runtime.port(JUDGING, runtime.view(JUDGING_STATE, OwnerState))
        comparer = Comparer(judges=(model, *others), metrics=told, in_flight=settings.in_flight)
        service = JudgeService(port, views, frozenset(runtime.pipelines), comparer)
        runtime.run(
            [partial(add_JudgeServiceServicer_to_server, service)],
            [
                *map(ModelComponent, (model, *others)),
                Closing(replies.close),
                Closing(owner.close),
                runtime.worker(JUDGING, owner),
            ],
        )


def _views(runtime: Runtime, models: View[Model]) -> JudgeViews:
    return JudgeViews(
        evaluations=runtime.view(EVALUATIONS, Evaluation),
        promotions=runtime.view(PROMOTIONS, Promotion),
        models=models,
    )


def serves(engine_url: str, base: str) -> bool:
    """Whether the judge's engine also runs that base model; an endpoint's owner has to see to it."""
    kind, _, served = engine_url.partition(":")
    return kind == "openai" or served == base


if __name__ == "__main__":
    main()

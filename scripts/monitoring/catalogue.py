"""Every metric that the four services declare, by service, as their programs declare them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from longstream.llm.metered import EngineMetrics
from longstream.rpc_metrics import RpcMetrics
from longstream.runtime import declare_common
from longstream.telemetry import Declared, Metrics
from longstream.topics import CURATION, EXAMPLES, JUDGING, SELECTED, TRAINING
from longstream.worker_metrics import WorkerMetrics
from longstream_curator.metrics import CurationFacts, CuratorMetrics
from longstream_instructor.metrics import InstructorMetrics
from longstream_judge.metrics import JudgeMetrics, JudgingFacts
from longstream_trainer import pod_metrics
from longstream_trainer.metrics import TrainerMetrics, TrainingFacts

_READS = {
    "curator": (EXAMPLES, CURATION),
    "instructor": (SELECTED,),
    "trainer": (TRAINING,),
    "judge": (JUDGING,),
}
_PIPELINES = ("p",)


def catalogue() -> Mapping[str, tuple[Declared, ...]]:
    """Service -> what it declares, in that order; nothing is opened and no value is set."""
    return {service: tuple(_declared(service)) for service in _READS}


def of_pods() -> tuple[Declared, ...]:
    """What the pod of a training Job declares."""
    metrics = Metrics(pod_metrics.SERVICE, CollectorRegistry())
    pod_metrics.PodMetrics(metrics, *_PIPELINES, attempt=1)
    return tuple(metrics.declared)


def by_name() -> Mapping[str, Declared]:
    """The same by name, whichever services declare it, and what pods of training Jobs declare."""
    listed = (*catalogue().values(), of_pods())
    return {declared.name: declared for each in listed for declared in each}


def _declared(service: str) -> list[Declared]:
    metrics = Metrics(service, CollectorRegistry())
    declare_common(metrics, revision="", gpu_hour_cost=0.0)
    RpcMetrics(metrics, ("/longstream.v1.Service/Call",))
    WorkerMetrics(metrics, _READS[service])
    unread: Any = None  # facts are looked up at a scrape, and there is none
    if service == "curator":
        CuratorMetrics(metrics, _PIPELINES)
        CurationFacts(unread, unread).show(metrics, _PIPELINES)
    elif service == "instructor":
        EngineMetrics(metrics)
        InstructorMetrics(metrics)
    elif service == "trainer":
        TrainerMetrics(metrics, _PIPELINES)
        TrainingFacts(unread, unread, unread).show(metrics, _PIPELINES)
    else:
        EngineMetrics(metrics)
        JudgeMetrics(metrics, _PIPELINES)
        JudgingFacts(unread, unread).show(metrics, _PIPELINES)
    return metrics.declared

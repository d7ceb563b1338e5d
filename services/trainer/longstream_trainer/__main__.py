"""The trainer as a program: owners over `training` that run attempts, here or as Jobs on a cluster, and the calls."""

from __future__ import annotations

from functools import partial

from longstream.components import Closing
from longstream.runtime import load, open_runtime
from longstream.storage import Storage
from longstream.topics import MODELS, PROMOTIONS, RELEASES, TRAINING, TRAINING_JOBS, TRAINING_STATE
from longstream.v1.records_pb2 import Model, OwnerState, Promotion, Release, TrainingJob
from longstream.v1.trainer_pb2_grpc import add_TrainerServiceServicer_to_server
from longstream_trainer.kubernetes_jobs import ClusterJobs, KubernetesLauncher
from longstream_trainer.launch import ChildLauncher, Launcher
from longstream_trainer.metrics import TrainerMetrics, TrainingFacts
from longstream_trainer.owner import TrainerOwner, TrainerParts
from longstream_trainer.retraining import Policy
from longstream_trainer.service import TrainerService, TrainerViews
from longstream_trainer.settings import TrainerSettings


def main() -> None:
    """Run until SIGTERM."""
    with open_runtime("trainer", (TRAINING,)) as runtime:
        settings = load(TrainerSettings, "TRAINER_")
        pipelines = tuple(runtime.pipelines)
        releases = runtime.view(RELEASES, Release)
        views = TrainerViews(
            jobs=runtime.view(TRAINING_JOBS, TrainingJob), models=runtime.view(MODELS, Model)
        )
        TrainingFacts(views.jobs, views.models, releases).show(runtime.metrics, pipelines)
        parts = TrainerParts(
            bus=runtime.bus,
            storage=runtime.storage,
            releases=releases,
            launcher=launcher(settings, runtime.storage),
            work_dir=settings.work_dir,
            metrics=TrainerMetrics(runtime.metrics, pipelines),
            max_attempts=settings.max_attempts,
            max_queued=settings.max_queued,
            policy=Policy(releases, views.models, runtime.view(PROMOTIONS, Promotion), runtime.storage),
        )
        owner = TrainerOwner(runtime.keys, runtime.pipelines, parts)
        port = runtime.port(TRAINING, runtime.view(TRAINING_STATE, OwnerState))
        service = TrainerService(runtime.bus, runtime.keys, port, views, frozenset(runtime.pipelines))
        runtime.run(
            [partial(add_TrainerServiceServicer_to_server, service)],
            [Closing(owner.close), runtime.worker(TRAINING, owner)],
        )


def launcher(settings: TrainerSettings, storage: Storage) -> Launcher:
    """Where attempts run. Raises InvalidInput outside a cluster if they are to run on one."""
    if settings.launcher == "process":
        return ChildLauncher(storage, settings.processes)
    return KubernetesLauncher(ClusterJobs(settings.job_template), storage)


if __name__ == "__main__":
    main()

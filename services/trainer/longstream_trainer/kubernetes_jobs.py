"""Launching an attempt as a Kubernetes Job, which outlives the service that created it.

The administrator's template, a suspended CronJob, says everything about the Job but what it works on: namespace, image,
devices, volumes, limits. It is read anew for each attempt. The launcher gives the Job a name that follows from job and
attempt, so that creating it twice finds the first one, and the arguments of `longstream_trainer.remote`. Where the
template is indexed its pods are several nodes that make one model, and are told where they meet. What it
says comes back through the control topic (owner.py); from the API comes only whether the Job still lives. Needed rights
in that namespace: create, get and delete Jobs, get the CronJob.
"""

from __future__ import annotations

import copy
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from longstream.errors import InvalidInput, SuiteError, Unavailable
from longstream.storage import Storage
from longstream_trainer.launch import Attempt
from longstream_trainer.report import Event, ExitCode

_log = logging.getLogger(__name__)

CONTAINER = "trainer"
"""Of the template's containers, the one that trains."""
LABEL = "longstream.dev/training-job"
_LOOK_EVERY_S = 2.0
_REPORTED_WITHIN_S = 60.0
"""After the end of a Job: its last report is in the topic by then, and is read before anything is made of the end."""
_TIMEOUT_S = (5.0, 15.0)
_GONE_WITHIN_S = 600.0
MEETING_PORT = 29_500
"""Of the first pod, where those of several nodes meet."""
_LOST_AFTER_S = 240.0
"""A pod that takes longer to end is on a node that nobody hears of: the cluster would wait for ever."""


class JobsApi(Protocol):
    """The four calls that are made, on one namespace."""

    def template(self) -> Mapping[str, Any]:
        """The administrator's CronJob as JSON. Raises Unavailable, also if there is none."""

    def create(self, job: Mapping[str, Any]) -> None:
        """Create; nothing happens if there is one of that name. Raises InvalidInput, Unavailable."""

    def get(self, name: str) -> Mapping[str, Any] | None:
        """The Job as JSON, or None if there is none. Raises Unavailable."""

    def delete(self, name: str) -> None:
        """Delete with its pods; nothing happens if there is none. Raises Unavailable."""


class ClusterJobs:
    """JobsApi over the cluster that this pod runs in, by its service account."""

    def __init__(self, template: str) -> None:
        """template: NAMESPACE/NAME of a CronJob; its namespace is where Jobs run."""
        from kubernetes import client, config

        try:
            config.load_incluster_config()
        except config.ConfigException as error:
            raise InvalidInput(
                f"no cluster to launch Jobs on ({error}); run in a pod whose service account token is mounted, or "
                "set TRAINER_LAUNCHER=process",
                field="launcher",
            ) from error
        self._namespace, _, self._template = template.partition("/")
        self._api = client.BatchV1Api()

    def template(self) -> Mapping[str, Any]:
        """The administrator's CronJob as JSON."""
        found = self._call("get", self._api.read_namespaced_cron_job, name=self._template)
        if found is None:
            # An administrator puts it there; the job waits until then.
            raise Unavailable(
                f"there is no CronJob {self._template} in namespace {self._namespace} to make training Jobs from"
            )
        return self._as_json(found)

    def create(self, job: Mapping[str, Any]) -> None:
        """Create; a Job of that name is left as it is."""
        self._call("create", self._api.create_namespaced_job, body=dict(job))

    def get(self, name: str) -> Mapping[str, Any] | None:
        """The Job as JSON."""
        found = self._call("get", self._api.read_namespaced_job, name=name)
        return None if found is None else self._as_json(found)

    def delete(self, name: str) -> None:
        """Delete; its pods first, so that the Job is gone only when they are."""
        self._call("delete", self._api.delete_namespaced_job, name=name, propagation_policy="Foreground")

    def _as_json(self, found: Any) -> Mapping[str, Any]:
        return dict(self._api.api_client.sanitize_for_serialization(found))

    def _call(self, verb: str, function: Any, **arguments: Any) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return function(namespace=self._namespace, _request_timeout=_TIMEOUT_S, **arguments)
        except ApiException as error:
            if error.status in {404, 409}:
                return None
            raise _refusal(verb, self._namespace, error.status, _words(error)) from error
        except (HTTPError, OSError) as error:
            raise Unavailable(f"the Kubernetes API does not answer: {type(error).__name__}") from error


def _words(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return str(error.reason)[:500]


def _refusal(verb: str, namespace: str, status: int, words: str) -> SuiteError:
    if status in {400, 422}:
        return InvalidInput(f"the cluster refuses the training Job, mend the template: {words}")
    # A missing right or an exhausted quota is mended by an administrator; until then the job waits.
    return Unavailable(f"may not {verb} Jobs in namespace {namespace} now ({status}): {words}")


class KubernetesLauncher:
    """Creates a Job for each attempt and looks after it."""

    outlive = True

    def __init__(self, api: JobsApi, storage: Storage) -> None:
        self._api = api
        self._storage = storage

    def launch(self, attempt: Attempt) -> KubernetesJob:
        """Put what the attempt is told into storage and create its Job, or find the one that there is.

        Raises InvalidInput for a template that is of no use, Unavailable, StorageFull.
        """
        told = {"job": attempt.job, "shards": attempt.shards, "checkpoint": attempt.checkpoint}
        address = self._storage.put(json.dumps(told, sort_keys=True).encode(), "application/json")
        job = job_of(self._api.template(), attempt, address)
        self._api.create(job)
        _log.info("Job launched", extra={"job": attempt.job_id, "kubernetes_job": job["metadata"]["name"]})
        return KubernetesJob(self._api, job["metadata"]["name"])


def job_name(job_id: str, number: int) -> str:
    """The same for the same attempt, whoever creates it."""
    return f"train-{job_id[:24]}-{number}"


def job_of(template: Mapping[str, Any], attempt: Attempt, address: str) -> dict[str, Any]:
    """A Job of the CronJob with the attempt's name, labels and arguments. address: of what the attempt is told.

    Raises InvalidInput for a CronJob that is not suspended, since it would start Jobs by itself, that has no
    container called CONTAINER, or that is indexed in a way in which its pods could not meet.
    """
    spec = copy.deepcopy(template["spec"]["jobTemplate"]["spec"])
    metadata = copy.deepcopy(template["spec"]["jobTemplate"].get("metadata") or {})
    pod = spec["template"]
    if not template["spec"].get("suspend"):
        raise InvalidInput("the CronJob that is the Jobs' template must be suspended", field="job_template")
    trainers = [item for item in pod["spec"]["containers"] if item["name"] == CONTAINER]
    if not trainers:
        raise InvalidInput(f"the Jobs' template has no container called {CONTAINER}", field="job_template")
    trainers[0]["args"] = [
        f"--pipeline={attempt.pipeline}",
        f"--job={attempt.job_id}",
        f"--attempt={attempt.number}",
        f"--told={address}",
        *_machines(spec, job_name(attempt.job_id, attempt.number)),
    ]
    notes = {"longstream.dev/pipeline": attempt.pipeline, "longstream.dev/attempt": str(attempt.number)}
    pod["metadata"] = pod.get("metadata") or {}
    for part in (metadata, pod["metadata"]):
        part["labels"] = {**(part.get("labels") or {}), LABEL: attempt.job_id[:63]}
        part["annotations"] = {**(part.get("annotations") or {}), **notes}
    metadata["name"] = job_name(attempt.job_id, attempt.number)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _machines(spec: Mapping[str, Any], name: str) -> Iterator[str]:
    """What the pods of an indexed Job are told, which are nodes that make one model: how many, and where they meet."""
    if spec.get("completionMode") != "Indexed":
        return
    count, at_once = spec.get("completions"), spec.get("parallelism")
    if not count or count != at_once:
        raise InvalidInput(
            "the Jobs' template is indexed: its completions and its parallelism must be one number, that of the "
            "nodes, since all of them work at once",
            field="job_template",
        )
    subdomain = spec["template"]["spec"].get("subdomain")
    if not subdomain:
        raise InvalidInput(
            "the Jobs' template is indexed: its pods need a subdomain, the name of a headless Service by which they "
            "find the first one",
            field="job_template",
        )
    yield f"--machines={count}"
    yield f"--first={name}-0.{subdomain}:{MEETING_PORT}"


class KubernetesJob:
    """An attempt that runs as a Job; a thread looks whether it still does."""

    def __init__(self, api: JobsApi, name: str) -> None:
        self._api = api
        self._name = name
        self._left = threading.Event()
        self._ended: tuple[ExitCode, float] | None = None
        self._terminating_since: float | None = None
        threading.Thread(target=self._look, name=f"job-{name}", daemon=True).start()

    def events(self) -> Iterator[Event]:
        """None: they come through the control topic."""
        return iter(())

    def exit_code(self) -> int | None:
        """None while it runs, and for a moment longer, in which its last report is read."""
        if self._ended is None or time.monotonic() < self._ended[1] + _REPORTED_WITHIN_S:
            return None
        return self._ended[0]

    def stop(self) -> None:
        """Delete the Job, and wait until its pods have written their checkpoints and are gone."""
        self._left.set()
        deadline = time.monotonic() + _GONE_WITHIN_S
        while time.monotonic() < deadline:
            try:
                if self._api.get(self._name) is None:
                    return
                self._api.delete(self._name)
            except SuiteError as error:
                _log.warning(
                    "Job not deleted yet", extra={"kubernetes_job": self._name, "why": error.message}
                )
            time.sleep(_LOOK_EVERY_S)
        _log.error("Job still there", extra={"kubernetes_job": self._name, "after_s": _GONE_WITHIN_S})

    def leave(self) -> None:
        """Look no more; the Job goes on."""
        self._left.set()

    def _look(self) -> None:
        while not self._left.wait(_LOOK_EVERY_S):
            try:
                job = self._api.get(self._name)
            except SuiteError as error:
                _log.warning("Job not seen", extra={"kubernetes_job": self._name, "why": error.message})
                continue
            ended = ending(job)
            ended = self._lost(job) if ended is None else ended
            if ended is not None:
                self._ended = (ended, time.monotonic())
                return

    def _lost(self, job: Mapping[str, Any] | None) -> ExitCode | None:
        if not (job or {}).get("status", {}).get("terminating"):
            self._terminating_since = None
        elif self._terminating_since is None:
            self._terminating_since = time.monotonic()
        elif time.monotonic() > self._terminating_since + _LOST_AFTER_S:
            return ExitCode.STOPPED
        return None


def ending(job: Mapping[str, Any] | None) -> ExitCode | None:
    """How a Job has ended; None while it has not. One that is gone was deleted by somebody: try again."""
    if job is None:
        return ExitCode.FAILED
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return ExitCode.DONE
        if condition.get("type") == "Failed":
            return _failure(condition)
    return None


def _failure(condition: Mapping[str, str]) -> ExitCode:
    """The template's policy fails a Job on the exit code that no retry helps, and where the node was taken away."""
    if condition.get("reason") != "PodFailurePolicy":
        return ExitCode.FAILED
    return ExitCode.STOPPED if "DisruptionTarget" in condition.get("message", "") else ExitCode.PERMANENT

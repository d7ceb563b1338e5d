"""One undisturbed run of the whole loop, kept at each stage: where kill tests begin and what they expect."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.request import urlopen

from longstream.client import Client, Document, Pair
from longstream.v1 import records_pb2 as pb
from tests.support.campaign import Campaign, Setting
from tests.support.logfile import LogFile
from tests.support.logreader import finals

PIPELINE = "faults"
K, TESTED = 16, 0.35
"""Rows to train on, and the share of documents that is tested with."""
Stage = Literal["opened", "final", "trained", "judged"]
"""A cut is open and its tasks are sent; the release is final; it is a model; the model is judged."""

_WORDS = (
    "harbour",
    "mill",
    "stone",
    "record",
    "garden",
    "winter",
    "rose",
    "bridge",
    "council",
    "river",
    "paper",
    "lamp",
    "orchard",
    "tower",
    "field",
)


def _text(number: int) -> str:
    drawn = random.Random(number)
    words = [drawn.choice(_WORDS) for _ in range(14 + number % 19)]
    return f"The {' '.join(words)} of {1800 + number}."


DOCUMENTS = [Document(text=_text(n), source="town", source_index=n) for n in range(24)]
PAIRS = [
    Pair(response=_text(n), instruction=f"Tell about the year {1800 + n}.", source="book")
    for n in range(40, 56)
]
MORE_PAIRS = [
    Pair(response=_text(n), instruction=f"Tell more about {n}.", source="book") for n in range(100, 160)
]
"""More than a partition may keep of them."""
SUBMITTED = [*(("", one.text) for one in DOCUMENTS), *((one.instruction, one.response) for one in PAIRS)]


STRICT: Mapping[str, float] = {"max_words": 9}
"""Limits that refuse some of what the stand-in writes."""
LOOSE: Mapping[str, float] = {
    "min_words": 1,
    "max_words": 1_000,
    "max_shared_share": 2,
    "min_script_share": 0,
    "min_language_probability": 0,
    "allow_cut": 1,
    "allow_refusal": 1,
    "allow_reference": 1,
}
"""Limits that let most of a random model's noise pass."""


def write_pipeline(path: Path, base_model: Path, limits: Mapping[str, float] = STRICT) -> Path:
    """A pipeline whose steps take a second each. Returns path."""
    recipe = {
        "epochs": 1,
        "max_tokens": 512,
        "rank": 4,
        "learning_rate": 1e-3,
        "batch_examples": 4,
        "micro_batch": 4,
        "checkpoint_every_steps": 1,
        "threads": 1,
    }
    pipeline = {
        "name": PIPELINE,
        "base_model": str(base_model),
        "select": {"metric": "chars", "k": K, "reserve": 8},
        "instruct": {"max_tokens": 48, "limits": dict(limits)},
        "split": {"test": TESTED},
        "train": {"recipe": recipe},
        "evaluate": {
            "max_prompts": 4,
            "max_tokens": 16,
            "gate": {"decide_by": "heldout_bits_per_byte", "min_documents": 2},
        },
    }
    path.write_text(json.dumps(pipeline))  # JSON is YAML
    return path


def submit(campaign: Campaign) -> None:
    """Everything, retried until it is acknowledged."""
    campaign.ask(lambda client: client.submit_documents(DOCUMENTS), curator="curator")
    campaign.ask(lambda client: client.submit_pairs(PAIRS), curator="curator")


def cut(campaign: Campaign, request_id: str = "cut-1") -> str:
    """The id of the release that this request opens, however often it is made."""
    return campaign.ask(lambda client: client.cut_release(PIPELINE, request_id), curator="curator").id


def final(campaign: Campaign, release_id: str) -> pb.Release:
    """The release once it is final and its workers have nothing left to do."""

    def found() -> pb.Release | None:
        return next((one for one in finals(campaign.log) if one.id == release_id), None)

    release = campaign.until(found)
    campaign.until(lambda: idle(campaign.log, "curator"))
    return release


def release_pairs(campaign: Campaign, crashes: Sequence[str] = ()) -> pb.Release:
    """From an empty folder to a final release of MORE_PAIRS, with a curator alone."""
    campaign.start("curator", crashes=crashes)
    for part in range(3):
        campaign.ask(partial(Client.submit_pairs, pairs=MORE_PAIRS[part::3]))
    return final(campaign, cut(campaign))


def same_bytes(one: pb.Release, other: pb.Release) -> bool:
    """Whether two releases are the same files."""
    return one.content_hash == other.content_hash and list(one.shards) == list(other.shards)


def idle(log: LogFile, service: str) -> bool:
    """Whether the service has done all that the log asks of it."""
    match service:
        case "curator":
            return log.done("examples", "curator-keepers") and log.done("curation", "curator-owners")
        case "instructor":
            return len(log.lines("selected")) > 0 and log.done("selected", "instructor-writers")
        case "trainer":
            jobs = {job.id: job.state for job in log.messages("training-jobs", pb.TrainingJob)}
            return pb.TrainingJob.STATE_SUCCEEDED in jobs.values()
    return bool(log.messages("promotions", pb.Promotion))


class Stages:
    """The stages, each made from the one before when it is first asked for."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        self._folder = folder
        self.setting = setting
        self.asked: dict[str, int] = {}
        """Requests that a service made of the engine in its stage."""

    def copy(self, stage: Stage, into: Path) -> Path:
        """The data folder as the undisturbed run left it at that stage, a moment ago. Returns into."""
        shutil.copytree(self.at(stage), into)
        _renew(into / "log.sqlite")
        return into

    def at(self, stage: Stage) -> Path:
        """The same, to be read only."""
        kept = self._folder / stage
        if not kept.exists():
            draft = self._folder / f"{stage}.draft"
            _MAKERS[stage](self, draft)
            draft.rename(kept)
        return kept

    def open_a_cut(self, data: Path) -> None:
        with Campaign(data, self.setting) as campaign:
            campaign.start("curator")
            submit(campaign)
            cut(campaign)
            campaign.until(lambda: len(campaign.log.lines("selected")) > 0 and idle(campaign.log, "curator"))
            campaign.stop()

    def finish_the_release(self, data: Path) -> None:
        with Campaign(self.copy("opened", data), self.setting) as campaign:
            campaign.start("curator", "instructor")
            final(campaign, cut(campaign))
            campaign.stop()

    def run(self, before: Stage, service: str, data: Path) -> None:
        self.copy(before, data)  # for which the stage before may have to be made
        at_first = asked(self.setting.engine)
        with Campaign(data, self.setting) as campaign:
            campaign.start(service)
            campaign.until(lambda: idle(campaign.log, service))
            campaign.stop()
        self.asked[service] = asked(self.setting.engine) - at_first


def asked(engine: str) -> int:
    """Requests that the stand-in has had; 0 of an engine that does not count them."""
    if not engine.startswith("openai:"):
        return 0
    with urlopen(f"{engine.removeprefix('openai:').partition('/v1')[0]}/asked", timeout=5) as told:
        return int(json.load(told)["completions"])


def _renew(log: Path) -> None:
    """Let the newest record be of now: in a long run of tests a stage grows old, and its log would be tidied."""
    with closing(sqlite3.connect(log)) as connection, connection:
        connection.execute(
            "UPDATE records SET timestamp_ms = timestamp_ms + ? - (SELECT max(timestamp_ms) FROM records)",
            (int(time.time() * 1000),),
        )


_MAKERS: dict[Stage, Callable[[Stages, Path], None]] = {
    "opened": Stages.open_a_cut,
    "final": Stages.finish_the_release,
    "trained": lambda stages, data: stages.run("final", "trainer", data),
    "judged": lambda stages, data: stages.run("trained", "judge", data),
}

"""Where a run of the demo takes place: its folder, base model, pipeline file, the services' environment."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from demo.progress import Progress
from longstream import pipeline as pipelines
from longstream.llm.model_files import find_model
from longstream.suite import SuiteOptions

if TYPE_CHECKING:
    from demo.base_model import BaseModelPlan

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The model that everything starts from. toy: made by the demo."""

    name: str
    toy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: its base model, its own folder, and the pipeline file in it."""

    base: Base
    folder: Path
    pipeline_file: Path
    pipeline: str
    caches: Path
    kafka: str = ""
    """Address of the broker that carries the records; empty: a file in the folder does."""


def new_run(data: Path, base: Base, decide_by: str | None) -> Run:
    """A folder that no other run has, with the pipeline file for this base model in it."""
    folder = _fresh(data / f"run-{datetime.now():%Y%m%d-%H%M%S}")
    template = (HERE / ("toy.yaml" if base.toy else "real.yaml")).read_text(encoding="utf-8")
    decides = decide_by or ("heldout_bits_per_byte" if base.toy else "judge")
    # JSON strings are YAML strings, whatever the path is called.
    text = template.replace("base_model: BASE_MODEL", f"base_model: {json.dumps(base.name)}")
    file = folder / "pipeline.yaml"
    file.write_text(text.replace("decide_by: DECIDE_BY", f"decide_by: {decides}"), encoding="utf-8")
    name = pipelines.load(file).name
    return Run(base=base, folder=folder, pipeline_file=file, pipeline=name, caches=data / "caches")


def suite_options(run: Run, port_base: int) -> SuiteOptions:
    """The suite over the run's folder, its base model writing the instructions and judging."""
    engine = f"vllm:{run.base.name}"
    return SuiteOptions(
        data=run.folder,
        pipelines=(run.pipeline_file,),
        port_base=port_base,
        instructor_engine=engine,
        judge_engine=engine,
        kafka=run.kafka,
    )


def suite_environment(run: Run, environ: Mapping[str, str]) -> dict[str, str]:
    """What the services get from here: caches in the demo's folder, no word to anybody, a small engine.

    What the caller has set himself stands.
    """
    defaults = {
        "VLLM_CACHE_ROOT": str(run.caches / "vllm"),
        "VLLM_CONFIG_ROOT": str(run.caches / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(run.caches / "inductor"),
        "TRITON_CACHE_DIR": str(run.caches / "triton"),
        "JUDGE_CACHE_DIR": str(run.folder / "judging"),
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    if run.base.toy:
        # Compiling would take longer than all that a toy has to say, and rounding would blur what it has learnt.
        small = {"EAGER": "true", "KV_CACHE_GIB": "0.25", "DTYPE": "float32"}
        for service in ("INSTRUCTOR", "JUDGE"):
            defaults |= {f"{service}_ENGINE_{name}": value for name, value in small.items()}
    return {**defaults, **environ}


def base_model(data: Path, named: str | None, progress: Progress) -> Base:
    """The caller's model, or the toy, made once for each way of making it and then taken from data.

    Raises InvalidInput for a model that is not on this machine.
    """
    if named is not None:
        path = Path(named).expanduser()
        base = Base(name=str(path.resolve()) if path.exists() else named, toy=False)
        find_model(base.name)
        return base
    return Base(name=str(_toy(data, progress)), toy=True)


def toy_folder(data: Path, plan: BaseModelPlan) -> Path:
    """Where the toy of that plan lies in the demo's folder, once it is made."""
    return data / f"base-model-seed{plan.seed}-{plan.seconds:.0f}s"


def _toy(data: Path, progress: Progress) -> Path:
    began_s = time.time()
    # Spinning threads take the cores from whatever else runs here; read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from transformers.utils.logging import disable_progress_bar

    from demo.base_model import BaseModelPlan, make_base_model
    from demo.base_model import Progress as Step
    from demo.corpus import standard_library_texts

    disable_progress_bar()
    plan = BaseModelPlan()
    folder = toy_folder(data, plan)
    if folder.is_dir():
        progress.say(f"base model: taken from {folder}; delete it to have it made anew")
        return folder
    progress.say("base model: a million weights, trained from scratch; it will write words, not sense")

    def trained(step: Step) -> None:
        detail = f"{step.share:.0%}, step {step.step:,}, loss {step.loss:.2f} nats per token"
        progress.running("base model", "training", detail)

    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        make_base_model(draft, standard_library_texts(), plan, trained)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    progress.close()
    progress.measured("Base model trained from scratch", began_s)
    progress.say(f"base model: made in {time.time() - began_s:.0f} s")
    return folder


def _fresh(folder: Path) -> Path:
    for number in range(2, 1_000):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            folder = folder.with_name(f"{folder.name.partition('_')[0]}_{number}")
        else:
            return folder
    raise FileExistsError(f"there are too many runs named like {folder}")

"""What the demo is made of: its documents, its settings, its lines, and the end that it sees coming."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from demo.documents import PYDOC_SOURCE, documents, pydoc_topics, sendable
from demo.local import DemoFailed, free_port_base
from demo.progress import Progress, stages
from demo.run import decided, main
from demo.setting import Base, Run, base_model, new_run, suite_environment, suite_options
from longstream import pipeline as pipelines
from longstream.childprocess import ServiceProgram
from longstream.commands.submit import Account
from longstream.data import Document
from longstream.errors import InvalidInput, NotFound
from longstream.health import Health
from longstream.status import PipelineStatus, SuiteStatus
from longstream.suite import DEFAULT_PORT_BASE, programs
from longstream.v1.judge_pb2 import GetChampionResponse
from longstream.v1.records_pb2 import Evaluation, Promotion, Release, TrainingJob

TOY = Base(name='/models/a "toy"', toy=True)


@pytest.fixture
def toy(tmp_path: Path) -> Run:
    return new_run(tmp_path, TOY, None)


def test_the_documents_are_the_topics_of_pydoc() -> None:
    topics = pydoc_topics()
    assert len(topics) > 70
    assert {(topic.source, topic.licence) for topic in topics} == {(PYDOC_SOURCE, "PSF-2.0")}
    assert [topic.source_index for topic in topics] == list(range(len(topics)))
    assert len({topic.external_id for topic in topics}) == len(topics)


def test_a_folder_of_ones_own_is_read_and_what_is_unusable_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A river and a mill.")
    (tmp_path / "b.md").write_bytes(b"\xff\xfe broken")
    account = Account()
    sent = list(sendable(documents(tmp_path), tmp_path, account))
    assert [item.text for item in sent if isinstance(item, Document)] == ["A river and a mill."]
    assert account.rejections.reasons == {"invalid_utf8": 1}


def test_a_folder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        documents(tmp_path / "nowhere")


def test_the_toys_pipeline_decides_by_bits_per_byte_and_a_real_one_by_the_judge(tmp_path: Path) -> None:
    toy = pipelines.load(new_run(tmp_path, TOY, None).pipeline_file)
    real = pipelines.load(new_run(tmp_path, Base(name="owner/model", toy=False), None).pipeline_file)
    assert (toy.base_model, toy.evaluate.gate["decide_by"]) == (TOY.name, "heldout_bits_per_byte")
    assert (real.base_model, real.evaluate.gate["decide_by"]) == ("owner/model", "judge")
    assert toy.instruct.limits
    assert real.instruct.limits == {}


def test_the_caller_may_say_what_decides(tmp_path: Path) -> None:
    file = new_run(tmp_path, TOY, "judge").pipeline_file
    assert pipelines.load(file).evaluate.gate["decide_by"] == "judge"
    assert "BASE_MODEL" not in str(yaml.safe_load(file.read_text()))


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = {new_run(tmp_path, TOY, None).folder for _ in range(4)}
    assert len(folders) == 4


def test_both_engines_serve_the_base_model(toy: Run) -> None:
    options = suite_options(toy, 7_000)
    assert options.instructor_engine == options.judge_engine == f"vllm:{TOY.name}"


def test_caches_lie_in_the_demos_folder_unless_the_caller_has_his_own(toy: Run) -> None:
    told = suite_environment(toy, {"VLLM_CACHE_ROOT": "/mine", "PATH": "/bin"})
    assert (told["VLLM_CACHE_ROOT"], told["PATH"]) == ("/mine", "/bin")
    assert told["TORCHINDUCTOR_CACHE_DIR"].startswith(str(toy.caches))
    assert told["JUDGE_ENGINE_EAGER"] == "true"


def test_a_real_model_gets_the_engines_own_settings(tmp_path: Path) -> None:
    run = new_run(tmp_path, Base(name="owner/model", toy=False), None)
    assert not [name for name in suite_environment(run, {}) if "_ENGINE_" in name]


def test_a_model_that_is_not_here_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidInput):
        base_model(tmp_path, str(tmp_path / "nothing"), progress(io.StringIO()))
    assert main(["--model", str(tmp_path), "--data", str(tmp_path / "data")]) == 1
    assert "config.json" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


def test_ports_in_use_are_passed_by(toy: Run) -> None:
    def at(base: int) -> list[ServiceProgram]:
        return programs(suite_options(toy, base), ("curator", "judge"))

    first = free_port_base(at)
    assert first >= DEFAULT_PORT_BASE
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 3))
        taken.listen()
        assert free_port_base(at) > first


def progress(file: io.StringIO, *, terminal: bool = False, times: list[float] | None = None) -> Progress:
    left = iter(times or [])
    console = Console(file=file, force_terminal=terminal, width=100, height=30)
    return Progress(console, lambda: next(left, 9.0))


def at(**facts: object) -> PipelineStatus:
    return PipelineStatus(name="demo", **facts)  # type: ignore[arg-type]


def status(pipeline: PipelineStatus) -> SuiteStatus:
    return SuiteStatus(services={"curator": Health("ready")}, pipelines=(pipeline,))


def test_plain_lines_tell_new_states_at_once_and_counts_now_and_then() -> None:
    out = io.StringIO()
    clock = [0.0]
    lines = Progress(Console(file=out, width=100), lambda: clock[0])
    for second, step in enumerate((1, 2, 3, 6, 7, 9), start=1):
        clock[0] = second * 1.5
        job = TrainingJob(state=TrainingJob.STATE_RUNNING, step=step, steps=9, loss=2.0)
        lines.show(status(at(job=job)))
    clock[0] = 9.5
    lines.show(status(at(job=TrainingJob(state=TrainingJob.STATE_SUCCEEDED, step=9, steps=9, loss=1.5))))
    assert [line.split("training   ")[1] for line in out.getvalue().splitlines()] == [
        "running: step 1 of 9, loss 2.000",
        "running: step 7 of 9, loss 2.000",
        "succeeded: step 9 of 9, loss 1.500",
    ]


def test_a_terminal_gets_the_status_screen() -> None:
    out = io.StringIO()
    with progress(out, terminal=True) as shown:
        shown.running("base model", "training", "50%")
        shown.show(status(at()))
        shown.say("a line that stays")
    assert "base model: training, 50%" in out.getvalue()
    assert "pipeline" in out.getvalue()
    assert "a line that stays" in out.getvalue()


def test_what_was_measured_becomes_a_stage_of_the_report() -> None:
    timed = progress(io.StringIO(), times=[1.0, 5.0])
    timed.measured("Documents submitted", 2.0)
    span = timed.spans[0]
    assert (span.name, span.begin_s, span.end_s) == ("Documents submitted", 2.0, 5.0)


def test_every_stage_that_has_begun_is_told() -> None:
    comparing = Evaluation(
        state=Evaluation.STATE_RUNNING, stage="candidate_answers", stage_done=2, stage_total=9
    )
    told = stages(
        at(
            release=Release(state=Release.STATE_FINAL, rows_ready=3, rows_wanted=4, refused={"empty": 2}),
            evaluation=comparing,
            champion=GetChampionResponse(history=[Promotion()]),
        )
    )
    assert told == {
        "release": ("final", "3 of 4 rows, 2 refused"),
        "judging": ("running candidate answers", "2 of 9"),
        "champion": ("the base model", ""),
    }


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (
            {"release": Release(state=Release.STATE_FINAL, refused={"empty": 9})},
            "no row was accepted (empty 9)",
        ),
        (
            {"job": TrainingJob(state=TrainingJob.STATE_FAILED, reason="no memory")},
            "training failed: no memory",
        ),
        ({"job": TrainingJob(state=TrainingJob.STATE_CANCELLED)}, "trainer.log"),
        ({"evaluation": Evaluation(state=Evaluation.STATE_FAILED, reason="gone")}, "judge.log"),
    ],
)
def test_a_run_without_a_decision_fails_and_names_the_log(facts: dict[str, object], why: str) -> None:
    with pytest.raises(DemoFailed) as failed:
        decided(at(**facts), Path("logs"))
    assert why in str(failed.value)


def test_a_decision_is_there_once_it_is_in_the_history() -> None:
    done = Evaluation(state=Evaluation.STATE_DONE)
    assert not decided(at(), Path("logs"))
    assert not decided(at(evaluation=done, champion=GetChampionResponse()), Path("logs"))
    assert decided(at(evaluation=done, champion=GetChampionResponse(history=[Promotion()])), Path("logs"))

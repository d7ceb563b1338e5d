"""Variables and pipeline files: what can be meant, and which word was probably meant."""

from __future__ import annotations

from pathlib import Path

from longstream.doctor import told
from longstream.doctor.place import Place
from tests.support.findings import levels, only

COMMON = {"LONGSTREAM_BUS_URL": "sqlite:log.sqlite", "LONGSTREAM_STORAGE_URL": "file:///data"}


def place(**services: dict[str, str]) -> Place:
    return Place(environ={}, services={name: {**COMMON, **own} for name, own in services.items()})


def test_valid_variables_are_counted() -> None:
    finding = only(told.settings, place(curator={"CURATOR_MAX_FIELD_BYTES": "10", "HOME": "x"}))
    assert (finding.level, finding.what) == ("ok", "curator: 3 variables, all valid")


def test_an_unknown_variable_is_told_with_the_nearest_one() -> None:
    finding = only(told.settings, place(curator={"LONGSTREAM_DRAINS": "9"}))
    assert finding.level == "fail"
    assert "LONGSTREAM_DRAIN_S" in finding.what


def test_what_kubernetes_sets_for_a_service_is_known_for_what_it_is() -> None:
    finding = only(told.settings, place(curator={"CURATOR_PORT": "tcp://10.0.0.1:7400"}))
    assert finding.todo == "set enableServiceLinks: false in the pod"


def test_a_missing_setting_and_a_wrong_value_fail() -> None:
    assert levels(told.settings, place(instructor={})) == ["fail"]
    assert levels(told.settings, place(curator={"LONGSTREAM_DRAIN_S": "long"})) == ["fail"]
    assert levels(told.settings, place(trainer={"TRAINER_WORK_DIR": "w", "TRAINER_JOB_TEMPLATE": "x"})) == [
        "fail"
    ]


def test_a_password_is_not_shown() -> None:
    wrong = {"LONGSTREAM_KAFKA_PASSWORD": "hunter2", "LONGSTREAM_KAFKA_USERNAME": "me"}
    assert "hunter2" not in only(told.settings, place(curator=wrong)).line()


def test_variables_of_the_tests_are_no_settings() -> None:
    assert levels(told.settings, place(curator={"LONGSTREAM_TEST_S3": "required"})) == ["ok"]


def test_pipeline_files_must_be_there_valid_and_of_different_names(tmp_path: Path) -> None:
    good, again, wrong = (tmp_path / f"{name}.yaml" for name in ("good", "again", "wrong"))
    for file in (good, again):
        file.write_text("name: demo\nbase_model: /models/base\n")
    wrong.write_text("name: other\nbase_model: m\nselekt: {}\n")

    def found(*files: Path) -> list[str]:
        return levels(told.pipelines, place(curator={"LONGSTREAM_PIPELINES": ",".join(map(str, files))}))

    assert found(good) == ["ok"]
    assert found(wrong) == ["fail"]
    assert found(tmp_path / "none.yaml") == ["fail"]
    assert found(good, again) == ["ok", "fail", "ok"]
    assert found() == ["warn"]


def test_a_tokenizer_that_measures_length_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("name: demo\nbase_model: m\nselect: {metric: tokens, tokenizer: /none/tokenizer.json}\n")
    named = {"LONGSTREAM_PIPELINES": str(file)}
    assert "fail" in levels(told.pipelines, place(curator=named))
    elsewhere = {**named, "TRAINER_WORK_DIR": "w"}
    assert levels(told.pipelines, place(trainer=elsewhere)) == ["ok"]

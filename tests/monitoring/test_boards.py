"""Dashboards and rules ask for what the services declare, by labels that exist, and every metric is asked for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scripts.monitoring.catalogue import by_name
from scripts.monitoring.panels import widths_fit
from scripts.monitoring.write import BOARDS, files
from tests.support.kube import ROOT
from tests.support.prometheus import CONFIG, MONITORING, needed

UNASKED = {
    "grpc_server_started_total": "minus handled it is what is under way; kept for other teams' dashboards",
    "grpc_server_unread_total": "too rare for a panel; operations.md says what it counts",
    "trainer_attempts": "on the job's own record; kept for alerts of a team's own",
    "trainer_steps_total": "the gauge trainer_step is shown",
    "trainer_tokens_total": "the gauge trainer_tokens_per_second is shown",
    "trainer_attempts_failed_total": "failed jobs are alerted, their attempts are retried",
    "curator_releases_total": "gives dashboards their list of pipelines",
    "judge_verdicts_total": "the latest evaluation's are shown",
    "judge_comparisons": "the lost ones are shown",
    **{
        f"training_{what}": "of a Job's pod; the trainer's, from the log, is shown"
        for what in (
            *(
                "planned_steps",
                "attempts",
                "gpus",
                "progress_timestamp_seconds",
                "checkpoint_timestamp_seconds",
            ),
            *(
                "learning_rate",
                "gradient_norm",
                "tokens_per_second",
                "useful_tokens_ratio",
                "flops_per_second",
            ),
            *("neftune_effective_alpha", "mfu_ratio", "memory_bytes"),
        )
    },
    "judge_evaluation_timestamp_seconds": "the decision's time is shown",
    **{
        f"{service}_build_info": "a table of versions"
        for service in ("curator", "instructor", "trainer", "judge")
    },
}
OTHERS = re.compile(r"(vllm_|DCGM_FI_|process_|up$|ALERTS$)")
WORDS = frozenset(("and", "or", "unless", "bool", "offset", "by", "on", "ignoring", "without"))


def rules() -> list[dict[str, str]]:
    found = []
    for name in ("recording", "alerts"):
        groups = yaml.safe_load((MONITORING / "rules" / f"{name}.yaml").read_text(encoding="utf-8"))["groups"]
        found += [rule for group in groups for rule in group["rules"]]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule.get("record") or rule["alert"], rule["expr"]
    for board in BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                yield f"{board.uid}: {panel.title}", query.expr


def names_in(expr: str) -> set[str]:
    """The metrics that a PromQL expression asks for."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\w*\s*\()", bare)
    return {
        name for name in found if name not in WORDS and not re.fullmatch(r"group_(left|right)|\d.*", name)
    }


def family(name: str) -> str:
    """A histogram's name from one of its series."""
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    return base if base in by_name() else name


def test_what_is_read_of_an_expression() -> None:
    rate = 'sum by (job, le) (rate(a_seconds_bucket{x=~"b|c"}[5m]))'
    expr = f"{rate} / on (job) group_left () job:d:sum offset 1d > bool 2"
    assert names_in(expr) == {"a_seconds_bucket", "job:d:sum"}


def test_every_metric_that_is_asked_for_is_declared_or_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    unknown = {
        (where, name)
        for where, expr in expressions()
        for name in names_in(expr)
        if family(name) not in by_name() and name not in recorded and not OTHERS.match(name)
    }
    assert unknown == set()


def test_every_recorded_rule_is_asked_for() -> None:
    asked = {name for _, expr in expressions() for name in names_in(expr)}
    assert {rule["record"] for rule in rules() if "record" in rule} <= asked


def test_every_label_of_a_declared_metric_that_is_matched_exists() -> None:
    told = {"job", "instance", "pod", "le"}
    for where, expr in expressions():
        for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expr):
            if family(name) in by_name():
                asked = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers))
                assert asked <= {*by_name()[family(name)].labels, *told}, where


def test_every_metric_is_asked_for_or_said_why_not() -> None:
    asked = {family(name) for _, expr in expressions() for name in names_in(expr)}
    assert {name for name in by_name() if name not in asked} == {
        name for name in UNASKED if name not in asked
    }
    assert not {name for name in UNASKED if name in asked}
    assert set(UNASKED) <= set(by_name())


def test_what_is_written_is_what_the_sources_say() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, f"run `make monitoring`: {path}"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_board_has_no_holes_and_says_what_each_panel_means(board: object) -> None:
    for title, panels in board.rows:  # type: ignore[attr-defined]
        assert widths_fit(panels), title
        assert all(panel.about.endswith(".") and panel.queries for panel in panels), title


def test_every_alert_has_a_runbook_a_severity_and_a_test_that_sees_it_quiet_and_firing() -> None:
    runbooks = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    cases = [
        check
        for path in (MONITORING / "tests").glob("*.yaml")
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for check in case["promql_expr_test"]
    ]
    for name in {rule["alert"] for rule in rules() if "alert" in rule}:
        assert f"\n### {name}\n" in runbooks, name
        seen = {bool(check["exp_samples"]) for check in cases if f'alertname="{name}"' in check["expr"]}
        assert seen == {True, False}, name
    for rule in rules():
        if "alert" in rule:
            labels, told = rule["labels"], rule["annotations"]
            assert labels["severity"] in {"page", "ticket"}  # type: ignore[index]
            assert told["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"  # type: ignore[index]


def test_promtool_finds_the_rules_right_and_their_tests_pass() -> None:
    promtool = needed("promtool")
    subprocess.run([promtool, "check", "rules", *(MONITORING / "rules").glob("*.yaml")], check=True)
    ended = subprocess.run(
        [promtool, "test", "rules", *sorted(path.name for path in (MONITORING / "tests").glob("*.yaml"))],
        cwd=MONITORING / "tests",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_configuration_that_the_guide_gives_is_all_that_a_prometheus_needs(tmp_path: Path) -> None:
    promtool = needed("promtool")
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    found = re.search(r"## Watching\n.*?```yaml\n(.*?)```", guide, re.S)
    assert found is not None
    (tmp_path / "targets.json").write_text("[]")
    given = found[1].replace("DIR", str(tmp_path)).replace("[deploy/", f"[{ROOT}/deploy/")
    (tmp_path / "prometheus.yaml").write_text(given)
    told = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "2 rule files found" in told.stdout
    [job] = yaml.safe_load(given)["scrape_configs"]
    [ours, _] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["scrape_configs"]
    assert job["metric_relabel_configs"] == ours["metric_relabel_configs"]

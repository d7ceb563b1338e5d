"""Writes what monitoring needs from its sources: `make monitoring`. With --check it only says what is outdated.

Sources: the boards beside this file, `rules/*.yaml`, and what the services declare. Written: the dashboards' JSON, the
same rules as an object of the Prometheus operator, and docs/metrics.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from longstream.telemetry import Declared
from scripts.monitoring.catalogue import catalogue, of_pods
from scripts.monitoring.data_boards import CURATOR, JUDGE
from scripts.monitoring.gpu_board import GPU_JOBS
from scripts.monitoring.instructor_board import INSTRUCTOR
from scripts.monitoring.overview import OVERVIEW
from scripts.monitoring.panels import rendered
from scripts.monitoring.platform_boards import CALLS_AND_LOG

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "k8s" / "components" / "monitoring"
BOARDS = (OVERVIEW, GPU_JOBS, INSTRUCTOR, CURATOR, JUDGE, CALLS_AND_LOG)
_WRITTEN = "# Written by `make monitoring`; the sources are rules/*.yaml.\n"


def main() -> int:
    """Write, or with --check compare; 1 if something is outdated."""
    parser = argparse.ArgumentParser(prog="python -m scripts.monitoring.write", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and fail if something would change"
    )
    check = parser.parse_args().check
    outdated = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
    for path in outdated:
        print(f"{path.relative_to(ROOT)}: {'outdated, run `make monitoring`' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path], encoding="utf-8")
    return 1 if check and outdated else 0


def files() -> Mapping[Path, str]:
    """Every written file with its text."""
    return {
        **{MONITORING / "dashboards" / f"{board.uid}.json": rendered(board) for board in BOARDS},
        MONITORING / "rules.yaml": _rule_object(),
        ROOT / "docs" / "metrics.md": _page(catalogue()),
    }


def _rule_object() -> str:
    groups = [
        group
        for name in ("recording", "alerts")
        for group in yaml.safe_load((MONITORING / "rules" / f"{name}.yaml").read_text(encoding="utf-8"))[
            "groups"
        ]
    ]
    rules = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "longstream", "namespace": "longstream"},
        "spec": {"groups": groups},
    }
    return _WRITTEN + yaml.dump(rules, Dumper=_Plain, sort_keys=False, width=200, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """Without references: two alerts may share their annotations."""

    def ignore_aliases(self, data: object) -> bool:
        """Write every value out."""
        return True


def _page(listed: Mapping[str, tuple[Declared, ...]]) -> str:
    shared = [
        declared for declared in listed["curator"] if all(declared in other for other in listed.values())
    ]
    engines = [
        declared
        for declared in listed["judge"]
        if declared in listed["instructor"] and declared not in shared
    ]
    sections = [
        ("All services", shared),
        ("Instructor and judge: their engines", engines),
        *(
            (service.capitalize(), [d for d in declared if d not in (*shared, *engines)])
            for service, declared in listed.items()
        ),
        ("Pods of training Jobs", list(of_pods())),
    ]
    return _INTRODUCTION + "".join(_section(title, declared) for title, declared in sections)


def _section(title: str, declared: list[Declared]) -> str:
    rows = "".join(
        f"| `{item.name}` | {item.kind} | {', '.join(item.labels) or '–'} | {item.doc} |\n"
        for item in declared
    )
    return f"\n## {title}\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n{rows}"


_INTRODUCTION = """# Metrics

Written by `make monitoring` from what the services declare. Each service shows its metrics on its own port,
`/metrics` ([where](operations.md)), as Prometheus' text or as OpenMetrics with exemplars, whose `trace_id` is that of
the log lines.

The rule, which `longstream/telemetry/metrics.py` keeps: `<service>_<thing>_<unit>[_total]`, base units, shares from 0
to 1, no colons (those are for recording rules), and labels with closed sets of values: an id, a path or a text is
never a label; what is not in the set is counted as `other`. Counters begin at 0. Every metric stands on a dashboard
or in an alert, or `tests/monitoring/test_boards.py` says why not.

A gauge of a fact (a release, a job, an evaluation) is read from the log at each scrape: the same in every replica,
true after a restart, gone with the fact. Take its maximum: `max by (pipeline) (...)`. Counters count what a process
did since it began: sum their rates.

vLLM's own metrics stand on the pages of instructor and judge as `vllm:...`; the scrape configurations here rename
them to `vllm_...`, since some versions of the client already write them so. Python's and the process's own metrics
are there too.
"""


if __name__ == "__main__":
    sys.exit(main())

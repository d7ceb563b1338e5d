"""A suite on one machine: what its services are told, who may have the folder and the ports, where it is
found."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from longstream.errors import InvalidInput, NotFound, Refused
from longstream.suite import (
    SuiteOptions,
    check_ports,
    forget_suite,
    hold,
    programs,
    read_suite,
    write_suite,
)
from longstream.topics import Layout


def options(folder: Path, port_base: int = 7_400) -> SuiteOptions:
    return SuiteOptions(
        data=folder,
        pipelines=(folder / "a.yaml", folder / "b.yaml"),
        port_base=port_base,
        instructor_engine="vllm:small",
        judge_engine="vllm:large",
        layout=Layout(examples_partitions=3, selected_partitions=5, control_partitions=1),
    )


def test_each_service_is_told_where_everything_is(tmp_path: Path) -> None:
    curator, judge = programs(options(tmp_path), ["curator", "judge"])
    assert curator.argv == (sys.executable, "-m", "longstream_curator")
    assert curator.address == "127.0.0.1:7400"
    assert curator.environ == {
        "LONGSTREAM_BUS_URL": f"sqlite:{tmp_path}/log.sqlite",
        "LONGSTREAM_STORAGE_URL": f"file://{tmp_path}/objects",
        "LONGSTREAM_PIPELINES": f"{tmp_path}/a.yaml,{tmp_path}/b.yaml",
        "LONGSTREAM_GRPC_ADDRESS": "127.0.0.1:7400",
        "LONGSTREAM_METRICS_ADDRESS": "127.0.0.1:7410",
        "LONGSTREAM_MEMBER": "curator-0",
        "LONGSTREAM_EXAMPLES_PARTITIONS": "3",
        "LONGSTREAM_SELECTED_PARTITIONS": "5",
        "LONGSTREAM_CONTROL_PARTITIONS": "1",
    }
    assert judge.environ["LONGSTREAM_GRPC_ADDRESS"] == "127.0.0.1:7403"
    assert judge.environ["LONGSTREAM_METRICS_ADDRESS"] == "127.0.0.1:7413"


def test_each_service_gets_its_own_settings_and_no_other(tmp_path: Path) -> None:
    told = {
        p.name: p.environ for p in programs(options(tmp_path), ["curator", "instructor", "trainer", "judge"])
    }
    own = {
        name: {key: value for key, value in environ.items() if not key.startswith("LONGSTREAM_")}
        for name, environ in told.items()
    }
    assert own == {
        "curator": {},
        "instructor": {"INSTRUCTOR_ENGINE_URL": "vllm:small"},
        "trainer": {"TRAINER_WORK_DIR": f"{tmp_path}/training"},
        "judge": {"JUDGE_ENGINE_URL": "vllm:large"},
    }


def test_suites_may_share_a_cluster_and_a_store_under_names_of_their_own(tmp_path: Path) -> None:
    shared = replace(options(tmp_path), kafka="a:9092,b:9092", storage="s3://bucket/prefix", replica=2)
    [curator] = programs(shared, ["curator"])
    assert curator.environ["LONGSTREAM_BUS_URL"] == "kafka:a:9092,b:9092"
    assert curator.environ["LONGSTREAM_STORAGE_URL"] == "s3://bucket/prefix"
    assert curator.environ["LONGSTREAM_MEMBER"] == "curator-2"


def free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_every_taken_port_is_named_with_its_service(tmp_path: Path) -> None:
    # Below the ports that the system hands out, so that no other test's client sits on a neighbour.
    base = next(base for base in range(29_100, 29_900, 20) if all(map(free, range(base, base + 14))))
    taken = base + 1
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen(1)
        services = programs(options(tmp_path, port_base=base), ["curator", "instructor"])
        with pytest.raises(Refused, match=rf"{taken} \(for the instructor\).*--port-base"):
            check_ports(services)
    check_ports(services)


def test_a_folder_belongs_to_one_suite_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with hold(folder), pytest.raises(Refused, match=rf"process {os.getpid()}.*--data"), hold(folder):
        pytest.fail("two suites have one folder")
    with hold(folder):
        pass


def test_a_killed_suite_leaves_its_folder_free(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from longstream.suite import hold
with hold(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    with hold(tmp_path):
        pass


def test_a_running_suite_is_found_by_its_folder(tmp_path: Path) -> None:
    services = programs(options(tmp_path), ["curator", "trainer"])
    write_suite(tmp_path, ["demo"], services, {"curator": 11})
    suite = read_suite(tmp_path)
    assert (suite.pid, suite.pipelines) == (os.getpid(), ("demo",))
    assert suite.addresses == {"curator": "127.0.0.1:7400", "trainer": "127.0.0.1:7402"}
    assert suite.services["curator"]["pid"] == 11
    assert suite.services["trainer"]["pid"] is None
    assert suite.services["trainer"]["metrics"] == "127.0.0.1:7412"
    assert (suite.bus_url, suite.storage_url) == (
        f"sqlite:{tmp_path}/log.sqlite",
        f"file://{tmp_path}/objects",
    )
    assert suite.services["trainer"]["log"] == f"{tmp_path}/logs/trainer.log"


def test_a_stopped_suite_is_found_no_more(tmp_path: Path) -> None:
    write_suite(tmp_path, ["demo"], [], {})
    forget_suite(tmp_path)
    forget_suite(tmp_path)
    with pytest.raises(NotFound, match="longstream up"):
        read_suite(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", "{"])
def test_a_file_that_is_no_suite_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "suite.json").write_text(content)
    with pytest.raises(InvalidInput, match=r"suite\.json"):
        read_suite(tmp_path)

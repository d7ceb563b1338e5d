"""From a model to its documents, and from a row to its models."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longstream.storage import open_storage
from longstream.v1.records_pb2 import Model, Release, Shard, TrainingJob
from tests.support.local_suite import LocalSuite
from tests.support.shell import Shell


@pytest.fixture
def lineage(suite: LocalSuite, shell: Shell) -> None:
    """A model m1 from job j1 over release r1 with two rows."""
    rows = [
        {
            "rank": n,
            "row_id": f"row{n}",
            "example_id": f"ex{n}",
            "response": "long " * 100,
            "original": "short " * 100,
            "critique": "",
            "external_id": f"{n}.txt",
        }
        for n in (2, 1)
    ]
    shard = shell.data / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(rows), shard)
    with open_storage((shell.data / "objects").resolve().as_uri()) as storage:
        address = storage.put(shard.read_bytes())
    shards = [Shard(address=address, rows=2)]
    suite.curator.releases = [Release(id="r2"), Release(id="r1", content_hash="abc", shards=shards)]
    suite.trainer.jobs = [TrainingJob(id="j0"), TrainingJob(id="j1", release_id="r1", model_id="m1aaaa")]
    suite.trainer.models = [Model(id="m1aaaa", job_id="j1", base_model="base", address="sha256:11")]


@pytest.mark.usefixtures("lineage")
def test_a_model_is_walked_back_to_its_documents(shell: Shell) -> None:
    assert shell("lineage", "m1aa") == 0
    assert "model    m1aaaa" in shell.out
    assert "release  r1, content abc" in shell.out
    table = [line.split() for line in shell.out.splitlines()[-2:]]
    assert table == [["1", "row1", "ex1", "1.txt"], ["2", "row2", "ex2", "2.txt"]]


@pytest.mark.usefixtures("lineage")
@pytest.mark.parametrize("wanted", ["row2", "ex2"])
def test_a_row_is_walked_to_its_release_and_models(shell: Shell, wanted: str) -> None:
    told = shell.json("lineage", wanted)
    assert isinstance(told, dict)
    assert (told["row"]["external_id"], told["release"]["id"], told["models"]) == ("2.txt", "r1", ["m1aaaa"])
    assert shell("lineage", wanted) == 0
    assert "(500 characters)" in shell.out
    assert "(600 characters)" in shell.out
    assert "critique" not in shell.out


@pytest.mark.usefixtures("lineage")
def test_an_id_that_nothing_has_is_not_found(shell: Shell) -> None:
    assert shell("lineage", "zz") == 1
    assert "begins with zz" in shell.err

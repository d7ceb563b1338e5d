"""`longstream explain` and `longstream erase`, and the client's calls that they make."""

from __future__ import annotations

from longstream.client import Client
from longstream.data.records import Document, Pair
from tests.support.local_suite import LocalSuite
from tests.support.shell import Shell


def test_an_example_is_explained_with_what_holds_it(shell: Shell) -> None:
    assert shell("explain", "e1") == 0
    assert shell.out.splitlines() == [
        "e1 not kept (too_short): its length is 3",
        "  row 2 of demo's release r1, learnt by m1",
    ]
    told = shell.json("explain", "e1")
    assert isinstance(told, dict)
    assert told["held_by"][0]["model_ids"] == ["m1"]


def test_an_erasure_wants_to_be_meant_and_tells_what_remains(suite: LocalSuite, shell: Shell) -> None:
    assert shell("erase", "e1") == 2
    assert "--yes" in shell.err
    assert suite.curator.erased == []
    assert shell("erase", "e1", "--yes") == 0
    assert suite.curator.erased == ["e1"]
    assert shell.out.splitlines() == [
        "e1 erased: no later release will hold it",
        "  row 1 of p's release r1",
        "what remains of its text:",
        "  backups made before",
    ]


def test_an_example_may_be_named_by_the_item_that_was_submitted(suite: LocalSuite) -> None:
    with Client(suite.addresses) as client:
        document = Document(text="the whole text", source="s")
        assert client.explain("p", document).example_id == "the whole text"
        client.erase_document(Pair(instruction="i", response="the answer", source="s"))
    assert suite.curator.erased == ["the answer"]

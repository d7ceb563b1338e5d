"""Setting up an evaluation: what is asked, and which engines are opened for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from longstream.errors import Corrupt, InvalidInput
from longstream.llm.types import EngineIdentity, LanguageModel
from longstream.storage import Storage, open_storage
from longstream.v1.records_pb2 import Model, Release
from longstream_judge import canaries
from longstream_judge.comparison import Pair
from longstream_judge.contest import Before, Engines, contestants, spec_for, with_family
from longstream_judge.spec import Canary, Contestant, EvaluationSpec, Models
from longstream_judge.spending import life_level
from tests.support.arena import GATE, ROWS, Ruled, a_model, a_pipeline, a_release
from tests.support.questions import QUESTIONS
from tests.support.trainingjobs import row, write_shard


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage((tmp_path / "objects").as_uri())


class Opened:
    """Engines that are opened for the time of an evaluation."""

    def __init__(self, serves: str = "base") -> None:
        self.judge = Ruled()
        self.by_name: dict[str, Ruled] = {}
        self.engines = Engines(
            judges=(self.judge,),
            judge_serves=lambda name: name == serves,
            open_weights=self._open,
            remembering=lambda model, name: model,
        )

    def _open(self, name: str) -> LanguageModel:
        assert name not in self.by_name, "nobody should be loaded twice"
        self.by_name[name] = Ruled()
        return self.by_name[name]


def adapter(storage: Storage, folder: Path, name: str = "a", **fields: object) -> Model:
    return a_model(storage, folder, a_release(storage, folder, a_pipeline()), name, **fields)


def test_adapters_on_the_judges_base_need_no_other_engine(storage: Storage, tmp_path: Path) -> None:
    opened = Opened()
    candidate, champion = adapter(storage, tmp_path, "a"), adapter(storage, tmp_path, "b")
    with contestants(opened.engines, storage, tmp_path / "cache", candidate, champion) as models:
        assert models.judges[0] is models.candidate.model is models.champion.model is opened.judge
        assert models.candidate.adapter is not None
        assert models.champion.adapter is not None
        assert (models.candidate.adapter.name, models.champion.adapter.name) == ("a", "b")
        assert (Path(models.candidate.adapter.path) / "adapter.safetensors").read_text() == "a"
    assert (opened.judge.closed, opened.judge.waited) == (0, 1)


def test_the_base_model_is_met_without_an_adapter(storage: Storage, tmp_path: Path) -> None:
    opened = Opened()
    with contestants(opened.engines, storage, tmp_path / "cache", adapter(storage, tmp_path), None) as models:
        assert models.champion.model is opened.judge
        assert models.champion.adapter is None


def test_a_base_that_the_judge_does_not_serve_is_opened_once_for_both_and_closed(
    storage: Storage, tmp_path: Path
) -> None:
    opened = Opened(serves="a larger judge")
    candidate, champion = adapter(storage, tmp_path, "a"), adapter(storage, tmp_path, "b")
    with contestants(opened.engines, storage, tmp_path / "cache", candidate, champion) as models:
        assert models.candidate.model is models.champion.model
        assert opened.by_name["base"].waited == 1
        assert opened.by_name["base"].closed == 0
    assert opened.by_name["base"].closed == 1
    assert opened.judge.closed == 0


def test_whole_weights_are_loaded_from_where_they_were_laid_out(storage: Storage, tmp_path: Path) -> None:
    opened = Opened()
    candidate = adapter(storage, tmp_path, "whole", kind=Model.KIND_WEIGHTS)
    with contestants(opened.engines, storage, tmp_path / "cache", candidate, None) as models:
        (folder,) = opened.by_name
        assert (Path(folder) / "adapter.safetensors").read_text() == "whole"
        assert models.candidate.adapter is None
        assert models.champion.model is opened.judge
    assert opened.by_name[folder].closed == 1


def test_what_was_opened_is_closed_also_when_the_next_one_cannot_be(storage: Storage, tmp_path: Path) -> None:
    opened = Opened(serves="a larger judge")
    candidate = adapter(storage, tmp_path, "a", address="sha256:" + "0" * 64)
    champion = adapter(storage, tmp_path, "b")
    with (
        pytest.raises(Exception, match="no object"),
        contestants(opened.engines, storage, tmp_path / "cache", candidate, champion),
    ):
        raise AssertionError("the block must not be entered")
    assert opened.by_name["base"].closed == 1


def test_a_model_that_is_laid_out_already_is_used_as_it_lies(storage: Storage, tmp_path: Path) -> None:
    opened, candidate = Opened(), adapter(storage, tmp_path)
    for _ in range(2):
        with contestants(opened.engines, storage, tmp_path / "cache", candidate, None):
            pass
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a"]


def spec_of(storage: Storage, folder: Path, **evaluate: Any) -> EvaluationSpec:
    release = a_release(storage, folder, a_pipeline(**evaluate))
    return spec_for(a_model(storage, folder, release, "a"), release, storage)


def test_the_held_out_rows_are_asked_about_where_no_prompts_are_given(
    storage: Storage, tmp_path: Path
) -> None:
    spec = spec_of(storage, tmp_path)
    assert {example.instruction for example in spec.prompts} == {question for question, _ in QUESTIONS[:ROWS]}
    assert list(spec.prompts) == list(spec.heldout)
    assert {known.answer for known in spec.known} == {answer for _, answer in QUESTIONS[:ROWS]}
    assert spec.policy.decide_by == GATE["decide_by"]


def test_rows_are_drawn_by_seed_and_not_by_rank(storage: Storage, tmp_path: Path) -> None:
    few = spec_of(storage, tmp_path, max_prompts=4)
    all_of_them = spec_of(storage, tmp_path)
    assert [example.id for example in few.prompts] == [example.id for example in all_of_them.prompts[:4]]
    assert [example.id for example in all_of_them.prompts] != sorted(
        example.id for example in all_of_them.prompts
    )
    assert spec_of(storage, tmp_path, max_prompts=4) == few


def test_another_seed_draws_other_rows(storage: Storage, tmp_path: Path) -> None:
    pipeline = a_pipeline()
    orders = set()
    for seed in range(3):
        other = pipeline.model_copy(update={"split": pipeline.split.model_copy(update={"seed": seed})})
        release = a_release(storage, tmp_path, other)
        spec = spec_for(a_model(storage, tmp_path, release, "a"), release, storage)
        assert spec.seed == seed
        orders.add(tuple(example.id for example in spec.prompts))
    assert len(orders) == 3


def test_given_prompts_are_asked_and_the_held_out_rows_still_scored(storage: Storage, tmp_path: Path) -> None:
    spec = spec_of(storage, tmp_path, prompts=["Why?", "How?"], max_tokens=7)
    assert [example.instruction for example in spec.prompts] == ["Why?", "How?"]
    assert len({example.id for example in spec.prompts}) == 2
    assert len(spec.heldout) == len(spec.known) == ROWS
    assert spec.sampling.max_tokens == 7


def test_rows_that_were_trained_on_are_never_asked_about(storage: Storage, tmp_path: Path) -> None:
    pipeline = a_pipeline()
    rows = [row(n, split="train" if n % 2 else "test") for n in range(6)]
    release = Release(pipeline="p", id="r1", state=Release.STATE_FINAL, revision=pipeline.revision())
    for part in (0, 1):
        path = write_shard(tmp_path / f"{part}.parquet", rows[part::2])
        release.shards.add(address=storage.put_file(path), rows=3)
    spec = spec_for(a_model(storage, tmp_path, release, "a"), release, storage)
    assert {example.id for example in spec.heldout} == {f"example-{n:03d}" for n in (0, 2, 4)}


def test_prompts_that_the_training_rows_hold_are_left_out_and_counted(
    storage: Storage, tmp_path: Path
) -> None:
    prompt = "Tell me in twelve words or a few more why the sky at night is dark"
    pipeline = a_pipeline(
        prompts=[prompt, "Why not?", {"instruction": "Sum up.", "input": "A text.", "slice": "law"}]
    )
    rows = [row(0, split="test"), row(1, response=f"{prompt}, they asked."), row(2, instruction="why not")]
    release = Release(pipeline="p", id="r1", state=Release.STATE_FINAL, revision=pipeline.revision())
    path = write_shard(tmp_path / "shard.parquet", rows)
    release.shards.add(address=storage.put_file(path), rows=len(rows))
    spec = spec_for(a_model(storage, tmp_path, release, "a"), release, storage)
    assert [(one.question, one.slice) for one in spec.prompts] == [("Sum up.\n\nA text.", "law")]
    assert spec.contaminated == 2
    assert [example.slice for example in spec.heldout] == ["town"]


def test_what_came_before_sets_level_spread_and_pairs_to_be_seen_again(
    storage: Storage, tmp_path: Path
) -> None:
    release = a_release(storage, tmp_path, a_pipeline())
    model = a_model(storage, tmp_path, release, "a")
    canary = Canary(pair=Pair(id="1", question="q", candidate="a", champion="b"), preferences=(0.5, None))
    spec = spec_for(model, release, storage, Before(tests=(True,), spread=0.3))
    assert (spec.level, spec.spread) == (life_level((True,), 0.1), 0.3)
    assert canaries.read(canaries.table([canary])) == (canary,)
    with pytest.raises(Corrupt, match="saw before"):
        canaries.read(b"no table")


def test_judges_of_the_candidates_family_are_told_of_and_refused_where_it_counts(
    storage: Storage, tmp_path: Path
) -> None:
    class Kin(Ruled):
        @property
        def identity(self) -> EngineIdentity:
            return EngineIdentity("rules", "kin", "1", "llama")

    def told(judge: Ruled, profile: str = "paper", **gate: Any) -> EvaluationSpec:
        pipeline = a_pipeline(gate=gate).model_copy(update={"profile": profile})
        release = a_release(storage, tmp_path, pipeline)
        model = a_model(storage, tmp_path, release, "a")
        contestant = Contestant(model=Kin())
        models = Models(judges=(judge,), candidate=contestant, champion=contestant)
        return with_family(spec_for(model, release, storage), models)

    own = "kin judges a model of its own family, llama: judges prefer what is like themselves"
    assert (told(Kin()).notes, told(Kin()).objections) == ((own,), ())
    assert told(Kin(), other_family=True).objections == (own,)
    assert told(Kin(), "production").objections == (own,)
    assert told(Kin(), "production", other_family=False).notes == (own,)
    assert (told(Ruled()).notes, told(Ruled()).objections) == ((), ())


@pytest.mark.parametrize(
    ("decoding", "most", "drawn"),
    [("greedy", 256, (0.0, 1.0)), ("longform", 256, (1.0, 0.9)), ("long-is-more", 512, (0.0, 1.0))],
)
def test_answers_are_drawn_as_the_named_decoding_says(
    storage: Storage, tmp_path: Path, decoding: str, most: int, drawn: tuple[float, float]
) -> None:
    sampling = spec_of(storage, tmp_path, decoding=decoding, min_tokens=3).sampling
    assert (sampling.max_tokens, sampling.min_tokens) == (most, 3)
    assert (sampling.temperature, sampling.top_p) == drawn
    assert spec_of(storage, tmp_path, decoding=decoding, max_tokens=9).sampling.max_tokens == 9


def test_a_gate_that_does_not_exist_is_refused_by_name(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="gate policy: nonsense"):
        spec_of(storage, tmp_path, gate={"nonsense": 1})

"""Diverse texts: one for each cluster, nearest to its centre, whatever repeats, blanks and sites there are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from longstream.client import Addresses, Client
from longstream.errors import DeadlineExceeded, InvalidInput, Overloaded, TooLarge
from longstream.v1 import curator_pb2 as pb
from longstream_curator.diverse import embedding, features, picking
from longstream_curator.diverse import pool as pool_module
from longstream_curator.diverse.call import DiverseSelection, embedding_of
from longstream_curator.diverse.embedding import Encoded, LatentSemantic, Vectors
from longstream_curator.diverse.features import Counts, words
from longstream_curator.diverse.picking import Clustered, clustered, picked
from longstream_curator.diverse.pool import Choice, Pool, Wish
from tests.support.curating import MAX_POOL, CuratorHouse
from tests.support.house import opened

TOPICS = {
    "cooking": ["onion", "butter", "flour", "oven", "simmer", "garlic", "pepper", "dough", "bake", "salt"],
    "sailing": ["harbour", "mast", "wind", "tide", "anchor", "rope", "keel", "deck", "sail", "storm"],
    "law": ["court", "judge", "appeal", "verdict", "clause", "statute", "witness", "plea", "jury", "oath"],
    "gardens": ["rose", "soil", "hedge", "seed", "bloom", "prune", "compost", "pond", "lawn", "fern"],
}


def texts(each: int, seed: int = 0) -> list[tuple[str, str]]:
    """So many texts of every topic, mixed; each one's site is its topic."""
    draw = random.Random(seed)
    found = [
        (" ".join(draw.choices(words, k=40)), topic) for topic, words in TOPICS.items() for _ in range(each)
    ]
    draw.shuffle(found)
    return found


def chosen(items: list[tuple[str, str]], count: int, most_per_site: int = 0, seed: int = 0) -> Choice:
    with Pool(LatentSemantic(), 10_000) as pool:
        pool.add(items)
        return pool.choose(Wish(count=count, seed=seed, most_per_site=most_per_site))


def test_of_texts_on_four_matters_one_each_is_picked() -> None:
    items = texts(each=30)
    choice = chosen(items, 4)
    assert {items[one.index][1] for one in choice.picked} == set(TOPICS)
    assert [one.cluster_size for one in choice.picked] == [30] * 4
    assert (choice.seen, choice.clusters, choice.embedding) == (120, 4, LatentSemantic.name)


def test_the_same_seed_picks_the_same_and_another_may_pick_others() -> None:
    items = texts(each=30)
    picks = [[one.index for one in chosen(items, 20, seed=seed).picked] for seed in (1, 1, 2)]
    assert picks[0] == picks[1] != picks[2]


def test_what_comes_twice_or_is_blank_is_not_in_the_choice() -> None:
    items = [("  \n", "s"), ("one text", "s"), ("one text", "t"), ("another", "s"), ("...", "s")]
    choice = chosen(items, 10)
    assert [one.index for one in choice.picked] == [1, 3]
    assert (choice.seen, choice.repeats, choice.blank) == (5, 1, 2)


def test_no_site_has_more_than_its_share_and_others_make_up_for_it() -> None:
    items = [
        (text, "one site" if topic != "law" else f"site {n}") for n, (text, topic) in enumerate(texts(10))
    ]
    choice = chosen(items, 8, most_per_site=2)
    assert Counter(items[one.index][1] for one in choice.picked)["one site"] == 2
    assert len(choice.picked) == 8
    assert any(one.made_up for one in choice.picked)


def test_texts_that_cannot_be_told_apart_still_give_as_many_as_wanted() -> None:
    """k-means leaves clusters empty where points lie on one another."""
    items = [(" ".join(["same", "words", "here"] * n), "s") for n in range(1, 9)]
    choice = chosen(items, 6)
    assert len(choice.picked) == 6
    assert choice.clusters < 6
    assert sum(one.made_up for one in choice.picked) == 6 - choice.clusters


def test_one_text_is_picked_whatever_it_is() -> None:
    assert [one.index for one in chosen([("word", "s")], 3).picked] == [0]
    with pytest.raises(InvalidInput, match="no text"):
        chosen([("--", "s")], 3)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 3), st.randoms(use_true_random=False))
def test_as_many_as_there_can_be_are_picked_each_once(
    size: int, count: int, most_per_site: int, draw: random.Random
) -> None:
    labels = np.array([draw.randrange(count) for _ in range(size)], dtype=np.int32)
    distances = np.array([draw.choice([0.0, 0.5, draw.random()]) for _ in range(size)], dtype=np.float32)
    sites = [draw.choice("abc") for _ in range(size)]
    found = picked(Clustered(labels, distances, len(set(labels.tolist()))), sites, count, most_per_site)
    numbers = [one.index for one in found]
    assert numbers == sorted(set(numbers))
    per_site = Counter(sites[n] for n in numbers)
    room = sum(min(most_per_site or size, n) for n in Counter(sites).values())
    assert len(found) == min(count, room)
    assert not most_per_site or max(per_site.values()) <= most_per_site
    if not most_per_site:
        for label in set(labels.tolist()):
            members = np.flatnonzero(labels == label)
            nearest = min(members.tolist(), key=lambda n: (distances[n], n))
            assert nearest in numbers
    assert all(one.cluster_size == int((labels == labels[one.index]).sum()) for one in found)


def test_each_is_nearest_to_the_centre_of_its_own_cluster() -> None:
    vectors = normalize(np.random.default_rng(0).normal(size=(300, 8)))
    found = clustered(vectors, 12, 0)
    centres = np.stack([vectors[found.labels == label].mean(axis=0) for label in range(12)])
    assert np.allclose(found.distances, np.linalg.norm(vectors - centres[found.labels], axis=1), atol=0.02)


def test_very_many_are_clustered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picking, "MINI_BATCH_FROM", 100)
    monkeypatch.setattr(picking, "_AT_A_TIME", 7)
    items = texts(each=30)
    assert {items[one.index][1] for one in chosen(items, 4).picked} == set(TOPICS)


def test_the_weights_are_tf_idf_as_scikit_learn_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in files of a few texts, and fitted on all: the same as at once."""
    monkeypatch.setattr(features, "_CHUNK", 7)
    monkeypatch.setattr(embedding, "DIMENSIONS", 4)
    items = [text for text, _ in texts(each=10)]
    ours = LatentSemantic()
    for first in range(0, 40, 3):
        ours.add(items[first : first + 3])
    counts = ours._counts
    whole = counts._vectorizer.transform(items)
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(whole)
    reference = normalize(TruncatedSVD(4, random_state=0).fit(weighted).transform(weighted))
    assert np.allclose(ours.vectors(0), reference, atol=1e-3)
    folder = Path(counts._folder.name)
    assert len(list(folder.iterdir())) == 6
    ours.close()
    assert not folder.exists()


def test_directions_found_on_a_sample_place_all_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "FITTED_ON", 40)
    items = texts(each=30)
    assert {items[one.index][1] for one in chosen(items, 4).picked} == set(TOPICS)


def test_words_are_told_apart_in_scripts_without_spaces() -> None:
    assert words("Ein Wort, zwei_Worte; 東京") == ["ein", "wort", "zwei", "worte", "東", "京"]


def test_a_model_decides_where_one_is_given() -> None:
    def encode(texts: Sequence[str]) -> Vectors:
        return np.array([[1.0, 0.0] if "left" in text else [0.0, 2.0] for text in texts], dtype=np.float32)

    with Pool(Encoded("sides@1", encode), 100) as pool:
        pool.add([(f"left {n}", "") for n in range(5)] + [(f"right {n}", "") for n in range(3)])
        choice = pool.choose(Wish(count=2))
    assert sorted(one.cluster_size for one in choice.picked) == [3, 5]
    assert choice.embedding == "sides@1"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with opened(CuratorHouse(tmp_path)) as curator:
        addresses = Addresses(curator=curator.address, instructor="", trainer="", judge="")
        with Client(addresses) as client:
            yield client


def test_the_service_chooses_for_its_callers(client: Client) -> None:
    items = texts(each=10)
    answer = client.select_diverse(iter(items), pb.SelectDiverseOptions(count=4, seed=1))
    assert {items[one.index][1] for one in answer.picked} == set(TOPICS)
    assert (answer.seen, answer.embedding) == (40, LatentSemantic.name)


@pytest.mark.parametrize(
    ("items", "wish", "error", "told"),
    [
        ([("a", "")], {"count": 0}, InvalidInput, "count must be 1 to 100,000"),
        ([(str(n), "") for n in range(MAX_POOL + 1)], {"count": 2}, TooLarge, "draw a sample"),
        ([], {"count": 2}, InvalidInput, "no text"),
        ([("a" * 5_000_000, "")], {"count": 2}, TooLarge, "split it"),
    ],
)
def test_what_cannot_be_chosen_is_told(
    client: Client, items: list[tuple[str, str]], wish: dict[str, int], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        client.select_diverse(iter(items), pb.SelectDiverseOptions(**wish))


def test_a_call_says_once_what_it_wants() -> None:
    options = pb.SelectDiverseRequest(options=pb.SelectDiverseOptions(count=1))
    selection = DiverseSelection(LatentSemantic, 10)
    with pytest.raises(InvalidInput, match="how many"):
        selection.choose(iter([]), lambda: True)
    with pytest.raises(InvalidInput, match="once"):
        selection.choose(iter([options, options]), lambda: True)
    many = pb.SelectDiverseRequest(texts=[pb.SelectDiverseText(text="a")] * 1_001)
    with pytest.raises(InvalidInput, match="1,000"):
        selection.choose(iter([many]), lambda: True)
    with pytest.raises(DeadlineExceeded):
        selection.choose(iter([options]), lambda: False)


def test_one_choice_is_made_at_a_time() -> None:
    selection = DiverseSelection(LatentSemantic, 10)

    def asking() -> Iterator[pb.SelectDiverseRequest]:
        with pytest.raises(Overloaded):
            selection.choose(iter([]), lambda: True)
        yield pb.SelectDiverseRequest(options=pb.SelectDiverseOptions(count=1))
        yield pb.SelectDiverseRequest(texts=[pb.SelectDiverseText(text="a")])

    assert [one.index for one in selection.choose(asking(), lambda: True).picked] == [0]


def test_a_model_that_is_none_is_told_when_the_service_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"modules\.json"):
        embedding_of(tmp_path)
    assert embedding_of(None)().name == LatentSemantic.name


def test_long_texts_do_not_wait_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_CHUNK_CHARACTERS", 20)
    monkeypatch.setattr(embedding, "_FITTED_COUNTS", 1)
    ours = LatentSemantic()
    with Pool(ours, 100) as pool:
        pool.add([(f"a text of {number} words", "") for number in range(50)])
        assert len(ours._counts._waiting) <= 1
        assert len(pool.choose(Wish(count=5)).picked) == 5


def test_more_than_can_be_done_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_WORK", 10)
    monkeypatch.setattr(pool_module, "MAX_CHARACTERS", 30)
    with Pool(LatentSemantic(), 100) as pool:
        pool.add([("some text", ""), ("more text", "")])
        with pytest.raises(TooLarge, match="5 can be picked"):
            pool.choose(Wish(count=6))
        with pytest.raises(TooLarge, match="characters"):
            pool.add([("and one too many", "")])


def test_nothing_of_the_texts_is_left_in_files() -> None:
    counts = Counts()
    counts.add(["some words"])
    assert next(counts.chunks()).nnz == 2
    [path] = Path(counts._folder.name).iterdir()
    assert b"words" not in path.read_bytes().replace(b"words.npy", b"")
    counts.close()

"""The recipe: what is refused, what the presets say, and how many steps really run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream_trainer.presets import preset, preset_names
from longstream_trainer.recipe import Recipe


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"unknown recipe keys: lr.*known: .*learning_rate.*preset"):
        Recipe.from_mapping({"lr": 1e-4})


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"paper-8b.*demo, long-is-more/llama-2-13b"):
        Recipe.from_mapping({"preset": "paper-8b"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", "qlora"),
        ("schedule", "step"),
        ("over_length", "cut"),
        ("precision", "fp16"),
        ("template", "alpaca"),
        ("rank", 0),
        ("rank", 2.5),
        ("rank", True),
        ("epochs", 0),
        ("epochs", "three"),
        ("epochs", math.nan),
        ("learning_rate", -1e-4),
        ("learning_rate", None),
        ("betas", [0.9]),
        ("betas", [0.9, 1.0]),
        ("warmup_ratio", 1.5),
        ("neftune_alpha", -5),
        ("max_steps", 0),
        ("batch_examples", 0),
        ("target_modules", []),
        ("target_modules", 7),
        ("gradient_checkpointing", "yes"),
        ("threads", -1),
        ("packing", "on"),
        ("quantization", "int8"),
        ("neftune_padded_to", 0),
        ("keep_checkpoints", 0),
        ("dora", 1),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Recipe.from_mapping({key: value})
    assert (caught.value.field or "").endswith(key)


def test_numbers_as_yaml_writes_them_are_understood() -> None:
    """YAML 1.1 reads 2e-4, which has no dot, as text."""
    recipe = Recipe.from_mapping({"learning_rate": "2e-4", "rank": "8", "epochs": 1, "betas": ["0.9", 0.99]})
    assert (recipe.learning_rate, recipe.rank, recipe.epochs, recipe.betas) == (2e-4, 8, 1.0, (0.9, 0.99))


@pytest.mark.parametrize(
    "values", [{}, {"preset": "long-is-more/llama-2-7b"}, {"target_modules": "q_proj", "max_steps": 3}]
)
def test_a_recipe_survives_json(values: dict[str, Any]) -> None:
    recipe = Recipe.from_mapping(values)
    assert Recipe.from_mapping(json.loads(json.dumps(recipe.as_mapping()))) == recipe


def test_keys_replace_a_presets_figures() -> None:
    recipe = Recipe.from_mapping({"preset": "long-is-more/llama-2-7b", "max_steps": None, "micro_batch": 1})
    assert (recipe.learning_rate, recipe.max_steps, recipe.micro_batch) == (1e-5, None, 1)


LONG_IS_MORE = [name for name in preset_names() if name.startswith("long-is-more/")]


@pytest.mark.parametrize("name", LONG_IS_MORE)
def test_the_papers_presets_run_the_papers_steps(name: str) -> None:
    """105 updates of 128 examples: 13.44 epochs, which is what the authors' trainer made of 15."""
    recipe = Recipe.from_mapping({"preset": name})
    assert recipe.steps_planned(1_000) == 105
    assert recipe.draws_planned(1_000) == 13_440
    assert recipe.learning_rate_at(0, 105) == recipe.learning_rate
    assert replace(recipe, max_steps=None).steps_planned(1_000) == 118


def test_the_noise_of_the_papers_presets_is_that_of_their_scripts() -> None:
    recipes = {name: Recipe.from_mapping({"preset": name}) for name in LONG_IS_MORE}
    assert {name.removeprefix("long-is-more/"): recipe.neftune_alpha for name, recipe in recipes.items()} == {
        "llama-2-7b": 15,
        "llama-2-13b": 3,
        "mistral-7b": 3,
    }
    assert {recipe.neftune_padded_to for recipe in recipes.values()} == {2_048}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_of_each_figure_whose_it_is_and_is_a_recipe(name: str) -> None:
    known = preset(name)
    assert known.source
    assert not known.theirs.keys() & known.ours.keys()
    recipe = Recipe.from_mapping({"preset": name})
    assert {key: getattr(recipe, key) for key in known.theirs} == {
        key: tuple(value) if isinstance(value, list) else value for key, value in known.theirs.items()
    }


def test_the_presets_of_the_two_papers_are_there() -> None:
    assert set(preset_names()) == {
        "demo",
        *(f"long-is-more/{name}" for name in ("llama-2-7b", "llama-2-13b", "mistral-7b")),
        *(f"longform/{name}" for name in ("t5-xl", "opt-2.7b", "opt-6.7b", "llama-7b")),
    }


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"method": "full", "dora": True}, "recipe.dora"),
        ({"method": "full", "merge": True}, "recipe.merge"),
        ({"method": "full", "quantization": "nf4"}, "recipe.quantization"),
        ({"quantization": "nf4", "sharding": "fsdp"}, "recipe.quantization"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Recipe.from_mapping(values)
    assert caught.value.field == field


def test_what_decides_the_result_is_told_from_what_decides_the_speed() -> None:
    """Attempts of a job may differ in the second, and a change of the first would be another model."""
    slow = Recipe(micro_batch=1, packing="off", threads=1, keep_checkpoints=5, gradient_checkpointing=True)
    assert slow.decisive() == Recipe(sharding="fsdp").decisive()
    assert Recipe(seed=1).decisive() != Recipe().decisive()


def test_without_a_limit_no_example_of_the_last_step_is_lost() -> None:
    recipe = Recipe(epochs=15, batch_examples=128)
    assert recipe.steps_planned(1_000) == 118
    assert recipe.draws_planned(1_000) == 15_000


@given(
    examples=st.integers(1, 5_000),
    epochs=st.floats(0.01, 20),
    batch=st.integers(1, 300),
    limit=st.none() | st.integers(1, 500),
)
def test_the_planned_steps_are_just_enough_for_the_planned_draws(
    examples: int, epochs: float, batch: int, limit: int | None
) -> None:
    recipe = Recipe(epochs=epochs, batch_examples=batch, max_steps=limit)
    steps, draws = recipe.steps_planned(examples), recipe.draws_planned(examples)
    assert (steps - 1) * batch < draws <= steps * batch
    if limit is None:
        assert draws == max(1, round(examples * epochs))
    else:
        assert steps <= limit


def test_linear_falls_from_the_full_rate_towards_zero() -> None:
    recipe = Recipe(learning_rate=1.0, schedule="linear")
    assert [recipe.learning_rate_at(step, 4) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]


def test_cosine_is_half_way_down_in_the_middle() -> None:
    recipe = Recipe(learning_rate=1.0, schedule="cosine")
    rates = [recipe.learning_rate_at(step, 4) for step in range(4)]
    assert rates[0] == 1.0
    assert rates[2] == pytest.approx(0.5)
    assert rates == sorted(rates, reverse=True)


def test_constant_stays() -> None:
    recipe = Recipe(learning_rate=1.0, schedule="constant")
    assert {recipe.learning_rate_at(step, 9) for step in range(9)} == {1.0}


def test_warm_up_rises_to_the_full_rate_without_a_step_at_zero() -> None:
    recipe = Recipe(learning_rate=1.0, schedule="constant", warmup_ratio=0.3)
    assert [recipe.learning_rate_at(step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]

"""NEFTune's noise: bounded and uniform by each example's own length, in every batch, in training only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from scipy import stats
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.integrations.neftune import activate_neftune, deactivate_neftune

from longstream_trainer.neftune import attach_neftune, noise_bound, per_example_alpha, true_lengths

ALPHA = 5.0
WIDTH = 64


def small_llama(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    return LlamaForCausalLM(config).train()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder:
    """Sees what goes into the first layer, and what the embedding alone would give."""

    def __init__(self, model: Any) -> None:
        self.seen: list[Tensor] = []
        self._embedding = model.get_input_embeddings()
        layers = next(module for module in model.modules() if isinstance(module, nn.ModuleList))
        layers[0].register_forward_pre_hook(
            lambda _, args, kwargs: self._keep(args, kwargs), with_kwargs=True
        )

    def _keep(self, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        self.seen.append((args[0] if args else kwargs["hidden_states"]).detach().clone())

    def noise(self, input_ids: Tensor) -> Tensor:
        """What was added in the last call; (examples, tokens, width)."""
        embedded: Tensor = self._embedding.weight.detach()[input_ids]
        return self.seen[-1] - embedded


def padded(lengths: list[int], *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Random ids and the mask of a padded batch."""
    width = max(lengths)
    ids = torch.randint(1, 50, (len(lengths), width), generator=generator(1))
    places = torch.arange(width)
    ends = torch.tensor(lengths).unsqueeze(1)
    mask = places >= width - ends if left else places < ends
    return ids, mask.long()


def packed(rows: list[list[int]], width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and position_ids of rows that each hold several examples, the rest padding."""
    ids = torch.randint(1, 50, (len(rows), width), generator=generator(1))
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    for place, lengths in enumerate(rows):
        joined = torch.cat([torch.arange(length) for length in lengths])
        mask[place, : len(joined)] = 1
        positions[place, : len(joined)] = joined
    return ids, mask, positions


def bound_of(length: int) -> float:
    return ALPHA / math.sqrt(length * WIDTH)


@pytest.mark.parametrize("left", [False, True])
def test_noise_stays_within_each_examples_own_bound(left: bool) -> None:
    model, lengths = small_llama(), [3, 40, 200]
    recorder = Recorder(model)
    ids, mask = padded(lengths, left=left)
    with attach_neftune(model, ALPHA, generator=generator()):
        model(input_ids=ids, attention_mask=mask)
    noise = recorder.noise(ids)
    for example, length in enumerate(lengths):
        largest = noise[example].abs().max().item()
        # The sum with the embedding is rounded to float32, so a little above the bound is rounding.
        assert 0.9 * bound_of(length) < largest <= bound_of(length) + 1e-6
        assert noise[example][mask[example] == 0].abs().sum() == 0


def test_noise_is_uniform_by_a_kolmogorov_smirnov_test() -> None:
    model = small_llama()
    recorder = Recorder(model)
    ids, mask = padded([200, 31])
    with attach_neftune(model, ALPHA, generator=generator()):
        model(input_ids=ids, attention_mask=mask)
    noise = recorder.noise(ids)
    for example, length in ((0, 200), (1, 31)):
        bound = bound_of(length)
        assert uniform_p(noise[example, :length], bound) > 0.01
    # The same test tells noise by the padded width, and a bound a fifth too wide, from the right one.
    assert uniform_p(noise[1, :31], bound_of(200)) < 1e-9
    assert uniform_p(noise[1, :31], 1.2 * bound_of(31)) < 1e-9


def uniform_p(drawn: Tensor, bound: float) -> float:
    """The Kolmogorov-Smirnov test's p-value that the values are uniform within the bound."""
    values = drawn.flatten().double().numpy()
    return float(stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue)


def test_root_mean_square_norm_is_alpha_over_root_three_padded_and_packed_alike() -> None:
    lengths = [20, 60, 120]
    expected = ALPHA / math.sqrt(3)
    model = small_llama()
    recorder = Recorder(model)
    ids, mask = padded(lengths)
    row_ids, row_mask, positions = packed([lengths], width=210)
    edges = [0, 20, 80, 200]
    norms: dict[str, list[float]] = {"padded": [], "packed": []}
    with attach_neftune(model, ALPHA, generator=generator()):
        for _ in range(30):
            model(input_ids=ids, attention_mask=mask)
            norms["padded"] += [example.norm().item() for example in recorder.noise(ids)]
            model(input_ids=row_ids, attention_mask=row_mask, position_ids=positions)
            row = recorder.noise(row_ids)[0]
            norms["packed"] += [row[a:b].norm().item() for a, b in pairwise(edges)]
    for kind, values in norms.items():
        root_mean_square = math.sqrt(sum(value**2 for value in values) / len(values))
        assert root_mean_square == pytest.approx(expected, rel=0.01), kind
        assert min(values) > 0.95 * expected
        assert max(values) < 1.05 * expected


def test_a_packed_segment_has_the_bound_that_it_has_alone_in_a_row() -> None:
    model = small_llama()
    recorder = Recorder(model)
    ids, mask, positions = packed([[7, 90, 2], [50]], width=100)
    with attach_neftune(model, ALPHA, generator=generator()):
        model(input_ids=ids, attention_mask=mask, position_ids=positions)
    noise = recorder.noise(ids).abs()
    for row, start, length in ((0, 0, 7), (0, 7, 90), (0, 97, 2), (1, 0, 50)):
        largest = noise[row, start : start + length].max().item()
        assert 0.9 * bound_of(length) < largest <= bound_of(length) + 1e-6
    assert noise[0, 99:].sum() == 0
    assert noise[1, 50:].sum() == 0


def test_packing_without_a_mask_is_read_from_the_positions() -> None:
    positions = torch.tensor([[0, 1, 2, 0, 1, 0]])
    assert true_lengths((1, 6), None, positions).tolist() == [[3, 3, 3, 2, 2, 1]]


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=4))
def test_lengths_are_the_same_whatever_else_is_in_the_row(rows: list[list[int]]) -> None:
    _, mask, positions = packed(rows, width=40)
    found = true_lengths((len(rows), 40), mask, positions)
    for row, lengths in enumerate(rows):
        expected = [length for length in lengths for _ in range(length)]
        assert found[row].tolist() == expected + [0] * (40 - len(expected))


def test_positions_of_a_left_padded_batch_count_no_padding() -> None:
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    positions = torch.tensor([[0, 0, 0, 1], [0, 1, 2, 3]])
    assert true_lengths((2, 4), mask, positions).tolist() == [[0, 0, 2, 2], [4, 4, 4, 4]]


def test_one_row_of_positions_serves_all_rows() -> None:
    assert true_lengths((2, 3), None, torch.tensor([[0, 1, 2]])).tolist() == [[3, 3, 3], [3, 3, 3]]


def test_evaluation_is_silent_and_training_is_not() -> None:
    model = small_llama()
    ids, mask = padded([8, 30])
    plain = model(input_ids=ids, attention_mask=mask).logits
    with attach_neftune(model, ALPHA, generator=generator()):
        assert not torch.equal(model(input_ids=ids, attention_mask=mask).logits, plain)
        model.eval()
        assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, plain)
        # A prompt that is only answered need not tell its length.
        assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


def test_removing_it_leaves_nothing_behind() -> None:
    model = small_llama()
    ids, mask = padded([8, 30])
    plain = model(input_ids=ids, attention_mask=mask).logits
    hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]
    handle = attach_neftune(model, ALPHA)
    handle.remove()
    handle.remove()
    assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, plain)
    assert hooks == [
        (len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()
    ]
    assert model(input_ids=ids).logits.shape == plain.shape


def test_the_same_generator_gives_the_same_noise() -> None:
    model = small_llama()
    recorder = Recorder(model)
    ids, mask = padded([8, 30])
    for _ in range(2):
        with attach_neftune(model, ALPHA, generator=generator(3)):
            model(input_ids=ids, attention_mask=mask)
    assert torch.equal(recorder.seen[0], recorder.seen[1])


def test_no_gradient_flows_through_the_noise() -> None:
    """d(embedding + noise) / d(embedding) is 1, so gradients are those of the noisy point, no more."""
    model = small_llama()
    embedding = model.get_input_embeddings()
    ids, mask = padded([5])
    with attach_neftune(model, ALPHA, generator=generator()):
        model(input_ids=ids, attention_mask=mask).logits.sum().backward()
    hooked = embedding.weight.grad.clone()
    model.zero_grad()
    drawn = torch.rand((1, 5, WIDTH), generator=generator())
    noisy = embedding(ids) + (drawn * 2 - 1) * bound_of(5)
    model(inputs_embeds=noisy, attention_mask=mask).logits.sum().backward()
    torch.testing.assert_close(hooked, embedding.weight.grad)


def test_inputs_embeds_get_the_same_noise_once() -> None:
    model = small_llama()
    recorder = Recorder(model)
    ids, mask = padded([8, 30])
    with attach_neftune(model, ALPHA, generator=generator()) as handle:
        model(input_ids=ids, attention_mask=mask)
        handle.remove()
    with attach_neftune(model, ALPHA, generator=generator()):
        embedded = model.get_input_embeddings()(ids)
        assert torch.equal(embedded, model.get_input_embeddings().weight[ids])
        model(inputs_embeds=embedded, attention_mask=mask)
    assert torch.equal(recorder.seen[0], recorder.seen[1])


@pytest.fixture(params=["before", "after"])
def wrapped(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A model under peft, with the noise attached before or after wrapping."""
    base = small_llama()
    if request.param == "before":
        handle = attach_neftune(base, ALPHA, generator=generator())
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")).train()
    if request.param == "after":
        handle = attach_neftune(model, ALPHA, generator=generator())
    yield model
    handle.remove()


def test_it_works_under_peft(wrapped: Any) -> None:
    recorder = Recorder(wrapped)
    ids, mask = padded([8, 30])
    wrapped(input_ids=ids, attention_mask=mask)
    noise = recorder.noise(ids)
    assert 0.9 * bound_of(8) < noise[0].abs().max().item() <= bound_of(8) + 1e-6
    assert noise[0, 8:].abs().sum() == 0


def gradients(model: Any, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    with attach_neftune(model, ALPHA, generator=generator()):
        output = model(input_ids=ids, attention_mask=mask, use_cache=False)
        output.logits.float().logsumexp(-1).sum().backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_recomputed_layers_see_the_same_noise(use_reentrant: bool) -> None:
    model = small_llama()
    ids, mask = padded([8, 30])
    stored = gradients(model, ids, mask)
    recorder = Recorder(model)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": use_reentrant})
    recomputed = gradients(model, ids, mask)
    assert stored.keys() == recomputed.keys()
    for name, gradient in stored.items():
        torch.testing.assert_close(recomputed[name], gradient, msg=name)
    # The first layer ran in the forward pass and again in the backward pass.
    assert len(recorder.seen) == 2
    assert torch.equal(recorder.seen[0], recorder.seen[1])


def test_a_batch_that_does_not_tell_its_lengths_is_refused() -> None:
    model = small_llama()
    ids, mask = padded([8, 30])
    with attach_neftune(model, ALPHA):
        with pytest.raises(ValueError, match="attention_mask, position_ids, or both"):
            model.model(input_ids=ids)
        with pytest.raises(ValueError, match="token pairs"):
            model.model(input_ids=ids, attention_mask=torch.ones(2, 1, 30, 30))
        with pytest.raises(ValueError, match="position_ids of shape"):
            model.model(input_ids=ids, attention_mask=mask, position_ids=torch.arange(31).unsqueeze(0))
        with pytest.raises(ValueError, match="input_ids or inputs_embeds"):
            model.model(attention_mask=mask)
        model(input_ids=ids, attention_mask=mask)


def test_a_replaced_embedding_is_noticed() -> None:
    model = small_llama()
    ids, mask = padded([8, 30])
    with attach_neftune(model, ALPHA):
        model.set_input_embeddings(nn.Embedding(50, WIDTH))
        with pytest.raises(RuntimeError, match="attach it again"):
            model(input_ids=ids, attention_mask=mask)


@pytest.mark.parametrize("alpha", [-1.0, math.nan, math.inf])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        attach_neftune(small_llama(), alpha)


def test_the_papers_alpha_in_our_measure() -> None:
    """Padded to 2,048 with 410 real tokens on average, alpha 15 acts like 6.7."""
    ours = per_example_alpha(15, padded_tokens=2_048, mean_tokens=410)
    assert ours == pytest.approx(6.71, abs=0.005)
    per_example = noise_bound(torch.tensor([410]), ours, 4_096)
    by_padded_width = noise_bound(torch.tensor([2_048]), 15, 4_096)
    assert per_example.item() == pytest.approx(by_padded_width.item())
    assert by_padded_width.item() == pytest.approx(0.005179, abs=1e-6)


def test_a_coarse_model_gets_its_noise_in_its_own_type(tmp_path: Path) -> None:
    small_llama().save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16).train()
    recorder = Recorder(model)
    ids, mask = padded([8, 30])
    with attach_neftune(model, ALPHA, generator=generator()):
        assert model(input_ids=ids, attention_mask=mask).logits.dtype == torch.bfloat16
    assert recorder.noise(ids).abs().max().item() <= bound_of(8) * (1 + 2**-7) + 1e-3


@pytest.mark.parametrize("pack", [False, True])
def test_the_effective_alpha_is_that_of_the_noise_that_was_really_added(pack: bool) -> None:
    lengths = [20, 60, 120]
    model = small_llama()
    recorder = Recorder(model)
    if pack:
        ids, mask, positions = packed([lengths], width=210)
        call = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    else:
        ids, mask = padded(lengths)
        call = {"input_ids": ids, "attention_mask": mask}
    with attach_neftune(model, ALPHA, generator=generator()) as noise:
        assert noise.effective_alpha() is None
        model(**call)
        power = recorder.noise(ids).double().square().sum().item()
        measured = noise.effective_alpha()
        assert measured == pytest.approx(math.sqrt(3 * power / len(lengths)), rel=1e-4)
        assert measured == pytest.approx(ALPHA, rel=0.05)
        assert noise.effective_alpha() is None
        model.eval()(**call)
        assert noise.effective_alpha() is None


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_seeded_noise_is_an_examples_own_however_it_is_batched(lengths: list[int], seed: int) -> None:
    seeds = [seed + number for number in range(len(lengths))]
    model = small_llama()
    recorder = Recorder(model)
    ids, mask = padded(lengths)
    row_ids, row_mask, positions = packed([lengths], width=sum(lengths) + 3)
    with attach_neftune(model, ALPHA) as noise:
        noise.next_seeds(seeds)
        model(input_ids=ids, attention_mask=mask)
        rows = recorder.noise(ids)
        noise.next_seeds(seeds)
        model(input_ids=row_ids, attention_mask=row_mask, position_ids=positions)
        row = recorder.noise(row_ids)[0]
        start = 0
        for number, length in enumerate(lengths):
            # The embeddings differ, and with them the rounding of the sum.
            torch.testing.assert_close(row[start : start + length], rows[number, :length], atol=1e-6, rtol=0)
            start += length
        noise.next_seeds(seeds[:1])
        alone = mask[:1, : lengths[0]]
        model(input_ids=ids[:1, : lengths[0]], attention_mask=alone)
        torch.testing.assert_close(
            recorder.noise(ids[:1, : lengths[0]])[0], rows[0, : lengths[0]], atol=1e-6, rtol=0
        )


def test_as_many_seeds_as_examples_are_wanted() -> None:
    model = small_llama()
    ids, mask = padded([3, 4])
    with attach_neftune(model, ALPHA) as noise:
        noise.next_seeds([1])
        with pytest.raises(ValueError, match="1 seeds were given for 2 examples"):
            model(input_ids=ids, attention_mask=mask)


def test_padded_to_gives_the_noise_of_transformers_own_hook() -> None:
    """The same draws, scaled by the padded width; theirs falls on the padding too, where nobody sees it."""
    model = small_llama()
    recorder = Recorder(model)
    ids, mask = padded([8, 30])
    with attach_neftune(model, ALPHA, generator=generator(), padded_to=30):
        model(input_ids=ids, attention_mask=mask)
    ours = recorder.noise(ids)
    hook = activate_neftune(model, ALPHA)
    torch.manual_seed(0)
    model(input_ids=ids, attention_mask=mask)
    theirs = recorder.noise(ids)
    deactivate_neftune(model, hook)
    largest = ALPHA / math.sqrt(30 * WIDTH)
    for noise in (ours, theirs):
        assert 0.98 * largest < noise[mask == 1].abs().max().item() <= largest + 1e-6
    torch.testing.assert_close(ours[mask == 1], theirs[mask == 1], atol=2e-6, rtol=0)
    assert theirs[mask == 0].abs().sum() > 0
    assert ours[mask == 0].abs().sum() == 0


def test_padded_to_holds_for_packed_rows_and_any_real_padding() -> None:
    model = small_llama()
    recorder = Recorder(model)
    ids, mask, positions = packed([[7, 90, 2]], width=100)
    with attach_neftune(model, ALPHA, generator=generator(), padded_to=2_048) as noise:
        model(input_ids=ids, attention_mask=mask, position_ids=positions)
        effective = noise.effective_alpha()
    added = recorder.noise(ids)[0]
    largest = ALPHA / math.sqrt(2_048 * WIDTH)
    assert 0.98 * largest < added[7:97].abs().max().item() <= largest + 1e-6
    # By each example's own length that is far less than the alpha that was asked for.
    expected = ALPHA * math.sqrt((7 + 90 + 2) / 3 / 2_048)
    assert effective == pytest.approx(expected, rel=0.1)


@given(st.integers(2, 40), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_a_part_of_a_sequence_has_the_bound_of_the_whole(length: int, parts: int) -> None:
    """Where each device holds a part of every sequence, no mask of it tells the length: it is told."""
    model = small_llama()
    recorder = Recorder(model)
    ids, _ = padded([length])
    for part in ids.chunk(parts, dim=1):
        with attach_neftune(model, ALPHA, generator=generator()) as noise:
            noise.next_lengths(torch.full(part.shape, length))
            model(input_ids=part, attention_mask=torch.ones_like(part))
        largest = recorder.noise(part).abs().max().item()
        assert 0.8 * bound_of(length) < largest <= bound_of(length) + 1e-6


def tiny_t5() -> Any:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=50, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    config.decoder_start_token_id = 0
    return T5ForConditionalGeneration(config).train()


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("decoder", [False, True])
def test_an_encoder_decoder_gets_noise_on_each_side_by_that_sides_length(
    adapted: bool, decoder: bool
) -> None:
    base = tiny_t5()
    model: Any = base
    if adapted:
        model = get_peft_model(base, LoraConfig(r=2, target_modules=["q"], task_type="SEQ_2_SEQ_LM")).train()
    sides = {"read": base.encoder, "written": base.decoder}
    seen: dict[str, Tensor] = {}
    for name, stack in sides.items():
        stack.block[0].register_forward_pre_hook(
            lambda _, args, kwargs, name=name: seen.update(
                {name: args[0] if args else kwargs["hidden_states"]}
            ),
            with_kwargs=True,
        )
    ids, mask = padded([4, 20])
    out, out_mask = padded([9, 3])
    with attach_neftune(model, ALPHA, generator=generator(), decoder=decoder):
        model(input_ids=ids, attention_mask=mask, decoder_input_ids=out, decoder_attention_mask=out_mask)
    read = seen["read"].detach() - base.shared.weight[ids].detach()
    written = seen["written"].detach() - base.shared.weight[out].detach()
    for example, length in enumerate((4, 20)):
        largest = read[example].abs().max().item()
        assert 0.9 * bound_of(length) < largest <= bound_of(length) + 1e-5
        assert read[example, length:].abs().sum() == 0
    if decoder:
        assert 0.9 * bound_of(9) < written[0].abs().max().item() <= bound_of(9) + 1e-5
        assert 0.9 * bound_of(3) < written[1].abs().max().item() <= bound_of(3) + 1e-5
    else:
        assert written.abs().sum() == 0

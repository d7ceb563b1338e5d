"""NEFTune: uniform noise on the input embeddings while a model is fine-tuned (arXiv 2310.05914).

Each example gets noise within +-alpha / sqrt(L * d): L its own number of real tokens, d the embedding's
width, so the noise's root-mean-square L2 norm over an example is alpha / sqrt(3) however it is batched. The
hook that ships with transformers, which Long Is More used, takes the padded width of the batch for L and
puts noise on padding too: there alpha 15 at 2,048 padded positions and 410 real ones acts like 6.7 here
(`per_example_alpha`), and switching to another padding or to packing silently changes the noise. With
`padded_to` that scale is had on purpose, whatever the batches are.

The noise enters after the embedding and before the first layer. Gradient checkpointing of the layers keeps
that sum and does not draw again, so a recomputed layer sees the same noise.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn


def per_example_alpha(padded_alpha: float, *, padded_tokens: float, mean_tokens: float) -> float:
    """The alpha that gives, by each example's own length, the noise that padded_alpha gave at padded_tokens.

    mean_tokens: mean number of real tokens of an example. Inversely, swap the two numbers.
    """
    return padded_alpha * math.sqrt(mean_tokens / padded_tokens)


def noise_bound(lengths: Tensor, alpha: float, width: int) -> Tensor:
    """Largest noise per token, alpha / sqrt(length * width), and 0 where the length is 0 (padding).

    lengths: any shape, true token counts. width: embedding size. Returns the same shape in float32.
    """
    bound = alpha / torch.sqrt(lengths.clamp(min=1).float() * width)
    return torch.where(lengths > 0, bound, torch.zeros_like(bound))


def true_lengths(
    shape: tuple[int, int], attention_mask: Tensor | None, position_ids: Tensor | None
) -> Tensor:
    """For every token the number of real tokens of its example, 0 on padding; (rows, tokens), int64.

    attention_mask: (rows, tokens), 0 on padding. position_ids: (rows or 1, tokens), back to 0 where the
    next example of a packed row starts. Without a mask every token counts as real: a packed row that ends
    in padding needs both. Raises ValueError if neither is given or a shape does not fit.
    """
    counts, segment, real = _segments(shape, attention_mask, position_ids)
    return counts.gather(1, segment) * real


def _segments(
    shape: tuple[int, int], attention_mask: Tensor | None, position_ids: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Real tokens by row and segment, each token's segment, and which tokens are real."""
    if attention_mask is None and position_ids is None:
        raise ValueError("NEFTune needs each example's length: pass attention_mask, position_ids, or both")
    _check_shapes(shape, attention_mask, position_ids)
    device = next(tensor.device for tensor in (attention_mask, position_ids) if tensor is not None)
    real = torch.ones(shape, dtype=torch.bool, device=device)
    if attention_mask is not None:
        real = attention_mask != 0
    starts = torch.zeros_like(real)
    if position_ids is not None:
        starts = (position_ids.expand(shape) == 0) & real
    starts[:, 0] = True
    segment = starts.long().cumsum(dim=1) - 1
    counts = torch.zeros(shape, dtype=torch.long, device=device).scatter_add(1, segment, real.long())
    return counts, segment, real


def _check_shapes(shape: tuple[int, int], attention_mask: Tensor | None, position_ids: Tensor | None) -> None:
    tokens = shape[1]
    if attention_mask is not None and tuple(attention_mask.shape) != shape:
        raise ValueError(
            f"NEFTune needs an attention_mask of shape {shape}, not {tuple(attention_mask.shape)}; a mask of "
            "token pairs does not tell lengths: pass position_ids instead of it"
        )
    if position_ids is not None and tuple(position_ids.shape) not in {shape, (1, tokens)}:
        raise ValueError(f"NEFTune needs position_ids of shape {shape}, not {tuple(position_ids.shape)}")


class Neftune:
    """Noise attached to a model until `remove`; a context manager that removes it at the end."""

    def __init__(
        self,
        model: nn.Module,
        alpha: float,
        generator: torch.Generator | None,
        *,
        padded_to: int | None,
        decoder: bool,
    ) -> None:
        self._alpha = alpha
        self._padded_to = padded_to
        self._generator = generator
        self._power = torch.zeros(())
        self._examples = torch.zeros(())
        self._seeds: tuple[int, ...] | None = None
        self._counts = True
        self._told: Tensor | None = None
        self._stacks = [_Stack(self, *pair, number) for number, pair in enumerate(_stacks(model, decoder))]

    def remove(self) -> None:
        """Take the hooks away; the model is exactly what it was. Calling it again does nothing."""
        for stack in self._stacks:
            stack.remove()

    def next_seeds(self, seeds: Sequence[int], *, counts: bool = True) -> None:
        """Draw the noise of the next calls' examples from these seeds, one each, in the order of their tokens.

        An example's noise is then the same however it is batched. counts: whether it is part of what is measured.
        """
        self._seeds = tuple(seeds)
        self._counts = counts

    def next_lengths(self, lengths: Tensor) -> None:
        """Say for the next call how long each token's whole example is; (rows, tokens), 0 on padding.

        For sequences of which each device holds a part, so that no mask of it tells.
        """
        self._told = lengths

    def effective_alpha(self) -> float | None:
        """The alpha that the noise since the last call acted like; None if there was none.

        Uniform noise of alpha has a root-mean-square L2 norm of alpha / sqrt(3) over an example; this is that norm as
        measured, after rounding to the embedding's number format, times sqrt(3).
        """
        power, examples = self.take_measure().tolist()
        return math.sqrt(3 * power / examples) if examples else None

    def take_measure(self) -> Tensor:
        """Summed squared noise and number of examples since the last call, which devices may add up; (2,)."""
        found = torch.stack([self._power, self._examples])
        self._power, self._examples = torch.zeros(()), torch.zeros(())
        return found

    def __enter__(self) -> Neftune:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _lengths(self, shape: tuple[int, int], given: dict[str, Any]) -> tuple[Tensor, list[int]]:
        """Of each token's example, and of the examples in the order of their tokens where seeds were given."""
        told, self._told = self._told, None
        if told is not None:
            return told, []
        counts, segment, real = _segments(shape, given.get("attention_mask"), given.get("position_ids"))
        examples = counts[counts > 0].tolist() if self._seeds is not None else []
        return counts.gather(1, segment) * real, examples

    def _noisy(self, embedded: Tensor, lengths: Tensor, examples: list[int], stack: int) -> Tensor:
        device = embedded.device if self._generator is None else self._generator.device
        with torch.no_grad():
            unit = self._drawn(embedded, lengths.to(device), examples, stack)
            scaled = lengths if self._padded_to is None else lengths.clamp(max=1) * self._padded_to
            bound = noise_bound(scaled.to(device), self._alpha, embedded.shape[-1])
            noise = ((unit * 2 - 1) * bound.unsqueeze(-1)).to(device=embedded.device, dtype=embedded.dtype)
            if self._counts:
                self._measure(noise, lengths.to(embedded.device))
        return embedded + noise

    def _drawn(self, embedded: Tensor, lengths: Tensor, examples: list[int], stack: int) -> Tensor:
        """Uniform from [0, 1), in the shape of embedded."""
        if self._seeds is None:
            return torch.rand(
                embedded.shape, generator=self._generator, device=lengths.device, dtype=torch.float32
            )
        if len(examples) != len(self._seeds):
            raise ValueError(f"{len(self._seeds)} seeds were given for {len(examples)} examples")
        generator = self._generator or torch.Generator(embedded.device)
        parts = []
        for seed, length in zip(self._seeds, examples, strict=True):
            generator.manual_seed(seed ^ stack)
            parts.append(torch.rand(length, embedded.shape[-1], generator=generator, device=lengths.device))
        unit = torch.zeros(embedded.shape, device=lengths.device)
        unit[lengths > 0] = torch.cat(parts)
        return unit

    def _measure(self, noise: Tensor, lengths: Tensor) -> None:
        # Each token of an example of L counts 1 / L, so that an example counts 1, packed or not; on the device.
        real = lengths > 0
        self._power = self._power.to(noise.device) + noise.float().square().sum()
        self._examples = self._examples.to(noise.device) + (real / lengths.clamp(min=1)).sum()


class _Stack:
    """The hooks on one module that embeds tokens and runs layers over them."""

    def __init__(self, noise: Neftune, owner: nn.Module, embedding: nn.Module, number: int) -> None:
        self._noise = noise
        self._number = number
        self._lengths: tuple[Tensor, list[int]] | None = None
        self._names = list(inspect.signature(owner.forward).parameters)
        self._handles = [
            owner.register_forward_pre_hook(self._before, with_kwargs=True),
            owner.register_forward_hook(self._after, always_call=True),
            embedding.register_forward_hook(self._embedded),
        ]

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._lengths = None

    def _before(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if not module.training:
            return None
        given = dict(zip(self._names, args, strict=False)) | kwargs
        embedded = given.get("inputs_embeds")
        tokens = given.get("input_ids") if embedded is None else embedded
        if tokens is None:
            raise ValueError("NEFTune needs input_ids or inputs_embeds to be given to the model")
        lengths = self._noise._lengths((int(tokens.shape[0]), int(tokens.shape[1])), given)
        if embedded is None:
            self._lengths = lengths
            return None
        return (), given | {"inputs_embeds": self._noise._noisy(embedded, *lengths, self._number)}

    def _embedded(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        # Called outside the owner's forward the output will come back as inputs_embeds and get its noise
        # there.
        if self._lengths is None:
            return output
        lengths, self._lengths = self._lengths, None
        return self._noise._noisy(output, *lengths, self._number)

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        missed, self._lengths = self._lengths is not None, None
        if missed and output is not None:
            raise RuntimeError("the input embedding was replaced after NEFTune was attached; attach it again")


def attach_neftune(
    model: nn.Module,
    alpha: float,
    *,
    generator: torch.Generator | None = None,
    padded_to: int | None = None,
    decoder: bool = False,
) -> Neftune:
    """Add NEFTune noise to a transformers model's input embeddings, in train mode only, until `remove()`.

    model: plain or wrapped by peft; attach after wrapping. An encoder-decoder gets noise on what its encoder reads,
    with decoder also on what its decoder reads. generator: draws the noise (any device); without one torch's global
    state does. padded_to: take this for every example's length, as transformers does where it pads to so many tokens.
    Calls must carry attention_mask (padded batches) or position_ids (packed rows). Raises ValueError for an alpha that
    is not a finite number of at least 0, and at a call whose lengths cannot be told.
    """
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"NEFTune's alpha must be a finite number of at least 0, not {alpha}")
    return Neftune(model, alpha, generator, padded_to=padded_to, decoder=decoder)


def _stacks(model: Any, decoder: bool) -> list[tuple[nn.Module, nn.Module]]:
    """Each module that embeds tokens, with its embedding.

    The module that holds the embedding is the one whose call carries the mask under every wrapper: peft calls the
    forward of the model around it directly, past any hook of that model.
    """
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        stacks = [model.get_encoder(), *([model.get_decoder()] if decoder else [])]
        return [(stack, stack.get_input_embeddings()) for stack in stacks]
    embedding = model.get_input_embeddings()
    for module in model.modules():
        if any(child is embedding for child in module.children()):
            return [(module, embedding)]
    raise ValueError("the model does not hold its own input embedding")

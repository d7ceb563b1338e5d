"""Several processes that train one model: how they divide a step, agree, and add up.

They are told of each other as torchrun tells them, by RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. Each
has the same examples and computes some groups of every step. The loss is divided by the step's tokens and not by a
process's, and NEFTune draws for each example by itself, so that any number of processes makes the same model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from longstream_trainer.job import Stopped

_PATIENCE = timedelta(minutes=30)
"""How long one waits for the others: as long as the slowest may load, or write a checkpoint."""
_BUCKET = 16 * 1024 * 1024
"""Numbers that travel together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """This process among all of them."""

    rank: int = 0
    local: int = 0
    """Among those of this machine."""
    world: int = 1
    here: int = 1
    """How many of them are on this machine."""

    @property
    def first(self) -> bool:
        """Whether this is the one that reports and writes."""
        return self.rank == 0

    def device(self) -> torch.device:
        """The one that this process computes on."""
        return torch.device("cuda", self.local) if torch.cuda.is_available() else torch.device("cpu")

    def share(self, groups: Sequence[list[int]], sizes: Sequence[int]) -> list[tuple[list[int], bool]]:
        """This process's groups of a step: each goes to whom has the least so far, the largest first.

        sizes: work of each group. Every process gets as many: where one has fewer, groups that do not count (False)
        fill up, since a model that is spread over all computes on all of them at once.
        """
        loads = [0] * self.world
        shares: list[list[int]] = [[] for _ in loads]
        for number in sorted(range(len(groups)), key=lambda one: -sizes[one]):
            least = loads.index(min(loads))
            shares[least].append(number)
            loads[least] += sizes[number]
        mine = shares[self.rank]
        missing = max(map(len, shares)) - len(mine)
        return [(groups[number], True) for number in mine] + [(groups[-1], False)] * missing

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors; on each of them."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def add_up_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by the sum over all processes; one that has none counts as 0."""
        if self.world == 1:
            return
        for parameter in (rest := [one for one in parameters if one.requires_grad]):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        left = iter(rest)
        while bucket := list(_bucket(left)):
            joined = torch.cat([one.flatten() for one in bucket])
            dist.all_reduce(joined)
            for one, part in zip(bucket, joined.split([one.numel() for one in bucket]), strict=True):
                one.copy_(part.view_as(one))

    def agreed(self, check: Callable[[], None]) -> Callable[[], None]:
        """A check that raises Stopped in every process once one of them is told to stop. All must call it as often."""
        if self.world == 1:
            return check
        device = self.device()

        def all_check() -> None:
            told = torch.zeros((), device=device)
            try:
                check()
            except Stopped:
                told += 1
            dist.all_reduce(told)
            if told:
                raise Stopped

        return all_check

    def of_first(self, content: Tensor) -> Tensor:
        """The first process's tensor in each of them, on the CPU. The others give one of its shape and type."""
        if self.world == 1 or not content.numel():
            return content
        bits = content.detach().to(self.device()).contiguous().reshape(-1).view(torch.uint8)
        dist.broadcast(bits, 0)
        return bits.view(content.dtype).reshape(content.shape).cpu()

    def words_of_first(self, words: bytes) -> bytes:
        """The first process's bytes, in each of them."""
        if self.world == 1:
            return words
        size = int(self.of_first(torch.tensor(len(words))))
        mine = torch.frombuffer(bytearray(words), dtype=torch.uint8) if self.first and size else None
        return bytes(self.of_first(torch.empty(size, dtype=torch.uint8) if mine is None else mine).tolist())

    def wait(self) -> None:
        """For all the others."""
        if self.world > 1:
            dist.barrier()


def _bucket(parameters: Iterator[nn.Parameter]) -> Iterator[Tensor]:
    """Gradients of one type, up to a bucket's worth."""
    size = 0
    for parameter in islice(parameters, 1_000):
        assert parameter.grad is not None
        yield parameter.grad
        size += parameter.numel()
        if size >= _BUCKET:
            return


@contextmanager
def joined() -> Iterator[Ranks]:
    """This process among those that the environment names; alone where it names none."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    ranks = Ranks(
        rank=int(os.environ["RANK"]),
        local=int(os.environ.get("LOCAL_RANK", "0")),
        world=world,
        here=int(os.environ.get("LOCAL_WORLD_SIZE", world)),
    )
    device = ranks.device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield ranks
    finally:
        dist.destroy_process_group()


def shard(loss: nn.Module, base: Any, *, half: bool) -> None:
    """Spread the parameters below loss over all processes, layer by layer (FSDP2). half: compute in bfloat16."""
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if half else None, reduce_dtype=torch.float32 if half else None
    )
    names = set(base._no_split_modules or ())
    for module in loss.modules():
        if type(module).__name__ in names:
            fully_shard(module, mp_policy=policy)
    fully_shard(loss, mp_policy=policy)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, of which each process may hold a part; all must call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def put(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one of which each process may hold a part."""
    target.copy_(like(value, target))


def like(value: Tensor, target: Tensor) -> Tensor:
    """A whole tensor, laid out as another one of its shape is."""
    if isinstance(target, DTensor):
        return distribute_tensor(value.to(target.device), target.device_mesh, target.placements)
    return value.to(target.device)

"""A picture of a run's loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_PARTS = 20
"""The mean is over so much of the run: a twentieth of it, with its middle at the step."""


def plot_loss(steps: Sequence[tuple[int, float]], path: Path) -> None:
    """Write a PNG of the loss of each step, and the mean of those around it. steps: number and loss in nats."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    numbers, losses = [number for number, _ in steps], [loss for _, loss in steps]
    axes.plot(numbers, losses, linewidth=0.8, alpha=0.5, label="step")
    half = len(losses) // _PARTS // 2 + 1
    around = [losses[max(0, at - half) : at + half + 1] for at in range(len(losses))]
    axes.plot(numbers, [fmean(some) for some in around], linewidth=1.8, label="mean around it")
    axes.set(xlabel="update", ylabel="loss (nats per supervised token)")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")

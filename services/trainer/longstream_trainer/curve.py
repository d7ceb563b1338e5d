"""A picture of a run's loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_SMOOTH = 0.9
"""Weight of what came before in the running mean."""


def plot_loss(steps: Sequence[tuple[int, float]], path: Path) -> None:
    """Write a PNG of the loss of each step, and of its running mean. steps: number and loss in nats."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    numbers, losses = [number for number, _ in steps], [loss for _, loss in steps]
    axes.plot(numbers, losses, linewidth=0.8, alpha=0.5, label="step")
    smooth, mean = [], losses[0] if losses else 0.0
    for loss in losses:
        mean = _SMOOTH * mean + (1 - _SMOOTH) * loss
        smooth.append(mean)
    axes.plot(numbers, smooth, linewidth=1.8, label="running mean")
    axes.set(xlabel="update", ylabel="loss (nats per supervised token)")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")

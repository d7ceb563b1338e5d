"""A picture of a run: how long the records are that were kept, beside those of the selections it is compared with."""

from __future__ import annotations

from pathlib import Path

from longstream.errors import InvalidInput
from longstream_curator.files.account import Account

_BINS = 40


def plot(account: Account, path: Path) -> None:
    """Write a PNG. Raises InvalidInput where there is nothing to draw, or matplotlib is not installed."""
    if path.suffix.lower() != ".png":
        raise InvalidInput(f"--plot writes a .png, not {path.name}", field="--plot")
    drawn = {"these": account.lengths, **account.compared_lengths}
    drawn = {name: lengths for name, lengths in drawn.items() if lengths}
    if not drawn:
        raise InvalidInput("there is nothing to plot: nothing was kept", field="--plot")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InvalidInput("--plot needs matplotlib: pip install matplotlib", field="--plot") from None

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    longest, shortest = max(map(max, drawn.values())), max(1, min(map(min, drawn.values())))
    ratio = (longest + 1) / shortest
    # Lengths span orders of magnitude, so every bin is the same number of times as long as the one before.
    edges = [shortest * ratio ** (step / _BINS) for step in range(_BINS + 1)]
    for name, lengths in drawn.items():
        axes.hist(lengths, bins=edges, histtype="step", linewidth=1.6, label=f"{name} ({len(lengths):,})")
    axes.set(xscale="log", xlabel=f"length ({account.metric})", ylabel="records")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")

"""Every model of a pipeline on one scale, though each met only the champion of its day.

A win rate p of one model over another says that their strengths differ by log p / (1 - p), as a Bradley-Terry model
has it, with an error that follows from p's. Weighted least squares over all evaluations gives each model's strength
over the base model, which all are linked to by the champions between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longstream_judge.intervals import Interval

_CONFIDENCE_Z = 1.959963984540054
BASE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Two models that met, and the candidate's win rate."""

    candidate: str
    champion: str
    rate: Interval


def strengths(meetings: Sequence[Meeting]) -> dict[str, Interval]:
    """Win rates over the base model, of each model that meetings link to it; 0.5 for the base model itself.

    n: instructions of the meetings that the model was in.
    """
    linked = _linked(meetings)
    met = [meeting for meeting in meetings if meeting.candidate in linked]
    names = sorted(linked - {BASE})
    place = {name: number for number, name in enumerate(names)}
    rows = np.zeros((len(met), len(names)))
    logits, weights = np.zeros(len(met)), np.zeros(len(met))
    for number, meeting in enumerate(met):
        for name, sign in ((meeting.candidate, 1.0), (meeting.champion, -1.0)):
            if name != BASE:
                rows[number, place[name]] += sign
        logits[number], weights[number] = _logit(meeting.rate)
    rates = {BASE: Interval(mean=0.5, low=0.5, high=0.5, confidence=0.95, n=_seen(BASE, met), error=0.0)}
    if names:
        covariance = np.linalg.pinv(rows.T @ (rows * weights[:, None]))
        estimates = covariance @ (rows.T @ (weights * logits))
        for name in names:
            at = place[name]
            error = math.sqrt(max(0.0, float(covariance[at, at])))
            rates[name] = _interval(float(estimates[at]), error, _seen(name, met))
    return rates


def _linked(meetings: Sequence[Meeting]) -> set[str]:
    """The base model, and whoever met one that is linked to it."""
    linked, grown = {BASE}, True
    while grown:
        more = {
            name
            for meeting in meetings
            for name in (meeting.candidate, meeting.champion)
            if {meeting.candidate, meeting.champion} & linked
        }
        grown = not more <= linked
        linked |= more
    return linked


def _logit(rate: Interval) -> tuple[float, float]:
    """The rate as a logit, and its weight: one over its variance."""
    edge = 0.5 / max(1, rate.n)
    share = min(max(rate.mean, edge), 1 - edge)
    # As if one more instruction had been a tie: rows that all say the same have an error as well.
    error = max(rate.error, math.sqrt(share * (1 - share)) / (rate.n + 1))
    return math.log(share / (1 - share)), (share * (1 - share) / error) ** 2


def _interval(logit: float, error: float, count: int) -> Interval:
    mean, low, high = (
        0.5 * (1 + math.tanh(value / 2))
        for value in (logit, logit - _CONFIDENCE_Z * error, logit + _CONFIDENCE_Z * error)
    )
    return Interval(mean=mean, low=low, high=high, confidence=0.95, n=count, error=mean * (1 - mean) * error)


def _seen(name: str, meetings: Sequence[Meeting]) -> int:
    return sum(meeting.rate.n for meeting in meetings if name in (meeting.candidate, meeting.champion))

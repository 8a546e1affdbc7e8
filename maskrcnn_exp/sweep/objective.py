"""What a study optimises: a tag of a trial's record. And what it keeps of that record."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

import numpy as np

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.history import History
from maskrcnn_exp.sweep.attrs import LossSummary, RecordSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

__all__ = ["Metric", "parse_metric", "read_objective", "summarize"]

At = Literal["best", "last", "mean", "sum"]
Direction = Literal["maximize", "minimize"]

_KNOWN: Final = (*tags.EPOCH_TAGS, *tags.EXTRA_TAGS, *tags.STEP_TAGS)
_FINAL: Final = (
    *(tags.map_tag(kind, metric) for kind in ("segm", "bbox") for metric in ("AP", "AP50")),
    tags.VAL_TOTAL,
)


@dataclass(frozen=True)
class Metric:
    """One number of a trial's record."""

    tag: str
    at: At  # which of its points, or what is made of all of them
    direction: Direction

    def __str__(self) -> str:
        """As the user writes it, and as a study remembers it."""
        return f"{self.tag}@{self.at}"


def parse_metric(text: str, direction: str | None = None) -> Metric:
    """Read `tag` or `tag@best`, `tag@last`, `tag@mean`, `tag@sum`; best is meant where nothing is said.

    Args:
        text: Such as mAP/segm_AP, loss/val@last, time/epoch_s@sum.
        direction: maximize or minimize; None takes the tag's own, minimize where less is better.

    Raises:
        ConfigError: no such tag, no such point, no such direction; all problems at once.
    """
    tag, at_sign, at = text.strip().partition("@")
    at = at if at_sign else "best"
    problems = []
    if tag not in _KNOWN:
        problems.append(f"metric={text}: a record has no tag {tag!r}{_hint(tag)}")
    if at not in get_args(At):
        problems.append(f"metric={text}: {at!r} is none of {', '.join(get_args(At))}. Write {tag}@best, {tag}@last, …")
    if direction not in (None, *get_args(Direction)):
        problems.append(f"direction={direction} is none of {', '.join(get_args(Direction))}.")
    if problems:
        raise ConfigError.from_problems(problems)
    own = "minimize" if tags.falls(tag) else "maximize"
    return Metric(tag, cast(At, at), cast(Direction, direction or own))


def _hint(tag: str) -> str:
    near = difflib.get_close_matches(tag, _KNOWN, n=1, cutoff=0.5)
    return (
        f". Did you mean {near[0]}?" if near else ". Use one such as mAP/segm_AP or loss/val; record/tags.py lists all."
    )


def read_objective(history: History, metric: Metric) -> float | None:
    """Return the metric's value of one run; None where the record has no point for it.

    NaN points are no candidates for the best one; the last, the mean and the sum of a curve with NaN may be NaN. A
    point of -1 under `mAP/` is none: COCO's mark for nothing to find, which other programs record like a number.
    """
    values = history.series(metric.tag).values
    if metric.tag.startswith("mAP/"):
        values = values[values != -1]
    if metric.at == "best":
        values = values[~np.isnan(values)]
    if len(values) == 0:
        return None
    best = np.max if metric.direction == "maximize" else np.min
    reduce: dict[str, Callable[[NDArray[np.float64]], np.float64]] = {
        "best": best,
        "last": lambda points: points[-1],
        "mean": np.mean,
        "sum": np.sum,
    }
    return float(reduce[metric.at](values))


def summarize(history: History) -> RecordSummary:
    """Return what a study keeps of a trial's record. Points that are not finite are as good as absent."""
    losses = {name: _summarize_loss(history, name) for name in LOSSES}
    return RecordSummary(
        epochs=len(history.series(tags.TRAIN_TOTAL)),
        losses={name: summary for name, summary in losses.items() if summary is not None},
        val_losses=_last_values(history, {name: tags.val_loss_tag(name) for name in LOSSES}),
        grad_norm=_means(history, tags.grad_norm_tag),
        clip=_means(history, tags.clip_tag),
        update_ratio=_means(history, tags.update_ratio_tag),
        final=_last_values(history, {tag: tag for tag in _FINAL}),
    )


def _summarize_loss(history: History, loss: str) -> LossSummary | None:
    epochs, values = _finite(history, tags.train_loss_tag(loss))
    _, shares = _finite(history, tags.share_tag(loss))
    if len(values) == 0 or len(shares) == 0:
        return None
    return LossSummary(
        first=float(values[0]),
        final=float(values[-1]),
        best=float(values.min()),
        share=float(shares[-1]),
        trend=_trend(epochs, values),
    )


def _trend(epochs: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the least-squares slope per epoch over the second half, of two points at least; 0 of a single point."""
    points = max(2, len(values) - len(values) // 2)
    x, y = epochs[-points:], values[-points:]
    x = x - x.mean()
    spread = float(x @ x)
    return float(x @ (y - y.mean())) / spread if spread else 0.0


def _finite(history: History, tag: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    series = history.series(tag)
    known = np.isfinite(series.values)
    return series.steps[known].astype(np.float64), series.values[known]


def _last_values(history: History, wanted: dict[str, str]) -> dict[str, float]:
    curves = {name: _finite(history, tag)[1] for name, tag in wanted.items()}
    return {name: float(values[-1]) for name, values in curves.items() if len(values)}


def _means(history: History, tag_of: Callable[[str], str], parts: Iterable[str] = PARTS) -> dict[str, float]:
    curves = {part: _finite(history, tag_of(part))[1] for part in parts}
    return {part: float(values.mean()) for part, values in curves.items() if len(values)}

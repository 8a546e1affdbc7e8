"""What the report's pictures are put together from: axes, points, bands, legends.

Each state has a colour and a shape of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.compare.repeat_stats import metric_unit
from maskrcnn_exp.record.figures import BLUE, GREEN, GREY, ORANGE, RED, grid, plain
from maskrcnn_exp.sweep.insight import ExplosionRegion, numeric_value
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.trial_text import number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BAND",
    "STYLES",
    "band",
    "legend",
    "legend_handles",
    "limit",
    "metric_label",
    "parameter_axis",
    "placer",
    "scatter",
    "shade",
    "stars",
]

BAND: Final = 0.09  # part of a picture's height for trials without a place on its y axis
_FAR: Final = 50.0  # range over interquartile range from which a value is left outside the picture
_LONGEST_LABEL: Final = 16  # characters of a choice under its axis

STYLES: Final = {
    TrialState.COMPLETE: {"marker": "o", "color": BLUE, "label": "completed"},
    TrialState.PRUNED: {"marker": "^", "facecolors": "none", "edgecolors": ORANGE, "label": "pruned"},
    TrialState.FAIL: {"marker": "x", "color": RED, "label": "failed"},
}

_LEGEND: Final = ("completed", "pruned", "failed", "best", "Pareto front", "best so far", "diverged")


def scatter(axes: Axes, points: Sequence[tuple[float, float]], state: TrialState) -> None:
    if not points:
        return
    xs, ys = zip(*points, strict=True)
    axes.scatter(xs, ys, s=34, linewidths=1.4, zorder=3, **STYLES[state])  # type: ignore[arg-type]


def band(axes: Axes, marks: Sequence[tuple[float, TrialState]], title: str, *, at_top: bool = False) -> None:
    """Mark trials that have no place on the y axis in a grey band of their own, made free at its end."""
    if not marks:
        return
    from matplotlib.patches import Rectangle

    low, high = (math.log10(end) if axes.get_yscale() == "log" else end for end in axes.get_ylim())
    room = BAND / (1 - BAND) * (high - low)
    low, high = (low, high + room) if at_top else (low - room, high)
    axes.set_ylim(*((10**low, 10**high) if axes.get_yscale() == "log" else (low, high)))
    ends = (1 - BAND, 1.0) if at_top else (0.0, BAND)
    axes.add_patch(Rectangle((0, ends[0]), 1, BAND, color="#eeeeee", lw=0, transform=axes.transAxes, zorder=0.5))
    axes.text(0.005, ends[1], title, transform=axes.transAxes, va="top", fontsize=7, color=GREY)
    # Two heights: pruned and failed trials at one place stay apart.
    heights = {TrialState.PRUNED: 0.3, TrialState.FAIL: 0.6, TrialState.COMPLETE: 0.45}
    for state in dict.fromkeys(state for _, state in marks):
        places = [x for x, its_state in marks if its_state is state]
        levels = [ends[0] + heights[state] * BAND] * len(places)
        across = axes.get_xaxis_transform()  # x in numbers, y in parts of the axis
        axes.scatter(places, levels, s=30, linewidths=1.4, transform=across, zorder=3, **STYLES[state])  # type: ignore[arg-type]


def stars(axes: Axes, points: Sequence[tuple[float, float, int]], standing: Standing) -> None:
    if not points:
        return
    from matplotlib.patheffects import withStroke

    xs, ys, numbers = zip(*points, strict=True)
    label = "best" if standing.is_single else "Pareto front"
    axes.scatter(xs, ys, s=150, marker="*", color=GREEN, edgecolors="white", linewidths=0.8, label=label, zorder=4)
    halo = [withStroke(linewidth=1.5, foreground="white")]
    for x, y, number in zip(xs, ys, numbers, strict=True):
        number_label = axes.annotate(
            f"#{number}", (x, y), xytext=(6, 5), textcoords="offset points", fontsize=9, zorder=5
        )
        number_label.set(color=GREEN, path_effects=halo)


def shade(axes: Axes, regions: Sequence[ExplosionRegion], *, words: bool = True) -> None:
    low, high = axes.get_xlim()
    for region in regions:
        ends = (region.edge, high) if region.side == "upper" else (low, region.edge)
        axes.axvspan(*ends, color=RED, alpha=0.12, lw=0, label="diverged", zorder=0)
        if words:
            middle = math.sqrt(ends[0] * ends[1]) if axes.get_xscale() == "log" else sum(ends) / 2
            text = f"{region.diverged} of {region.trials}\ndiverged"
            axes.text(middle, 0.97, text, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=8)
    axes.set_xlim(low, high)


def placer(standing: Standing, parameter: str) -> Callable[[FrozenTrial], float]:
    """Return what gives the x of a trial: the value, or the place of its choice, spread a little."""
    if not _is_categorical(standing, parameter):
        return lambda trial: numeric_value(trial, parameter) or 0.0
    labels = _labels(standing, parameter)

    def place(trial: FrozenTrial) -> float:
        spread = (trial.number * 0.618) % 1 - 0.5  # the same in every picture, so one finds a trial again
        return labels.index(number_text(trial.params[parameter])) + 0.3 * spread

    return place


def _is_categorical(standing: Standing, parameter: str) -> bool:
    return isinstance(standing.space[parameter], CategoricalDistribution)


def _labels(standing: Standing, parameter: str) -> list[str]:
    """Return the choices as text, also those of trials that had others."""
    distribution = standing.space[parameter]
    choices = distribution.choices if isinstance(distribution, CategoricalDistribution) else ()
    tried = [trial.params[parameter] for trial in standing.trials if parameter in trial.params]
    return list(dict.fromkeys(number_text(choice) for choice in [*choices, *tried]))


def parameter_axis(axes: Axes, standing: Standing, parameter: str, room: int = 50) -> None:
    """Set limits, scale and label; `room` is how many characters of choices stand side by side."""
    if _is_categorical(standing, parameter):
        labels = [plain(_short(label)) for label in _labels(standing, parameter)]
        crowded = sum(map(len, labels)) > room
        axes.set_xticks(range(len(labels)), labels, rotation=30 if crowded else 0, ha="right" if crowded else "center")
        axes.set_xlim(-0.5, len(labels) - 0.5)
        axes.set_xlabel(plain(parameter))
        return
    distribution = standing.space[parameter]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    tried = [value for trial in standing.trials if (value := numeric_value(trial, parameter)) is not None]
    low, high = min([distribution.low, *tried]), max([distribution.high, *tried])
    if distribution.log and low > 0:
        _log_axis(axes, low, high)
        axes.set_xlabel(f"{plain(parameter)} (log axis)")
        return
    margin = 0.03 * (high - low) or 0.5
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel(plain(parameter))


def _log_axis(axes: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    margin = (high / low) ** 0.03 if high > low else 1.5
    axes.set_xlim(low / margin, high * margin)
    decades = math.log10(high / low)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 3 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def limit(axes: Axes, values: Sequence[float]) -> None:
    """Leave out of the picture what would press all else into a line, and say how many that is."""
    grid(axes)
    ordered = sorted(values)
    if len(ordered) < 8:
        return
    lower, upper = ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]
    spread = upper - lower
    if spread <= 0 or ordered[-1] - ordered[0] <= _FAR * spread:
        return
    low, high = lower - 3 * spread, upper + 3 * spread
    inside = [value for value in ordered if low <= value <= high]
    margin = 0.08 * (inside[-1] - inside[0])
    axes.set_ylim(inside[0] - margin, inside[-1] + margin)
    note = f"{len(ordered) - len(inside)} outside the picture"
    axes.text(0.99, 0.99, note, transform=axes.transAxes, ha="right", va="top", fontsize=8, color=GREY)


def legend(figure: Figure, axes: Axes) -> None:
    handles = legend_handles(axes)
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False)


def legend_handles(axes: Axes) -> dict[str, Any]:
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    return {label: by_label[label] for label in sorted(by_label, key=_legend_place)}


def _legend_place(label: str) -> int:
    return _LEGEND.index(label) if label in _LEGEND else len(_LEGEND)


def metric_label(standing: Standing, index: int) -> str:
    metric = standing.metrics[index]
    scale, unit = metric_unit(metric)
    notes = ["0 to 1"] if scale == 100 else ([unit] if unit else [])
    notes.append("more is better" if standing.maximize[index] else "less is better")
    return f"{plain(metric)}\n({', '.join(notes)})"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"

"""The pictures of a study's report. Every function takes a standing and gives a figure; `save` makes a PNG of it.

Colours are Okabe and Ito's, which colour-blind people tell apart, and each state has a shape of its own too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record.atomic import write_atomic
from maskrcnn_exp.sweep.importance import Importance
from maskrcnn_exp.sweep.insight import ExplosionRegion, final_losses, numeric_value
from maskrcnn_exp.sweep.repeat_stats import metric_unit
from maskrcnn_exp.sweep.standing import Standing, number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["history_figure", "importance_figure", "losses_figure", "pareto_figure", "save", "slice_figure"]

_BLUE, _ORANGE, _RED, _GREEN, _GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#666666"
_DPI: Final = 110
_CHANCE: Final = math.log(2)  # a mask loss that has learned nothing
_WIDE: Final = 20.0  # ratio of largest to smallest loss from which an axis is logarithmic
_HIGH: Final = 3.0  # a loss above so many times the highest of a completed trial is only marked as higher
_BAND: Final = 0.09  # part of a picture's height for trials without a place on its y axis
_FAR: Final = 50.0  # range over interquartile range from which a value is left outside the picture
_LONGEST_LABEL: Final = 16  # characters of a choice under its axis

_STYLES: Final = {
    TrialState.COMPLETE: {"marker": "o", "color": _BLUE, "label": "completed"},
    TrialState.PRUNED: {"marker": "^", "facecolors": "none", "edgecolors": _ORANGE, "label": "pruned"},
    TrialState.FAIL: {"marker": "x", "color": _RED, "label": "failed"},
}

_LEGEND: Final = ("completed", "pruned", "failed", "best", "Pareto front", "best so far", "diverged")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG atomically. Its folder must exist."""

    def write(file: BinaryIO) -> None:
        figure.savefig(file, format="png", dpi=_DPI)

    write_atomic(path, write)


def history_figure(standing: Standing) -> Figure:
    """Objective over trial number, with pruned and failed trials and the best so far; one row per objective.

    A pruned trial stands at its last report; a trial without a value is a mark on the axis.
    """
    figure = _figure(8.0, 1.0 + 3.2 * len(standing.metrics))
    rows = figure.subplots(len(standing.metrics), 1, sharex=True, squeeze=False)[:, 0]
    for index, axes in enumerate(rows):
        _history(axes, standing, index)
    rows[-1].set_xlabel("trial")
    _whole_ticks(rows[-1])
    _legend(figure, rows[0])
    return figure


def _history(axes: Axes, standing: Standing, index: int) -> None:
    marks: list[float] = []
    for state in _STYLES:
        trials = standing.of(state)
        points = [(float(t.number), value) for t in trials if (value := _shown_value(t, index)) is not None]
        _scatter(axes, points, state)
        marks += [value for _, value in points]
    _running_best(axes, standing, index)
    _stars(axes, [(t.number, t.values[index], t.number) for t in standing.leaders], standing)
    _limit(axes, marks)
    without = [trial for trial in standing.finished if _shown_value(trial, index) is None]
    _band(axes, [(float(trial.number), trial.state) for trial in without], "no value")
    axes.set_xlim(-0.7, max(1.0, standing.trials[-1].number + 0.7) if standing.trials else 1.0)
    axes.set_ylabel(_metric_label(standing, index))


def _running_best(axes: Axes, standing: Standing, index: int) -> None:
    better = max if standing.maximize[index] else min
    numbers: list[float] = []
    values: list[float] = []
    for trial in sorted(standing.ranked, key=lambda trial: trial.number):
        numbers.append(trial.number)
        values.append(better(trial.values[index], values[-1]) if values else trial.values[index])
    if not numbers:
        return
    end = standing.trials[-1].number
    axes.step([*numbers, end], [*values, values[-1]], where="post", color=_GREEN, lw=1.6, label="best so far", zorder=2)


def importance_figure(rows: Sequence[Importance]) -> Figure:
    """Share of each parameter, one column of bars per objective."""
    shown = [row for row in rows if row.shares]
    bars = max(len(row.shares) for row in shown)
    figure = _figure(4.0 + 4.0 * len(shown), 1.2 + 0.42 * bars)
    for axes, row in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        names = list(row.shares)[::-1]
        drawn = axes.barh([_plain(name) for name in names], [row.shares[name] for name in names], color=_BLUE)
        axes.bar_label(drawn, [f"{row.shares[name]:.0%}" for name in names], padding=3, color=_GREY)
        axes.set_xlim(0, 1.12)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.set_xlabel(f"share of the differences in {_plain(row.metric)} ({row.method})")
        _grid(axes)
        axes.grid(visible=False, axis="y")
    return figure


def slice_figure(standing: Standing, parameter: str, regions: Sequence[ExplosionRegion] = ()) -> Figure:
    """Objective over one parameter; one column per objective. Pruned and failed trials are marks on the axis."""
    count = len(standing.metrics)
    figure = _figure(8.0 if count == 1 else 5.2 * count, 4.2)
    columns = figure.subplots(1, count, squeeze=False)[0]
    place = _placer(standing, parameter)
    for index, axes in enumerate(columns):
        points = [(place(trial), trial.values[index]) for trial in standing.ranked if parameter in trial.params]
        _scatter(axes, points, TrialState.COMPLETE)
        _stars(
            axes, [(place(t), t.values[index], t.number) for t in standing.leaders if parameter in t.params], standing
        )
        _limit(axes, [value for _, value in points])
        ranked = {trial.number for trial in standing.ranked}
        others = [t for t in standing.finished if parameter in t.params and t.number not in ranked]
        _band(axes, [(place(trial), trial.state) for trial in others], "no final value")
        _parameter_axis(axes, standing, parameter)
        _shade(axes, regions)
        axes.set_ylabel(_metric_label(standing, index))
    _legend(figure, columns[0])
    return figure


def losses_figure(standing: Standing, parameter: str, regions: Sequence[ExplosionRegion] = ()) -> Figure:
    """The five training losses of the last epoch over one parameter, also of pruned and failed trials."""
    figure = _figure(10.5, 6.0)
    panels = figure.subplots(2, 3).flatten()
    place = _placer(standing, parameter)
    for loss, axes in zip(LOSSES, panels, strict=False):
        _loss_panel(axes, standing, parameter, loss, place)
        _parameter_axis(axes, standing, parameter, room=20)
        _shade(axes, regions, words=False)
        axes.set_title(loss, fontsize=10)
    panels[0].set_ylabel("mean of the last epoch")
    panels[3].set_ylabel("mean of the last epoch")
    handles: dict[str, Any] = {}
    for axes in panels[:5]:
        handles |= _handles(axes)
    panels[5].axis("off")
    panels[5].legend(handles.values(), handles.keys(), loc="center", frameon=False)
    return figure


def _loss_panel(
    axes: Axes, standing: Standing, parameter: str, loss: str, place: Callable[[FrozenTrial], float]
) -> None:
    known = [
        (trial, value)
        for trial in standing.finished
        if parameter in trial.params and (value := final_losses(trial).get(loss)) is not None
    ]
    ceiling = _HIGH * max(
        (y for t, y in known if t.state is TrialState.COMPLETE and math.isfinite(y)), default=math.inf
    )
    shown = [(trial, value) for trial, value in known if math.isfinite(value) and value <= ceiling]
    for state in _STYLES:
        _scatter(axes, [(place(trial), value) for trial, value in shown if trial.state is state], state)
    leaders = {trial.number for trial in standing.leaders}
    _stars(axes, [(place(t), value, t.number) for t, value in shown if t.number in leaders], standing)
    values = [value for _, value in shown]
    if values and min(values) > 0 and max(values) / min(values) > _WIDE:
        axes.set_yscale("log")
    if loss == "loss_mask" and values and max(values) > 0.8 * _CHANCE:
        axes.axhline(_CHANCE, color=_GREY, lw=1, ls=":", label="ln 2: a mask head at chance", zorder=1)
    _grid(axes)
    beyond = [(place(trial), trial.state) for trial, value in known if (trial, value) not in shown]
    _band(axes, beyond, "higher or infinite", at_top=True)


def pareto_figure(standing: Standing) -> Figure:
    """Each pair of objectives against each other, with the Pareto front marked."""
    pairs = list(combinations(range(len(standing.metrics)), 2))
    columns = min(3, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure = _figure(7.0 if columns == 1 else 4.8 * columns, 4.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for (first, second), axes in zip(pairs, panels, strict=False):
        points = [(trial.values[first], trial.values[second]) for trial in standing.ranked]
        _scatter(axes, points, TrialState.COMPLETE)
        _grid(axes)
        front = sorted((t.values[first], t.values[second], t.number) for t in standing.pareto)
        if len(pairs) == 1 and front:
            xs, ys, _ = zip(*front, strict=True)
            axes.plot(xs, ys, color=_GREEN, lw=1, ls="--", zorder=1)
        _stars(axes, front, standing)
        axes.set_xlabel(_metric_label(standing, first))
        axes.set_ylabel(_metric_label(standing, second))
    for axes in panels[len(pairs) :]:
        axes.axis("off")
    _legend(figure, panels[0])
    return figure


def _figure(width: float, height: float) -> Figure:
    """Without pyplot: no global state, no window, usable beside a running training."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _scatter(axes: Axes, points: Sequence[tuple[float, float]], state: TrialState) -> None:
    if not points:
        return
    xs, ys = zip(*points, strict=True)
    axes.scatter(xs, ys, s=34, linewidths=1.4, zorder=3, **_STYLES[state])  # type: ignore[arg-type]


def _band(axes: Axes, marks: Sequence[tuple[float, TrialState]], title: str, *, at_top: bool = False) -> None:
    """Mark trials that have no place on the y axis in a grey band of their own, made free at its end."""
    if not marks:
        return
    from matplotlib.patches import Rectangle

    low, high = (math.log10(end) if axes.get_yscale() == "log" else end for end in axes.get_ylim())
    room = _BAND / (1 - _BAND) * (high - low)
    low, high = (low, high + room) if at_top else (low - room, high)
    axes.set_ylim(*((10**low, 10**high) if axes.get_yscale() == "log" else (low, high)))
    ends = (1 - _BAND, 1.0) if at_top else (0.0, _BAND)
    axes.add_patch(Rectangle((0, ends[0]), 1, _BAND, color="#eeeeee", lw=0, transform=axes.transAxes, zorder=0.5))
    axes.text(0.005, ends[1], title, transform=axes.transAxes, va="top", fontsize=7, color=_GREY)
    # Two heights: pruned and failed trials at one place stay apart.
    heights = {TrialState.PRUNED: 0.3, TrialState.FAIL: 0.6, TrialState.COMPLETE: 0.45}
    for state in dict.fromkeys(state for _, state in marks):
        places = [x for x, its_state in marks if its_state is state]
        levels = [ends[0] + heights[state] * _BAND] * len(places)
        across = axes.get_xaxis_transform()  # x in numbers, y in parts of the axis
        axes.scatter(places, levels, s=30, linewidths=1.4, transform=across, zorder=3, **_STYLES[state])  # type: ignore[arg-type]


def _stars(axes: Axes, points: Sequence[tuple[float, float, int]], standing: Standing) -> None:
    if not points:
        return
    from matplotlib.patheffects import withStroke

    xs, ys, numbers = zip(*points, strict=True)
    label = "best" if standing.is_single else "Pareto front"
    axes.scatter(xs, ys, s=150, marker="*", color=_GREEN, edgecolors="white", linewidths=0.8, label=label, zorder=4)
    halo = [withStroke(linewidth=1.5, foreground="white")]
    for x, y, number in zip(xs, ys, numbers, strict=True):
        label = axes.annotate(f"#{number}", (x, y), xytext=(6, 5), textcoords="offset points", fontsize=9, zorder=5)
        label.set(color=_GREEN, path_effects=halo)


def _shade(axes: Axes, regions: Sequence[ExplosionRegion], *, words: bool = True) -> None:
    low, high = axes.get_xlim()
    for region in regions:
        ends = (region.edge, high) if region.side == "upper" else (low, region.edge)
        axes.axvspan(*ends, color=_RED, alpha=0.12, lw=0, label="diverged", zorder=0)
        if words:
            middle = math.sqrt(ends[0] * ends[1]) if axes.get_xscale() == "log" else sum(ends) / 2
            text = f"{region.diverged} of {region.trials}\ndiverged"
            axes.text(middle, 0.97, text, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=8)
    axes.set_xlim(low, high)


def _placer(standing: Standing, parameter: str) -> Callable[[FrozenTrial], float]:
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


def _parameter_axis(axes: Axes, standing: Standing, parameter: str, room: int = 50) -> None:
    """Set limits, scale and label; `room` is how many characters of choices stand side by side."""
    if _is_categorical(standing, parameter):
        labels = [_plain(_short(label)) for label in _labels(standing, parameter)]
        crowded = sum(map(len, labels)) > room
        axes.set_xticks(range(len(labels)), labels, rotation=30 if crowded else 0, ha="right" if crowded else "center")
        axes.set_xlim(-0.5, len(labels) - 0.5)
        axes.set_xlabel(_plain(parameter))
        return
    distribution = standing.space[parameter]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    tried = [value for trial in standing.trials if (value := numeric_value(trial, parameter)) is not None]
    low, high = min([distribution.low, *tried]), max([distribution.high, *tried])
    if distribution.log and low > 0:
        _log_axis(axes, low, high)
        axes.set_xlabel(f"{_plain(parameter)} (log axis)")
        return
    margin = 0.03 * (high - low) or 0.5
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel(_plain(parameter))


def _log_axis(axes: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    margin = (high / low) ** 0.03 if high > low else 1.5
    axes.set_xlim(low / margin, high * margin)
    decades = math.log10(high / low)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 3 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _limit(axes: Axes, values: Sequence[float]) -> None:
    """Leave out of the picture what would press all else into a line, and say how many that is."""
    _grid(axes)
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
    axes.text(0.99, 0.99, note, transform=axes.transAxes, ha="right", va="top", fontsize=8, color=_GREY)


def _grid(axes: Axes) -> None:
    axes.grid(visible=True, color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure, axes: Axes) -> None:
    handles = _handles(axes)
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False)


def _handles(axes: Axes) -> dict[str, Any]:
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    return {label: by_label[label] for label in sorted(by_label, key=_legend_place)}


def _legend_place(label: str) -> int:
    return _LEGEND.index(label) if label in _LEGEND else len(_LEGEND)


def _whole_ticks(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _shown_value(trial: FrozenTrial, index: int) -> float | None:
    """Return the objective, or what a pruned trial last reported; None where there is no finite number."""
    value = trial.values[index] if trial.values is not None else None
    if trial.state is TrialState.PRUNED and index == 0 and trial.last_step is not None:
        value = trial.intermediate_values[trial.last_step]
    return value if value is not None and math.isfinite(value) else None


def _metric_label(standing: Standing, index: int) -> str:
    metric = standing.metrics[index]
    scale, unit = metric_unit(metric)
    notes = ["0 to 1"] if scale == 100 else ([unit] if unit else [])
    notes.append("more is better" if standing.maximize[index] else "less is better")
    return f"{_plain(metric)}\n({', '.join(notes)})"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _plain(text: str) -> str:
    """Keep a dollar sign from being read as mathematics."""
    return text.replace("$", r"\$")

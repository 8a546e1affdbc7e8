"""The pictures of a study's report. Every function takes a standing and gives a figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record.figures import BLUE, GREEN, GREY, grid, new_figure, plain, whole_ticks
from maskrcnn_exp.sweep.importance import Importance
from maskrcnn_exp.sweep.insight import ExplosionRegion, final_losses
from maskrcnn_exp.sweep.plot_parts import (
    STYLES,
    band,
    legend,
    legend_handles,
    limit,
    metric_label,
    parameter_axis,
    placer,
    scatter,
    shade,
    stars,
)
from maskrcnn_exp.sweep.standing import Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["history_figure", "importance_figure", "losses_figure", "pareto_figure", "slice_figure"]

_CHANCE: Final = math.log(2)  # a mask loss that has learned nothing
_WIDE: Final = 20.0  # ratio of largest to smallest loss from which an axis is logarithmic
_HIGH: Final = 3.0  # a loss above so many times the highest of a completed trial is only marked as higher


def history_figure(standing: Standing) -> Figure:
    """Objective over trial number, with pruned and failed trials and the best so far; one row per objective.

    A pruned trial stands at its last report; a trial without a value is a mark on the axis.
    """
    figure = new_figure(8.0, 1.0 + 3.2 * len(standing.metrics))
    rows = figure.subplots(len(standing.metrics), 1, sharex=True, squeeze=False)[:, 0]
    for index, axes in enumerate(rows):
        _history(axes, standing, index)
    rows[-1].set_xlabel("trial")
    whole_ticks(rows[-1])
    legend(figure, rows[0])
    return figure


def _history(axes: Axes, standing: Standing, index: int) -> None:
    marks: list[float] = []
    for state in STYLES:
        trials = standing.of(state)
        points = [(float(t.number), value) for t in trials if (value := _shown_value(t, index)) is not None]
        scatter(axes, points, state)
        marks += [value for _, value in points]
    _running_best(axes, standing, index)
    stars(axes, [(t.number, t.values[index], t.number) for t in standing.leaders], standing)
    limit(axes, marks)
    without = [trial for trial in standing.finished if _shown_value(trial, index) is None]
    band(axes, [(float(trial.number), trial.state) for trial in without], "no value")
    axes.set_xlim(-0.7, max(1.0, standing.trials[-1].number + 0.7) if standing.trials else 1.0)
    axes.set_ylabel(metric_label(standing, index))


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
    axes.step([*numbers, end], [*values, values[-1]], where="post", color=GREEN, lw=1.6, label="best so far", zorder=2)


def importance_figure(rows: Sequence[Importance]) -> Figure:
    """Share of each parameter, one column of bars per objective."""
    shown = [row for row in rows if row.shares]
    bars = max(len(row.shares) for row in shown)
    figure = new_figure(4.0 + 4.0 * len(shown), 1.2 + 0.42 * bars)
    for axes, row in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        names = list(row.shares)[::-1]
        drawn = axes.barh([plain(name) for name in names], [row.shares[name] for name in names], color=BLUE)
        axes.bar_label(drawn, [f"{row.shares[name]:.0%}" for name in names], padding=3, color=GREY)
        axes.set_xlim(0, 1.12)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.set_xlabel(f"share of the differences in {plain(row.metric)} ({row.method})")
        grid(axes)
        axes.grid(visible=False, axis="y")
    return figure


def slice_figure(standing: Standing, parameter: str, regions: Sequence[ExplosionRegion] = ()) -> Figure:
    """Objective over one parameter; one column per objective. Pruned and failed trials are marks on the axis."""
    count = len(standing.metrics)
    figure = new_figure(8.0 if count == 1 else 5.2 * count, 4.2)
    columns = figure.subplots(1, count, squeeze=False)[0]
    place = placer(standing, parameter)
    for index, axes in enumerate(columns):
        points = [(place(trial), trial.values[index]) for trial in standing.ranked if parameter in trial.params]
        scatter(axes, points, TrialState.COMPLETE)
        stars(
            axes, [(place(t), t.values[index], t.number) for t in standing.leaders if parameter in t.params], standing
        )
        limit(axes, [value for _, value in points])
        ranked = {trial.number for trial in standing.ranked}
        others = [t for t in standing.finished if parameter in t.params and t.number not in ranked]
        band(axes, [(place(trial), trial.state) for trial in others], "no final value")
        parameter_axis(axes, standing, parameter)
        shade(axes, regions)
        axes.set_ylabel(metric_label(standing, index))
    legend(figure, columns[0])
    return figure


def losses_figure(standing: Standing, parameter: str, regions: Sequence[ExplosionRegion] = ()) -> Figure:
    """The five training losses of the last epoch over one parameter, also of pruned and failed trials."""
    figure = new_figure(10.5, 6.0)
    panels = figure.subplots(2, 3).flatten()
    place = placer(standing, parameter)
    for loss, axes in zip(LOSSES, panels, strict=False):
        _loss_panel(axes, standing, parameter, loss, place)
        parameter_axis(axes, standing, parameter, room=20)
        shade(axes, regions, words=False)
        axes.set_title(loss, fontsize=10)
    panels[0].set_ylabel("mean of the last epoch")
    panels[3].set_ylabel("mean of the last epoch")
    handles: dict[str, Any] = {}
    for axes in panels[:5]:
        handles |= legend_handles(axes)
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
    for state in STYLES:
        scatter(axes, [(place(trial), value) for trial, value in shown if trial.state is state], state)
    leaders = {trial.number for trial in standing.leaders}
    stars(axes, [(place(t), value, t.number) for t, value in shown if t.number in leaders], standing)
    values = [value for _, value in shown]
    if values and min(values) > 0 and max(values) / min(values) > _WIDE:
        axes.set_yscale("log")
    if loss == "loss_mask" and values and max(values) > 0.8 * _CHANCE:
        axes.axhline(_CHANCE, color=GREY, lw=1, ls=":", label="ln 2: a mask head at chance", zorder=1)
    grid(axes)
    beyond = [(place(trial), trial.state) for trial, value in known if (trial, value) not in shown]
    band(axes, beyond, "higher or infinite", at_top=True)


def pareto_figure(standing: Standing) -> Figure:
    """Each pair of objectives against each other, with the Pareto front marked."""
    pairs = list(combinations(range(len(standing.metrics)), 2))
    columns = min(3, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure = new_figure(7.0 if columns == 1 else 4.8 * columns, 4.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for (first, second), axes in zip(pairs, panels, strict=False):
        points = [(trial.values[first], trial.values[second]) for trial in standing.ranked]
        scatter(axes, points, TrialState.COMPLETE)
        grid(axes)
        front = sorted((t.values[first], t.values[second], t.number) for t in standing.pareto)
        if len(pairs) == 1 and front:
            xs, ys, _ = zip(*front, strict=True)
            axes.plot(xs, ys, color=GREEN, lw=1, ls="--", zorder=1)
        stars(axes, front, standing)
        axes.set_xlabel(metric_label(standing, first))
        axes.set_ylabel(metric_label(standing, second))
    for axes in panels[len(pairs) :]:
        axes.axis("off")
    legend(figure, panels[0])
    return figure


def _shown_value(trial: FrozenTrial, index: int) -> float | None:
    """Return the objective, or what a pruned trial last reported; None where there is no finite number."""
    value = trial.values[index] if trial.values is not None else None
    if trial.state is TrialState.PRUNED and index == 0 and trial.last_step is not None:
        value = trial.intermediate_values[trial.last_step]
    return value if value is not None and math.isfinite(value) else None

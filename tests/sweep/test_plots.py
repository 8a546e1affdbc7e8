"""Every picture can be drawn of every study, shows what it should, and is small."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from PIL import Image

pytest.importorskip("matplotlib")

from maskrcnn_exp.record.figures import save
from maskrcnn_exp.sweep import plots
from maskrcnn_exp.sweep.insight import explosion_regions
from maskrcnn_exp.sweep.plot_parts import BAND
from maskrcnn_exp.sweep.standing import Standing
from tests.sweep.study_examples import add, mask_head_study, new_study, record, two_objective_study

MULT = "lr.mask_mult"


def standing(study: optuna.Study) -> Standing:
    return Standing.read(study, Path())


def points(axes: Any, label: str) -> list[tuple[float, float]]:
    """Return what stands at its place on both axes, marks in a band aside."""
    return [
        (float(x), float(y))
        for collection in axes.collections
        if collection.get_label() == label and collection.get_offset_transform() == axes.transData
        for x, y in collection.get_offsets()
    ]


def marks(axes: Any, label: str) -> list[float]:
    """Return the x of trials that have no place on the y axis."""
    return [
        float(x)
        for collection in axes.collections
        if collection.get_label() == label and collection.get_offset_transform() != axes.transData
        for x, _ in collection.get_offsets()
    ]


def small_study() -> optuna.Study:
    study = new_study()
    add(study, {MULT: 2.0}, 0.3, summary=record(loss_mask=0.5))
    add(study, {MULT: 8.0}, 0.4, summary=record(loss_mask=0.3))
    add(study, {MULT: 0.1}, state=TrialState.PRUNED, reports={1: 0.05, 2: 0.1}, summary=record(loss_mask=0.69))
    add(
        study,
        {MULT: 28.0},
        state=TrialState.FAIL,
        reason="not finite",
        diverged=True,
        summary=record(loss_mask=math.inf),
    )
    return study


def test_history_shows_trials_of_every_state_and_the_running_best() -> None:
    (axes,) = plots.history_figure(standing(small_study())).axes
    assert points(axes, "completed") == [(0, 0.3), (1, 0.4)]
    assert points(axes, "pruned") == [(2, 0.1)]  # its last report
    assert marks(axes, "failed") == [3]
    (line,) = [line for line in axes.lines if line.get_label() == "best so far"]
    assert line.get_ydata() == pytest.approx([0.3, 0.4, 0.4])


def test_band_takes_no_room_from_the_values() -> None:
    (axes,) = plots.history_figure(standing(small_study())).axes
    low, high = axes.get_ylim()
    lowest = min(y for label in ("completed", "pruned") for _, y in points(axes, label))
    assert (lowest - low) / (high - low) > BAND


def test_slice_has_the_axis_of_its_distribution() -> None:
    (axes,) = plots.slice_figure(standing(small_study()), MULT).axes
    assert axes.get_xscale() == "log"
    assert points(axes, "completed") == [(8.0, 0.4), (2.0, 0.3)]
    assert marks(axes, "pruned") == [0.1]
    assert marks(axes, "failed") == [28.0]
    assert "mAP/segm_AP@best" in axes.get_ylabel()
    study = new_study()
    add(study, {"layers": 3}, 0.4, space={"layers": IntDistribution(1, 8)})
    assert plots.slice_figure(standing(study), "layers").axes[0].get_xscale() == "linear"


def test_region_that_explodes_is_shaded_to_the_end_of_the_axis() -> None:
    study = mask_head_study()
    (region,) = explosion_regions(study.trials, MULT)
    (axes,) = plots.slice_figure(standing(study), MULT, [region]).axes
    (patch,) = [patch for patch in axes.patches if patch.get_label() == "diverged"]
    assert patch.get_x() == region.edge
    assert patch.get_x() + patch.get_width() == pytest.approx(axes.get_xlim()[1])
    assert "3 of 3\ndiverged" in [text.get_text() for text in axes.texts]


def test_losses_are_shown_of_pruned_and_failed_trials_too() -> None:
    axes = {panel.get_title(): panel for panel in plots.losses_figure(standing(small_study()), MULT).axes}
    mask = axes["loss_mask"]
    assert sorted(points(mask, "completed")) == [(2.0, 0.5), (8.0, 0.3)]
    assert points(mask, "pruned") == [(0.1, 0.69)]
    assert marks(mask, "failed") == [28.0]  # infinite
    assert len(points(axes["loss_objectness"], "failed")) == 1
    assert len([title for title in axes if title]) == 5


def test_loss_far_above_the_completed_ones_does_not_flatten_them() -> None:
    study = small_study()
    add(study, {MULT: 29.0}, state=TrialState.FAIL, reason="exploded", diverged=True, summary=record(loss_mask=1e9))
    axes = {panel.get_title(): panel for panel in plots.losses_figure(standing(study), MULT).axes}["loss_mask"]
    assert sorted(marks(axes, "failed")) == [28.0, 29.0]
    assert axes.get_ylim()[1] < 2


def test_value_far_outside_is_left_out_and_counted() -> None:
    study = new_study(directions=["minimize"])
    for index in range(12):
        add(study, {MULT: 1.0 + index}, 1.0 + index / 100)
    add(study, {MULT: 20.0}, 1e7)
    (axes,) = plots.slice_figure(standing(study), MULT).axes
    assert axes.get_ylim()[1] < 2
    assert "1 outside the picture" in [text.get_text() for text in axes.texts]


def test_ap_of_zero_is_never_left_out() -> None:
    study = new_study()
    for index in range(12):
        add(study, {MULT: 1.0 + index}, 0.40 + index / 300 if index else 0.0)
    (axes,) = plots.slice_figure(standing(study), MULT).axes
    assert axes.get_ylim()[0] < 0


def test_choices_stand_in_the_order_of_the_space() -> None:
    study = new_study()
    space = {"x$": CategoricalDistribution(("sgd", None, True))}
    add(study, {"x$": True}, 0.4, space=space)
    (axes,) = plots.slice_figure(standing(study), "x$").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["sgd", "null", "true"]
    assert points(axes, "completed")[0][0] == pytest.approx(2, abs=0.2)


def test_pareto_front_is_marked() -> None:
    now = standing(two_objective_study())
    (axes,) = plots.pareto_figure(now).axes
    assert len(points(axes, "Pareto front")) == len(now.pareto)
    assert len(points(axes, "completed")) == 16
    assert axes.get_ylabel() == "time/step_s@sum\n(s, less is better)"


def test_three_objectives_are_drawn_in_pairs() -> None:
    study = new_study(("a", "b", "c"), ("maximize", "minimize", "maximize"))
    for index in range(5):
        add(study, {MULT: 1.0 + index}, [float(index), float(index), -float(index)])
    now = standing(study)
    assert len(plots.pareto_figure(now).axes) == 3
    assert len(plots.slice_figure(now, MULT).axes) == 3


def odd_studies() -> dict[str, optuna.Study]:
    failed, pruned, infinite, one, same = (new_study() for _ in range(5))
    for mult in (1.0, 2.0):
        add(failed, {MULT: mult}, state=TrialState.FAIL, reason="x")
        add(pruned, {MULT: mult}, state=TrialState.PRUNED)
        add(infinite, {MULT: mult}, -math.inf, summary=record(loss_mask=math.inf))
        add(same, {"fixed": 3.0}, 0.0, summary=record(loss_mask=0.0), space={"fixed": FloatDistribution(3, 3)})
    add(one, {MULT: 1.0}, 0.3, summary=record())
    return {"failed": failed, "pruned": pruned, "infinite": infinite, "one": one, "same": same}


@pytest.mark.parametrize("name", ["failed", "pruned", "infinite", "one", "same"])
def test_odd_studies_can_be_drawn(name: str, tmp_path: Path) -> None:
    now = standing(odd_studies()[name])
    parameter = next(iter(now.space))
    makers: list[Callable[[], Any]] = [
        lambda: plots.history_figure(now),
        lambda: plots.slice_figure(now, parameter),
        lambda: plots.losses_figure(now, parameter),
    ]
    for index, make in enumerate(makers):
        save(make(), tmp_path / f"{index}.png")
        with Image.open(tmp_path / f"{index}.png") as picture:
            assert picture.size[0] > 500


def test_pictures_of_a_large_study_are_small(tmp_path: Path) -> None:
    now = standing(mask_head_study(300))
    for name, figure in {"slice": plots.slice_figure(now, MULT), "losses": plots.losses_figure(now, MULT)}.items():
        path = tmp_path / f"{name}.png"
        save(figure, path)
        assert path.stat().st_size < 150_000, name

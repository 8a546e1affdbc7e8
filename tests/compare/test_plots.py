"""A picture per loss and AP: a line per setting, a band where seeds repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn_exp.compare.groups import compare
from maskrcnn_exp.compare.plots import PICTURES, figure_of, save_pictures
from maskrcnn_exp.compare.runs import MASK_AP, read_runs
from maskrcnn_exp.record.figures import GREY
from tests.compare.runs import write_run


def test_lines_hold_the_means_and_bands_the_spread(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.5, loss_mask=0.2)
    write_run(tmp_path / "b", 0.5, loss_mask=0.4, seed=1)
    write_run(tmp_path / "c", 0.6, loss_mask=0.1, mask_mult=10)
    figure = figure_of(compare(read_runs([tmp_path])[0], MASK_AP), "loss_mask")
    (axes,) = figure.axes
    lines = {tuple(np.round(np.asarray(line.get_ydata()), 4)): line.get_linestyle() for line in axes.lines}
    assert set(lines) == {(0.5, 0.4, 0.3), (0.3, 0.2, 0.1)}  # means over the seeds; training and validation are equal
    assert [line.get_linestyle() for line in axes.lines].count("--") == 2
    assert len(axes.collections) == 2  # only what was repeated has a band: solid and dashed
    low, high = np.array(axes.collections[0].get_paths()[0].vertices)[:, 1].min(), 0.3 - np.std([0.2, 0.4], ddof=1)
    assert low == pytest.approx(high, abs=1e-3)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"lr.mask_mult=1", "lr.mask_mult=10"}


def test_only_the_best_settings_have_colours(tmp_path: Path) -> None:
    for number in range(12):
        write_run(tmp_path / f"{number}", 0.1 * number / 2, mask_mult=number + 1)
    figure = figure_of(compare(read_runs([tmp_path])[0], MASK_AP), "mask_AP")
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours.count(GREY) == 4
    assert len(set(colours)) == 9


def test_pictures_are_written_for_what_was_recorded(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/a", 0.5)
    comparison = compare(read_runs([tmp_path / "runs"])[0], MASK_AP)
    paths = save_pictures(comparison, tmp_path / "new/pictures")
    assert [path.stem for path in paths] == list(PICTURES)
    for path in paths:
        with Image.open(path) as picture:
            assert picture.width > 500

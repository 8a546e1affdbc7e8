"""The sentences say what changed, whether it helped, and whether that is more than noise."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn_exp.compare.conclusion import conclusion
from maskrcnn_exp.compare.groups import compare
from maskrcnn_exp.compare.runs import MASK_AP, read_runs
from maskrcnn_exp.compare.tables import losses_table, results_table
from maskrcnn_exp.compare.words import setting_text
from tests.compare.runs import write_run


def concluded(*paths: Path) -> str:
    return "\n".join(conclusion(compare(read_runs(paths)[0], MASK_AP)))


def test_two_single_runs_differ_but_prove_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.5, loss_mask=0.25)
    write_run(tmp_path / "b", 0.6, loss_mask=0.2, mask_mult=10)
    assert concluded(tmp_path) == (
        "b (lr.mask_mult 1 → 10): mask AP +10.0 points against a, one run each.\n"
        "Masks +10.0, boxes +0.0 points. Validation losses of the last epoch: loss_mask 0.25 → 0.2 (-20%).\n"
        "Nothing was repeated with other seeds, and one run says nothing about noise. To know:\n"
        "   python -m maskrcnn_exp train --multirun lr.mask_mult=10 seed=1,2,3\n"
        "   python -m maskrcnn_exp train --multirun lr.mask_mult=1.0 seed=1,2,3"
    )


@pytest.mark.parametrize(("gain", "outcome"), [(0.1, "real"), (0.01, "not proven")])
def test_repeats_tell_a_gain_from_luck(tmp_path: Path, gain: float, outcome: str) -> None:
    for seed, noise in enumerate((0.0, 0.02, -0.01)):
        write_run(tmp_path / f"a{seed}", 0.5 + noise, seed=seed)
        write_run(tmp_path / f"b{seed}", 0.5 + gain - noise, seed=seed, mask_mult=10)
    told = concluded(tmp_path)
    assert told.startswith("b0 +2 (lr.mask_mult 1 → 10): mask AP +")
    assert f"points against a0 +2: {outcome}." in told
    assert "Noise between seeds: standard deviation 1.5 points (4 degrees of freedom)." in told


def test_a_single_run_is_judged_by_the_noise_of_those_that_were_repeated(tmp_path: Path) -> None:
    for seed, noise in enumerate((0.0, 0.02, -0.01)):
        write_run(tmp_path / f"a{seed}", 0.5 + noise, seed=seed)
    write_run(tmp_path / "b", 0.9, mask_mult=10)
    assert "by the noise of the settings that were repeated: real." in concluded(tmp_path)


def test_the_first_named_can_be_the_best(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.6)
    write_run(tmp_path / "b", 0.5, mask_mult=10)
    told = concluded(tmp_path)
    assert told.startswith("Nothing beats a, which was named first; the next best is b.\na (lr.mask_mult 10 → 1): ")


def test_one_run_one_setting_and_no_value_have_their_own_words(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x/a", 0.5)
    assert concluded(run) == "One run: nothing to compare it with."
    write_run(tmp_path / "x/b", 0.52, seed=1)
    assert concluded(tmp_path / "x") == "2 runs of one setting: mask AP 0.5100 ± 0.0141."
    assert "No run has a value" in concluded(write_run(tmp_path / "young", 0.5, epochs=0))


def test_tables_show_what_differs_and_the_five_losses(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.5, verdict="barely moving")
    write_run(tmp_path / "b", 0.6, mask_mult=10, epochs=2)
    comparison = compare(read_runs([tmp_path])[0], MASK_AP)
    assert results_table(comparison) == (
        "run  lr.mask_mult  mask AP  epoch  box AP  time  s/step\n"
        "b              10   0.6000      1  0.7000  40 s     0.5  2 of 3 epochs\n"
        "a               1   0.5000      2  0.7000  60 s     0.5  barely moving"
    )
    head, first, second = losses_table(comparison).splitlines()
    assert head.split()[5:] == [
        "loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask", "total",
    ]  # fmt: skip
    assert first.endswith("0.200 → 0.200  0.600 → 0.600")
    assert len(results_table(comparison, 1).splitlines()) == 2
    assert second.startswith("a ")


def test_settings_beyond_the_columns_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.5, settings={f"k{i}": 0 for i in range(7)})
    write_run(tmp_path / "b", 0.6, settings={f"k{i}": 1 for i in range(7)})
    comparison = compare(read_runs([tmp_path])[0], MASK_AP)
    assert results_table(comparison).endswith("2 more settings differ: lr.k5, lr.k6")
    assert "lr.k4 0 → 1 and 2 more)" in conclusion(comparison)[0]


def test_settings_are_written_as_typed() -> None:
    shown = [setting_text(value) for value in (None, True, 1, 1.0, 0.30000000004, "x")]
    assert shown == ["null", "true", "1", "1", "0.3", "x"]

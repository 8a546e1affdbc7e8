"""Winner and default trained again with other seeds, as sweeps of the pretended training."""

from __future__ import annotations

from pathlib import Path

from optuna.trial import FrozenTrial, TrialState, create_trial

from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.repeats import verdict_of
from tests.sweep.sweeps import folder_of, sweep, trials_of
from tests.sweep.test_hparams import Tab


def repeat(arm: str, seed: int, value: float | None, *, diverged: bool = True) -> FrozenTrial:
    """Return a finished repeat; without a value it failed."""
    return create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value,
        user_attrs={attrs.ARM: arm, attrs.SEED: seed, attrs.DIVERGED: value is None and diverged},
    )


def test_repeats_that_diverged_are_counted_and_forbid_the_word_real() -> None:
    winners = [repeat("best", 1000, 0.43), repeat("best", 1001, 0.45), repeat("best", 1002, None)]
    defaults = [repeat("default", seed, value) for seed, value in ((1000, 0.40), (1001, 0.421), (1002, 0.41))]
    verdict = verdict_of([*winners, *defaults], "maximize", ["mAP/segm_AP@best"])
    assert verdict.paired
    assert verdict.difference == (0.43 - 0.40 + 0.45 - 0.421) / 2
    assert verdict.outcome == "not proven"
    assert verdict.sentence.endswith("not proven; the winner diverged in 1 of 3")


QUICK = ("clip.norm=3", "hydra/sweeper/sampler=grid", "hydra.sweeper.report=true", "epochs=3")


def test_repeats_stay_in_tensorboards_tab_and_in_the_report(tmp_path: Path) -> None:
    words = ("lr.mask_mult=7.9,0.3", *QUICK)
    done = sweep(tmp_path, *words, "hydra.sweeper.repeat_best=2")
    assert done.returncode == 0, done.stdout
    rows = Tab(folder_of(tmp_path)).rows()
    shown = {
        name: (row.hparams["arm"].string_value, row.hparams["lr.mask_mult"].number_value) for name, row in rows.items()
    }
    repeats = {
        f"repeat/{winner(tmp_path)}/{number}": arm for number, arm in enumerate([("best", 7.9), ("default", 1.0)] * 2)
    }
    assert shown == searched(tmp_path) | repeats
    names, columns = Tab(folder_of(tmp_path)).columns()
    assert names == ["arm", "lr.mask_mult"]
    assert "mAP/segm_AP@best" in columns
    assert "Nothing was repeated" not in (folder_of(tmp_path) / "report.md").read_text()

    again = sweep(tmp_path, *words)
    assert again.returncode == 0, again.stdout
    assert "over the default: " in again.stdout
    assert "Nothing was repeated" not in (folder_of(tmp_path) / "report.md").read_text()


def winner(cwd: Path) -> int:
    return next(trial.number for trial in trials_of(cwd) if trial.params["lr.mask_mult"] == 7.9)


def searched(cwd: Path) -> dict[str, tuple[str, float]]:
    return {str(trial.number): ("search", trial.params["lr.mask_mult"]) for trial in trials_of(cwd)}


def test_a_default_that_wins_is_not_trained_against_itself(tmp_path: Path) -> None:
    done = sweep(tmp_path, "lr.mask_mult=1,0.3", *QUICK, "hydra.sweeper.repeat_best=2")
    assert done.returncode == 0, done.stdout
    assert "the default won; nothing to repeat" in done.stdout
    assert "the default won; nothing to repeat" in (folder_of(tmp_path) / "report.md").read_text()
    assert not (folder_of(tmp_path) / "repeat").exists()


def test_a_trial_that_failed_before_its_first_epoch_is_listed_and_the_report_written(tmp_path: Path) -> None:
    done = sweep(tmp_path, "lr.mask_mult=7.9,2", *QUICK, "crashes_above=3", "hydra.sweeper.max_failure_rate=0")
    assert done.returncode != 0
    failed = next(trial.number for trial in trials_of(tmp_path) if trial.state == TrialState.FAIL)
    assert Tab(folder_of(tmp_path)).rows()[str(failed)].hparams["lr.mask_mult"].number_value == 7.9
    assert "RuntimeError: a crash" in (folder_of(tmp_path) / "report.md").read_text()

"""Winner and default trained again with other seeds, as sweeps of the pretended training."""

from __future__ import annotations

from types import SimpleNamespace

from optuna.trial import FrozenTrial, TrialState, create_trial

from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.repeats import verdict_of


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
    verdict = verdict_of(SimpleNamespace(trials=[*winners, *defaults]), "maximize", ["mAP/segm_AP@best"])  # type: ignore[arg-type]
    assert verdict.paired
    assert verdict.difference == (0.43 - 0.40 + 0.45 - 0.421) / 2
    assert verdict.outcome == "not proven"
    assert verdict.sentence.endswith("not proven; the winner diverged in 1 of 3")

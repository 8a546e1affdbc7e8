"""Where to fork a run to try a prescription: which verdict, from which checkpoint, which epochs, with which words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.diagnosis import Diagnosis
from maskrcnn_exp.diagnose.prescriptions import train_words
from maskrcnn_exp.diagnose.verdict import Prescription, Verdict
from maskrcnn_exp.engine.checkpoint_peek import read_progress
from maskrcnn_exp.errors import CheckpointError, ConfigError, DataError
from maskrcnn_exp.override_keys import bare_key

__all__ = ["AS_IT_WAS", "FEW_EPOCHS", "PRESCRIBED", "Fork", "choose_start", "choose_verdict", "plan_fork"]

AS_IT_WAS: Final = "as_it_was"
PRESCRIBED: Final = "prescribed"

FEW_EPOCHS: Final = 3
"""Epochs after the warm-up that a fork is trained for, where the user does not say."""

_LENGTH: Final = frozenset({"trainer.epochs"})
_TIME: Final = frozenset({"trainer.num_workers", "trainer.eval_every_epochs"})
_SAME_WEIGHTS: Final = (
    "model.image_mean",
    "model.image_std",
    "model.loss_weight",
    "model/mask_loss",
    "model.mask_loss",
)
"""Settings of the model with which a checkpoint's weights and optimiser still fit."""


@dataclass(frozen=True)
class Fork:
    """Two trainings from one moment of a run."""

    rule: str
    part: str
    since: int  # epoch from which on the verdict holds
    prescription: Prescription
    checkpoint: Path | None  # where both begin; None: at the run's own start
    why: str  # of that choice
    first_epoch: int  # that is trained, whole or in part
    last_epoch: int
    words: dict[str, list[str]]  # AS_IT_WAS and PRESCRIBED → overrides, without run_dir and resume

    @property
    def epochs(self) -> range:
        return range(self.first_epoch, self.last_epoch + 1)


def choose_verdict(diagnosis: Diagnosis, rule: str | None) -> tuple[Verdict, Prescription] | None:
    """Return the answer, or the first verdict of `rule`, and its prescription; None where there is no fault.

    Raises:
        ConfigError: no verdict of that rule; no prescription; or one whose effect a few epochs cannot show.
        DataError: the prescription mends data, not settings.
    """
    candidates = diagnosis.faults if rule is None else [one for one in diagnosis.verdicts if one.rule == rule]
    if not candidates and rule is None:
        return None
    if not candidates:
        found = ", ".join(dict.fromkeys(verdict.rule for verdict in diagnosis.verdicts)) or "nothing"
        raise ConfigError(f"--rule {rule}: {diagnosis.run} has no such verdict. Found: {found}.")
    verdict = candidates[0]
    return verdict, _usable(verdict)


def _usable(verdict: Verdict) -> Prescription:
    prescription = verdict.prescription
    what = f"{verdict.rule} ({verdict.part})"
    if prescription is None:
        raise ConfigError(f"{what} has no prescription, so that there is nothing to try. {verdict.says}")
    if prescription.command != "train" or any(word.startswith("replay=") for word in prescription.words):
        next_step = "check-data" if prescription.command == "check-data" else f"train {' '.join(prescription.words)}"
        raise DataError(
            f"{what}: no setting mends it, so that there is nothing to try. {verdict.says}\n"
            f"Look at the data first: python -m maskrcnn_exp {next_step} (`diagnose` without --verify writes it out). "
            "Then train again. --rule NAME verifies another verdict."
        )
    keys = {bare_key(word) for word in prescription.words}
    if keys & _LENGTH:
        raise ConfigError(
            f"{what}: {' '.join(prescription.words)} changes the length of the run and its whole schedule. "
            "A few epochs cannot show that: train it whole."
        )
    if keys and keys <= _TIME:
        raise ConfigError(
            f"{what}: {' '.join(prescription.words)} changes how long a run takes, not what it learns. "
            "There is nothing to compare: look at time/data_s and time/eval_s of the next run."
        )
    return prescription


def plan_fork(
    curves: Curves, verdict: Verdict, prescription: Prescription, folder: Path, epochs: int | None = None
) -> Fork:
    """Plan the two trainings that try `prescription` against what `verdict` says of the run in `folder`.

    Both have the run's own words, so its seed, its order of pictures and its schedule; they leave off early, are
    evaluated after each epoch and stop for nothing else.

    Args:
        epochs: To train; FEW_EPOCHS and what is left of the warm-up where not given. Never beyond the run's own last.

    Raises:
        ConfigError: the run's configuration is not at hand, as of another program's log.
    """
    facts = curves.facts
    if not facts.own or not facts.epochs:
        raise ConfigError(
            f"{curves.name}: --verify trains, so it takes a run of this program with its .hydra folder. "
            "For a log of another program, type the prescription there."
        )
    checkpoint, why, first = choose_start(folder, verdict.since, prescription.words)
    wanted = epochs or FEW_EPOCHS + max(0, math.ceil(curves.warmup) - (first - 1))
    last = min(first + wanted - 1, facts.epochs)
    common = [
        f"trainer.stop_after_epoch={last}",
        "trainer.eval_every_epochs=1",
        "trainer.early_stop_evals=0",
        "diagnose=warn",
    ]
    words = {
        AS_IT_WAS: train_words(facts.overrides, common),
        PRESCRIBED: train_words(facts.overrides, [*common, *prescription.words]),
    }
    return Fork(verdict.rule, verdict.part, verdict.since, prescription, checkpoint, why, first, last, words)


def choose_start(folder: Path, since: int, words: Sequence[str] = ()) -> tuple[Path | None, str, int]:
    """Return the newest checkpoint from before the trouble, why it is that one, and the epoch it goes on with.

    Of `checkpoints/*.pt` those count that were saved before the end of epoch `since`. None stands for the run's start:
    where the trouble is there from the first epoch on, no such checkpoint is kept, or `words` change what a checkpoint
    holds.
    """
    misfit = [word for word in words if _changes_weights(word)]
    if misfit:
        return None, f"{misfit[0]} changes what a checkpoint holds", 1
    if since <= 1:
        return None, "the trouble is there from the first epoch on", 1
    found = [(path, *_moment(path)) for path in sorted((folder / "checkpoints").glob("*.pt"))]
    before = [(step, path, epoch) for path, step, epoch in found if step > 0 and epoch <= since]
    if not before:
        why = (
            f"no checkpoint from before epoch {since} is there (trainer.keep_checkpoints=N keeps the newest N epochs')"
        )
        return None, why, 1
    newest = max(step for step, _, _ in before)
    named = [(path, epoch) for step, path, epoch in before if step == newest]
    # An epoch's file stays what it is, while last.pt and best.pt move on with the run.
    path, epoch = min(named, key=lambda entry: not entry[0].name.startswith("epoch_"))
    return path, f"the newest from before epoch {since}, since when it holds", epoch


def _moment(path: Path) -> tuple[int, int]:
    """Return the optimiser steps behind a checkpoint, 0 for one that cannot be read, and the epoch it goes on with."""
    try:
        progress = read_progress(path)
    except CheckpointError:
        return 0, 0
    return progress["step"], progress["epoch"]


def _changes_weights(word: str) -> bool:
    key = bare_key(word)
    if key in ("optimizer", "trainer.ema_decay") or key == "model":
        return True
    return key.startswith(("model.", "model/")) and not key.startswith(_SAME_WEIGHTS)

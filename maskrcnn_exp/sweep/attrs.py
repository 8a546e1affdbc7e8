"""What a study keeps beside Optuna's own columns: the names of its attributes and the shape of their values."""

from __future__ import annotations

from typing import Final, TypedDict

__all__ = [
    "ARM",
    "DEATHS",
    "DIVERGED",
    "EPOCH",
    "EPOCH_AT_DEATH",
    "FIXED",
    "FOLDER",
    "HALTED",
    "HOME",
    "LEASE",
    "METRIC",
    "OVERRIDES",
    "REASON",
    "RECORD",
    "SECONDS",
    "SEED",
    "SPACE",
    "STOP",
    "STUDY_ID",
    "TRIAL_NAMES",
    "LossSummary",
    "RecordSummary",
]

# of a trial
REASON: Final = "reason"  # str: why it was pruned or failed
DIVERGED: Final = "diverged"  # bool: it ended early because its setting is bad; the program did what it should
RECORD: Final = "record"  # RecordSummary: what the trial did to each loss
FOLDER: Final = "folder"  # str: run folder, relative to the study's folder
OVERRIDES: Final = "overrides"  # list[str]: the command-line words of the trial, fixed ones included
SECONDS: Final = "seconds"  # float: time spent on the trial by all workers that had it, start-up included
LEASE: Final = "lease"  # str: the worker that has it or had it last
EPOCH: Final = "epoch"  # int: the last epoch of a trial that reports nothing to compare; else the reports tell
DEATHS: Final = "deaths"  # int: workers that died on it in a row without a new epoch
EPOCH_AT_DEATH: Final = "epoch_at_death"  # int: how far it was when the last of them died
ARM: Final = "arm"  # str: of a repeat, best or default
SEED: Final = "seed"  # int: of a repeat
TRIAL_NAMES: Final = frozenset(
    {REASON, DIVERGED, RECORD, FOLDER, OVERRIDES, SECONDS, LEASE, EPOCH, DEATHS, EPOCH_AT_DEATH}
)
"""Of any trial of a search: a user's own attribute never takes one of these names."""

# of a study
SPACE: Final = "space"  # dict[str, str]: key → distribution as JSON, to refuse a resume with another space
FIXED: Final = "fixed"  # list[str]: the words that every trial shares
HALTED: Final = "halted"  # {reason: str, code: int}: every trial would fail alike; None: no more
STUDY_ID: Final = "study_id"  # str: random; the study's folder has the same in a file
HOME: Final = "home"  # str: where the folder was when the study was made, machine:path; for people
STOP: Final = "stop/"  # + a pool's name: the command that started these workers was stopped
METRIC: Final = "metric"  # list[str]: what is optimised, such as mAP/segm_AP@best; empty: the returned value


class LossSummary(TypedDict):
    """One loss over the epochs of a trial, from its record."""

    first: float  # value of the first epoch
    final: float  # value of the last epoch
    best: float  # smallest
    share: float  # of the total in the last epoch, 0..1
    trend: float  # least-squares slope per epoch over the second half; negative while the loss still falls


class RecordSummary(TypedDict):
    """What a study keeps of a trial's record. A value that the record does not have is absent, never NaN."""

    epochs: int
    losses: dict[str, LossSummary]  # training losses, by loss
    val_losses: dict[str, float]  # last value, by loss
    grad_norm: dict[str, float]  # mean over the epochs, by part
    clip: dict[str, float]  # share of steps clipped, mean over the epochs, by part
    update_ratio: dict[str, float]  # mean over the epochs, by part
    final: dict[str, float]  # last value of mAP/segm_AP, mAP/segm_AP50, mAP/bbox_AP, mAP/bbox_AP50, loss/val

"""The table of runs: planted faults, and healthy runs under various settings.

A fault is a list of overrides on top of its data set's recipe, or a corruption of the annotations. `named_by` holds the
verdicts that say what was done to the run: `rule`, or `rule:part` where the part matters. A verdict that is true but
tells another story does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["CASES", "DATASETS", "FAULTS", "HEALTHY", "Case", "cases_of"]

DATASETS: Final = ("shapes", "nuclei")

Splits = Literal["train", "both"]


@dataclass(frozen=True)
class Case:
    """One kind of run."""

    name: str
    words: tuple[str, ...] = ()  # overrides
    words_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # data set → overrides, further ones
    named_by: tuple[str, ...] = ()  # verdicts that name the fault; empty for a healthy run
    corruption: str = ""  # of the annotations: a key of CORRUPTIONS
    splits: Splits = "train"  # whose annotations are corrupted
    start_epochs: int = 0  # of the training whose weights it starts from (start_weights.py); 0: from nothing
    pictures: int | None = None  # of the training split that are kept; None: all
    mends: bool = False  # a setting can mend it
    beside: str = "default"  # the healthy run that it is compared with
    only: tuple[str, ...] = DATASETS  # data sets on which it is a fault at all

    @property
    def healthy(self) -> bool:
        return not self.named_by

    def is_named_by(self, rule: str, part: str) -> bool:
        """Say whether a verdict names this fault."""
        return rule in self.named_by or f"{rule}:{part}" in self.named_by


_SGD: Final = ("optimizer=sgd", "lr.base=0.01")  # half of the recipes' rate, for batches of 4; 0.04 diverges
_FINE_TUNING: Final = ("lr.base=0.0003",)  # a third of the default, which would forget half of what the start knows

HEALTHY: Final = (
    Case("default"),
    Case("sgd", _SGD, start_epochs=5),
    Case("sgd_slow", ("optimizer=sgd", "lr.base=0.005"), start_epochs=5),
    Case("lr_half", ("lr.base=0.0005",)),
    Case("lr_double", ("lr.base=0.002",)),
    Case("clip_none", ("clip=none",)),
    Case("clip_tight", ("clip.norm=1",)),
    Case("mask_mult_4", ("lr.mask_mult=4",)),
    Case("fine_tuned", _FINE_TUNING, start_epochs=20),
    Case("batch_8", ("trainer.batch_size=8", "lr.base=0.002")),
)

_SETTINGS: Final = (
    Case("mask_lr_low", ("lr.mask_mult=0.02",), named_by=("undertrained_part:mask",), mends=True),
    Case(
        "mask_lr_high",
        ("lr.mask_mult=30",),
        named_by=("overdriven_part:mask", "burnt_part:mask", "loss_exploding:mask", "not_finite:mask"),
        mends=True,
    ),
    Case("lr_low", ("lr.base=0.00001",), named_by=("lr_too_low",), mends=True),
    Case("lr_high", ("lr.base=0.05",), named_by=("lr_too_high", "loss_exploding", "not_finite"), mends=True),
    Case(
        "clip_small",
        (*_SGD, "clip.norm=0.1"),
        named_by=("clipping_is_the_rate",),
        start_epochs=5,
        mends=True,
        beside="sgd",
    ),
    Case("frozen_backbone", ("lr.backbone_mult=0",), named_by=("frozen_part:backbone",), mends=True),
    Case(
        "wrong_normalisation",
        ("model.image_mean=[123.675,116.28,103.53]", "model.image_std=[58.395,57.12,57.375]"),
        named_by=("pixel_normalisation",),
        mends=True,
    ),
)

_DIFFER: Final = ("boxes_beside_masks", "annotations_off_objects", "splits_differ")

_DATA: Final = (
    Case("masks_shifted", named_by=_DIFFER, corruption="masks_shifted"),
    Case("masks_stamps", named_by=_DIFFER, corruption="masks_stamps"),
    Case("masks_swapped", named_by=_DIFFER, corruption="masks_swapped"),
    Case(
        "boxes_jittered",
        named_by=("boxes_beside_masks", "boxes_do_not_fit_masks"),
        corruption="boxes_jittered",
        splits="both",
    ),
    Case(
        # After 300 steps from nothing the classes are hardly learned, wrong or right: a start that knows them shows it.
        "labels_shuffled",
        _FINE_TUNING,
        start_epochs=20,
        beside="fine_tuned",
        named_by=("labels_are_noisy", "training_is_noisier", "labels_do_not_fit"),
        corruption="labels_shuffled",
        only=("shapes",),
    ),
    Case("half_unannotated", named_by=("objects_unannotated",), corruption="half_unannotated", splits="both"),
    Case("masks_empty", named_by=("annotations_left_out",), corruption="masks_empty", splits="both"),
    Case(
        "tiny_training_set",
        words_of={
            "shapes": ("trainer.epochs=150", "trainer.eval_every_epochs=15"),
            "nuclei": ("trainer.epochs=180", "trainer.eval_every_epochs=15"),
        },
        named_by=("few_pictures", "overfit", "validation_gap"),
        pictures=8,
    ),
)

FAULTS: Final = (*_SETTINGS, *_DATA)
CASES: Final[dict[str, Case]] = {case.name: case for case in (*HEALTHY, *FAULTS)}


def cases_of(dataset: str) -> list[Case]:
    """Return the runs of a data set, those that others are compared with first."""
    return [case for case in CASES.values() if dataset in case.only]

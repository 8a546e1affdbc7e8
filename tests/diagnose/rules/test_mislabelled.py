"""Wrong labels and missing annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.rules.mislabelled import labels_are_noisy, objects_unannotated
from tests.diagnose.recorded import changed, recorded, with_facts

SHAPES = recorded("shapes_mult_10")
EPOCHS = len(SHAPES)


def told_apart(training: list[float], validation: list[float]) -> Curves:
    return changed(SHAPES, roi__class_accuracy=training, roi__val_class_accuracy=validation)


def rising(start: float, step: float = 0.03) -> list[float]:
    return [start + step * epoch for epoch in range(EPOCHS)]


@pytest.mark.parametrize(("gap", "severity"), [(0.14, "warning"), (0.22, "severe")])
def test_objects_told_apart_worse_in_training_than_in_validation_have_wrong_labels(gap: float, severity: str) -> None:
    (verdict,) = labels_are_noisy(told_apart(rising(0.5), rising(0.5 + gap)))
    assert (verdict.rule, verdict.severity, verdict.part) == ("labels_are_noisy", severity, "data")
    assert verdict.prescription is not None
    assert verdict.prescription.command == "check-data"


def test_one_class_cannot_be_mixed_up() -> None:
    assert labels_are_noisy(with_facts(told_apart(rising(0.5), rising(0.8)), classes=1)) == []


def test_a_network_that_improves_within_its_epochs_is_not_ahead_on_validation() -> None:
    """The validation's number is of the end of an epoch: fast learning alone puts it above the mean of the epoch."""
    step = 0.15
    ends = rising(0.1 + step / 2, step)
    assert labels_are_noisy(told_apart(rising(0.1, step), ends)) == []
    assert labels_are_noisy(told_apart(rising(0.1, step), [end + 0.15 for end in ends])) != []


def test_one_good_evaluation_proves_nothing() -> None:
    validation = rising(0.5)
    validation[-2] += 0.4
    assert labels_are_noisy(told_apart(rising(0.5), validation)) == []


def test_runs_of_older_versions_say_nothing_of_it() -> None:
    assert labels_are_noisy(SHAPES) == []
    assert objects_unannotated(SHAPES) == []


def certain(background: Any, right: float = 0.4) -> Curves:
    where = np.broadcast_to(np.asarray(background, dtype=float), (EPOCHS,))
    rest = (1 - where - right) / 2
    kinds = {"background": where, "classification": rest, "localisation": rest}
    return changed(SHAPES, **{f"certain_errors__{kind}": share.tolist() for kind, share in kinds.items()})


@pytest.mark.parametrize(("share", "severity"), [(0.25, "warning"), (0.45, "severe")])
def test_certain_detections_on_no_object_mean_objects_without_annotation(share: float, severity: str) -> None:
    (verdict,) = objects_unannotated(certain(share))
    assert (verdict.severity, verdict.line) == (severity, "loss_objectness")
    assert f"{share:.0%} lie on no annotated object" in verdict.says


def test_few_of_them_are_usual_and_a_network_that_is_never_right_is_no_witness() -> None:
    assert objects_unannotated(certain(0.1)) == []
    assert objects_unannotated(certain(0.5, right=0.05)) == []
    assert objects_unannotated(certain([0.6] * (EPOCHS - 1) + [0.05])) == []


def test_missing_annotations_are_the_answer() -> None:
    first = diagnose(certain(0.45)).first
    assert first is not None
    assert first.rule == "objects_unannotated"

"""What the data was found to be when the run started."""

from __future__ import annotations

from typing import Any

import pytest

from maskrcnn_exp.data.target import BoxFit
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.rules.annotated import boxes_do_not_fit_masks
from maskrcnn_exp.diagnose.rules.found import annotations_left_out, boxes_beside_masks, few_pictures
from maskrcnn_exp.diagnose.verdict import Verdict
from maskrcnn_exp.record.data_found import DataFound
from tests.diagnose.recorded import HEALTHY, changed, recorded, with_facts

NUCLEI = recorded("nuclei")
FITS = BoxFit(looked_at=400, off=0.01, beside=0.0, median_iou=0.98, median_size=1.0)
GOOD = DataFound(images=100, instances=1000, boxes=FITS)


def found(train: DataFound = GOOD, val: DataFound = GOOD, curves: Curves = NUCLEI) -> Curves:
    return with_facts(curves, train_data=train, val_data=val)


def data(**changes: Any) -> DataFound:
    return DataFound(**{"images": 100, "instances": 1000, "boxes": FITS, **changes})


def fit(**changes: Any) -> DataFound:
    values = {"looked_at": 400, "off": 0.9, "beside": 0.0, "median_iou": 0.7, "median_size": 1.0}
    return data(boxes=BoxFit(**{**values, **changes}))


def only(verdicts: list[Verdict]) -> Verdict:
    (verdict,) = verdicts
    return verdict


def test_good_data_says_nothing() -> None:
    for rule in (annotations_left_out, boxes_beside_masks, few_pictures):
        assert rule(found()) == []
        assert rule(NUCLEI) == []  # a run of an older version


@pytest.mark.parametrize(("lost", "severity"), [(60, "warning"), (300, "severe")])
def test_annotations_that_were_left_out_are_named_with_their_commonest_reason(lost: int, severity: str) -> None:
    reasons = {"mask without a pixel": lost - 5, "unknown category_id": 5}
    verdict = only(annotations_left_out(found(val=data(annotations_left_out=lost, left_out=reasons))))
    assert (verdict.severity, verdict.part, verdict.since) == (severity, "data", 1)
    assert "validation" in verdict.says
    assert "mask without a pixel" in verdict.says
    assert verdict.prescription is not None
    assert verdict.prescription.command == "check-data"


def test_a_few_bad_annotations_are_no_cause() -> None:
    assert annotations_left_out(found(data(annotations_left_out=40, left_out={"mask without a pixel": 40}))) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"median_size": 0.3, "median_iou": 0.3, "beside": 0.9}, "masks fill 30% of the box's size"),
        ({"beside": 0.9, "median_iou": 0.1}, "masks lie elsewhere than the boxes, IoU 0.10"),
        ({}, "edges are off, IoU 0.70"),
    ],
)
def test_boxes_that_are_no_extents_are_named_by_how_they_differ(changes: dict[str, Any], words: str) -> None:
    verdict = only(boxes_beside_masks(found(fit(**changes))))
    assert words in verdict.says
    assert verdict.severity == "severe"


def test_some_loose_boxes_are_a_warning_and_a_handful_of_annotations_say_nothing() -> None:
    assert only(boxes_beside_masks(found(fit(off=0.2)))).severity == "warning"
    assert boxes_beside_masks(found(fit(off=0.05))) == []
    assert boxes_beside_masks(found(fit(looked_at=5))) == []


def test_what_was_seen_in_the_data_is_not_guessed_from_the_curves_again() -> None:
    masks_better = changed(NUCLEI, mAP__bbox_AP75=lambda ap: ap / 4)
    assert len(boxes_do_not_fit_masks(masks_better)) == 1
    assert boxes_do_not_fit_masks(found(curves=masks_better)) == []


def test_wrong_boxes_are_the_answer_and_what_curves_show_of_them_follows() -> None:
    diagnosis = diagnose(found(fit(), curves=changed(NUCLEI, mAP__bbox_AP=0.0, mAP__segm_AP=0.0)))
    assert diagnosis.first is not None
    assert diagnosis.first.rule == "boxes_beside_masks"
    assert ("ap_stays_zero", "boxes_beside_masks") in [(one.rule, cause) for one, cause in diagnosis.consequences]


def test_few_pictures_are_named_before_any_gap_shows() -> None:
    verdict = only(few_pictures(found(data(images=8, instances=30))))
    assert "8 training pictures with 30 objects" in verdict.says
    assert few_pictures(found(data(images=61))) == []


def test_few_pictures_are_answered_with_other_sizes_and_colours_where_there_are_none() -> None:
    few = found(data(images=8))
    plain = with_facts(few, augment={"horizontal_flip": 0.5})
    words = {name: only(few_pictures(one)).prescription for name, one in {"plain": plain, "varied": few}.items()}
    assert words["plain"] is not None
    assert words["plain"].words == ("augment=photo",)
    assert words["varied"] is not None
    assert words["varied"].command == "check-data"


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_runs_on_good_data_hear_none_of_it(name: str) -> None:
    rules = {verdict.rule for verdict in diagnose(found(curves=recorded(name))).verdicts}
    assert not rules & {"annotations_left_out", "boxes_beside_masks", "few_pictures"}

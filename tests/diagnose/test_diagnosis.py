"""The order of causes, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from maskrcnn_exp.diagnose import diagnosis as module
from maskrcnn_exp.diagnose.curves import BadValue, Curves
from maskrcnn_exp.diagnose.diagnosis import RULES, Diagnosis, diagnose
from tests.diagnose.recorded import changed, recorded, with_facts

SHAPES, SLOW = recorded("shapes_mult_1"), recorded("shapes_mult_0.02")
NAN = BadValue("loss/train_loss_mask", 6, np.nan)


def first_rule(curves: Curves) -> str:
    first = diagnose(curves).first
    assert first is not None
    return first.rule


def explained(diagnosis: Diagnosis) -> dict[str, str]:
    return {verdict.rule: cause for verdict, cause in diagnosis.consequences}


def test_the_data_comes_first_then_nan_then_the_rate_then_the_rest() -> None:
    """Each cause is added to a run that has the later ones already."""
    assert first_rule(SLOW) == "undertrained_part"
    not_finite = replace(SLOW, bad=(NAN,))
    assert first_rule(not_finite) == "not_finite"
    pixels = with_facts(not_finite, image_mean=(123.7, 116.3, 103.5))
    assert first_rule(pixels) == "pixel_normalisation"


def test_after_a_nan_nothing_else_is_a_finding() -> None:
    diagnosis = diagnose(replace(SLOW, bad=(NAN,)))
    assert [verdict.rule for verdict in diagnosis.faults] == ["not_finite"]
    assert explained(diagnosis)["undertrained_part"] == "not_finite"


def test_a_cause_is_as_severe_as_what_follows_from_it() -> None:
    """A mask head 15 times behind alone is a warning; that its masks are at half of the boxes is severe."""
    behind = changed(SHAPES, update_ratio__mask=lambda ratio: ratio / 3.5, loss__train_loss_mask=0.5)
    assert diagnose(changed(behind, loss__train_loss_mask=0.2)).first.severity == "warning"  # type: ignore[union-attr]
    worse = diagnose(changed(behind, mAP__segm_AP=lambda ap: ap / 2))
    assert worse.first is not None
    assert (worse.first.rule, worse.first.severity) == ("undertrained_part", "severe")
    assert explained(worse)["high_loss_low_ap"] == "undertrained_part"


def test_a_note_explains_nothing() -> None:
    bad = changed(recorded("shapes_always_clipped"), loss__train_loss_mask=0.5, loss__val_loss_mask=0.5)
    diagnosis = diagnose(changed(bad, mAP__segm_AP=lambda ap: ap / 2))
    assert diagnosis.first is not None
    assert diagnosis.first.rule == "high_loss_low_ap"
    assert "clipping_is_the_rate" in [verdict.rule for verdict in diagnosis.verdicts]


def test_clipping_under_sgd_explains_that_the_run_creeps() -> None:
    parts = ("backbone", "fpn", "rpn", "box", "mask")
    creeping = changed(
        SHAPES,
        mAP__bbox_AP=0.01,
        mAP__segm_AP=0.01,
        **{f"clip__{part}": 1.0 for part in parts},
        **{f"update_ratio__{part}": (lambda ratio: ratio / 60) for part in parts},
    )
    creeping = with_facts(creeping, adaptive=False, clip_limit=dict.fromkeys(parts, 0.1))
    assert first_rule(creeping) == "clipping_is_the_rate"
    assert explained(diagnose(creeping))["lr_too_low"] == "clipping_is_the_rate"


def test_findings_of_two_parts_stay_two() -> None:
    both = changed(SHAPES, update_ratio__mask=lambda ratio: ratio / 20, time__data_s=0.9, time__step_s=1.0)
    assert [verdict.rule for verdict in diagnose(both).faults] == ["undertrained_part", "data_starvation"]


def test_every_rule_has_a_name_of_its_own_and_a_claim() -> None:
    names = [rule.__name__ for rule in RULES]
    assert len(names) == len(set(names))
    assert all((rule.__doc__ or "").strip() for rule in RULES)


def test_the_documentation_has_a_row_for_every_rule() -> None:
    text = (Path(__file__).parents[2] / "docs/diagnosis.md").read_text()
    table = text.split("## Rules")[1].split("## Logs")[0]
    assert [rule.__name__ for rule in RULES if f"`{rule.__name__}`" not in table] == []


def test_the_table_of_consequences_names_rules_that_exist() -> None:
    names = {rule.__name__ for rule in RULES}
    for table in (module._FOLLOWS, module._FOLLOWS_IN_PART):
        assert table.keys() <= names
        assert all(consequences <= names for consequences in table.values())


def test_a_rule_names_itself_in_its_verdicts() -> None:
    for rule in RULES:
        for curves in (SLOW, SHAPES, recorded("shapes_sgd_mult_30"), recorded("shapes_long_warmup")):
            assert all(verdict.rule == rule.__name__ for verdict in rule(curves)), rule.__name__


def test_a_run_without_any_epoch_has_no_verdict() -> None:
    diagnosis = diagnose(Curves.of_points("empty", {}))
    assert (diagnosis.verdicts, diagnosis.first, diagnosis.worst()) == ((), None, None)
    assert not diagnosis.reaches("info")


def test_reaching_a_severity_is_for_continuous_integration() -> None:
    assert diagnose(SLOW).reaches("severe")
    assert diagnose(SHAPES).reaches("info")
    assert not diagnose(SHAPES).reaches("warning")

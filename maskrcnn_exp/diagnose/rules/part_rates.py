"""Learning rates of one part against the others: a head that is left behind, and one that is thrown about."""

from __future__ import annotations

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import HEADS, Curves
from maskrcnn_exp.diagnose.prescriptions import different_mult
from maskrcnn_exp.diagnose.rules.evidence import LINES, NAMES, curve, since, surety
from maskrcnn_exp.diagnose.rules.outcome import at_chance, chance_of, masks_fit, rebounds
from maskrcnn_exp.diagnose.trends import last
from maskrcnn_exp.diagnose.verdict import Severity, Verdict
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES, Part
from maskrcnn_exp.record import tags

__all__ = ["overdriven_part", "undertrained_part"]


def undertrained_part(curves: Curves) -> list[Verdict]:
    """A head's weights move far more slowly than those of the others: it is undertrained whatever its loss says."""
    if len(curves) < limits.SETTLED_EPOCHS:
        return []
    return [verdict for head in HEADS for verdict in _undertrained(curves, head)]


def _undertrained(curves: Curves, head: Part) -> list[Verdict]:
    others = curves.others(head)
    pace = curves.pace(head)
    if not others or not 0 < pace <= limits.NORMAL_PACE:
        return []
    behind = min(curves.pace(other) for other in others) / pace
    if behind < limits.BEHIND or not _one_is_normal(curves, others):
        return []
    if behind < limits.FAR_BEHIND and (head == "mask" and masks_fit(curves)):
        return []
    if _has_learned_most(curves, head, others):
        return []
    severity: Severity = "severe" if behind >= limits.FAR_BEHIND else "warning"
    times = curves.times_behind(head)
    compared = " and ".join(f"the {NAMES[other]}'s {curves.update_ratio(other):.2g}" for other in others)
    evidence = [
        curve(curves, tags.update_ratio_tag(head), f"‖Δw‖/‖w‖ per step; at full rate {curves.update_ratio(head):.2g}"),
        *(curve(curves, tags.update_ratio_tag(other)) for other in others),
        *(curve(curves, tags.train_loss_tag(loss)) for loss in LOSSES if LOSS_OWNER[loss] == head),
        *(curve(curves, tags.map_tag(kind, "AP")) for kind in ("segm", "bbox")),
    ]
    why = f"{times:.0f} times behind the other heads; the best runs are at {limits.BEST_RATIO[head]:g}"
    return [
        Verdict(
            "undertrained_part",
            head,
            severity,
            surety(behind / (limits.FAR_BEHIND if severity == "severe" else limits.BEHIND), 0.75),
            _behind_since(curves, head),
            f"The {NAMES[head]} is undertrained, whatever its loss says: its weights move by "
            f"{curves.update_ratio(head):.2g} of their size per step, {compared}.",
            "barely moving",
            LINES[head],
            tuple(evidence),
            different_mult(curves, head, times / limits.BEST_RATIO[head], why),
        )
    ]


def _has_learned_most(curves: Curves, head: Part, others: tuple[Part, ...]) -> bool:
    """Say whether a head is slow because little is left to learn: plain SGD's steps shrink with the gradient.

    AdamW divides by the gradient's size, so there a slow head has a low rate, whatever it has learned.
    """
    levels = [last(curves.train(LINES[part])) / chance_of(curves, LINES[part]) for part in (head, *others)]
    return curves.facts.adaptive is False and levels[0] < min(levels[1:])


def _one_is_normal(curves: Curves, others: tuple[Part, ...]) -> bool:
    """Say whether what a head is compared with learns at a pace that is healthy itself, not driven."""
    return min(curves.pace(other) for other in others) <= limits.TOO_FAST


def _behind_since(curves: Curves, head: Part) -> int:
    own = curves[tags.update_ratio_tag(head)] / limits.PACE[head]
    others = [curves[tags.update_ratio_tag(other)] / limits.PACE[other] for other in curves.others(head)]
    with np.errstate(divide="ignore", invalid="ignore"):
        holds = ~(np.min(others, axis=0) / own < limits.BEHIND)  # an epoch without a record breaks nothing
    return since(curves, holds)


def overdriven_part(curves: Curves) -> list[Verdict]:
    """A head's weights move far more than those of the others, and its losses show that it is thrown about."""
    if len(curves) < limits.SETTLED_EPOCHS + 1:
        return []
    return [verdict for head in HEADS for verdict in _overdriven(curves, head)]


def _overdriven(curves: Curves, head: Part) -> list[Verdict]:
    others, pace = curves.others(head), curves.pace(head)
    if not others or not pace >= limits.OVERDRIVEN:
        return []
    ahead = pace / max(curves.pace(other) for other in others)
    losses = [loss for loss in LOSSES if LOSS_OWNER[loss] == head and "box_reg" not in loss]  # those rise in health too
    suffering = [loss for loss in losses if at_chance(curves, loss) or rebounds(curves, loss)]
    if head == "mask" and ahead >= limits.FAR_AHEAD and curves.fit() < limits.LOW_FIT:
        suffering = suffering or ["loss_mask"]
    if ahead < limits.AHEAD or not suffering:
        return []
    ratio = curves.times_behind(head) / limits.BEST_RATIO[head]
    why = f"its weights move {1 / curves.times_behind(head):.0f} times faster than the other heads'"
    evidence = [curve(curves, tags.train_loss_tag(loss)) for loss in suffering]
    evidence += [curve(curves, tags.update_ratio_tag(part)) for part in (head, *others)]
    evidence += [curve(curves, tags.val_loss_tag(loss)) for loss in suffering if curves.has(tags.val_loss_tag(loss))]
    return [
        Verdict(
            "overdriven_part",
            head,
            "severe",
            surety(ahead / limits.AHEAD, 0.75),
            curves.epoch(-1),
            f"The {NAMES[head]}'s learning rate is too high: its weights move by {curves.update_ratio(head):.2g} of "
            f"their size per step, {ahead:.0f} times a healthy proportion, and {suffering[0]} suffers from it.",
            "thrown about",
            suffering[0],
            tuple(evidence),
            different_mult(curves, head, ratio, why),
        )
    ]

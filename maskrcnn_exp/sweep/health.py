"""Whether the losses of a trial show that going on is a waste: not finite, exploding, masks that stay a guess."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from maskrcnn_exp.diagnose.chance import mask_chance
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record import tags

if TYPE_CHECKING:
    from maskrcnn_exp.record.history import History

__all__ = ["HealthMonitor", "HealthRules", "mask_chance"]

_HARM: Final = 0.5
"""An explosion raises the total by this share of the smallest total so far."""

_KEPT: Final = (
    tags.TRAIN_TOTAL,
    *(tags.train_loss_tag(loss) for loss in LOSSES),
    *(tags.share_tag(loss) for loss in LOSSES),
)

_MASK: Final = tags.train_loss_tag("loss_mask")


@dataclass(frozen=True)
class HealthRules:
    """When a trial is given up. The numbers are for losses that are means over an epoch."""

    enabled: bool = True
    warmup_epochs: int = 2  # no verdict on the masks before so many epochs are over; >= 0
    chance_margin: float = 0.03  # loss_mask within this share of chance is at chance; 0..1
    explode_factor: float = 3.0  # a loss so many times its best value may have exploded; >= 1
    mask_chance: float | None = None  # loss_mask of a head that guesses, see `mask_chance`; None: not judged


class HealthMonitor:
    """Judges a trial epoch by epoch. It depends on the recorded losses alone, so a resumed trial is judged alike."""

    def __init__(self, rules: HealthRules) -> None:
        self._rules = rules
        self.diverged = False  # the last epoch's losses were not finite, or exploded; masks at chance are neither
        self._curves: dict[str, dict[int, float]] = {tag: {} for tag in _KEPT}  # tag → epoch → value

    @classmethod
    def from_history(cls, rules: HealthRules, history: History) -> HealthMonitor:
        """Return the monitor of a trial that has epochs behind it. They are not judged again."""
        monitor = cls(rules)
        for tag, curve in monitor._curves.items():
            series = history.series(tag)
            curve.update(zip(series.steps.tolist(), series.values.tolist(), strict=True))
        return monitor

    def check(self, epoch: int, values: Mapping[str, float]) -> str | None:
        """Judge one epoch by itself and by those before it; return a sentence with numbers, or None.

        Later epochs, which a record may hold when a trial goes on from an older checkpoint, are not looked at.

        Args:
            epoch: Counted from 1.
            values: The epoch's tags; losses that it does not have are not judged.
        """
        for tag, curve in self._curves.items():
            if tag in values:
                curve[epoch] = values[tag]
        if not self._rules.enabled:
            return None
        diverged = self._not_finite(epoch) or self._exploding(epoch)
        self.diverged = diverged is not None
        return diverged or self._at_chance(epoch)

    def _not_finite(self, epoch: int) -> str | None:
        for tag in (*(tags.train_loss_tag(loss) for loss in LOSSES), tags.TRAIN_TOTAL):
            value = self._curves[tag].get(epoch)
            if value is not None and not math.isfinite(value):
                return f"{_name(tag)} is {value} after epoch {epoch}"
        return None

    def _exploding(self, epoch: int) -> str | None:
        """Name the loss that has exploded, that with the largest rise where there are several.

        Three things together, because each alone happens in healthy runs. The loss is many times its own best: so is
        loss_rpn_box_reg near 0.001 by noise. It has risen twice in a row, or is many times its first value: so is
        loss_box_reg, which grows tenfold while the RPN learns to propose more objects. And it does harm: the rise, in
        its weight, is half of the smallest total so far, and the total shows it. Neither of those two ever is: the
        first has no share in the total, the other grows while the losses of the RPN fall.
        """
        rises = {loss: self._harmful_rise(loss, epoch) for loss in LOSSES if self._has_taken_off(loss, epoch)}
        loss = max(rises, key=rises.__getitem__, default=None)
        if loss is None or rises[loss] == 0:
            return None
        curve, total = self._curves[tags.train_loss_tag(loss)], self._curves[tags.TRAIN_TOTAL]
        best = _best_before(curve, epoch)
        return (
            f"{loss} {curve[epoch]:.4g} after epoch {epoch} has exploded: {curve[epoch] / best:.3g} times "
            f"its best {best:.4g}; total {total[epoch]:.4g}, once {_best_before(total, epoch):.4g}"
        )

    def _has_taken_off(self, loss: str, epoch: int) -> bool:
        curve = self._curves[tags.train_loss_tag(loss)]
        value, past = curve.get(epoch), [curve[known] for known in sorted(curve) if known < epoch]
        if value is None or not past or min(past) <= 0:
            return False
        factor = self._rules.explode_factor
        twice = len(past) > 1 and value > past[-1] > past[-2]
        return value >= factor * min(past) and (twice or value >= factor * past[0])

    def _harmful_rise(self, loss: str, epoch: int) -> float:
        """Return what a loss adds to the total since its best epoch, in its weight; 0 where that does no harm."""
        curve, total = self._curves[tags.train_loss_tag(loss)], self._curves[tags.TRAIN_TOTAL]
        share = self._curves[tags.share_tag(loss)].get(epoch)
        if epoch not in total or share is None:
            return 0.0
        rise = share * total[epoch] * (1 - _best_before(curve, epoch) / curve[epoch])
        best_total = _best_before(total, epoch)
        return rise if min(rise, total[epoch] - best_total) >= _HARM * best_total else 0.0

    def _at_chance(self, epoch: int) -> str | None:
        """Say that the masks are a guess after the warm-up, and that the last epoch changed nothing about it.

        A fresh head may start far above chance: while it falls, it learns.
        """
        chance, curve = self._rules.mask_chance, self._curves[_MASK]
        value, before = curve.get(epoch), curve.get(epoch - 1)
        if chance is None or value is None or before is None or epoch <= self._rules.warmup_epochs:
            return None
        margin = self._rules.chance_margin * chance
        if value < chance - margin or before - value > margin:
            return None
        where = "worse than chance" if value > chance + margin else "at chance"
        how = "is again" if _best_before(curve, epoch) < chance - margin else "is still"
        weight = chance / math.log(2)
        formula = "ln 2" if math.isclose(weight, 1) else f"{weight:.4g} · ln 2"
        return f"loss_mask {value:.4f} after epoch {epoch} {how} {where} ({formula} = {chance:.4f})"


def _best_before(curve: Mapping[int, float], epoch: int) -> float:
    return min((value for known, value in curve.items() if known < epoch), default=math.inf)


def _name(tag: str) -> str:
    return tag.removeprefix("loss/train_")

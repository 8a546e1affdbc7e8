"""What a fork shows: two short trainings side by side, and whether the prescription gains more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.trends import finite, noise_of
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES, LossName
from maskrcnn_exp.record import tags

if TYPE_CHECKING:
    from maskrcnn_exp.diagnose.trends import Curve

__all__ = ["SHOWN_TAGS", "Arm", "Compared", "Outcome", "Proof", "losses_of", "prove", "values_of"]

Outcome = Literal["better", "worse", "undecided"]

MASK_AP: Final = tags.map_tag("segm", "AP")
BOX_AP: Final = tags.map_tag("bbox", "AP")

SHOWN_TAGS: Final[tuple[str, ...]] = (
    *(tags.train_loss_tag(loss) for loss in LOSSES),
    tags.TRAIN_TOTAL,
    *(tags.val_loss_tag(loss) for loss in LOSSES),
    tags.VAL_TOTAL,
    BOX_AP,
    MASK_AP,
)
"""What is set side by side, epoch by epoch."""


@dataclass(frozen=True)
class Arm:
    """One of the two trainings."""

    curves: Curves  # with what it took over from before the fork
    diverged: str = ""  # what was not finite; empty where it got through
    still_found: bool = False  # the verdict holds in it too

    def over(self, tag: str, epochs: Sequence[int]) -> list[float]:
        """Return a tag's values at these epochs; NaN where there is none."""
        known = dict(zip(self.curves.at.tolist(), self.curves[tag].tolist(), strict=True))
        return [known.get(epoch, math.nan) for epoch in epochs]


@dataclass(frozen=True)
class Compared:
    """One quantity after the last epoch of both."""

    name: str
    as_it_was: float
    prescribed: float
    gain: float  # positive where the prescription is better; a share of `as_it_was` for a loss, a difference for AP
    noise: float  # a gain within it is none, in the same unit

    @property
    def direction(self) -> int:
        """1 better, -1 worse, 0 within noise or unknown."""
        if not math.isfinite(self.gain) or abs(self.gain) <= self.noise:
            return 0
        return 1 if self.gain > 0 else -1


@dataclass(frozen=True)
class Proof:
    """What the pair shows."""

    outcome: Outcome
    says: str  # one sentence
    compared: tuple[Compared, ...]  # the one that decides before the others
    repeats: float | None  # largest relative distance of the training losses as it was from the run's own record


def losses_of(part: str) -> tuple[LossName, ...]:
    """Return the losses that a verdict on `part` is about: its own, or all five of what has none."""
    return tuple(loss for loss in LOSSES if LOSS_OWNER[loss] == part) or LOSSES


def prove(run: Curves, as_it_was: Arm, prescribed: Arm, part: str, epochs: Sequence[int]) -> Proof:
    """Compare both after the last epoch that both have.

    Mask AP decides, and where it is within noise the validation loss of the part in question, the sum of its
    unweighted losses. The noise of one number is that of its curve from epoch to epoch, in the run and in both forks,
    but at least what two seeds of a small data set differ by (AP_NOISE, NOISE_GUESS); a gain counts from SURE times
    that of a difference of two.

    Args:
        run: The run that was forked, as recorded.
        epochs: That were trained.
    """
    crashes = (as_it_was.diverged, prescribed.diverged)
    if any(crashes):
        return _crashed(*crashes, _repeats(run, as_it_was, epochs))
    arms = (as_it_was, prescribed)
    ap = _compared_ap(run, arms, epochs)
    loss = _compared_loss(run, arms, part, epochs)
    boxes = _compared_ap(run, arms, epochs, BOX_AP, "box AP")
    deciding = ap if ap.direction else loss
    outcome: Outcome = "better" if deciding.direction > 0 else "worse" if deciding.direction < 0 else "undecided"
    rest = loss if deciding is ap else ap
    says = _sentence(outcome, deciding, rest)
    return Proof(outcome, says, (deciding, rest, boxes), _repeats(run, as_it_was, epochs))


def _sentence(outcome: Outcome, deciding: Compared, rest: Compared) -> str:
    if outcome == "undecided":
        return "neither mask AP nor the validation loss differs by more than noise"
    how = f"{deciding.name} is {outcome} by more than noise"
    if rest.direction == 0:
        return f"{how}; {rest.name} is within it"
    same = (rest.direction > 0) == (outcome == "better")
    return f"{how}, and so is {rest.name}" if same else f"{how}, although {rest.name} says the contrary"


def _crashed(was: str, prescribed: str, repeats: float | None) -> Proof:
    if was and prescribed:
        says = f"both diverge: as it was at {was}, as prescribed at {prescribed}"
        return Proof("undecided", says, (), repeats)
    if was:
        return Proof("better", f"as it was it diverges again ({was}), as prescribed it does not", (), repeats)
    return Proof("worse", f"as prescribed it diverges ({prescribed}), as it was it does not", (), repeats)


def _compared_ap(
    run: Curves, arms: tuple[Arm, Arm], epochs: Sequence[int], tag: str = MASK_AP, name: str = "mask AP"
) -> Compared:
    was, new = (arm.over(tag, epochs) for arm in arms)
    noise = max([limits.AP_NOISE, *_noises([run[tag], *(arm.curves[tag] for arm in arms)])])
    return Compared(name, was[-1], new[-1], new[-1] - was[-1], limits.SURE * math.sqrt(2) * noise)


def _compared_loss(run: Curves, arms: tuple[Arm, Arm], part: str, epochs: Sequence[int]) -> Compared:
    losses = losses_of(part)
    name = f"validation {' + '.join(losses)}" if len(losses) < len(LOSSES) else "validation loss (all five)"
    was, new = (
        float(sum(np.array(arm.over(tags.val_loss_tag(loss), epochs)) for loss in losses)[-1])  # type: ignore[index]
        for arm in arms
    )
    curves = [_summed(each, losses) for each in (run, *(arm.curves for arm in arms))]
    level = max(abs(was), 1e-12)
    noise = max([limits.NOISE_GUESS, *(each / level for each in _noises(curves))])
    return Compared(name, was, new, (was - new) / level, limits.SURE * math.sqrt(2) * noise)


def _summed(curves: Curves, losses: Sequence[str]) -> Curve:
    return np.sum([curves.val(loss) for loss in losses], axis=0)  # type: ignore[no-any-return]


def _noises(curves: Sequence[Curve]) -> list[float]:
    """Return the noise of each curve that has points enough to tell, but for the first one: it is a jump."""
    return [noise_of(finite(curve)[1:]) for curve in curves if len(finite(curve)) >= 5]


def _repeats(run: Curves, arm: Arm, epochs: Sequence[int]) -> float | None:
    """Return how far the training losses of the unchanged fork are from the run's own; None without common epochs."""
    own = Arm(run)
    distances = [
        abs(again - before) / max(abs(before), 1e-12)
        for tag in map(tags.train_loss_tag, LOSSES)
        for before, again in zip(own.over(tag, epochs), arm.over(tag, epochs), strict=True)
        if math.isfinite(before) and math.isfinite(again)
    ]
    return max(distances, default=None)


def values_of(arm: Arm, epochs: Sequence[int]) -> Mapping[str, list[float]]:
    """Return SHOWN_TAGS by epoch."""
    return {tag: arm.over(tag, epochs) for tag in SHOWN_TAGS}

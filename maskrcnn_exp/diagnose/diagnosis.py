"""All rules over one run, in the order of causes; what follows from a cause is not a finding of its own.

The issue threads show which cause comes first: the data's format, then NaN, then the learning rate, then the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.rules import (
    annotated,
    balance,
    burnt,
    clipping,
    data,
    explosions,
    foreground,
    found,
    generalisation,
    learning_rate,
    mask_loss,
    masks,
    mislabelled,
    misplaced,
    nonfinite,
    part_rates,
    time,
)
from maskrcnn_exp.diagnose.verdict import SEVERITIES, Severity, Verdict, at_least

__all__ = ["RULES", "Diagnosis", "diagnose"]

Rule = Callable[[Curves], list[Verdict]]

_FORMAT: Final[tuple[Rule, ...]] = (
    data.pixel_normalisation,
    found.annotations_left_out,
    found.boxes_beside_masks,
    foreground.no_foreground,
    data.loss_is_zero,
    data.trivial_masks,
    data.ap_stays_zero,
    annotated.boxes_do_not_fit_masks,
)
_NOT_FINITE: Final[tuple[Rule, ...]] = (nonfinite.not_finite,)
_RATE: Final[tuple[Rule, ...]] = (
    learning_rate.frozen_part,
    clipping.clipping_is_the_rate,
    learning_rate.lr_too_high,
    learning_rate.lr_too_low,
    burnt.burnt_part,
    part_rates.overdriven_part,
    part_rates.undertrained_part,
    explosions.loss_exploding,
    learning_rate.warmup_too_long,
    explosions.loss_spikes,
    explosions.gradient_spikes,
)
_MASKS: Final[tuple[Rule, ...]] = (
    masks.masks_at_chance,
    masks.masks_all_background,
    masks.high_loss_low_ap,
    masks.low_loss_low_ap,
    masks.boxes_good_masks_bad,
    mask_loss.mask_loss_flat,
    mask_loss.mask_plateau_early,
    mask_loss.mask_loss_slower,
    masks.mask_ap_does_not_follow,
    balance.mask_share_high,
    balance.mask_share_low,
)
_REST: Final[tuple[Rule, ...]] = (
    balance.all_losses_high,
    misplaced.annotations_off_objects,
    annotated.splits_differ,
    annotated.training_is_noisier,
    mislabelled.labels_are_noisy,
    annotated.labels_do_not_fit,
    mislabelled.objects_unannotated,
    found.few_pictures,
    generalisation.overfit,
    generalisation.validation_gap,
    balance.loss_stays_high,
    foreground.few_foreground,
    foreground.background_wins,
    *_MASKS,
    time.data_starvation,
    generalisation.plateau,
    generalisation.unfinished,
    time.slow_evaluation,
    balance.typical_values,
    balance.typical_shares,
)

RULES: Final[tuple[Rule, ...]] = (*_FORMAT, *_NOT_FINITE, *_RATE, *_REST)
"""In the order of causes."""

_ORDER: Final[dict[str, int]] = {rule.__name__: place for place, rule in enumerate(RULES)}


def _names(rules: Sequence[Rule], but: Sequence[str] = ()) -> frozenset[str]:
    return frozenset(rule.__name__ for rule in rules) - set(but)


_KEPT: Final = ("data_starvation", "slow_evaluation", "typical_values", "typical_shares")
_ALL_MASKS: Final = _names(_MASKS)
_ALL_REST: Final = _names(_REST, but=_KEPT)
_GAPS: Final = frozenset({"overfit", "validation_gap"})
_UNTRUE: Final = frozenset(
    {
        "annotations_off_objects",
        "boxes_do_not_fit_masks",
        "labels_are_noisy",
        "labels_do_not_fit",
        "splits_differ",
        "training_is_noisier",
    }
)
"""What wrong annotations look like in the curves."""
_EVERYTHING: Final = _ALL_REST | _names(_RATE)

_FOLLOWS: Final[dict[str, frozenset[str]]] = {
    "pixel_normalisation": _EVERYTHING | {"not_finite"},
    "annotations_left_out": _UNTRUE | {"objects_unannotated", "background_wins", "few_foreground"},
    "boxes_beside_masks": _ALL_MASKS | _UNTRUE | {"ap_stays_zero", "objects_unannotated", "unfinished"},
    "no_foreground": _ALL_REST | {"loss_is_zero", "trivial_masks", "ap_stays_zero", "undertrained_part"},
    "loss_is_zero": _ALL_REST | {"trivial_masks", "ap_stays_zero", "undertrained_part", "frozen_part"},
    "trivial_masks": _ALL_MASKS | {"splits_differ", "overfit", "validation_gap", "boxes_do_not_fit_masks"},
    "ap_stays_zero": _ALL_MASKS | {"background_wins", "objects_unannotated", "unfinished"},
    "boxes_do_not_fit_masks": _ALL_MASKS | {"splits_differ", "objects_unannotated", "unfinished", "overfit"},
    "not_finite": _EVERYTHING,
    "frozen_part": _ALL_REST | {"lr_too_low", "undertrained_part", "clipping_is_the_rate"},
    "clipping_is_the_rate": _ALL_REST | {"lr_too_low", "undertrained_part"},
    "burnt_part": frozenset({"undertrained_part", "lr_too_low", "gradient_spikes"}),
    "lr_too_high": _ALL_REST | _names(_RATE, but=("frozen_part", "lr_too_high")),
    "lr_too_low": _ALL_REST | _names(_RATE, but=("frozen_part", "clipping_is_the_rate", "lr_too_low")),
    "loss_exploding": _ALL_REST | {"loss_spikes", "gradient_spikes"},
    "all_losses_high": _ALL_MASKS | {"loss_stays_high", "background_wins", "few_foreground", "objects_unannotated"},
    "annotations_off_objects": _ALL_MASKS | {"all_losses_high", "loss_stays_high", "background_wins", "splits_differ"},
    "splits_differ": _ALL_MASKS | {"overfit", "validation_gap"},
    "labels_are_noisy": frozenset({"training_is_noisier", "labels_do_not_fit", "loss_stays_high", "background_wins"}),
    "training_is_noisier": _ALL_MASKS | {"labels_do_not_fit", "loss_stays_high"},
    "few_pictures": _GAPS | {"splits_differ", "training_is_noisier", "mask_ap_does_not_follow", "unfinished"},
    "overfit": frozenset({"validation_gap", "mask_ap_does_not_follow", "unfinished", "plateau"}),
    "masks_at_chance": _ALL_MASKS,
    "masks_all_background": _ALL_MASKS,
    "high_loss_low_ap": _ALL_MASKS,
    "low_loss_low_ap": _ALL_MASKS,
    "boxes_good_masks_bad": _ALL_MASKS,
    "mask_loss_flat": frozenset({"mask_loss_slower", "mask_plateau_early", "mask_share_high", "mask_share_low"}),
    "mask_plateau_early": frozenset({"mask_loss_slower", "mask_share_high"}),
    "few_foreground": frozenset({"background_wins"}),
}
"""Rule → what follows from it, so that it is no second finding. Only a verdict above info explains others."""

_FOLLOWS_IN_PART: Final[dict[str, frozenset[str]]] = {
    "burnt_part": _ALL_REST | {"overdriven_part", "undertrained_part", "loss_exploding", "loss_spikes"},
    "overdriven_part": _ALL_REST | {"loss_exploding", "loss_spikes", "gradient_spikes"},
    "undertrained_part": _ALL_REST,
}
"""The same where a cause explains only its own part's, and those that belong to the whole run."""


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run: the first verdict is the answer."""

    run: str
    epoch: int  # the last one looked at
    verdicts: tuple[Verdict, ...]
    consequences: tuple[tuple[Verdict, str], ...]  # a finding that follows from the verdict of that rule

    @property
    def first(self) -> Verdict | None:
        """The answer; None for a run without any finding."""
        return self.verdicts[0] if self.verdicts else None

    @property
    def faults(self) -> tuple[Verdict, ...]:
        """The verdicts above info."""
        return tuple(verdict for verdict in self.verdicts if verdict.severity != "info")

    def worst(self) -> Severity | None:
        return self.first.severity if self.first else None

    def reaches(self, severity: Severity) -> bool:
        """Say whether a verdict is of `severity` or worse."""
        worst = self.worst()
        return worst is not None and at_least(worst, severity)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `verdicts.json`."""
        return {
            "format": 1,
            "run": self.run,
            "epoch": self.epoch,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "consequences": [{**verdict.to_json(), "follows_from": cause} for verdict, cause in self.consequences],
        }


def diagnose(curves: Curves) -> Diagnosis:
    """Judge a run by what it recorded so far."""
    if not len(curves) and curves.crash is None and not curves.bad:
        return Diagnosis(curves.name, 0, (), ())
    found = [verdict for rule in RULES for verdict in rule(curves)]
    causes = {place: _causes(verdict, found) for place, verdict in enumerate(found)}
    roots = [verdict for place, verdict in enumerate(found) if not causes[place]]
    consequences = [
        (verdict, next((cause for cause in causes[place] if cause in roots), causes[place][0]).rule)
        for place, verdict in enumerate(found)
        if causes[place]
    ]
    kept = [_as_bad_as_it_is(verdict, consequences) for verdict in roots]
    kept.sort(key=lambda verdict: (-SEVERITIES.index(verdict.severity), _ORDER[verdict.rule], -verdict.confidence))
    return Diagnosis(curves.name, curves.epoch(-1), tuple(kept), tuple(consequences))


def _causes(verdict: Verdict, found: Sequence[Verdict]) -> list[Verdict]:
    """Return what explains a verdict; of two that explain each other the later one is explained."""
    explaining = (other for other in found if _explains(other, verdict))
    return [
        other for other in explaining if not (_explains(verdict, other) and _ORDER[verdict.rule] < _ORDER[other.rule])
    ]


def _explains(cause: Verdict, verdict: Verdict) -> bool:
    if cause.severity == "info" or cause.rule == verdict.rule:
        return False
    if verdict.rule in _FOLLOWS.get(cause.rule, frozenset()):
        return True
    same_part = verdict.part in (cause.part, "run", "data") or cause.part == "rpn"  # all heads live on its proposals
    return same_part and verdict.rule in _FOLLOWS_IN_PART.get(cause.rule, frozenset())


def _as_bad_as_it_is(verdict: Verdict, consequences: Sequence[tuple[Verdict, str]]) -> Verdict:
    """Return a cause with the severity of the worst that follows from it."""
    severities = [verdict.severity, *(one.severity for one, cause in consequences if cause == verdict.rule)]
    return replace(verdict, severity=max(severities, key=SEVERITIES.index))

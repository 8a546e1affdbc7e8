"""A fork and what it shows, for people and as JSON."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from maskrcnn_exp.diagnose.fork import AS_IT_WAS, PRESCRIBED, Fork
from maskrcnn_exp.diagnose.prescriptions import command
from maskrcnn_exp.diagnose.proof import SHOWN_TAGS, Arm, Compared, Proof, values_of
from maskrcnn_exp.record import tags

__all__ = ["arm_title", "cannot_tell", "epoch_line", "plan_text", "proof_json", "proof_text"]

_TITLES: Final = {AS_IT_WAS: "as it was", PRESCRIBED: "prescribed"}
_COLUMNS: Final = 8  # epochs side by side
_NAME: Final = 28


def arm_title(arm: str) -> str:
    return _TITLES[arm]


def plan_text(fork: Fork, run: str, says: str, planned: int) -> str:
    """Return what is about to be trained, and from where."""
    source = f"from {fork.checkpoint}" if fork.checkpoint else "from the run's own start"
    count = len(fork.epochs)
    span = f"epoch {fork.first_epoch}" if count == 1 else f"epochs {fork.first_epoch} to {fork.last_epoch}"
    return "\n".join(
        [
            f"{run}: {fork.rule} · {fork.part} · since epoch {fork.since}",
            f"{says}",
            f"   → {' '.join(fork.prescription.words)}   ({fork.prescription.why})",
            f"fork: {source}: {fork.why}",
            f"two trainings of {span} of {planned}: same seed, same pictures in the same order, the run's own schedule",
        ]
    )


def epoch_line(arm: str, epoch: int, last: int, curves_of: Mapping[str, float]) -> str:
    """Return one line about an epoch of one of the two: `prescribed · epoch 2/4: total 1.2345 · …`."""
    shown = {"total": tags.TRAIN_TOTAL, "loss_mask": tags.train_loss_tag("loss_mask"), "validation": tags.VAL_TOTAL}
    shown |= {"box AP": tags.map_tag("bbox", "AP"), "mask AP": tags.map_tag("segm", "AP")}
    numbers = [f"{name} {curves_of[tag]:.4f}" for name, tag in shown.items() if tag in curves_of]
    return f"{arm_title(arm)} · epoch {epoch}/{last}: {' · '.join(numbers)}"


def proof_text(fork: Fork, proof: Proof, arms: Mapping[str, Arm], overrides: Sequence[str]) -> str:
    """Return both trainings side by side, the answer, and what it cannot tell."""
    lines = [*_table(fork, arms), "", *_answer(fork, proof, arms)]
    lines += ["What one pair cannot tell:", *(f"   - {point}" for point in cannot_tell(fork, proof))]
    if proof.outcome != "worse":
        lines += [f"   → {command(fork.prescription, overrides)}", f"     with other seeds: {_seeds(fork, overrides)}"]
    return "\n".join(lines)


def _table(fork: Fork, arms: Mapping[str, Arm]) -> list[str]:
    epochs = _columns(fork.epochs)
    header = "".join(f"{f'epoch {epoch}':>11}" for epoch in epochs)
    lines = [f"{'':{_NAME}}{'':12}{header}"]
    for tag in SHOWN_TAGS:
        rows = {name: arm.over(tag, epochs) for name, arm in arms.items()}
        if not any(math.isfinite(value) for values in rows.values() for value in values):
            continue
        for place, (name, values) in enumerate(rows.items()):
            numbers = "".join(f"{value:11.4f}" if math.isfinite(value) else f"{'–':>11}" for value in values)
            lines.append(f"{_shown(tag) if place == 0 else '':{_NAME}}{arm_title(name):12}{numbers}")
    return lines


def _columns(epochs: Sequence[int]) -> list[int]:
    """Return the epochs to show, evenly spread, the last one among them."""
    if len(epochs) <= _COLUMNS:
        return list(epochs)
    return [epochs[round(place * (len(epochs) - 1) / (_COLUMNS - 1))] for place in range(_COLUMNS)]


def _shown(tag: str) -> str:
    names = {tags.TRAIN_TOTAL: "train total", tags.VAL_TOTAL: "val total"}
    names |= {tags.map_tag("bbox", "AP"): "box AP", tags.map_tag("segm", "AP"): "mask AP"}
    if tag in names:
        return names[tag]
    return tag.removeprefix("loss/").replace("train_", "train ").replace("val_", "val ")


def _answer(fork: Fork, proof: Proof, arms: Mapping[str, Arm]) -> list[str]:
    title = {
        "better": "BETTER with the prescription",
        "worse": "WORSE with the prescription",
        "undecided": "UNDECIDED",
    }[proof.outcome]
    lines = [f"{title}: {proof.says}."]
    if proof.compared:
        lines.append(f"   after epoch {fork.last_epoch}:")
    lines += [f"   {_compared_line(one)}" for one in proof.compared]
    found = [arm_title(name) for name, arm in arms.items() if arm.still_found]
    lines.append(f"   {fork.rule} is {'still found: ' + ', '.join(found) if found else 'found in neither fork'}.")
    if proof.repeats is not None:
        how = "bit for bit" if proof.repeats == 0 else f"to {proof.repeats:.1g} of each loss"
        lines.append(f"   The unchanged fork repeats the run's own epochs {how}.")
    return lines


def _compared_line(one: Compared) -> str:
    if not math.isfinite(one.gain):
        return f"{one.name}: not recorded in both"
    verdict = {1: "better", -1: "worse", 0: "within noise"}[one.direction]
    if "AP" in one.name:
        change, noise = f"{100 * one.gain:+.1f} points", f"{100 * one.noise:.1f}"
    else:
        change, noise = f"{-one.gain:+.0%}", f"{one.noise:.0%}"
    return f"{one.name}: {one.as_it_was:.4f} → {one.prescribed:.4f} ({change}, noise ±{noise}): {verdict}"


def cannot_tell(fork: Fork, proof: Proof) -> list[str]:
    """Return the limits of a comparison of two short trainings."""
    points = [
        "whether another seed says the same: the noise is an estimate from the curves, not from repeats",
        f"what comes after epoch {fork.last_epoch}: a lead may vanish, or only begin",
    ]
    if proof.repeats is not None and proof.repeats > 0.01:
        points.append(
            f"how exact it is: the unchanged fork is {proof.repeats:.0%} away from the run's own losses, as where "
            "data, code or configuration have changed since, or steps on a GPU add in another order"
        )
    return points


def _seeds(fork: Fork, overrides: Sequence[str]) -> str:
    words = [word for word in overrides if not word.startswith("seed=")]
    typed = command(fork.prescription, words).split(" train", maxsplit=1)
    return f"{typed[0]} train --multirun{typed[1]} {shlex.quote('seed=0,1,2')}"


def proof_json(fork: Fork, proof: Proof, arms: Mapping[str, Arm], run: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the content of `verify.json`."""
    return {
        "format": 1,
        "run": run,
        "rule": fork.rule,
        "part": fork.part,
        "since_epoch": fork.since,
        "prescription": {
            "words": list(fork.prescription.words),
            "why": fork.prescription.why,
            "typed": command(fork.prescription, overrides),
        },
        "fork": {
            "checkpoint": None if fork.checkpoint is None else str(fork.checkpoint),
            "why": fork.why,
            "first_epoch": fork.first_epoch,
            "last_epoch": fork.last_epoch,
        },
        "outcome": proof.outcome,
        "says": proof.says,
        "compared": [
            {
                "name": one.name,
                "as_it_was": _number(one.as_it_was),
                "prescribed": _number(one.prescribed),
                "gain": _number(one.gain),
                "noise": _number(one.noise),
                "beyond_noise": one.direction != 0,
            }
            for one in proof.compared
        ],
        "repeats_the_run_to": proof.repeats,
        "cannot_tell": cannot_tell(fork, proof),
        "arms": {
            name: {
                "words": fork.words[name],
                "diverged": arm.diverged or None,
                "still_found": arm.still_found,
                "values": {
                    tag: [_number(value) for value in values] for tag, values in values_of(arm, fork.epochs).items()
                },
            }
            for name, arm in arms.items()
        },
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None

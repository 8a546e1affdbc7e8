"""Turns the step records of one epoch into the epoch's numbers, and survives a checkpoint in mid-epoch."""

from __future__ import annotations

from collections.abc import Mapping

from maskrcnn_exp.engine.loop import StepRecord
from maskrcnn_exp.model.parts import LOSSES, PARTS, LossName
from maskrcnn_exp.record import tags

__all__ = ["EpochMeter", "step_values"]


class EpochMeter:
    """Sums over the steps of one epoch. Losses are means over pictures, norms and ratios means over steps."""

    def __init__(self, loss_weights: Mapping[LossName, float]) -> None:
        self._weights = dict(loss_weights)
        self._sums: dict[str, float] = {}
        self._last_lr: dict[str, float] = {}

    def add(self, record: StepRecord) -> None:
        for name in LOSSES:
            self._add(name, record.losses[name] * record.pictures)
        self._add("total", record.total * record.pictures)
        self._add("pictures", record.pictures)
        self._add("foreground", record.foreground)
        self._add("class_hits", record.class_hits)
        self._add("steps", 1)
        self._add("data_seconds", record.data_seconds)
        self._add("seconds", record.seconds)
        for part in PARTS:
            self._add(f"grad_norm/{part}", record.grad_norm[part])
            self._add(f"clipped/{part}", record.clipped[part])
            if record.update_ratio is not None:
                self._add(f"update_ratio/{part}", record.update_ratio[part])
        if record.update_ratio is not None:
            self._add("measured", 1)
        for count_name, count in record.mask_pixels.items():
            self._add(f"mask/{count_name}", count)
        self._last_lr = {str(part): lr for part, lr in record.lr.items()}

    def _add(self, name: str, value: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(value)

    def values(self) -> dict[str, float]:
        """Return the epoch's training tags; empty when no step was added."""
        if not self._sums:
            return {}
        sums = self._sums
        losses = {name: sums[name] / sums["pictures"] for name in LOSSES}
        total = sums["total"] / sums["pictures"]
        values = {tags.train_loss_tag(name): losses[name] for name in LOSSES}
        values[tags.TRAIN_TOTAL] = total
        for name in LOSSES:
            values[tags.share_tag(name)] = losses[name] * self._weights[name] / total if total else 0.0
        for part in PARTS:
            values[tags.lr_tag(part)] = self._last_lr[part]
            values[tags.grad_norm_tag(part)] = sums[f"grad_norm/{part}"] / sums["steps"]
            values[tags.update_ratio_tag(part)] = sums[f"update_ratio/{part}"] / sums["measured"]
            values[tags.clip_tag(part)] = sums[f"clipped/{part}"] / sums["steps"]
        return values | self._mask_values() | self._time_values()

    def _mask_values(self) -> dict[str, float]:
        pixels = {name.removeprefix("mask/"): value for name, value in self._sums.items() if name.startswith("mask/")}
        negatives = pixels["pixels"] - pixels["positives"]
        overlap = pixels["positives"] - pixels["false_negatives"]
        return {
            "mask/accuracy": 1.0 - pixels["wrong"] / max(pixels["pixels"], 1.0),
            "mask/false_positive": pixels["false_positives"] / max(negatives, 1.0),
            "mask/false_negative": pixels["false_negatives"] / max(pixels["positives"], 1.0),
            "mask/iou": overlap / max(pixels["positives"] + pixels["false_positives"], 1.0),
            "roi/foreground": self._sums["foreground"] / self._sums["pictures"],
            # A checkpoint of an older version, in mid-epoch, has not counted them.
            "roi/class_accuracy": self._sums.get("class_hits", 0.0) / max(self._sums["foreground"], 1.0),
        }

    def _time_values(self) -> dict[str, float]:
        steps = self._sums["steps"]
        return {
            "time/data_s": self._sums["data_seconds"] / steps,
            "time/step_s": self._sums["seconds"] / steps,
            "time/epoch_s": self._sums["seconds"],
        }

    def reset(self) -> None:
        """Begin the next epoch."""
        self._sums.clear()
        self._last_lr.clear()

    def state_dict(self) -> dict[str, dict[str, float]]:
        return {"sums": dict(self._sums), "last_lr": dict(self._last_lr)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        self._sums = dict(state["sums"])
        self._last_lr = dict(state["last_lr"])


def step_values(record: StepRecord) -> dict[str, float]:
    """Return the tags of one step under `step/`."""
    values: dict[str, float] = {tags.step_tag(name): record.losses[name] for name in LOSSES}
    values[tags.step_tag("total")] = record.total
    for part in PARTS:
        values[tags.step_tag(tags.lr_tag(part))] = record.lr[part]
        values[tags.step_tag(tags.grad_norm_tag(part))] = record.grad_norm[part]
    return values

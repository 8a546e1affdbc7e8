"""What a run's configuration says, as far as a diagnosis needs it; all of it is unknown for a foreign log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from maskrcnn_exp.diagnose.chance import LN2, mask_chance
from maskrcnn_exp.model.parts import LOSSES, PARTS, Part
from maskrcnn_exp.record.data_found import DataFound

__all__ = ["RunFacts"]

_GROUPS = ("dataset", "augment", "model", "lr", "optimizer", "schedule", "clip", "trainer")
"""What every composed configuration of this project has."""


@dataclass(frozen=True)
class RunFacts:
    """The settings of a run."""

    own: bool = False  # the run is this project's: all below is known
    overrides: tuple[str, ...] = ()  # what the user typed
    epochs: int | None = None  # planned
    warmup_steps: int = 0  # optimiser steps
    base_lr: float | None = None  # learning rate of a part whose multiplier is 1
    default_lr: float | None = None  # the optimizer's own
    mult: Mapping[Part, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 1.0))
    adaptive: bool | None = None  # the optimiser divides by the gradient's size, as AdamW does
    clip: str | None = None  # none, global, per_part
    clip_limit: Mapping[Part, float] = field(default_factory=dict)  # of each part; the one of all where global
    mask_chance: float | None = LN2  # loss_mask of a head that guesses; None: not a plain cross-entropy
    loss_weight: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(LOSSES, 1.0))
    classes: int | None = None  # without the background
    sampled_proposals: int | None = None  # per picture, for the box losses
    pretrained: bool = False  # the backbone's weights are not random
    frozen_norm: bool = False  # the backbone keeps its norm layers' statistics
    trainable_stages: int = -1  # of the backbone; -1: all
    image_mean: tuple[float, ...] = ()  # RGB, of pictures in 0..1
    image_std: tuple[float, ...] = ()
    augment: Mapping[str, float] = field(default_factory=dict)
    num_workers: int | None = None  # loader processes; -1: chosen from the machine
    train_data: DataFound | None = None  # None in runs of older versions
    val_data: DataFound | None = None

    @classmethod
    def of_config(
        cls,
        text: str,
        overrides: Sequence[str] = (),
        classes: int | None = None,
        data: Mapping[str, object] | None = None,
    ) -> RunFacts:
        """Read the composed configuration of a run of this project.

        Keys that it does not have stay unknown. The configuration of another program gives nothing but the words.

        Args:
            text: YAML.
            data: What the run found in its data, `train` and `val`, as `DataFound` writes it.
        """
        config = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        tree = config if isinstance(config, dict) else {}
        if not all(isinstance(tree.get(group), dict) for group in _GROUPS):
            return cls(overrides=tuple(overrides))
        model, optimizer, trainer = (_branch(tree, name) for name in ("model", "optimizer", "trainer"))
        rates, clip = _branch(tree, "lr"), _branch(tree, "clip")
        base = rates.get("base") if rates.get("base") is not None else optimizer.get("default_lr")
        return cls(
            own=True,
            overrides=tuple(overrides),
            epochs=trainer.get("epochs"),
            warmup_steps=int(_branch(tree, "schedule").get("warmup_steps", 0)),
            base_lr=None if base is None else float(base),
            default_lr=optimizer.get("default_lr"),
            mult={part: float(rates.get(f"{part}_mult", 1.0)) for part in PARTS},
            adaptive="beta1" in optimizer if optimizer else None,
            clip=_clip_kind(clip),
            clip_limit={part: float(clip.get(part, clip.get("norm", math.inf))) for part in PARTS},
            mask_chance=_mask_chance(_branch(model, "mask_loss")),
            loss_weight={loss: float(_branch(model, "loss_weight").get(loss, 1.0)) for loss in LOSSES},
            classes=classes,
            sampled_proposals=_branch(model, "box_head").get("batch_size_per_image"),
            pretrained=any(model.get(key, "none") != "none" for key in ("backbone_weights", "weights")),
            frozen_norm=model.get("backbone_norm") == "frozen_bn",
            trainable_stages=int(model.get("trainable_stages", -1)),
            image_mean=tuple(float(value) for value in model.get("image_mean", ())),
            image_std=tuple(float(value) for value in model.get("image_std", ())),
            augment=_numbers(_branch(tree, "augment")),
            num_workers=trainer.get("num_workers"),
            train_data=DataFound.from_json((data or {}).get("train")),
            val_data=DataFound.from_json((data or {}).get("val")),
        )

    def lr(self, part: Part) -> float | None:
        """Return the learning rate of a part after warm-up; None where it is unknown."""
        return None if self.base_lr is None else self.base_lr * self.mult[part]


def _branch(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    branch = tree.get(name)
    return branch if isinstance(branch, dict) else {}


def _clip_kind(clip: Mapping[str, Any]) -> str:
    if "norm" in clip:
        return "global"
    return "per_part" if clip else "none"


def _mask_chance(loss: Mapping[str, Any]) -> float | None:
    return mask_chance(float(loss.get("bce_weight", 1.0)), float(loss.get("dice_weight", 0.0)))


def _numbers(tree: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in tree.items() if isinstance(value, int | float)}

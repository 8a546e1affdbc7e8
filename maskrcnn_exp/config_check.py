"""Values that have the right type and still make no sense: all of them in one error, before any data is read."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.record.tags import EPOCH_TAGS, EXTRA_TAGS
from maskrcnn_exp.schema import (
    AdamWConfig,
    AugmentConfig,
    CocoConfig,
    ConvertedConfig,
    CosineConfig,
    DatasetConfig,
    GlobalClipConfig,
    MaskPngConfig,
    ModelConfig,
    MultistepConfig,
    PartClipConfig,
    RollbackConfig,
    ShapesConfig,
    TrainConfig,
    TrainerConfig,
)

__all__ = ["check_config", "check_or_raise"]


def check_or_raise(config: TrainConfig) -> None:
    """Raise a ConfigError that lists every problem of the configuration; return where there is none."""
    problems = check_config(config)
    if problems:
        raise ConfigError.from_problems(problems)


def check_config(config: TrainConfig) -> list[str]:
    """Return one sentence per problem: the key, its value, what is expected."""
    checks = _Checks()
    checks.require("seed", config.seed, config.seed >= 0, "a whole number ≥ 0")
    checks.choice("diagnose.mode", config.diagnose.mode, "none", "warn", "stop")
    _check_dataset(checks, config.dataset)
    _check_augment(checks, config.augment)
    _check_model(checks, config.model)
    _check_optimisation(checks, config)
    _check_trainer(checks, config.trainer)
    _check_extras(checks, config)
    if isinstance(config.on_nan, RollbackConfig):
        checks.at_least("on_nan.max_rollbacks", config.on_nan.max_rollbacks, 1)
        factor = config.on_nan.lr_factor
        checks.require("on_nan.lr_factor", factor, 0 < factor < 1, "> 0 and < 1")
    return checks.problems


class _Checks:
    """Collects problems. NaN fails every comparison, so it fails every requirement."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def require(self, key: str, value: Any, fine: bool, expected: str) -> None:
        if not fine:
            self.problems.append(f"{key}={_typed(value)} must be {expected}.")

    def choice(self, key: str, value: str, *known: str) -> None:
        self.require(key, value, value in known, "one of " + ", ".join(known))

    def share(self, key: str, value: float) -> None:
        self.require(key, value, 0 <= value <= 1, "between 0 and 1")

    def at_least(self, key: str, value: float, least: float) -> None:
        self.require(key, value, least <= value < math.inf, f"≥ {least:g}")

    def positive(self, key: str, value: float) -> None:
        self.require(key, value, 0 < value < math.inf, "> 0")


def _typed(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def _check_dataset(checks: _Checks, dataset: DatasetConfig) -> None:
    if isinstance(dataset, ShapesConfig):
        for key in ("occlusion", "contrast", "texture", "noise"):
            checks.share(f"dataset.{key}", getattr(dataset, key))
        for key in ("train_size", "val_size"):
            checks.at_least(f"dataset.{key}", getattr(dataset, key), 1)
        checks.at_least("dataset.seed", dataset.seed, 0)
        checks.at_least("dataset.image_size", dataset.image_size, 32)
        fine = 0 <= dataset.min_objects <= dataset.max_objects
        checks.require("dataset.min_objects", dataset.min_objects, fine, "between 0 and dataset.max_objects")
        fine = 0 < dataset.min_radius <= dataset.max_radius <= 0.5
        checks.require("dataset.min_radius", dataset.min_radius, fine, "> 0 and ≤ dataset.max_radius ≤ 0.5")
    if isinstance(dataset, ConvertedConfig):
        checks.require("dataset.val_fraction", dataset.val_fraction, 0 < dataset.val_fraction < 1, "between 0 and 1")
        if dataset.root is None:
            checks.problems.append("the dataset has no place: give dataset.root=FOLDER.")
        else:
            there = Path(dataset.root).exists()
            checks.require("dataset.root", dataset.root, there, "an existing path; nothing is there")
    if isinstance(dataset, CocoConfig | MaskPngConfig):
        fine = 0 < dataset.val_fraction < 1
        checks.require("dataset.val_fraction", dataset.val_fraction, fine, "between 0 and 1")
        if dataset.root is None and dataset.train.annotations is None:
            checks.problems.append(
                "the dataset has no place: give dataset.root=FOLDER, or dataset.train.images=FOLDER and "
                "dataset.train.annotations=PATH."
            )
        _check_paths(checks, dataset)


def _check_paths(checks: _Checks, dataset: CocoConfig | MaskPngConfig) -> None:
    places = {
        "root": dataset.root,
        "train.images": dataset.train.images,
        "train.annotations": dataset.train.annotations,
        "val.images": dataset.val.images,
        "val.annotations": dataset.val.annotations,
    }
    for key, place in places.items():
        if place is not None:
            checks.require(f"dataset.{key}", place, Path(place).exists(), "an existing path; nothing is there")
    if dataset.val.images is not None and dataset.val.annotations is None:
        checks.problems.append("dataset.val.images is given without dataset.val.annotations. Give both or neither.")


def _check_augment(checks: _Checks, augment: AugmentConfig) -> None:
    for key in ("horizontal_flip", "vertical_flip", "photometric", "min_visible"):
        checks.share(f"augment.{key}", getattr(augment, key))
    checks.positive("augment.scale_min", augment.scale_min)
    fine = augment.scale_min <= augment.scale_max < math.inf
    checks.require("augment.scale_max", augment.scale_max, fine, "≥ augment.scale_min")
    fine = augment.crop_size == 0 or augment.crop_size >= 32
    checks.require("augment.crop_size", augment.crop_size, fine, "0 (off) or ≥ 32 pixels")


def _check_model(checks: _Checks, model: ModelConfig) -> None:
    checks.choice("model.backbone_norm", model.backbone_norm, "bn", "frozen_bn")
    for key, value in (
        ("fpn_norm", model.fpn_norm),
        ("box_head.norm", model.box_head.norm),
        ("mask_head.norm", model.mask_head.norm),
    ):
        checks.choice(f"model.{key}", value, "none", "bn")
    fine = -1 <= model.trainable_stages <= 5
    checks.require("model.trainable_stages", model.trainable_stages, fine, "-1 (all) or between 0 and 5")
    checks.at_least("model.fpn_channels", model.fpn_channels, 1)
    fine = bool(model.min_size) and all(32 <= size <= model.max_size for size in model.min_size)
    checks.require("model.min_size", model.min_size, fine, f"sides between 32 and model.max_size={model.max_size}")
    fine = len(model.anchor_sizes) == 5 and all(size > 0 for size in model.anchor_sizes)
    checks.require("model.anchor_sizes", model.anchor_sizes, fine, "five sizes > 0, one per pyramid level")
    fine = bool(model.anchor_ratios) and all(0 < ratio < math.inf for ratio in model.anchor_ratios)
    checks.require("model.anchor_ratios", model.anchor_ratios, fine, "ratios > 0")
    # Far outside of these a pixel is no longer finite as float32, and so is no loss.
    fine = len(model.image_mean) == 3 and all(abs(mean) <= 1e6 for mean in model.image_mean)
    checks.require("model.image_mean", model.image_mean, fine, "three numbers between -1e6 and 1e6, R G B")
    fine = len(model.image_std) == 3 and all(1e-6 <= std <= 1e6 for std in model.image_std)
    checks.require("model.image_std", model.image_std, fine, "three numbers between 1e-6 and 1e6, R G B")
    checks.at_least("model.detections_per_image", model.detections_per_image, 0)
    checks.share("model.score_threshold", model.score_threshold)
    _check_heads(checks, model)


def _check_heads(checks: _Checks, model: ModelConfig) -> None:
    for key in ("depth", "pre_nms_top_n_train", "pre_nms_top_n_test", "post_nms_top_n_train", "post_nms_top_n_test"):
        checks.at_least(f"model.rpn.{key}", getattr(model.rpn, key), 1)
    checks.at_least("model.rpn.batch_size_per_image", model.rpn.batch_size_per_image, 2)
    checks.at_least("model.box_head.convs", model.box_head.convs, 0)
    fine = model.box_head.fcs >= 1 and (model.box_head.convs > 0 or model.box_head.fcs == 2)
    checks.require("model.box_head.fcs", model.box_head.fcs, fine, "≥ 1; exactly 2 where model.box_head.convs=0")
    fine = model.box_head.norm == "none" or model.box_head.convs > 0
    checks.require("model.box_head.norm", model.box_head.norm, fine, "none where model.box_head.convs=0")
    checks.at_least("model.box_head.width", model.box_head.width, 1)
    checks.at_least("model.box_head.batch_size_per_image", model.box_head.batch_size_per_image, 2)
    fine = 0 < model.box_head.positive_fraction <= 1
    checks.require("model.box_head.positive_fraction", model.box_head.positive_fraction, fine, "> 0 and ≤ 1")
    checks.at_least("model.mask_head.width", model.mask_head.width, 1)
    checks.at_least("model.mask_head.depth", model.mask_head.depth, 1)
    resolution = model.mask_head.resolution
    checks.require("model.mask_head.resolution", resolution, resolution >= 2 and resolution % 2 == 0, "even and ≥ 2")
    checks.at_least("model.mask_loss.bce_weight", model.mask_loss.bce_weight, 0)
    checks.at_least("model.mask_loss.dice_weight", model.mask_loss.dice_weight, 0)
    if model.mask_loss.bce_weight == 0 and model.mask_loss.dice_weight == 0:
        checks.problems.append("model.mask_loss.bce_weight and dice_weight are both 0: the mask head would not learn.")
    for loss in LOSSES:
        checks.at_least(f"model.loss_weight.{loss}", getattr(model.loss_weight, loss), 0)


def _check_optimisation(checks: _Checks, config: TrainConfig) -> None:
    if config.lr.base is not None:
        checks.positive("lr.base", config.lr.base)
    for part in PARTS:
        checks.at_least(f"lr.{part}_mult", getattr(config.lr, f"{part}_mult"), 0)
    if all(getattr(config.lr, f"{part}_mult") == 0 for part in PARTS):
        checks.problems.append("every lr multiplier is 0: nothing would learn.")
    optimizer = config.optimizer
    checks.positive("optimizer.default_lr", optimizer.default_lr)
    checks.at_least("optimizer.weight_decay", optimizer.weight_decay, 0)
    for key in ("beta1", "beta2") if isinstance(optimizer, AdamWConfig) else ("momentum",):
        value = getattr(optimizer, key)
        checks.require(f"optimizer.{key}", value, 0 <= value < 1, "≥ 0 and < 1")
    schedule = config.schedule
    checks.at_least("schedule.warmup_steps", schedule.warmup_steps, 0)
    checks.share("schedule.warmup_start", schedule.warmup_start)
    if isinstance(schedule, CosineConfig):
        checks.share("schedule.final", schedule.final)
    if isinstance(schedule, MultistepConfig):
        rising = schedule.milestones == sorted(set(schedule.milestones)) and all(m > 0 for m in schedule.milestones)
        checks.require("schedule.milestones", schedule.milestones, rising, "rising epochs > 0")
        checks.positive("schedule.gamma", schedule.gamma)
    if isinstance(config.clip, GlobalClipConfig):
        checks.require("clip.norm", config.clip.norm, config.clip.norm > 0, "> 0. Use clip=none to switch clipping off")
    if isinstance(config.clip, PartClipConfig):
        for part in PARTS:
            limit = getattr(config.clip, part)
            checks.require(f"clip.{part}", limit, limit > 0, "> 0; inf logs without clipping")


def _check_extras(checks: _Checks, config: TrainConfig) -> None:
    """Check what optional packages are for, and that they are installed."""
    checks.choice("logger.wandb.mode", config.logger.wandb.mode, "online", "offline", "disabled")
    wanted = {
        "model.backbone=timm/…": ("timm", config.model.backbone.startswith("timm/")),
        "logger=wandb": ("wandb", config.logger.wandb.enabled),
        "logger=mlflow": ("mlflow", config.logger.mlflow.enabled),
    }
    for words, (package, asked) in wanted.items():
        if asked and find_spec(package) is None:
            checks.problems.append(f"{words} needs {package}: pip install 'maskrcnn-exp[{package}]'")


def _check_trainer(checks: _Checks, trainer: TrainerConfig) -> None:
    checks.choice("trainer.accelerator", trainer.accelerator, "auto", "cpu", "gpu")
    checks.choice("trainer.precision", trainer.precision, "auto", "32-true", "bf16-mixed")
    checks.choice("trainer.monitor_mode", trainer.monitor_mode, "auto", "max", "min")
    for key in ("devices", "nodes", "epochs", "batch_size", "accumulate_steps", "log_every_steps", "eval_every_epochs"):
        checks.at_least(f"trainer.{key}", getattr(trainer, key), 1)
    for key in (
        "stop_after_epoch",
        "limit_batches",
        "early_stop_evals",
        "keep_checkpoints",
        "preview_pictures",
        "checkpoint_every_steps",
        "checkpoint_every_minutes",
    ):
        checks.at_least(f"trainer.{key}", getattr(trainer, key), 0)
    checks.at_least("trainer.num_workers", trainer.num_workers, -1)
    checks.require("trainer.ema_decay", trainer.ema_decay, 0 <= trainer.ema_decay < 1, "≥ 0 and < 1")
    processes = trainer.devices * trainer.nodes
    fine = not 1 <= trainer.batch_size < processes
    checks.require("trainer.batch_size", trainer.batch_size, fine, f"≥ the number of processes, {processes}")
    known = trainer.monitor in (*EPOCH_TAGS, *EXTRA_TAGS)
    checks.require("trainer.monitor", trainer.monitor, known, "a tag of the record, such as mAP/segm_AP or loss/val")

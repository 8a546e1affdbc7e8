"""What training, evaluation and replay build alike: datasets, batches, network, groups."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from maskrcnn_exp.data.build import build_augment, open_datasets
from maskrcnn_exp.data.loader import EpochPlan, TrainBatches, ValidationSamples, auto_workers
from maskrcnn_exp.data.target import DatasetSummary, GroundTruth, InstanceDataset
from maskrcnn_exp.engine.runtime import build_fabric, choose_precision, set_determinism
from maskrcnn_exp.engine.state import TrainState, build_ema
from maskrcnn_exp.engine.validation import limit_ground_truth
from maskrcnn_exp.errors import ConfigError, DataError
from maskrcnn_exp.heap import keep_freed_memory
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.parts import LOSSES, LossName
from maskrcnn_exp.optim.build import build_limits, build_optimizer, build_policy, build_schedule
from maskrcnn_exp.optim.param_groups import build_groups
from maskrcnn_exp.record.tables import GroupRow
from maskrcnn_exp.schema import LossWeightConfig, TrainConfig, TrainerConfig

__all__ = [
    "Data",
    "build_state",
    "detections_limit",
    "fabric_for",
    "group_rows",
    "loss_weights",
    "open_data",
]

_COCO_MAX_DETS = 100
"""COCO's own limit of detections per picture."""


@dataclass(frozen=True)
class Data:
    """The pictures of one process."""

    train: InstanceDataset
    val: InstanceDataset
    batches: TrainBatches
    samples: ValidationSamples
    ground_truth: GroundTruth
    train_summary: DatasetSummary
    val_summary: DatasetSummary

    @property
    def num_classes(self) -> int:
        """Classes with the background."""
        return len(self.train.categories) + 1

    @property
    def categories(self) -> list[list[object]]:
        return [[category.id, category.name] for category in self.train.categories]


def fabric_for(trainer: TrainerConfig) -> tuple[Fabric, str]:
    """Return Fabric for the configured machine and one line that says what was chosen.

    Raises:
        ConfigError: a GPU was asked for and there is none, or there are fewer than devices.
    """
    gpus = torch.cuda.device_count()
    accelerator = trainer.accelerator
    if accelerator == "auto":
        accelerator = "gpu" if gpus >= trainer.devices else "cpu"
    if accelerator == "gpu" and gpus < trainer.devices:
        raise ConfigError(f"trainer.devices={trainer.devices} GPUs were asked for, torch sees {gpus}. Use trainer=cpu.")
    set_determinism(accelerator == "cpu" if trainer.deterministic is None else trainer.deterministic)
    torch.autograd.set_detect_anomaly(trainer.detect_anomaly)
    if accelerator == "cpu" and trainer.fast:
        keep_freed_memory()
    precision, reason = choose_precision(trainer.precision, accelerator)
    where = torch.cuda.get_device_name() if accelerator == "gpu" else f"CPU, {torch.get_num_threads()} threads"
    line = f"device: {trainer.devices} × {where} · precision {precision} ({reason})"
    return build_fabric(accelerator, trainer.devices, trainer.nodes, precision), line


def open_data(config: TrainConfig, fabric: Fabric) -> Data:
    """Open both splits and lay out their batches.

    Raises:
        DataError: the splits have different categories, or there are too few pictures for one batch.
    """
    train, val = open_datasets(config.dataset)
    names = [[category.name for category in dataset.categories] for dataset in (train, val)]
    if names[0] != names[1]:
        raise DataError(
            f"training and validation annotations have different categories: {names[0]} and {names[1]}. "
            "Write the same categories list, in the same order of ids, into both files."
        )
    trainer = config.trainer
    plan = EpochPlan(config.seed, len(train), trainer.batch_size, fabric.world_size, trainer.limit_batches)
    if plan.batches == 0:
        raise DataError(f"{len(train)} training pictures are too few for {fabric.world_size} processes.")
    device = fabric.device.type
    workers = auto_workers(device, trainer.devices) if trainer.num_workers < 0 else trainer.num_workers
    rank, pin = fabric.global_rank, device == "cuda"
    batches = TrainBatches(train, plan, build_augment(config.augment), rank=rank, workers=workers, pin_memory=pin)
    samples = ValidationSamples(
        val,
        limit=trainer.limit_batches * trainer.batch_size,
        rank=rank,
        world=fabric.world_size,
        workers=workers,
        pin_memory=pin,
    )
    ground_truth = limit_ground_truth(val.ground_truth(), samples.total)
    return Data(train, val, batches, samples, ground_truth, train.summary(), val.summary())


def detections_limit(asked: int, data: Data) -> int:
    """Return the most detections per picture: as asked, or at least as many as the fullest picture has objects."""
    if asked:
        return asked
    return max(_COCO_MAX_DETS, data.train_summary.max_objects, data.val_summary.max_objects)


def loss_weights(weights: LossWeightConfig) -> dict[LossName, float]:
    return {name: float(getattr(weights, name)) for name in LOSSES}


def build_state(
    config: TrainConfig, fabric: Fabric, data: Data, detections: int, *, load_weights: bool
) -> tuple[TrainState, list[str]]:
    """Return network, groups, optimiser and schedule, ready for the first step, and notes on the weights."""
    torch.manual_seed(config.seed)
    fast = config.trainer.fast
    network, notes = build_maskrcnn(config.model, data.num_classes, detections, load_weights=load_weights, fast=fast)
    if config.trainer.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if config.trainer.sync_batchnorm and fabric.world_size > 1 and fabric.device.type == "cuda":
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    policy = build_policy(config.lr, config.optimizer.default_lr)
    groups = build_groups(network, policy, config.optimizer.weight_decay)
    optimizer = build_optimizer(config.optimizer, groups, fast=fast)
    steps = -(-data.batches.plan.batches // config.trainer.accumulate_steps)
    ema = build_ema(network, config.trainer.ema_decay) if config.trainer.ema_decay > 0 else None
    module, fabric_optimizer = fabric.setup(network, optimizer)
    state = TrainState(
        fabric=fabric,
        module=module,
        network=network,
        optimizer=fabric_optimizer,
        groups=groups,
        policy=policy,
        schedule=build_schedule(config.schedule, config.trainer.epochs, steps),
        limits=build_limits(config.clip),
        loss_weights=loss_weights(config.model.loss_weight),
        ema=None if ema is None else ema.to(fabric.device),
    )
    return state, notes


def group_rows(state: TrainState) -> list[GroupRow]:
    """Return the table of groups: what learns at which rate under which limit."""
    return [
        GroupRow(
            name=group.name,
            tensors=len(group.parameters),
            parameters=group.size,
            lr=group.lr,
            weight_decay=group.weight_decay,
            clip=state.limits.of(group.part),
        )
        for group in state.groups
    ]

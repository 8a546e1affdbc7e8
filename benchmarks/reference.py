"""torchvision's reference loop for detection, written plainly: what this project's speed is measured against.

    python benchmarks/reference.py trainer.epochs=3
    python benchmarks/reference.py experiment=nuclei dataset.root=FOLDER

torchvision's MaskRCNN in fp32, one DataLoader, SGD or AdamW, pycocotools after each epoch. It takes the words of
`maskrcnn_exp train` and trains the same network from the same weights on the same pictures in the same order, with
the same learning rate and the same limit on the gradient's norm. Its own are the sampling of anchors and proposals
(torch's global generator) and what `trainer.precision`, `trainer.channels_last` and `trainer.fast` would choose:
fp32, contiguous, torchvision's operators. On a GPU, `--amp` is its option for mixed precision.

Source: torchvision `references/detection/engine.py` and `train.py`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.models.detection import MaskRCNN

from benchmarks.reference_coco import CocoEvaluator
from benchmarks.reference_parts import Pictures, build_model, build_optimizer, collate, refusals, train_loader
from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.config_check import check_or_raise
from maskrcnn_exp.data.loader import auto_workers
from maskrcnn_exp.optim.build import build_limits, build_schedule
from maskrcnn_exp.recipes.setup import Data, build_state, detections_limit, fabric_for, open_data
from maskrcnn_exp.record.console import epoch_block
from maskrcnn_exp.schema import TrainConfig

__all__ = ["MetricLogger", "Training", "evaluate", "start", "train_one_epoch", "train_step"]

_PRINT_EVERY = 20  # iterations, theirs
_AMP = {"fp16": torch.float16, "bf16": torch.bfloat16}


class MetricLogger:
    """Keeps the last values and the mean of what it is told; reads every tensor at once, as theirs does."""

    def __init__(self) -> None:
        self.recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_PRINT_EVERY))
        self._sums: dict[str, float] = defaultdict(float)
        self._count = 0

    def update(self, pictures: int, **values: Tensor | float) -> None:
        self._count += pictures
        for name, value in values.items():
            number = value.item() if isinstance(value, Tensor) else value
            self.recent[name].append(number)
            self._sums[name] += number * pictures

    def means(self) -> dict[str, float]:
        """Return the means over pictures."""
        return {name: total / self._count for name, total in self._sums.items()}


@dataclass
class Training:
    """What theirs hands from function to function."""

    model: MaskRCNN
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    device: torch.device
    clip_norm: float = math.inf
    amp: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None  # for float16
    logger: MetricLogger = field(default_factory=MetricLogger)


def start(config: TrainConfig, data: Data, start_weights: MaskRCNN, device: torch.device, amp: str = "") -> Training:
    """Return a training that begins with the weights of `start_weights`, with the same ones frozen.

    Args:
        amp: fp16 or bf16 for autocast on a GPU; empty for fp32.
    """
    detections = detections_limit(config.model.detections_per_image, data)
    model = build_model(config.model, data.num_classes, detections)
    model.load_state_dict(start_weights.state_dict())
    learns = {name: parameter.requires_grad for name, parameter in start_weights.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(learns[name])
    model.to(device)
    optimizer = build_optimizer(model, config)
    schedule = build_schedule(config.schedule, config.trainer.epochs, data.batches.plan.batches)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.factor)
    scaler = torch.amp.GradScaler(device.type) if amp == "fp16" else None
    return Training(model, optimizer, scheduler, device, build_limits(config.clip).total, _AMP.get(amp), scaler)


def train_step(training: Training, images: list[Tensor], targets: list[dict[str, Any]]) -> None:
    """Do one iteration."""
    device = training.device
    images = [image.to(device) for image in images]
    targets = [
        {name: value.to(device) if isinstance(value, Tensor) else value for name, value in target.items()}
        for target in targets
    ]
    with torch.autocast(device.type, training.amp, enabled=training.amp is not None):
        losses = training.model(images, targets)
        total = sum(losses.values())
    loss_value = total.item()
    if not math.isfinite(loss_value):
        print(f"Loss is {loss_value}, stopping training")
        sys.exit(1)
    training.optimizer.zero_grad()
    _backward_and_step(training, total)
    training.scheduler.step()
    training.logger.update(len(images), total=total, **losses)
    training.logger.update(0, lr=training.optimizer.param_groups[0]["lr"])


def _backward_and_step(training: Training, total: Tensor) -> None:
    parameters = [parameter for group in training.optimizer.param_groups for parameter in group["params"]]
    scaler = training.scaler
    if scaler is None:
        total.backward()  # type: ignore[no-untyped-call]
        if math.isfinite(training.clip_norm):
            torch.nn.utils.clip_grad_norm_(parameters, training.clip_norm)
        training.optimizer.step()
        return
    scaler.scale(total).backward()  # type: ignore[no-untyped-call]
    if math.isfinite(training.clip_norm):
        scaler.unscale_(training.optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, training.clip_norm)
    scaler.step(training.optimizer)
    scaler.update()


def train_one_epoch(training: Training, loader: DataLoader[Any], epoch: int) -> dict[str, float]:
    """Train, and return the mean losses."""
    training.model.train()
    training.logger = MetricLogger()
    for iteration, (images, targets) in enumerate(loader, start=1):
        train_step(training, images, targets)
        if iteration % _PRINT_EVERY == 0:
            recent = training.logger.recent
            medians = "  ".join(f"{name}: {sorted(last)[len(last) // 2]:.4f}" for name, last in recent.items())
            print(f"Epoch: [{epoch}]  [{iteration}/{len(loader)}]  {medians}")
    return training.logger.means()


@torch.inference_mode()
def evaluate(training: Training, loader: DataLoader[Any], evaluator: CocoEvaluator) -> None:
    """Detect, encode and match, one picture after the other, on one thread as theirs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    training.model.eval()
    for images, targets in loader:
        outputs = training.model([image.to(training.device) for image in images])
        outputs = [{name: value.cpu() for name, value in output.items()} for output in outputs]
        evaluator.update({target["image_id"]: out for target, out in zip(targets, outputs, strict=True)})
    evaluator.accumulate()
    torch.set_num_threads(threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--amp", choices=["", *_AMP], default="", help="mixed precision, on a GPU")
    parser.add_argument("overrides", nargs="*", help="as for `maskrcnn_exp train`")
    arguments = parser.parse_intermixed_args()
    config = to_train_config(compose(arguments.overrides))
    check_or_raise(config)
    if unknown := refusals(config):
        raise SystemExit(f"torchvision's reference has no {', '.join(unknown)}.")
    _train(config, arguments.amp)


def _train(config: TrainConfig, amp: str) -> None:
    fabric, _ = fabric_for(config.trainer)
    data = open_data(config, fabric)
    detections = detections_limit(config.model.detections_per_image, data)
    state, _ = build_state(config, fabric, data, detections, load_weights=True)
    torch.use_deterministic_algorithms(False)  # `fabric_for` and the like set what ours wants
    training = start(config, data, state.network, fabric.device, amp)
    del state
    asked = config.trainer.num_workers
    workers = auto_workers(fabric.device.type, 1) if asked < 0 else asked
    pictures = Pictures(data.train, seed=config.seed, augment=config.augment)
    loader = train_loader(pictures, data.batches.plan, workers)
    val = torch.utils.data.Subset(Pictures(data.val), range(data.samples.total))
    val_loader = DataLoader(val, batch_size=1, num_workers=workers, collate_fn=collate)
    for epoch in range(1, config.trainer.epochs + 1):
        pictures.epoch = epoch
        losses = train_one_epoch(training, loader, epoch)
        evaluator = CocoEvaluator(data.ground_truth, detections)
        evaluate(training, val_loader, evaluator)
        _print_epoch(epoch, config.trainer.epochs, losses, evaluator)


def _print_epoch(epoch: int, epochs: int, losses: dict[str, float], evaluator: CocoEvaluator) -> None:
    (box, box50), (mask, mask50) = (evaluator.average_precision(kind) for kind in ("bbox", "segm"))
    five = {name: value for name, value in losses.items() if name.startswith("loss_")}
    block = epoch_block(
        epoch, epochs, five, losses["total"], bbox_ap=box, bbox_ap50=box50, segm_ap=mask, segm_ap50=mask50
    )
    print(block, flush=True)


if __name__ == "__main__":
    main()

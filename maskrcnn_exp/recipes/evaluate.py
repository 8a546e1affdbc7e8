"""Evaluate: a checkpoint's five validation losses, its COCO numbers, and what holds its mask AP back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from maskrcnn_exp.config_check import check_or_raise
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.engine.checkpoint import Checkpoint, load_evaluated, read_checkpoint
from maskrcnn_exp.engine.coco_ap import Detections
from maskrcnn_exp.engine.oracle import MaskApReport, OraclePicture, explain_mask_ap
from maskrcnn_exp.engine.runtime import launch, on_first
from maskrcnn_exp.engine.suspect_pictures import object_ious
from maskrcnn_exp.engine.validation import ValidationResult, gather, validate
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.forward import ObjectMasks
from maskrcnn_exp.recipes.from_checkpoint import config_of
from maskrcnn_exp.recipes.resume import check_categories
from maskrcnn_exp.recipes.setup import detections_limit, fabric_for, loss_weights, open_data
from maskrcnn_exp.recipes.suspects import SuspectReport, report_suspects
from maskrcnn_exp.recipes.words import split_words, yes_or_no
from maskrcnn_exp.record.atomic import write_json_atomic
from maskrcnn_exp.record.console import Console, metrics_table, summary_lines
from maskrcnn_exp.record.oracle_table import oracle_lines
from maskrcnn_exp.schema import TrainConfig
from maskrcnn_exp.stop import stop_on_signals

__all__ = ["Evaluation", "evaluate", "run_words"]


@dataclass(frozen=True)
class Evaluation:
    """What one pass over the validation pictures found."""

    validation: ValidationResult
    mask_ap: MaskApReport | None  # None: not asked for, or no object in the ground truth
    suspects: SuspectReport | None  # None on processes beside the first


def run_words(words: Sequence[str]) -> None:
    """Evaluate as the command line says: `checkpoint=PATH [output=FILE] [oracle=false] [overrides]`."""
    own, overrides = split_words(words, ("checkpoint", "output", "oracle"))
    if "checkpoint" not in own:
        raise ConfigError("evaluate needs checkpoint=PATH, such as runs/maskrcnn/RUN/checkpoints/best.pt.")
    oracle = yes_or_no(own, "oracle", True)
    source = Path(own["checkpoint"])
    checkpoint = read_checkpoint(source)
    # A quick look at a few batches was the training's wish; who evaluates means all pictures, unless he says so.
    config, _ = config_of(checkpoint, ["trainer.limit_batches=0", *overrides])
    check_or_raise(config)
    console = Console()
    console.print(f"checkpoint: {source}, after epoch {checkpoint.epochs_done}")
    result = evaluate(config, checkpoint, source, console, oracle=oracle)
    console.print("\n".join(report_lines(result.validation)))
    if result.mask_ap is not None:
        console.print("\n".join(oracle_lines(result.mask_ap)))
    output = Path(own["output"]) if "output" in own else None
    if result.suspects is not None:
        for line in result.suspects.lines(output):
            console.print(line)
    if output is not None:
        write_json_atomic(output, _content(result))
        console.print(f"written: {output}")


def _content(result: Evaluation) -> dict[str, object]:
    """Return what `output=FILE.json` holds."""
    validation = result.validation
    content: dict[str, object] = {
        "losses": validation.losses,
        "total": validation.total,
        "coco": validation.coco.numbers(),
        "seconds": validation.seconds,
    }
    if result.mask_ap is not None:
        content["mask_ap"] = asdict(result.mask_ap)
    if result.suspects is not None:
        content["suspects"] = result.suspects.content
    return content


def evaluate(
    config: TrainConfig, checkpoint: Checkpoint, source: Path, console: Console, *, oracle: bool
) -> Evaluation:
    """Return the losses and COCO numbers of a checkpoint on the validation pictures of `config`.

    Args:
        oracle: Also say what holds mask AP back.

    Raises:
        CheckpointError: the dataset's categories are not those of the training.
    """
    fabric, device_line = fabric_for(config.trainer)
    console.print(device_line)
    light = replace(checkpoint, optimizer={})  # each process gets a copy
    result: Evaluation = launch(fabric, _evaluate_process, config, light, source, oracle)
    return result


def _evaluate_process(
    fabric: Fabric, config: TrainConfig, checkpoint: Checkpoint, source: Path, oracle: bool
) -> Evaluation:
    console = Console.of_process(first=fabric.is_global_zero)
    data = open_data(config, fabric)
    check_categories(checkpoint, data.categories, source)
    console.print("\n".join(summary_lines(data.val_summary, "validation data")))
    detections = detections_limit(config.model.detections_per_image, data)
    network, _ = build_maskrcnn(config.model, data.num_classes, detections, load_weights=False)
    load_evaluated(network, checkpoint, source)
    memory_format = torch.channels_last if config.trainer.channels_last else torch.contiguous_format
    network = network.to(device=fabric.device, memory_format=memory_format)
    pictures: list[tuple[OraclePicture, list[float]]] = []

    def observe(sample: Sample, detections: Detections, objects: ObjectMasks) -> None:
        pictures.append((OraclePicture.of(sample, detections, objects), object_ious(objects)))

    with console.progress(len(data.samples), description="validation") as bar, stop_on_signals() as stop:
        validation = validate(
            network,
            data.samples,
            data.ground_truth,
            fabric=fabric,
            max_dets=detections,
            loss_weights=loss_weights(config.model.loss_weight),
            stop=stop if fabric.world_size == 1 else lambda: False,
            progress=bar.advance,
            observe=observe if oracle else None,
        )
    everyone: list[tuple[OraclePicture, list[float]]] = gather(fabric, pictures)
    mask_ious = {picture.detections.image_index: ious for picture, ious in everyone} if oracle else None
    suspects = report_suspects(validation, network, data, fabric, mask_ious) if fabric.is_global_zero else None
    if not oracle:
        return Evaluation(validation, None, suspects)
    seen = [picture for picture, _ in everyone]
    report = on_first(fabric, lambda: explain_mask_ap(data.ground_truth, seen, validation.coco))
    return Evaluation(validation, report, suspects)


def report_lines(result: ValidationResult) -> list[str]:
    """Return the five losses and the table of COCO numbers as the console shows them."""
    losses = [f"   {name}: {value:.4f}" for name, value in sorted(result.losses.items())]
    total = f"📈 Validation Loss: {result.total:.4f}"
    return [total, *losses, metrics_table(result.coco), f"seconds: {result.seconds:.1f}"]

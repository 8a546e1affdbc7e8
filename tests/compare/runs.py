"""Run folders as a training leaves them, without the training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.run_log import RunLog

GROUPS = ("dataset", "augment", "model", "lr", "optimizer", "schedule", "clip", "trainer")


def write_run(
    folder: Path,
    mask_ap: float,
    *,
    seed: int = 0,
    mask_mult: float = 1.0,
    epochs: int = 3,
    planned: int = 3,
    loss_mask: float = 0.2,
    verdict: str = "",
    settings: Mapping[str, float] | None = None,
) -> Path:
    """Write a record whose mask AP is highest in the epoch before the last, and the configuration beside it."""
    config: dict[str, object] = {group: {} for group in GROUPS}
    config |= {"seed": seed, "lr": {"mask_mult": mask_mult, **(settings or {})}, "trainer": {"epochs": planned}}
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/config.yaml").write_text(yaml.safe_dump({**config, "run_dir": str(folder)}))
    (folder / ".hydra/overrides.yaml").write_text(
        yaml.safe_dump([f"lr.mask_mult={mask_mult}", f"seed={seed}", f"run_dir={folder}"])
    )
    (folder / "environment.json").write_text("{}")
    with RunLog.open(folder) as log:
        for epoch in range(1, epochs + 1):
            log.epoch(epoch, _numbers(epoch, epochs, mask_ap, loss_mask))
    if verdict:
        first = {"rule": "slow", "severity": "warning", "brief": verdict}
        (folder / "verdicts.json").write_text(json.dumps({"verdicts": [first]}))
    return folder


def _numbers(epoch: int, epochs: int, mask_ap: float, loss_mask: float) -> dict[str, float | None]:
    lower = mask_ap - 0.01 * abs(epochs - 1 - epoch)
    values = dict.fromkeys(LOSSES, 0.1) | {"loss_mask": loss_mask + 0.1 * (epochs - epoch)}
    return {
        **{tags.train_loss_tag(loss): value for loss, value in values.items()},
        **{tags.val_loss_tag(loss): value for loss, value in values.items()},
        tags.TRAIN_TOTAL: sum(values.values()),
        tags.VAL_TOTAL: sum(values.values()),
        tags.map_tag("segm", "AP"): lower,
        tags.map_tag("bbox", "AP"): 0.7,
        "time/epoch_s": 20.0,
        "time/step_s": 0.5,
    }

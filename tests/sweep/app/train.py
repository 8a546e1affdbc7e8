"""A Hydra program that pretends to train: a few milliseconds an epoch, with the record of a real run.

It stands in for the trainer where the sweep itself is the point. Like the real one it continues where its folder says
it stopped, reports each epoch to the study, and ends with the exceptions of `maskrcnn_exp.errors`.
"""

from __future__ import annotations

import errno
import json
import math
import signal
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig

from maskrcnn_exp.errors import ConfigError, DivergedError, Interrupted, Pruned
from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.record.atomic import write_json_atomic
from maskrcnn_exp.record.run_log import RunLog
from maskrcnn_exp.sweep.trial import current_trial


def curve(config: Any, epoch: int) -> dict[str, float]:
    """One epoch's numbers: the best mask AP lies at lr.mask_mult = 8, clip.norm = 3."""
    distance = math.log10(config.lr.mask_mult / 8) ** 2 + 0.3 * math.log10(config.clip.norm / 3) ** 2
    noise = 0.01 * math.sin(1000 * config.seed + 17 * epoch + config.lr.mask_mult)
    ap = max(0.0, (0.6 - 0.2 * distance + noise) * (1 - math.exp(-epoch / 3)))
    mask = 0.69 if config.stuck_below > config.lr.mask_mult else 0.6 * math.exp(-epoch / 4) + 0.1
    values = {f"loss/train_{loss}": 0.2 / epoch for loss in LOSSES} | {"loss/train_loss_mask": mask}
    total = sum(values.values())
    values |= {f"share/{loss}": values[f"loss/train_{loss}"] / total for loss in LOSSES}
    values |= {f"grad_norm/{part}": 1.0 for part in PARTS} | {f"clip/{part}": 0.5 for part in PARTS}
    return values | {"loss/train_total": total, "loss/val": total, "mAP/segm_AP": ap, "mAP/bbox_AP": ap + 0.1}


@hydra.main(**version_words(), config_path=".", config_name="config")
def main(config: Any) -> float:
    folder = Path(HydraConfig.get().runtime.output_dir)
    state = folder / "state.json"
    done = json.loads(state.read_text())["epochs"] if state.exists() else []
    with (folder / "starts").open("a") as starts:
        starts.write(f"{len(done)}\n")
    if config.broken:
        raise ConfigError("dataset.root=nowhere must be an existing path; nothing is there.")
    if config.lr.mask_mult > config.diverges_above:
        raise DivergedError("step 12, epoch 1: loss_mask = nan. The weights were not touched by this step.")
    if config.lr.mask_mult > config.crashes_above:
        raise RuntimeError("a crash")
    if config.lr.mask_mult > config.exits_above:
        sys.exit(7)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    trial = current_trial()
    if trial:
        trial.mask_chance = math.log(2)
    with RunLog.open(folder) as log:
        for epoch in range(len(done) + 1, config.epochs + 1):
            time.sleep(config.epoch_seconds * (1 + config.slower * (config.lr.mask_mult > 8)))
            values = curve(config, epoch)
            log.epoch(epoch, values)
            done.append(values["mAP/segm_AP"])
            write_json_atomic(state, {"epochs": done})
            (folder / "checkpoints").mkdir(exist_ok=True)
            (folder / "checkpoints" / "last.pt").write_text("weights")
            if Path(config.full_disk).exists():
                raise OSError(errno.ENOSPC, "No space left on device", str(folder / "a picture"))
            print(f"Epoch {epoch}/{config.epochs} {values['mAP/segm_AP']:.4f}")
            reason = trial.report(epoch, values) if trial else None
            if reason:
                raise Pruned(reason)
            if told:
                raise Interrupted
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return max(done)


if __name__ == "__main__":
    main()

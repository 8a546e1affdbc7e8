"""Keys of the run itself: trainer, diagnosis, non-finite steps, loggers."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "CsvLoggerConfig",
    "DiagnoseConfig",
    "LoggerConfig",
    "MlflowLoggerConfig",
    "OnNanConfig",
    "RollbackConfig",
    "TrainerConfig",
    "WandbLoggerConfig",
]


@dataclass
class TrainerConfig:
    """Machine, batch, length, and how often things happen."""

    accelerator: str = "auto"  # auto, cpu, gpu
    devices: int = 1  # processes on this machine, one per device
    nodes: int = 1  # machines
    precision: str = "auto"  # auto, 32-true, bf16-mixed; auto takes bf16 where the hardware computes it fast
    epochs: int = 16  # the schedule ends with the last of them
    stop_after_epoch: int = 0  # leave off after this epoch, with the schedule of trainer.epochs; 0: off
    batch_size: int = 8  # pictures per optimiser step over all devices, before accumulation
    accumulate_steps: int = 1  # batches per optimiser step
    num_workers: int = -1  # loader processes per device; -1: chosen from the machine
    limit_batches: int = 0  # batches per epoch and validation pictures / batch_size, for a quick look; 0: all
    log_every_steps: int = 10  # optimiser steps between points under step/…
    eval_every_epochs: int = 1
    preview_pictures: int = 4  # validation pictures, annotated beside found, for TensorBoard after each evaluation
    ema_decay: float = 0.0  # exponential moving average of the weights, used for evaluation; 0: off
    monitor: str = "mAP/segm_AP"  # tag that decides best.pt, early stopping and the objective
    monitor_mode: str = "auto"  # max, min; auto: min for losses, times and memory, max for the rest
    early_stop_evals: int = 0  # evaluations without a better monitor before stopping; 0: off
    keep_checkpoints: int = 0  # per-epoch checkpoints kept beside last and best
    checkpoint_every_steps: int = 0  # 0: only by time and at each epoch's end
    checkpoint_every_minutes: float = 10.0  # 0: off
    channels_last: bool = True  # memory format of the convolutions; faster on CPU and GPU, same result
    fast: bool = True  # false: torchvision's own code wherever ours gives the same numbers sooner; to compare
    sync_batchnorm: bool = False  # batch-norm statistics over all GPUs
    detect_anomaly: bool = False  # autograd names the operation whose gradient is NaN; several times slower
    deterministic: bool | None = None  # the same weights each time; null: on a CPU, where it costs nothing


@dataclass
class DiagnoseConfig:
    """What is done with the verdicts after each epoch: notes in the console, text in TensorBoard, verdicts.json."""

    mode: str = "warn"  # none, warn, stop: a sure and severe verdict, twice in a row, ends the run


@dataclass
class OnNanConfig:
    """What happens when a loss, a gradient or a weight is NaN or infinite: here, the run ends with exit code 4."""


@dataclass
class RollbackConfig(OnNanConfig):
    """Back to the last good checkpoint, with a lower learning rate for the part at fault."""

    max_rollbacks: int = 3  # of the whole run; the next non-finite step ends it
    lr_factor: float = 0.5  # on that part's learning rate, at each rollback; > 0 and < 1


@dataclass
class CsvLoggerConfig:
    """metrics.csv in the run's folder."""

    enabled: bool = False


@dataclass
class WandbLoggerConfig:
    """Weights & Biases. The key comes from `wandb login` or WANDB_API_KEY, never from here."""

    enabled: bool = False
    project: str = "maskrcnn-exp"
    entity: str | None = None  # user or team; null: the account's default
    name: str | None = None  # of the run; null: the run folder's name
    mode: str = "online"  # online, offline (send it later with `wandb sync`), disabled


@dataclass
class MlflowLoggerConfig:
    """MLflow. A password comes from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, never from here."""

    enabled: bool = False
    tracking_uri: str | None = None  # of the server; null: MLFLOW_TRACKING_URI, else MLflow's default
    experiment: str = "maskrcnn-exp"
    name: str | None = None  # of the run; null: the run folder's name


@dataclass
class LoggerConfig:
    """Copies of the record beside TensorBoard's, which is always written: logger=csv, logger=[csv,mlflow]."""

    csv: CsvLoggerConfig = field(default_factory=CsvLoggerConfig)
    wandb: WandbLoggerConfig = field(default_factory=WandbLoggerConfig)
    mlflow: MlflowLoggerConfig = field(default_factory=MlflowLoggerConfig)

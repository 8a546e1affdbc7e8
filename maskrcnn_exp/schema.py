"""Every configuration key: its type, its default, its meaning. The only place that knows defaults.

The YAML files under `conf/` select among these classes and override their values. Hydra refuses a key that is
not here and a value of another type; `maskrcnn_exp.config_check` refuses values out of range.
This module imports nothing heavy, so that a typo is answered in a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

__all__ = [
    "AdamWConfig",
    "AugmentConfig",
    "BoxHeadConfig",
    "ClipConfig",
    "CocoConfig",
    "ConstantConfig",
    "ConvertedConfig",
    "CosineConfig",
    "DatasetConfig",
    "DiagnoseConfig",
    "GlobalClipConfig",
    "LabelmeConfig",
    "LoggerConfig",
    "LossWeightConfig",
    "LrConfig",
    "MaskHeadConfig",
    "MaskLossConfig",
    "MaskPngConfig",
    "ModelConfig",
    "MultistepConfig",
    "NoClipConfig",
    "OnNanConfig",
    "OptimizerConfig",
    "PartClipConfig",
    "RollbackConfig",
    "RpnConfig",
    "ScheduleConfig",
    "SgdConfig",
    "ShapesConfig",
    "SplitConfig",
    "TrainConfig",
    "TrainerConfig",
    "VocConfig",
    "YoloSegConfig",
    "register_schema",
]


# --- dataset -----------------------------------------------------------------------------------------------


@dataclass
class DatasetConfig:
    """What every dataset has."""

    keep_empty: bool = True  # keep pictures without annotations as negatives


@dataclass
class ShapesConfig(DatasetConfig):
    """Circles, squares and triangles, drawn on the fly; picture i is a pure function of (seed, i)."""

    seed: int = 0  # of the drawing; not of the training
    train_size: int = 400  # pictures
    val_size: int = 100  # pictures, never among the training pictures
    image_size: int = 128  # pixels, width = height
    min_objects: int = 1  # per picture
    max_objects: int = 5  # per picture
    min_radius: float = 0.12  # smallest object's radius, as a share of image_size
    max_radius: float = 0.25  # largest object's radius, as a share of image_size
    occlusion: float = 0.3  # 0..1: how much of an object later ones may cover
    contrast: float = 0.5  # 0..1: colour distance between an object and its background
    texture: float = 0.3  # 0..1: strength of the texture on background and objects
    noise: float = 0.05  # standard deviation of the pixel noise, 1 = full range


@dataclass
class SplitConfig:
    """Where one split lies."""

    images: str | None = None  # folder of pictures
    annotations: str | None = None  # COCO instances file, or the folder of instance-id PNGs


@dataclass
class CocoConfig(DatasetConfig):
    """Any COCO instances file."""

    root: str | None = None  # a folder in a usual layout: fills what the four keys below leave open
    train: SplitConfig = field(default_factory=SplitConfig)
    val: SplitConfig = field(default_factory=SplitConfig)
    val_fraction: float = 0.2  # share of the training pictures held out where no val split is given


@dataclass
class MaskPngConfig(DatasetConfig):
    """A folder of pictures and a folder of instance-id PNGs (0 = background), as Penn-Fudan has them."""

    root: str | None = None  # Penn-Fudan's own layout: PNGImages/ and PedMasks/ inside
    train: SplitConfig = field(default_factory=SplitConfig)
    val: SplitConfig = field(default_factory=SplitConfig)
    val_fraction: float = 0.2  # share of the training pictures held out where no val split is given
    class_name: str = "object"  # name of the one class


@dataclass
class ConvertedConfig(DatasetConfig):
    """A dataset in another format, read as COCO. docs/your-data.md"""

    root: str | None = None  # its folder
    val_fraction: float = 0.2  # share of the training pictures held out where no val split is given


@dataclass
class YoloSegConfig(ConvertedConfig):
    """YOLO's polygons; `root` is the folder with data.yaml, or that file."""


@dataclass
class LabelmeConfig(ConvertedConfig):
    """labelme: one JSON file per picture, in `root` or in its train/ and val/."""


@dataclass
class VocConfig(ConvertedConfig):
    """Pascal VOC's instance masks: `root` holds JPEGImages/, SegmentationObject/ and SegmentationClass/."""


@dataclass
class AugmentConfig:
    """What training pictures go through. Boxes are always recomputed from the transformed masks."""

    horizontal_flip: float = 0.5  # probability
    vertical_flip: float = 0.0  # probability; for pictures without an up side
    scale_min: float = 1.0  # smallest zoom: the picture shrinks and is padded
    scale_max: float = 1.0  # largest zoom: the picture grows and is cropped
    crop_size: int = 0  # pixels of the square crop (large-scale jitter); 0 keeps the picture's own size
    photometric: float = 0.0  # probability of brightness, contrast, saturation and hue changes
    min_visible: float = 0.1  # an instance cropped to less than this share of its pixels is dropped


# --- model -------------------------------------------------------------------------------------------------


@dataclass
class RpnConfig:
    """Region proposals; torchvision's names without the `rpn_`."""

    depth: int = 1  # 3×3 convolutions before the two predictors
    pre_nms_top_n_train: int = 2000
    pre_nms_top_n_test: int = 1000
    post_nms_top_n_train: int = 2000
    post_nms_top_n_test: int = 1000
    batch_size_per_image: int = 256  # anchors sampled for the RPN losses


@dataclass
class BoxHeadConfig:
    """Box head: `convs` 3×3 convolutions, then `fcs` linear layers of `width`."""

    convs: int = 0  # 0: torchvision's two-layer head; 4: the v2 head
    fcs: int = 2  # linear layers; torchvision's head without convolutions has exactly 2
    width: int = 1024  # features of the linear layers
    norm: str = "none"  # none, bn: batch norm after each convolution
    batch_size_per_image: int = 512  # proposals sampled for the box losses
    positive_fraction: float = 0.25  # at most this share of them is foreground


@dataclass
class MaskHeadConfig:
    """Mask head: `depth` 3×3 convolutions of `width`, one ×2 up-convolution."""

    width: int = 256  # channels
    depth: int = 4  # 3×3 convolutions
    resolution: int = 28  # pixels of the predicted mask's side; even
    norm: str = "none"  # none, bn


@dataclass
class MaskLossConfig:
    """loss_mask = bce_weight · BCE + dice_weight · Dice."""

    bce_weight: float = 1.0
    dice_weight: float = 0.0


@dataclass
class LossWeightConfig:
    """Factor of each loss in the total. The losses themselves are logged without it."""

    loss_objectness: float = 1.0
    loss_rpn_box_reg: float = 1.0
    loss_classifier: float = 1.0
    loss_box_reg: float = 1.0
    loss_mask: float = 1.0


@dataclass
class ModelConfig:
    """torchvision's MaskRCNN on an FPN."""

    backbone: str = "resnet50"  # any torchvision classification network with feature maps; timm/NAME: any of timm's
    backbone_weights: str = "none"  # none, imagenet, the name of other published weights, or a file
    weights: str = "none"  # of the whole network: none, coco (resnet50_fpn, resnet50_fpn_v2), or a file
    backbone_norm: str = "bn"  # bn, frozen_bn (for pretrained weights and small batches)
    fpn_norm: str = "none"  # none, bn
    trainable_stages: int = -1  # backbone stages that learn, counted from the last; -1: all
    fpn_channels: int = 256
    min_size: list[int] = field(default_factory=lambda: [800])  # shorter side, pixels; one is drawn in training
    max_size: int = 1333  # longer side, pixels
    image_mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])  # RGB, of pictures in 0..1
    image_std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    anchor_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256, 512])  # pixels, one per FPN level
    anchor_ratios: list[float] = field(default_factory=lambda: [0.5, 1.0, 2.0])  # height over width
    detections_per_image: int = 0  # 0: follows the data, at least 100
    score_threshold: float = 0.05  # detections below it are dropped
    rpn: RpnConfig = field(default_factory=RpnConfig)
    box_head: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    mask_head: MaskHeadConfig = field(default_factory=MaskHeadConfig)
    mask_loss: MaskLossConfig = field(default_factory=MaskLossConfig)
    loss_weight: LossWeightConfig = field(default_factory=LossWeightConfig)


# --- optimisation ------------------------------------------------------------------------------------------


@dataclass
class LrConfig:
    """Learning rate of part p = base · p_mult · schedule(step). A multiplier of 0 freezes the part."""

    base: float | None = None  # null: the optimizer's own default_lr
    backbone_mult: float = 1.0
    fpn_mult: float = 1.0
    rpn_mult: float = 1.0
    box_mult: float = 1.0
    mask_mult: float = 1.0


@dataclass
class OptimizerConfig:
    """What every optimizer has."""

    default_lr: float = MISSING  # learning rate where lr.base is null
    weight_decay: float = 0.0  # of weights; norm layers and biases get none


@dataclass
class SgdConfig(OptimizerConfig):
    """torch.optim.SGD."""

    default_lr: float = 0.02  # at batch 16, the published recipes' rate
    weight_decay: float = 1e-4
    momentum: float = 0.9
    nesterov: bool = False


@dataclass
class AdamWConfig(OptimizerConfig):
    """torch.optim.AdamW."""

    default_lr: float = 1e-3
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8


@dataclass
class ScheduleConfig:
    """Warm-up is linear in steps; the curve after it is in epochs."""

    warmup_steps: int = 100  # optimiser steps
    warmup_start: float = 0.01  # factor at the first step


@dataclass
class CosineConfig(ScheduleConfig):
    """Half a cosine from 1 to `final`."""

    final: float = 0.01  # factor at the end


@dataclass
class MultistepConfig(ScheduleConfig):
    """Falls by `gamma` after each of `milestones`."""

    milestones: list[int] = field(default_factory=lambda: [8, 11])  # epochs
    gamma: float = 0.1


@dataclass
class ConstantConfig(ScheduleConfig):
    """Stays at 1 after the warm-up."""


@dataclass
class ClipConfig:
    """Gradient clipping by norm. Norms are logged whatever is chosen."""


@dataclass
class NoClipConfig(ClipConfig):
    """No clipping."""


@dataclass
class GlobalClipConfig(ClipConfig):
    """One limit for the norm over all parts."""

    norm: float = 10.0  # > 0; inf logs without clipping


@dataclass
class PartClipConfig(ClipConfig):
    """One limit for each part's own norm; inf logs without clipping."""

    backbone: float = 10.0
    fpn: float = 10.0
    rpn: float = 10.0
    box: float = 10.0
    mask: float = 10.0


# --- the run -----------------------------------------------------------------------------------------------


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
    deterministic: bool = True  # refuse operations whose result depends on thread timing


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


@dataclass
class TrainConfig:
    """One training, whole."""

    dataset: DatasetConfig = MISSING
    augment: AugmentConfig = MISSING
    model: ModelConfig = MISSING
    lr: LrConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    schedule: ScheduleConfig = MISSING
    clip: ClipConfig = MISSING
    trainer: TrainerConfig = MISSING
    diagnose: DiagnoseConfig = field(default_factory=DiagnoseConfig)
    on_nan: OnNanConfig = field(default_factory=OnNanConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    seed: int = 0  # of weights, order, augmentation and sampling
    run_dir: str = MISSING  # folder of the run
    resume: str = "auto"  # auto: the run folder's own last checkpoint; never; or a checkpoint file
    replay: str | None = None  # a black-box folder: re-run that one step and stop


_GROUPS: dict[str, dict[str, type[Any]]] = {
    "dataset": {
        "shapes": ShapesConfig,
        "coco": CocoConfig,
        "mask_png": MaskPngConfig,
        "yolo_seg": YoloSegConfig,
        "labelme": LabelmeConfig,
        "voc": VocConfig,
    },
    "augment": {"augment": AugmentConfig},
    "model": {"model": ModelConfig},
    "lr": {"lr": LrConfig},
    "optimizer": {"sgd": SgdConfig, "adamw": AdamWConfig},
    "schedule": {"cosine": CosineConfig, "multistep": MultistepConfig, "constant": ConstantConfig},
    "clip": {"none": NoClipConfig, "global": GlobalClipConfig, "per_part": PartClipConfig},
    "trainer": {"trainer": TrainerConfig},
    "diagnose": {"diagnose": DiagnoseConfig},
    "logger": {"logger": LoggerConfig},
    "on_nan": {"stop": OnNanConfig, "rollback": RollbackConfig},
}


def register_schema() -> None:
    """Make the classes known to Hydra: `<group>/schema_<name>` for the groups, `schema_train` for the whole."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(name="schema_train", node=TrainConfig)
    for group, choices in _GROUPS.items():
        for name, node in choices.items():
            store.store(group=group, name=f"schema_{name}", node=node, package=group)

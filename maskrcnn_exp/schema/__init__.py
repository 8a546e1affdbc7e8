"""Every configuration key: its type, its default, its meaning. The only place that knows defaults.

The YAML files under `conf/` select among these classes and override their values. Hydra refuses a key that is
not here and a value of another type; `maskrcnn_exp.config_check` refuses values out of range.
Nothing heavy is imported, so that a typo is answered in a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from maskrcnn_exp.schema.dataset import (
    AugmentConfig,
    CocoConfig,
    ConvertedConfig,
    DatasetConfig,
    LabelmeConfig,
    MaskPngConfig,
    ShapesConfig,
    SplitConfig,
    VocConfig,
    YoloSegConfig,
)
from maskrcnn_exp.schema.model import (
    BoxHeadConfig,
    LossWeightConfig,
    MaskHeadConfig,
    MaskLossConfig,
    ModelConfig,
    RpnConfig,
)
from maskrcnn_exp.schema.optim import (
    AdamWConfig,
    ClipConfig,
    ConstantConfig,
    CosineConfig,
    GlobalClipConfig,
    LrConfig,
    MultistepConfig,
    NoClipConfig,
    OptimizerConfig,
    PartClipConfig,
    ScheduleConfig,
    SgdConfig,
)
from maskrcnn_exp.schema.run import (
    DiagnoseConfig,
    LoggerConfig,
    OnNanConfig,
    RollbackConfig,
    TrainerConfig,
)

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
    """Make the classes known to Hydra: `<group>/schema_<name>` for the groups, `schema_train` for the whole.

    A second call changes nothing: from 1.4 on Hydra warns where a name is stored twice.
    """
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    if "schema_train.yaml" in store.list(""):
        return
    store.store(name="schema_train", node=TrainConfig)
    for group, choices in _GROUPS.items():
        for name, node in choices.items():
            store.store(group=group, name=f"schema_{name}", node=node, package=group)

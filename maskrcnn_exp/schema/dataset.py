"""Keys of the data: where it lies, and how pictures are varied."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "AugmentConfig",
    "CocoConfig",
    "ConvertedConfig",
    "DatasetConfig",
    "LabelmeConfig",
    "MaskPngConfig",
    "ShapesConfig",
    "SplitConfig",
    "VocConfig",
    "YoloSegConfig",
]


@dataclass
class DatasetConfig:
    """What every dataset has."""

    keep_empty: bool = True  # keep pictures without annotations as negatives
    follow_links: bool = False  # follow links that lead out of the folder of data


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

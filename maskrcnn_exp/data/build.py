"""Open the training and the validation set of a dataset configuration, and its augmentation."""

from __future__ import annotations

from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.data.formats.read import read_sources
from maskrcnn_exp.data.formats.source import to_coco_file
from maskrcnn_exp.data.layout import coco_places, mask_png_places
from maskrcnn_exp.data.mask_png import MaskPngDataset
from maskrcnn_exp.data.shapes import VAL_START, ShapesDataset
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.data.transforms import Augment
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.schema import AugmentConfig, CocoConfig, ConvertedConfig, DatasetConfig, MaskPngConfig, ShapesConfig

__all__ = ["build_augment", "open_datasets"]


def open_datasets(dataset: DatasetConfig) -> tuple[InstanceDataset, InstanceDataset]:
    """Return the training and the validation set.

    Raises:
        ConfigError: no pictures were named.
        DataError: what was named cannot be used.
    """
    if isinstance(dataset, ShapesConfig):
        return _open_shapes(dataset)
    if isinstance(dataset, CocoConfig):
        return _open_coco(dataset)
    if isinstance(dataset, MaskPngConfig):
        return _open_mask_png(dataset)
    if isinstance(dataset, ConvertedConfig):
        return _open_converted(dataset)
    raise TypeError(type(dataset).__name__)


def build_augment(augment: AugmentConfig) -> Augment:
    """Return the transformation of training samples."""
    return Augment(
        horizontal_flip=augment.horizontal_flip,
        vertical_flip=augment.vertical_flip,
        scale_min=augment.scale_min,
        scale_max=augment.scale_max,
        crop_size=augment.crop_size,
        photometric=augment.photometric,
        min_visible=augment.min_visible,
    )


def _open_shapes(shapes: ShapesConfig) -> tuple[InstanceDataset, InstanceDataset]:
    def part(start: int, size: int) -> ShapesDataset:
        return ShapesDataset(
            seed=shapes.seed,
            start=start,
            size=size,
            image_size=shapes.image_size,
            min_objects=shapes.min_objects,
            max_objects=shapes.max_objects,
            min_radius=shapes.min_radius,
            max_radius=shapes.max_radius,
            occlusion=shapes.occlusion,
            contrast=shapes.contrast,
            texture=shapes.texture,
            noise=shapes.noise,
        )

    return part(0, shapes.train_size), part(VAL_START, shapes.val_size)


def _open_coco(coco: CocoConfig) -> tuple[InstanceDataset, InstanceDataset]:
    images, annotations, val_images, val_annotations = coco_places(coco)
    if images is None or annotations is None:
        raise ConfigError(
            "dataset=coco needs pictures and annotations: dataset.train.images=FOLDER "
            "dataset.train.annotations=FILE.json, or dataset.root=FOLDER in a usual layout."
        )
    train = CocoDataset.open(annotations, images, keep_empty=coco.keep_empty)
    if val_annotations is None:
        return train.split(coco.val_fraction)
    return train, CocoDataset.open(val_annotations, val_images or images, keep_empty=coco.keep_empty)


def _open_converted(dataset: ConvertedConfig) -> tuple[InstanceDataset, InstanceDataset]:
    train, *val = [
        CocoDataset.of(to_coco_file(source), source.folder, keep_empty=dataset.keep_empty)
        for source in read_sources(dataset)
    ]
    return (train, val[0]) if val else train.split(dataset.val_fraction)


def _open_mask_png(png: MaskPngConfig) -> tuple[InstanceDataset, InstanceDataset]:
    images, masks, val_images, val_masks = mask_png_places(png)
    if images is None or masks is None:
        raise ConfigError(
            "dataset=mask_png needs pictures and masks: dataset.train.images=FOLDER "
            "dataset.train.annotations=FOLDER, or dataset.root=FOLDER with PNGImages/ and PedMasks/."
        )
    train = MaskPngDataset.open(images, masks, png.class_name, keep_empty=png.keep_empty)
    if val_masks is None:
        return train.split(png.val_fraction)
    return train, MaskPngDataset.open(val_images or images, val_masks, png.class_name, keep_empty=png.keep_empty)

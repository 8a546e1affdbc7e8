"""From a configuration to the splits of a dataset in another format."""

from __future__ import annotations

from pathlib import Path

from maskrcnn_exp.data.formats.labelme import read_labelme
from maskrcnn_exp.data.formats.source import Source
from maskrcnn_exp.data.formats.voc import read_voc
from maskrcnn_exp.data.formats.yolo_seg import read_yolo_seg
from maskrcnn_exp.data.links import refuse_links_out
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.schema import ConvertedConfig, LabelmeConfig, VocConfig, YoloSegConfig

__all__ = ["read_sources"]


def read_sources(dataset: ConvertedConfig) -> list[Source]:
    """Return the training split, and the validation split where the dataset has one.

    Raises:
        ConfigError: no folder was named.
        DataError: it cannot be used, or a link leads out of it.
    """
    if dataset.root is None:
        raise ConfigError("the dataset has no place: give dataset.root=FOLDER.")
    root = Path(dataset.root)
    if not dataset.follow_links:
        folder = root.parent if root.is_file() else root
        refuse_links_out(folder, [folder])
    if isinstance(dataset, YoloSegConfig):
        return read_yolo_seg(root)
    if isinstance(dataset, LabelmeConfig):
        return read_labelme(root)
    if isinstance(dataset, VocConfig):
        return read_voc(root)
    raise TypeError(type(dataset).__name__)

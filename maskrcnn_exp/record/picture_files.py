"""Pictures for TensorBoard's IMAGES page: one small file per epoch, in a folder of their own beside the record.

There they are a run of their own, `RUN/pictures`. In the record they would make every reader of its numbers slow; and
an epoch that is trained again after a resume replaces its file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto import summary_pb2

from maskrcnn_exp.record.side_file import write_side_file

__all__ = ["FOLDER", "write_pictures"]

FOLDER: Final = "pictures"
_QUALITY: Final = 90  # of JPEG


def write_pictures(run_folder: Path, epoch: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write an epoch's pictures, uint8 [h, w, 3] RGB by tag, in place of an earlier file of this epoch."""
    folder = run_folder / FOLDER
    folder.mkdir(exist_ok=True)  # a run's folder that is gone is not made anew
    values = [summary_pb2.Summary.Value(tag=tag, image=_image(pixels)) for tag, pixels in pictures.items()]
    write_side_file(folder / f"epoch_{epoch:05d}.tfevents.maskrcnn-exp", values, epoch)


def _image(pixels: NDArray[np.uint8]) -> summary_pb2.Summary.Image:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=_QUALITY)
    height, width = pixels.shape[:2]
    return summary_pb2.Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=encoded.getvalue())

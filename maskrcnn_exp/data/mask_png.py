"""A folder of pictures and a folder of instance-id PNGs, as Penn-Fudan has them.

In a mask PNG each pixel holds the number of its instance: 0 is the background, every other value one instance.
A picture and its mask belong together where the names without ending are equal, or the mask's adds `_mask`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from maskrcnn_exp.data.ground_truth import ground_truth_of_masks
from maskrcnn_exp.data.id_masks import instance_ids, masks_of_ids, read_ids, read_ids_or_reason
from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.pictures import picture_size, read_rgb
from maskrcnn_exp.data.split import split_by_name
from maskrcnn_exp.data.target import Category, DatasetSummary, GroundTruth, Sample
from maskrcnn_exp.errors import DataError

__all__ = ["MaskPngDataset"]

_PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
_MASK_ENDINGS = (".png", ".tif", ".tiff", ".bmp", ".gif")  # JPEG would change the numbers


@dataclass(frozen=True)
class _Pair:
    """One picture with its mask."""

    picture: str  # file name in the folder of pictures
    mask: str  # file name in the folder of masks
    ids: tuple[int, ...]  # the mask's values without the background, ascending
    size: tuple[int, int]  # width, height


@dataclass(frozen=True)
class MaskPngDataset:
    """Pictures in order of their names; `open` reads every mask once, so that no bad one stops a run later."""

    images: Path
    masks: Path
    class_name: str
    pairs: tuple[_Pair, ...]
    left_out: dict[str, list[str]]
    notes: tuple[str, ...]

    @classmethod
    def open(cls, images: Path, masks: Path, class_name: str = "object", *, keep_empty: bool = True) -> MaskPngDataset:
        """Match the two folders and check every pair.

        Args:
            images: Folder of pictures.
            masks: Folder of instance-id PNGs: palette, 8-bit or 16-bit grey.
            class_name: Name of the one class.
            keep_empty: Keep pictures whose mask is background only.

        Raises:
            DataError: a folder is missing, no picture has a usable mask, or the masks are colour pictures.
        """
        pictures = _names(images, _PICTURE_ENDINGS, "pictures")
        mask_of = {Path(name).stem: name for name in _names(masks, _MASK_ENDINGS, "masks")}
        left_out: dict[str, list[str]] = {}
        pairs: list[_Pair] = []
        for picture in pictures:
            found = _check_pair(images / picture, masks, mask_of, keep_empty)
            if isinstance(found, _Pair):
                pairs.append(found)
            else:
                left_out.setdefault(found, []).append(picture)
        if not pairs:
            raise _nothing_usable(images, masks, left_out)
        notes = _notes(pictures, mask_of)
        return cls(images, masks, class_name, tuple(pairs), left_out, notes)

    def split(self, val_fraction: float) -> tuple[MaskPngDataset, MaskPngDataset]:
        """Return (training, validation), divided by a hash of the names; what was left out stays with the first."""
        train, val = split_by_name([pair.picture for pair in self.pairs], val_fraction)
        return (
            replace(self, pairs=tuple(self.pairs[position] for position in train)),
            replace(self, pairs=tuple(self.pairs[position] for position in val), left_out={}, notes=()),
        )

    @property
    def categories(self) -> tuple[Category, ...]:
        return (Category(1, self.class_name),)

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int) -> Sample:
        """Read picture and masks: image uint8 [3, h, w], masks uint8 [n, h, w]."""
        pair = self._pair(index)
        image = read_rgb(self.images / pair.picture, pair.size)
        masks = self._masks(pair)
        labels = torch.ones(len(pair.ids), dtype=torch.int64)
        return Sample(image, {"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks}, index)

    def image_id(self, index: int) -> str:
        """The picture's file name."""
        return self._pair(index).picture

    def annotation_ids(self, index: int) -> list[int | str]:
        """`<mask file>:<value in the mask>`."""
        pair = self._pair(index)
        return [f"{pair.mask}:{value}" for value in pair.ids]

    def ground_truth(self) -> GroundTruth:
        """Reads every mask again."""
        return ground_truth_of_masks(self.categories, self._named_masks())

    def summary(self) -> DatasetSummary:
        counts = [len(pair.ids) for pair in self.pairs]
        return DatasetSummary(
            images=len(counts),
            instances=sum(counts),
            negatives=counts.count(0),
            crowd=0,
            max_objects=max(counts),
            left_out=self.left_out,
            notes=self.notes,
        )

    def _pair(self, index: int) -> _Pair:
        if not 0 <= index < len(self.pairs):
            raise DataError(f"{self.images}: there is no picture {index}. Expected 0 … {len(self.pairs) - 1}.")
        return self.pairs[index]

    def _named_masks(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        for pair in self.pairs:
            yield pair.picture, self._masks(pair), torch.ones(len(pair.ids), dtype=torch.int64)

    def _masks(self, pair: _Pair) -> Tensor:
        path = self.masks / pair.mask
        ids = read_ids(path)
        if instance_ids(ids) != pair.ids or ids.shape != pair.size[::-1]:
            raise DataError(
                f"{path}: the mask changed since the dataset was opened: it had {len(pair.ids)} instances and "
                f"{pair.size[0]}×{pair.size[1]} pixels. Start the run again."
            )
        return masks_of_ids(ids, pair.ids)


def _names(folder: Path, endings: tuple[str, ...], what: str) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of {what}. Check the path.")
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in endings)


def _check_pair(picture: Path, masks: Path, mask_of: dict[str, str], keep_empty: bool) -> _Pair | str:
    """Return the pair, or the reason why it cannot be used."""
    mask = mask_of.get(f"{picture.stem}_mask", mask_of.get(picture.stem))
    if mask is None:
        return "no mask"
    ids = read_ids_or_reason(masks / mask)
    if isinstance(ids, str):
        return ids
    size = (ids.shape[1], ids.shape[0])
    if not _opens(picture, size):
        return "mask and picture differ in size" if _opens(picture, None) else "picture does not open"
    values = instance_ids(ids)
    if not values and not keep_empty:
        return "no instance, and keep_empty is off"
    return _Pair(picture.name, mask, values, size)


def _opens(picture: Path, size: tuple[int, int] | None) -> bool:
    try:
        picture_size(picture, size)
    except DataError:
        return False
    return True


def _notes(pictures: Sequence[str], mask_of: dict[str, str]) -> tuple[str, ...]:
    stems = {Path(picture).stem for picture in pictures}
    alone = [name for stem, name in mask_of.items() if stem not in stems and stem.removesuffix("_mask") not in stems]
    if not alone:
        return ()
    return (f"{len(alone)} masks have no picture and are not used, {alone[0]} first.",)


def _nothing_usable(images: Path, masks: Path, left_out: dict[str, list[str]]) -> DataError:
    reasons = "; ".join(f"{reason}: {len(names)}, {names[0]} first" for reason, names in left_out.items())
    return DataError(
        f"{images} with {masks}: no picture has a usable mask ({reasons or 'no picture in the folder'}). "
        "Expected for <name>.jpg or .png a mask <name>.png or <name>_mask.png of the same size with one channel, "
        "whose values are 0 for the background and 1, 2, … for the instances."
    )

"""Where the pictures and annotations lie in the usual folder layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskrcnn_exp.data.formats.recognise import kind_of_file, recognise_folder
from maskrcnn_exp.data.links import refuse_links_out
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.schema import CocoConfig, MaskPngConfig

__all__ = ["CocoPlaces", "coco_places", "find_coco_layout", "find_mask_png_layout", "mask_png_places"]

CocoPlaces = tuple[Path | None, Path | None, Path | None, Path | None]
"""Training pictures, training annotations, validation pictures, validation annotations."""

# Training pictures, training annotations, validation pictures, validation annotations.
_COCO_LAYOUTS = (
    ("images", "annotations/instances_train.json", "images", "annotations/instances_val.json"),
    ("images/train", "annotations/instances_train.json", "images/val", "annotations/instances_val.json"),
    ("train", "annotations/instances_train.json", "val", "annotations/instances_val.json"),
    ("train2017", "annotations/instances_train2017.json", "val2017", "annotations/instances_val2017.json"),
    (
        "images/train2017",
        "annotations/instances_train2017.json",
        "images/val2017",
        "annotations/instances_val2017.json",
    ),
    ("train2014", "annotations/instances_train2014.json", "val2014", "annotations/instances_val2014.json"),
    ("train", "train/_annotations.coco.json", "valid", "valid/_annotations.coco.json"),  # Roboflow
    ("", "annotations/lvis_v1_train.json", "", "annotations/lvis_v1_val.json"),  # beside train2017/ and val2017/
    ("", "lvis_v1_train.json", "", "lvis_v1_val.json"),
)
_MASK_PNG_LAYOUTS = (("PNGImages", "PedMasks"), ("images", "masks"))


def coco_places(coco: CocoConfig) -> CocoPlaces:
    """Return where the parts of a dataset lie: what is typed, and for what is not, the usual layout in its root.

    Raises:
        DataError: the root is not a folder in a usual layout, or a link leads out of it.
    """
    typed = (coco.train.images, coco.train.annotations, coco.val.images, coco.val.annotations)
    found = find_coco_layout(Path(coco.root)) if coco.root else (None, None, None, None)
    images, annotations, val_images, val_annotations = (
        Path(own) if own else usual for own, usual in zip(typed, found, strict=True)
    )
    if not coco.follow_links:
        _refuse_links_out(coco.root, (images, annotations, val_images, val_annotations), typed)
    return images, annotations, val_images, val_annotations


def mask_png_places(png: MaskPngConfig) -> CocoPlaces:
    """Return the same of pictures with instance-id PNGs; the annotations are folders."""
    found = find_mask_png_layout(Path(png.root)) if png.root else (None, None)
    images, masks = (
        Path(own) if own else usual for own, usual in zip((png.train.images, png.train.annotations), found, strict=True)
    )
    val_images, val_masks = (Path(own) if own else None for own in (png.val.images, png.val.annotations))
    if not png.follow_links:
        typed = (png.train.images, png.train.annotations, png.val.images, png.val.annotations)
        _refuse_links_out(png.root, (images, masks, val_images, val_masks), typed)
    return images, masks, val_images, val_masks


def _refuse_links_out(root: str | None, places: CocoPlaces, typed: Sequence[str | None]) -> None:
    """Look at what will be read: in the root, and in folders that were named one by one."""
    # Both splits often have one folder of pictures, which is walked once.
    for place, own in dict.fromkeys(zip(places, typed, strict=True)):
        if place is not None:
            refuse_links_out(place if own or root is None else Path(root), [place])


def find_coco_layout(root: Path) -> tuple[Path, Path, Path | None, Path | None]:
    """Return (training pictures, training annotations, validation pictures, validation annotations).

    The last two are None where the folder has no validation annotations; its pictures must be there with them.

    Raises:
        DataError: `root` is not a folder, or holds none of the layouts; the message lists them.
    """
    _check_folder(root)
    for train_images, train_file, val_images, val_file in _COCO_LAYOUTS:
        if not ((root / train_images).is_dir() and (root / train_file).is_file()):
            continue
        if (root / val_images).is_dir() and (root / val_file).is_file():
            return root / train_images, root / train_file, root / val_images, root / val_file
        return root / train_images, root / train_file, None, None
    looked_for = [f"{images}/ with {file}" if images else file for images, file, _, _ in _COCO_LAYOUTS]
    raise _not_found(root, looked_for, "dataset.train.images=FOLDER dataset.train.annotations=FILE.json")


def find_mask_png_layout(root: Path) -> tuple[Path, Path]:
    """Return (pictures, masks). Raises DataError as `find_coco_layout` does."""
    _check_folder(root)
    for images, masks in _MASK_PNG_LAYOUTS:
        if (root / images).is_dir() and (root / masks).is_dir():
            return root / images, root / masks
    looked_for = [f"{images}/ with {masks}/" for images, masks in _MASK_PNG_LAYOUTS]
    raise _not_found(root, looked_for, "dataset.train.images=FOLDER dataset.train.annotations=FOLDER")


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        found = f"a file{kind_of_file(root)}" if root.is_file() else "nothing"
        raise DataError(f"dataset.root={root} must be a folder, but there is {found}. Check the path.")


def _not_found(root: Path, looked_for: list[str], instead: str) -> DataError:
    there = ", ".join(sorted(entry.name for entry in root.iterdir())[:10]) or "nothing"
    layouts = "\n".join(f"  {layout}" for layout in looked_for)
    if seems := recognise_folder(root):
        return DataError(f"{root}: no usual layout found. It seems to be {seems}\nIf not, name the parts: {instead}.")
    return DataError(
        f"{root}: no usual layout found. Looked for\n{layouts}\nbut the folder holds: {there}. "
        f"Name the parts instead: {instead}."
    )

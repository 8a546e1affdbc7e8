"""Read a COCO instances file, or say what the file is instead."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from maskrcnn_exp.data.coco_columns import Annotations, AnnotationsBuilder
from maskrcnn_exp.data.formats.recognise import hint_of_text, kind_of_json, recognise_folder
from maskrcnn_exp.data.json_stream import JsonStream, opened_json
from maskrcnn_exp.errors import DataError

__all__ = ["CocoFile", "name_in_url", "read_coco_file"]


_IMAGE_KEYS = ("id", "file_name", "width", "height")
_FEDERATED = "not_exhaustive_category_ids"  # LVIS: the classes of which not every object in the picture is annotated


@dataclass(frozen=True)
class CocoFile:
    """The three lists of a COCO instances file."""

    path: Path
    images: list[dict[str, Any] | None]  # id, file_name, width, height; None for what is no JSON object
    categories: list[Any]
    annotations: Annotations
    left_out: dict[str, list[str]] = field(default_factory=dict)  # reason -> what never came to be an entry
    notes: tuple[str, ...] = ()


def read_coco_file(path: Path) -> CocoFile:
    """Parse `path`.

    Raises:
        DataError: no such file, not JSON, or not a COCO instances file; the message names what it seems to be.
    """
    if path.is_dir():
        seems = recognise_folder(path)
        raise DataError(
            f"{path}: this is a folder{f', which seems to be {seems}' if seems else ''}. "
            "Expected a COCO instances file."
        )
    try:
        with opened_json(path) as text:
            images, categories, annotations = _read(text)
        if images is None:
            raise _other_format(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such annotation file. Check the path.") from error
    except OSError as error:
        raise DataError(f"{path}: the annotation file cannot be read: {error.strerror}. Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: this is not JSON: {error}. Expected a COCO instances file. Is it whole, and the right file?"
            f"{hint_of_text(path)}"
        ) from error
    if not images:
        raise DataError(f"{path}: the list `images` is empty. Expected at least one picture. Is it the right file?")
    if not categories:
        raise DataError(
            f"{path}: there are no `categories`. Expected at least one, as "
            '[{"id": 1, "name": "balloon"}]. Add the list to the file.'
        )
    return CocoFile(path, images, categories, annotations, notes=_notes(images))


def _read(text: TextIO) -> tuple[list[Any] | None, list[Any], Annotations]:
    """The three lists, images None where there is no such list; other content is passed over."""
    stream = JsonStream(text)
    images: list[Any] | None = None
    categories: list[Any] = []
    annotations = AnnotationsBuilder()
    if stream.peek() != "{":
        stream.value()
        return None, categories, annotations.finish()
    for key in stream.object_keys():
        if stream.peek() != "[":
            stream.value()
        elif key == "images":
            images = [_needed(image) for image in stream.elements()]
        elif key == "categories":
            categories = list(stream.elements())
        else:
            take = annotations.add if key == "annotations" else _pass_over
            for batch in stream.batches():
                take(batch)
    return images, categories, annotations.finish()


def _needed(image: Any) -> Any:
    """Without the dates, links and licences, which take more memory than all the rest."""
    if not isinstance(image, dict):
        return None
    needed = {key: image.get(key) for key in _IMAGE_KEYS}
    if not needed["file_name"] and isinstance(image.get("coco_url"), str):
        needed |= {"file_name": name_in_url(image["coco_url"]), "from_url": True}
    if image.get(_FEDERATED):
        needed[_FEDERATED] = True
    return needed


def _notes(images: list[dict[str, Any] | None]) -> tuple[str, ...]:
    partly = sum(image is not None and _FEDERATED in image for image in images)
    if not partly:
        return ()
    return (
        f"LVIS: {partly} pictures name classes of which not every object is annotated. Training and COCO's numbers "
        "take the rest for background; LVIS's own numbers do not.",
    )


def name_in_url(url: str) -> str:
    """LVIS has no `file_name`: the last folder and the name in `coco_url`, as train2017/000000391895.jpg."""
    return "/".join(url.partition("?")[0].partition("://")[2].split("/")[1:][-2:])


def _pass_over(batch: list[Any]) -> None:
    """Other lists, such as licences."""


def _other_format(path: Path) -> DataError:
    kind = kind_of_json(json.loads(path.read_text(encoding="utf-8-sig")), path)
    return DataError(
        f"{path}: this is not a COCO instances file: it seems to be {kind}. Expected a JSON object with "
        "the lists `images`, `annotations` and `categories`. Convert it, or name the right file."
    )

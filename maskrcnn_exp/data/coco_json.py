"""Read a COCO instances file, or say what the file is instead."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from maskrcnn_exp.data.coco_columns import Annotations, AnnotationsBuilder
from maskrcnn_exp.data.json_stream import JsonStream, opened_json
from maskrcnn_exp.errors import DataError

__all__ = ["CocoFile", "read_coco_file"]


_IMAGE_KEYS = ("id", "file_name", "width", "height")


@dataclass(frozen=True)
class CocoFile:
    """The three lists of a COCO instances file."""

    path: Path
    images: list[dict[str, Any] | None]  # id, file_name, width, height; None for what is no JSON object
    categories: list[Any]
    annotations: Annotations


def read_coco_file(path: Path) -> CocoFile:
    """Parse `path`.

    Raises:
        DataError: no such file, not JSON, or not a COCO instances file; the message names what it seems to be.
    """
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
        ) from error
    if not images:
        raise DataError(f"{path}: the list `images` is empty. Expected at least one picture. Is it the right file?")
    if not categories:
        raise DataError(
            f"{path}: there are no `categories`. Expected at least one, as "
            '[{"id": 1, "name": "balloon"}]. Add the list to the file.'
        )
    return CocoFile(path, images, categories, annotations)


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
    return {key: image.get(key) for key in _IMAGE_KEYS} if isinstance(image, dict) else None


def _pass_over(batch: list[Any]) -> None:
    """Other lists, such as licences."""


def _other_format(path: Path) -> DataError:
    parsed = json.loads(path.read_text(encoding="utf-8-sig"))
    return DataError(
        f"{path}: this is not a COCO instances file: it seems to be {_kind(parsed)}. Expected a JSON object with "
        "the lists `images`, `annotations` and `categories`. Convert it, or name the right file."
    )


def _kind(parsed: object) -> str:
    """Name the format that people mistake for COCO, from its typical keys."""
    if isinstance(parsed, list):
        return _kind_of_list(parsed)
    if not isinstance(parsed, dict):
        return _a(parsed)
    if "_via_img_metadata" in parsed or any(isinstance(v, dict) and "regions" in v for v in parsed.values()):
        return "a VGG Image Annotator (VIA) project"
    if "shapes" in parsed and "imagePath" in parsed:
        return "a LabelMe file for one picture"
    if parsed.get("type") == "FeatureCollection":
        return "GeoJSON"
    if "annotations" in parsed:
        return "COCO-like, but without the list `images`"
    keys = ", ".join(repr(key) for key in list(parsed)[:5])
    return f"a JSON object with the keys {keys}" if keys else "an empty JSON object"


def _kind_of_list(parsed: list[Any]) -> str:
    first = parsed[0] if parsed else None
    if isinstance(first, dict) and "image_id" in first:
        return "a list of COCO detection results or annotations alone"
    if isinstance(first, dict) and "annotations" in first and "image" in first:
        return "a CreateML file"
    return f"a list of {len(parsed)} entries"


def _a(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

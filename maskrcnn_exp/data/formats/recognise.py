"""What a file or folder is that was taken for COCO, and the command that reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from maskrcnn_exp.data.formats.yolo_places import find_yaml

__all__ = ["hint_of_text", "kind_of_file", "kind_of_json", "recognise_folder"]

_LOOKED_AT: Final = 20  # files of a kind
_LARGEST: Final = 50_000_000  # bytes of a JSON file that is parsed to see what it is
_NO_MASKS: Final = "which have no masks. Mask R-CNN learns masks: export polygons or masks."


def recognise_folder(root: Path) -> str:
    """Return what a folder seems to be and what to do, to follow "it seems to be"; "" where nothing is known."""
    for look in (_yolo, _voc, _mask_png, _labelme, _json_files, _xml_files):
        if root.is_dir() and (found := look(root)):
            return found
    return ""


def kind_of_file(path: Path) -> str:
    """Return ": …" with the command that reads a file that was taken for a folder; "" where nothing is known."""
    if path.suffix in (".yaml", ".yml"):
        return f", a YOLO dataset? It is read by: dataset=yolo_seg dataset.root={path}"
    if path.suffix == ".json":
        return f", which is read by: dataset=coco dataset.train.annotations={path} dataset.train.images=FOLDER"
    return ""


def hint_of_text(path: Path) -> str:
    """Return " …" about a file that is no JSON, from its suffix and first bytes; "" where nothing is known."""
    try:
        with path.open("rb") as file:
            begin = file.read(200).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return ""
    if path.suffix in (".yaml", ".yml"):
        return f" A YOLO dataset? It is read by: dataset=yolo_seg dataset.root={path}"
    if begin.startswith(b"<"):
        return " It begins like XML: Pascal VOC or CVAT? Export as COCO instances instead."
    if begin[:1].isdigit():
        return " It begins with numbers: YOLO labels? Read by: dataset=yolo_seg dataset.root=FOLDER, that of data.yaml"
    if begin.startswith((b"\x89PNG", b"\xff\xd8")):
        return " It is a picture: instance masks? They are read by dataset=mask_png or dataset=voc."
    return ""


def kind_of_json(parsed: object, path: Path) -> str:
    """Name the format of a JSON file that is no COCO instances file, from its typical keys, and what to do."""
    if isinstance(parsed, list):
        return _kind_of_list(parsed)
    if not isinstance(parsed, dict):
        return _a(parsed)
    if "_via_img_metadata" in parsed or any(isinstance(v, dict) and "regions" in v for v in parsed.values()):
        return "a VGG Image Annotator (VIA) project. In VIA, export the annotations as COCO"
    if "shapes" in parsed and "imagePath" in parsed:
        return f"a LabelMe file for one picture. Its folder is read by: dataset=labelme dataset.root={path.parent}"
    if parsed.get("type") == "FeatureCollection":
        return "GeoJSON. Convert it to pixels and COCO"
    if "annotations" in parsed:
        return "COCO-like, but without the list `images`. Export it whole"
    keys = ", ".join(repr(key) for key in list(parsed)[:5])
    return f"a JSON object with the keys {keys}" if keys else "an empty JSON object"


def _kind_of_list(parsed: list[Any]) -> str:
    first = parsed[0] if parsed and isinstance(parsed[0], dict) else {}
    if "image_id" in first:
        what = "detection results" if "score" in first else "annotations alone"
        return f"a list of COCO {what}. Name the file that also has `images` and `categories`"
    if "annotations" in first and "image" in first:
        return f"a CreateML file: boxes, {_NO_MASKS}".removesuffix(".")
    if "data" in first and ("annotations" in first or "completions" in first):
        return "a Label Studio export in its own JSON. In Label Studio, export as COCO"
    if "Labeled Data" in first or "data_row" in first:
        return "a Labelbox export. Export or convert it to COCO"
    return f"a list of {len(parsed)} entries"


def _a(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _yolo(root: Path) -> str:
    file = find_yaml(root)
    labels = list(islice(root.glob("**/labels/**/*.txt"), _LOOKED_AT))
    if file is None and not labels:
        return ""
    counts = {len(line.split()) for label in labels for line in _lines(label)}
    if counts and counts <= {5, 6}:
        return f"a YOLO dataset of boxes, {_NO_MASKS}"
    if file is None:
        return "YOLO labels without a data.yaml. Write one, with `train`, `val` and `names`, then: dataset=yolo_seg"
    return f"a YOLO dataset, which is read by: dataset=yolo_seg dataset.root={root}"


def _voc(root: Path) -> str:
    for folder in (root, *sorted(root.glob("VOC*")), *sorted(root.glob("VOCdevkit/VOC*"))):
        if (folder / "SegmentationObject").is_dir():
            return f"a Pascal VOC folder with instance masks, which is read by: dataset=voc dataset.root={folder}"
        if (folder / "SegmentationClass").is_dir():
            return (
                "a Pascal VOC folder with SegmentationClass but no SegmentationObject: classes of pixels, not objects. "
                "Mask R-CNN learns a mask per object"
            )
    return ""


def _mask_png(root: Path) -> str:
    for images, masks in (("PNGImages", "PedMasks"), ("images", "masks")):
        if (root / images).is_dir() and (root / masks).is_dir():
            return f"a folder of instance-id PNGs, which is read by: dataset=mask_png dataset.root={root}"
    return ""


def _labelme(root: Path) -> str:
    for _, content in _parsed_files(root):
        if isinstance(content, dict) and "shapes" in content and "imagePath" in content:
            return f"a folder of labelme files, which is read by: dataset=labelme dataset.root={root}"
    return ""


def _json_files(root: Path) -> str:
    for file, content in _parsed_files(root):
        if isinstance(content, dict) and "images" in content and "annotations" in content:
            if file.parent.name == "annotations" and file.name.startswith("instances_train"):
                return f"a COCO dataset, which is read by: dataset=coco dataset.root={root}"
            return (
                f"a folder with the COCO file {file.relative_to(root)}, which is read by: dataset=coco "
                f"dataset.train.annotations={file} dataset.train.images=FOLDER"
            )
        kind = kind_of_json(content, file)
        if ". " in kind or "CreateML" in kind:
            return f"a folder with {file.relative_to(root)}: {kind}"
    return ""


def _xml_files(root: Path) -> str:
    for file in islice(root.glob("**/*.xml"), _LOOKED_AT):
        if "<bndbox>" in file.read_text(encoding="utf-8", errors="replace"):
            return f"a folder of Pascal VOC boxes ({file.relative_to(root)}), {_NO_MASKS}"
    return ""


def _parsed_files(root: Path) -> Iterator[tuple[Path, object]]:
    for file in islice((*root.glob("*.json"), *root.glob("*/*.json"), *root.glob("*/*/*.json")), _LOOKED_AT):
        try:
            if file.stat().st_size <= _LARGEST:
                yield file, json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            continue


def _lines(label: Path) -> list[str]:
    try:
        return [line for line in label.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError):
        return []

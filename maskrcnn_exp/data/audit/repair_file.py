"""Write a repaired COCO file, entry by entry, and the list of what was changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from maskrcnn_exp.data.audit.clip import ordered_outline
from maskrcnn_exp.data.audit.coco_audit import CocoAudit
from maskrcnn_exp.data.audit.repairs import Edit, Repairs
from maskrcnn_exp.data.coco_columns import as_id
from maskrcnn_exp.data.formats.source import Source
from maskrcnn_exp.data.json_stream import JsonStream
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.atomic import write_atomic

__all__ = ["changes_path", "refuse_impossible", "write_repaired"]


def changes_path(path: Path) -> Path:
    """Where the list of changes of a repaired file stands."""
    return path.with_name(f"{path.name}.changes.txt")


def refuse_impossible(audit: CocoAudit) -> None:
    """Raise DataError where no repaired file can be written, with every reason."""
    reasons = list(audit.case.repairs.impossible)
    if not reasons and not audit.split.usable.any():
        reasons = ["no picture would be left"]
    if reasons:
        raise DataError(
            f"{audit.case.facts.path} cannot be repaired by a program: {'; '.join(reasons)}. Nothing was written."
        )


def write_repaired(audit: CocoAudit, path: Path) -> int:
    """Write the file and its list of changes; return how many there are. Nothing else of the file is touched.

    Args:
        audit: Of the file to repair, which is read again; its `repairs` are settled.
        path: The new file; its folder must exist.
    """
    facts, entries = audit.case.facts, audit.case.entries
    writer = _Writer(audit, audit.case.repairs)

    def write(file: BinaryIO) -> None:
        text = TextIOWrapper(file, encoding="utf-8", write_through=True)
        if facts.source is None:
            with facts.path.open(encoding="utf-8-sig") as source:
                writer.copy(JsonStream(source), text)
        else:
            writer.convert(facts.source, text)
        text.detach()

    write_atomic(path, write)
    kept = len(entries) - len(audit.case.repairs.dropped_images())
    header = f"{facts.path} → {path}: {len(writer.changes)} changes; {kept} of {len(entries)} pictures are kept."
    lines = "\n".join([header, *writer.changes, ""])
    write_atomic(changes_path(path), lambda file: _write_text(file, lines))
    return len(writer.changes)


def _write_text(file: BinaryIO, text: str) -> None:
    file.write(text.encode("utf-8", "backslashreplace"))


@dataclass
class _Writer:
    audit: CocoAudit
    repairs: Repairs
    changes: list[str] = field(default_factory=list)
    crowd_set: list[str] = field(default_factory=list)  # ids

    def copy(self, stream: JsonStream, text: TextIOWrapper) -> None:
        """Copy a file, list by list."""
        changed: dict[str, Callable[[int, Any], Any]] = {"images": self._image, "annotations": self._annotation}
        text.write("{")
        for position, key in enumerate(stream.object_keys()):
            text.write(f"{',' if position else ''}\n{json.dumps(key)}: ")
            if key == "categories" and self.repairs.categories is not None:
                stream.value()
                text.write(_dumps(self.repairs.categories))
                self.changes += self.repairs.category_changes
            elif key in changed and stream.peek() == "[":
                _write_list(text, (entry for _, entry in _kept(stream.elements(), changed[key])))
            else:
                text.write(_dumps(stream.value()))
        text.write("\n}\n")
        if self.crowd_set:
            self.changes.append(f"annotations {', '.join(self.crowd_set)}: iscrowd 0 set, they had none")

    def convert(self, source: Source, text: TextIOWrapper) -> None:
        """Write another format as a COCO file. Ids become numbers from 1; `source` keeps where an object came from."""
        for reason, names in source.left_out.items():
            self.changes += [f"{name}: left out: {reason}" for name in names]
        text.write('{\n"images": ')
        _write_list(text, (self._numbered(n, one) for n, one in _kept(source.images, self._image)))
        text.write(f',\n"categories": {_dumps(source.categories)},\n"annotations": ')
        _write_list(text, (self._numbered(n, one) for n, one in _kept(source.annotations, self._annotation)))
        text.write("\n}\n")

    def _numbered(self, number: int, entry: dict[str, Any]) -> dict[str, Any]:
        if "image_id" in entry:
            image_id = int(self.audit.references.images[number]) + 1
            return {**entry, "id": number + 1, "image_id": image_id, "source": entry["id"]}
        height, width = self.audit.case.entries.sizes[number].tolist()
        return {**entry, "id": number + 1, "width": width, "height": height}

    def _image(self, number: int, entry: Any) -> Any:
        (name,) = self.audit.case.entries.shown([number])
        return self._edited(f"image {name} (#{number})", entry, self.repairs.images.get(number))

    def _annotation(self, number: int, entry: Any) -> Any:
        name = f"annotation {self.audit.case.facts.annotations.ids[number]} (#{number})"
        edit = self.repairs.annotations.get(number)
        entry = self._edited(name, entry, edit)
        if entry is None:
            return None
        if edit is not None and edit.outline:
            height, width = self._size(number)
            entry["segmentation"] = ordered_outline(entry.get("segmentation"), height, width)
        category = as_id(entry.get("category_id"))
        if category in self.repairs.category_of:
            entry["category_id"] = self.repairs.category_of[category]
            self.changes.append(f"{name}: category_id {category} → {entry['category_id']}")
        if self.repairs.set_absent_crowd and "iscrowd" not in entry:
            entry["iscrowd"] = 0
            self.crowd_set.append(str(entry.get("id")))
        return entry

    def _edited(self, name: str, entry: Any, edit: Edit | None) -> Any:
        if edit is None:
            return entry
        if edit.drop:
            self.changes.append(f"{name}: left out: {edit.drop}")
            return None
        self.changes += [f"{name}: {why}" for why in edit.why]
        return {**entry, **edit.values}

    def _size(self, number: int) -> tuple[int, int]:
        image = int(self.audit.references.images[number])
        height, width = self.audit.case.entries.sizes[image].tolist() if image >= 0 else (0, 0)
        return height, width


def _kept(entries: Iterable[Any], change: Callable[[int, Any], Any]) -> Iterator[tuple[int, Any]]:
    """Yield what stays, with its place among all."""
    for number, entry in enumerate(entries):
        changed = change(number, entry)
        if changed is not None:
            yield number, changed


def _write_list(text: TextIOWrapper, entries: Iterator[Any]) -> None:
    text.write("[")
    for position, entry in enumerate(entries):
        text.write(f"{',' if position else ''}\n{_dumps(entry)}")
    text.write("]")


def _dumps(value: Any) -> str:
    return json.dumps(value)

"""The same picture twice: byte for byte within a split, and alike across training and validation.

Alike is judged by two looks at a tiny grey copy of 17 × 16 pixels, both of which must agree: the signs of its 256
differences between neighbours (a "dHash", which forgives brightness and contrast), and its correlation.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.findings import Findings
from maskrcnn_exp.data.audit.look import THUMBNAIL, Look
from maskrcnn_exp.data.audit.split import Split

__all__ = ["alike_pairs", "check_leaks", "check_twice"]

Floats = npt.NDArray[np.float32]

_DIFFERENT_SIGNS: Final = 40  # of 256
_CORRELATION: Final = 0.95
_FLAT: Final = 2.0  # standard deviation in grey levels; below it everything is alike
_ASPECT: Final = 1.03  # factor between width over height of both
_CHUNK: Final = 2_000  # training pictures compared at once
_NAMED: Final = 3


def check_twice(split: Split, findings: Findings) -> None:
    """Find files of one split with the same bytes under different names."""
    of_digest: dict[bytes, list[int]] = defaultdict(list)
    for number, seen in split.looks.items():
        if split.usable[number] and seen.digest:
            of_digest[seen.digest].append(number)
    groups = [numbers for numbers in of_digest.values() if len(numbers) > 1]
    later = [number for numbers in groups for number in numbers[1:]]
    named = "; ".join(" = ".join(split.names[number] for number in numbers[:2]) for numbers in groups[:_NAMED])
    says = f"Another file has the same bytes: {named}. The picture counts twice, and its annotations may differ."
    ids = [split.picture_ids[number] for number in later]
    findings.add("same-picture-twice", "warning", "picture", ids, says, "Keep one of them.", later)


def check_leaks(train: Split, val: Split, findings: Findings) -> None:
    """Find validation pictures that training has, too; the finding's numbers and ids are validation's."""
    first_of = {train.looks[number].digest: number for number in reversed(_seen(train)) if train.looks[number].digest}
    same = {number: first_of[val.looks[number].digest] for number in _seen(val) if val.looks[number].digest in first_of}
    says = f"The same file is among the training pictures{_pairs(train, val, same)}: validation measures memory."
    to_do = "Take the picture out of one of the two."
    ids = [val.picture_ids[number] for number in same]
    findings.add("picture-in-train-and-val", "warning", "picture", ids, says, to_do, list(same))
    rest = [number for number in _seen(val) if number not in same]
    alike = alike_pairs(train.looks, _seen(train), val.looks, rest)
    says = f"Training has nearly the same picture{_pairs(train, val, alike)}: validation measures memory."
    ids = [val.picture_ids[number] for number in alike]
    to_do = "Keep pictures of one scene on one side: copies, frames of one film."
    findings.add("near-duplicate-in-train", "warning", "picture", ids, says, to_do, list(alike))


def alike_pairs(
    train: dict[int, Look], train_numbers: list[int], val: dict[int, Look], val_numbers: list[int]
) -> dict[int, int]:
    """Return the most similar training picture of each validation picture that has one."""
    signs, shapes, aspects, numbers = _features(train, train_numbers)
    val_signs, val_shapes, val_aspects, val_kept = _features(val, val_numbers)
    best: dict[int, tuple[float, int]] = {}
    for start in range(0, len(numbers) if len(val_kept) else 0, _CHUNK):
        part = slice(start, start + _CHUNK)
        agreeing = signs[part] @ val_signs.T  # 256 - 2 · different signs
        alike = agreeing >= 256 - 2 * _DIFFERENT_SIGNS
        for one, other in np.argwhere(alike).tolist():
            factor = aspects[start + one] / val_aspects[other]
            correlation = float(shapes[start + one] @ val_shapes[other])
            if correlation < _CORRELATION or not 1 / _ASPECT <= factor <= _ASPECT:
                continue
            best[val_kept[other]] = max(best.get(val_kept[other], (0.0, -1)), (correlation, numbers[start + one]))
    return {number: pair[1] for number, pair in sorted(best.items())}


def _seen(split: Split) -> list[int]:
    return [number for number in split.looks if split.usable[number]]


def _features(looks: dict[int, Look], numbers: list[int]) -> tuple[Floats, Floats, list[float], list[int]]:
    """Signs ±1 [n, 256], unit shapes [n, 272], width over height, and the pictures that are not flat."""
    width, height = THUMBNAIL
    whole = [number for number in numbers if looks[number].thumbnail]
    copies = np.frombuffer(b"".join(looks[number].thumbnail for number in whole), dtype=np.uint8)
    copies = copies.reshape(-1, height, width).astype(np.float32)
    kept = copies.std(axis=(1, 2)) >= _FLAT
    copies = copies[kept]
    signs = np.where(np.diff(copies, axis=2) > 0, 1, -1).reshape(len(copies), 256).astype(np.float32)
    shapes = (copies - copies.mean(axis=(1, 2), keepdims=True)).reshape(len(copies), width * height)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    left = [number for number, keep in zip(whole, kept.tolist(), strict=True) if keep]
    return signs, shapes, [looks[number].shown[0] / looks[number].shown[1] for number in left], left


def _pairs(train: Split, val: Split, pairs: dict[int, int]) -> str:
    named = ", ".join(f"{val.names[one]} = {train.names[other]}" for one, other in list(pairs.items())[:_NAMED])
    return f" ({named}{' …' if len(pairs) > _NAMED else ''})"

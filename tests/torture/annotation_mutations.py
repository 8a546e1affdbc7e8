"""A small COCO file in which everything occurs, and ways to spoil it: one value at a time, or its bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from pycocotools import mask as coco_mask

__all__ = ["WHOLE", "places_of", "spoil", "spoil_bytes", "values_for"]

_WIDTH, _HEIGHT = 24, 20


def _rle(x: int) -> dict[str, Any]:
    mask = np.zeros((_HEIGHT, _WIDTH), dtype=np.uint8, order="F")
    mask[4:10, x : x + 6] = 1
    encoded = coco_mask.encode(mask)
    return {"size": [_HEIGHT, _WIDTH], "counts": encoded["counts"].decode()}


def _square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def _annotation(number: int, image: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    entry = {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0}
    return {**entry, "area": 36.0, "bbox": [2.0, 4.0, 6.0, 6.0], **more}


WHOLE: Final[dict[str, Any]] = {
    "info": {"year": 2026},
    "licenses": [{"id": 1, "name": "x"}],
    "images": [
        {"id": number, "file_name": f"{number}.png", "width": _WIDTH, "height": _HEIGHT, "license": 1}
        for number in (1, 2, 3)
    ],
    "categories": [{"id": 1, "name": "cell", "supercategory": "x"}, {"id": 7, "name": "nucleus"}],
    "annotations": [
        _annotation(1, 1, 1, [_square(2, 4, 6)]),
        _annotation(2, 1, 7, [_square(10, 4, 4), _square(16, 10, 5)]),
        _annotation(3, 1, 1, _rle(3)),
        _annotation(4, 2, 7, {"size": [_HEIGHT, _WIDTH], "counts": [84, 6, 14, 6, 14, 6, _HEIGHT * _WIDTH - 130]}),
        _annotation(5, 2, 1, {"size": [_HEIGHT, _WIDTH], "counts": [10, 50, _HEIGHT * _WIDTH - 60]}, iscrowd=1),
        _annotation(6, 2, 1, [_square(1.5, 2.5, 8)]),
    ],
}

_ODD: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        False,
        "",
        "x",
        "1",
        "0",
        "../1.png",
        "/etc/passwd",
        "1.png\0",
        "\ud800",
        [],
        {},
        [[]],
        [None],
        {"a": 1},
    ),
    *(0, -1, 1, 2, 3, 7, 0.5, -0.5, 1e9, -1e9, 1e300, -1e300, 1e400, float("nan"), float("inf"), -float("inf")),
    *(2**31, 2**31 - 1, 2**63, -(2**63), 2**64, 10**40, 1e-320, "NaN", "é" * 500, [1, 2, 3], [1] * 7, [[1, 2] * 3]),
    *([[0, 0, 1e6, 0, 1e6, 1e6]], [[5, 5] * 4], [["a"] * 6], {"counts": "x", "size": [1, 1]}, {"size": [20, 24]}),
)


def places_of(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value below `node`."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*place, key)
        yield from places_of(value, (*place, key))


def values_for(rng: random.Random, old: Any) -> Any:
    """Return what is to stand in the place of a value: something odd, or the value changed a little or much."""
    if isinstance(old, int | float) and rng.random() < 0.4:
        return rng.choice([-old, old * 1e6, old + 0.3, old + 1, float(old), str(old), [old], old * 1e18])
    if isinstance(old, str) and rng.random() < 0.4:
        place = rng.randrange(len(old) + 1)
        return old[:place] + rng.choice(["", "~", "\x00", "0", "é", old]) + old[place + 1 :]
    return copy.deepcopy(rng.choice(_ODD))


def spoil(rng: random.Random) -> tuple[dict[str, Any], str]:
    """Return the file with one to three places dropped, doubled or replaced, and what was done."""
    content, done = copy.deepcopy(WHOLE), []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        place = rng.choice(list(places_of(content)) or [()])
        if not place:
            break
        *way, last = place
        parent = content
        for key in way:
            parent = parent[key]
        kind = rng.random()
        if kind < 0.2:
            del parent[last]
            done.append(f"without {place}")
        elif kind < 0.3 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
            done.append(f"twice {place}")
        else:
            parent[last] = values_for(rng, parent[last])
            done.append(f"{place} = {parent[last]!r:.60}")
    return content, "; ".join(done)


def spoil_bytes(rng: random.Random) -> bytes:
    """Return the file's bytes with some flipped, cut out, doubled, or the end gone."""
    data = bytearray(json.dumps(WHOLE).encode())
    for _ in range(rng.choice([1, 1, 2, 5])):
        place, kind = rng.randrange(len(data)), rng.randrange(6)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.choice(b'0123456789-.eE"[]{},:nNtf\\\x00\xff')
        elif kind == 2:
            del data[place : place + rng.choice([1, 2, 10, 200])]
        elif kind == 3:
            data[place:place] = rng.choice(
                [b"0", b"-", b'"', b"[" * 2000, b"9" * 400, b"null", b"\xef\xbb\xbf", b"NaN"]
            )
        elif kind == 4:
            end = rng.randrange(place, min(place + 300, len(data)))
            data[place:place] = data[place:end]
        else:
            del data[place:]
        if not data:
            break
    return bytes(data)

"""The scalars of an event file, read in blocks of events that hold the same tags."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from maskrcnn_exp.record.frames import Frames
from maskrcnn_exp.record.scalar_layout import ScalarLayout, find_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["ScalarBlock", "read_blocks"]

_LAYOUTS_OF_A_LENGTH: Final = 16  # beyond, events are too varied for blocks to pay
_LAYOUTS_KEPT: Final = 512  # for the next files: runs of one study share theirs

_known: dict[int, list[ScalarLayout]] = defaultdict(list)


@dataclass(frozen=True)
class ScalarBlock:
    """The numbers of some events, in the order of the file; n events."""

    tags: tuple[str, ...]
    events: Ints  # [n], their numbers in the file, from 0
    steps: Ints  # [n]
    wall_times: NDArray[np.float64]  # [n], seconds since 1970
    values: NDArray[np.float64]  # [tags, n]


def read_blocks(frames: Frames, wanted: Collection[str] | None) -> tuple[list[ScalarBlock], list[int]]:
    """Return the scalars of a file, and the numbers of the events that hold something else, or nothing.

    Args:
        frames: The file's records, one event each.
        wanted: Tags to keep; None keeps all.
    """
    lengths = frames.ends - frames.starts
    blocks: list[ScalarBlock] = []
    others: list[int] = []
    for length in np.unique(lengths).tolist():
        rest = np.flatnonzero(lengths == length)
        events = b"".join([frames.data[start : start + length] for start in frames.starts[rest].tolist()])
        some, left = _blocks_of_length(np.frombuffer(events, dtype=np.uint8).reshape(len(rest), length), rest, wanted)
        blocks += some
        others += left
    return _joined(blocks), sorted(others)


def _blocks_of_length(
    events: NDArray[np.uint8], numbers: Ints, wanted: Collection[str] | None
) -> tuple[list[ScalarBlock], list[int]]:
    """Read events uint8 [n, length]; `numbers` int64 [n] are theirs in the file."""
    blocks: list[ScalarBlock] = []
    others: list[int] = []
    layouts = iter(list(_known[events.shape[1]]))
    for _ in range(_LAYOUTS_OF_A_LENGTH):
        layout = next(layouts, None)
        while layout is None and len(numbers):
            layout = _new_layout(events[0].tobytes())
            if layout is None:
                others.append(int(numbers[0]))
                events, numbers = events[1:], numbers[1:]
        if layout is None:
            break
        same = layout.matches(events)
        if same.any():
            blocks.append(_block(layout, events[same], numbers[same], wanted))
            events, numbers = events[~same], numbers[~same]
    return blocks, others + numbers.tolist()


def _new_layout(event: bytes) -> ScalarLayout | None:
    layout = find_layout(event)
    if layout is not None:
        if sum(map(len, _known.values())) >= _LAYOUTS_KEPT:
            _known.clear()
        _known[len(event)].append(layout)
    return layout


def _block(
    layout: ScalarLayout, events: NDArray[np.uint8], numbers: Ints, wanted: Collection[str] | None
) -> ScalarBlock:
    columns = [column for column, tag in enumerate(layout.tags) if wanted is None or tag in wanted]
    return ScalarBlock(
        tags=tuple(layout.tags[column] for column in columns),
        events=numbers,
        steps=layout.steps(events),
        wall_times=layout.wall_times(events),
        values=np.array(layout.values(events, np.array(columns, dtype=np.int64)).T, dtype=np.float64, order="C"),
    )


def _joined(blocks: list[ScalarBlock]) -> list[ScalarBlock]:
    """Blocks with the same tags become one: the length of an event changes where its step gets another digit."""
    by_tags: dict[tuple[str, ...], list[ScalarBlock]] = defaultdict(list)
    for block in blocks:
        if block.tags:
            by_tags[block.tags].append(block)
    return [_one(same) for same in by_tags.values()]


def _one(blocks: list[ScalarBlock]) -> ScalarBlock:
    if len(blocks) == 1:
        return blocks[0]
    events = np.concatenate([block.events for block in blocks])
    order = np.argsort(events)
    return ScalarBlock(
        blocks[0].tags,
        events[order],
        np.concatenate([block.steps for block in blocks])[order],
        np.concatenate([block.wall_times for block in blocks])[order],
        np.concatenate([block.values for block in blocks], axis=1)[:, order],
    )

"""The one reader of a run's record.

It reads whatever wrote the event files: this project, torch's SummaryWriter, or TensorFlow 2. It imports neither
torch nor TensorBoard's loaders, so that a comparison of hundreds of runs starts at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.compat.proto import event_pb2, types_pb2

from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.frames import Frames, split_frames
from maskrcnn_exp.record.scalar_blocks import ScalarBlock, read_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EVENT_FILES", "History", "Series"]

EVENT_FILES: Final = "events.out.tfevents.*"
_TEXT_SUFFIX: Final = "/text_summary"  # torch's SummaryWriter adds it to every text tag
_SCALAR_TYPES: Final[dict[int, tuple[str, str]]] = {  # type -> repeated field, dtype of packed bytes
    types_pb2.DT_FLOAT: ("float_val", "<f4"),
    types_pb2.DT_DOUBLE: ("double_val", "<f8"),
    types_pb2.DT_INT32: ("int_val", "<i4"),
    types_pb2.DT_INT64: ("int64_val", "<i8"),
}

_Point = tuple[int, int, float, float]  # number of the event, step, value, wall time


@dataclass(frozen=True)
class Series:
    """The points of one tag, one per step, in order of steps; all three arrays have the same length."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]  # stored as float32, so 0.1 reads 0.10000000149
    wall_times: NDArray[np.float64]  # seconds since 1970

    def __len__(self) -> int:
        """Number of points."""
        return len(self.steps)


@dataclass
class History:
    """Everything that was recorded of one run."""

    folder: Path
    files: tuple[Path, ...] = ()  # event files, in the order they were read
    truncated: bool = False  # a record was damaged; what follows it in its file is lost
    _events: int = 0  # read so far
    _blocks: dict[str, list[_Column]] = field(default_factory=lambda: defaultdict(list), repr=False)
    _points: dict[str, list[_Point]] = field(default_factory=lambda: defaultdict(list), repr=False)  # not in blocks
    _texts: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict), repr=False)

    @classmethod
    def read(cls, run_folder: Path, tags: Collection[str] | None = None) -> History:
        """Read all event files of a run, the folder's own only, in the order of their creation.

        A record that was cut off by a kill is ignored. At a damaged record reading of that file stops, and
        `truncated` says so.

        Args:
            run_folder: Folder with `events.out.tfevents.*` files.
            tags: Numbers to keep; None keeps all. Texts are always kept.

        Raises:
            DataError: no such folder, or no event file in it.
        """
        files = sorted(run_folder.glob(EVENT_FILES), key=lambda path: path.name)
        if not files:
            problem = "no event file in this folder" if run_folder.is_dir() else "no such folder"
            raise DataError(f"{run_folder}: {problem}. Expected a run folder with {EVENT_FILES}.")
        history = cls(run_folder, tuple(files))
        wanted = None if tags is None else frozenset(tags)
        for path in files:
            frames = split_frames(path.read_bytes())
            history.truncated |= frames.damaged
            history._add(frames, wanted)
        return history

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags with at least one number, sorted."""
        return tuple(sorted(self._blocks.keys() | self._points.keys()))

    @property
    def texts(self) -> dict[str, dict[int, str]]:
        """Text by tag and step; the later of two texts at one step."""
        return {tag: dict(sorted(by_step.items())) for tag, by_step in self._texts.items()}

    def series(self, tag: str) -> Series:
        """Return the points of `tag`, the last written of several at one step.

        A tag without points gives an empty series: a young run has not been evaluated yet. `tags` tells them apart.
        """
        columns = [*self._blocks.get(tag, ()), *_as_columns(self._points.get(tag, []))]
        if len(columns) == 1 and columns[0].rises:
            (column,) = columns
            return Series(column.steps.copy(), column.values.copy(), column.wall_times.copy())
        events, steps, values, wall_times = (
            np.concatenate([getattr(column, name) for column in columns] or [np.empty(0)])
            for name in ("events", "steps", "values", "wall_times")
        )
        later_first = np.argsort(events, kind="stable")[::-1]  # because unique keeps the first
        steps, kept = np.unique(steps[later_first].astype(np.int64), return_index=True)
        latest = later_first[kept]
        return Series(steps, values[latest], wall_times[latest])

    def last(self, tag: str) -> tuple[int, float] | None:
        """Return step and value of the last point; None without one."""
        series = self.series(tag)
        return (int(series.steps[-1]), float(series.values[-1])) if len(series) else None

    def best(self, tag: str, mode: Literal["max", "min"]) -> tuple[int, float] | None:
        """Return step and value of the best point, the earliest of equal ones; None without one that is not NaN."""
        series = self.series(tag)
        known = ~np.isnan(series.values)
        if not known.any():
            return None
        values = series.values[known]
        index = int(values.argmax() if mode == "max" else values.argmin())
        return int(series.steps[known][index]), float(values[index])

    def _add(self, frames: Frames, wanted: frozenset[str] | None) -> None:
        blocks, others = read_blocks(frames, wanted)
        readable = self._add_one_by_one(frames, others, wanted)
        for block in blocks:
            self._add_block(block, readable)
        self._events += readable

    def _add_one_by_one(self, frames: Frames, numbers: list[int], wanted: frozenset[str] | None) -> int:
        """Read some events, up to one that is none; return how many events of the file may be read."""
        for number in numbers:
            try:
                event = event_pb2.Event.FromString(frames.data[frames.starts[number] : frames.ends[number]])
            except DecodeError:
                self.truncated = True
                return number
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    self._add_point(value.tag, value.simple_value, event, number, wanted)
                elif value.HasField("tensor"):
                    self._add_tensor(value, event, number, wanted)
        return len(frames.starts)

    def _add_block(self, block: ScalarBlock, readable: int) -> None:
        count = int(np.searchsorted(block.events, readable))
        events, steps, wall_times = block.events[:count], block.steps[:count], block.wall_times[:count]
        if count == 0:
            return
        rises = bool((np.diff(steps) > 0).all())
        for tag, values in zip(block.tags, block.values, strict=True):
            self._blocks[tag].append(_Column(self._events + events, steps, values[:count], wall_times, rises))

    def _add_point(self, tag: str, number: float, event: Any, place: int, wanted: frozenset[str] | None) -> None:
        if wanted is None or tag in wanted:
            self._points[tag].append((self._events + place, event.step, number, event.wall_time))

    def _add_tensor(self, value: Any, event: Any, place: int, wanted: frozenset[str] | None) -> None:
        tensor = value.tensor
        if tensor.dtype == types_pb2.DT_STRING:
            if value.metadata.plugin_data.plugin_name in ("text", ""):
                lines = [line.decode(errors="replace") for line in tensor.string_val]
                self._texts[value.tag.removesuffix(_TEXT_SUFFIX)][event.step] = "\n".join(lines)
            return
        number = _single_number(tensor)
        if number is not None:
            self._add_point(value.tag, number, event, place, wanted)


@dataclass(frozen=True)
class _Column:
    """Points of one tag; n of them."""

    events: NDArray[np.int64]  # [n], numbers of their events: later ones win
    steps: NDArray[np.int64]  # [n]
    values: NDArray[np.float64]  # [n]
    wall_times: NDArray[np.float64]  # [n]
    rises: bool  # each step is greater than the one before


def _as_columns(points: list[_Point]) -> list[_Column]:
    if not points:
        return []
    events, steps, values, wall_times = zip(*points, strict=True)
    return [_Column(np.array(events), np.array(steps), np.array(values), np.array(wall_times), rises=False)]


def _single_number(tensor: Any) -> float | None:
    """Return the number in a tensor of one element; None for what is no scalar, such as a histogram."""
    if tensor.dtype not in _SCALAR_TYPES or any(dimension.size != 1 for dimension in tensor.tensor_shape.dim):
        return None
    name, packed = _SCALAR_TYPES[tensor.dtype]
    numbers = np.frombuffer(tensor.tensor_content, packed) if tensor.tensor_content else getattr(tensor, name)
    return float(numbers[0]) if len(numbers) == 1 else None

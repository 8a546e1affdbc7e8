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
from maskrcnn_exp.record.frames import split_frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["History", "Series"]

_PATTERN: Final = "events.out.tfevents.*"
_TEXT_SUFFIX: Final = "/text_summary"  # torch's SummaryWriter adds it to every text tag
_SCALAR_TYPES: Final[dict[int, tuple[str, str]]] = {  # type -> repeated field, dtype of packed bytes
    types_pb2.DT_FLOAT: ("float_val", "<f4"),
    types_pb2.DT_DOUBLE: ("double_val", "<f8"),
    types_pb2.DT_INT32: ("int_val", "<i4"),
    types_pb2.DT_INT64: ("int64_val", "<i8"),
}

_Point = tuple[int, float, float]  # step, value, wall time


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
    _points: dict[str, list[_Point]] = field(default_factory=lambda: defaultdict(list), repr=False)
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
        files = sorted(run_folder.glob(_PATTERN), key=lambda path: path.name)
        if not files:
            problem = "no event file in this folder" if run_folder.is_dir() else "no such folder"
            raise DataError(f"{run_folder}: {problem}. Expected a run folder with {_PATTERN}.")
        history = cls(run_folder, tuple(files))
        wanted = None if tags is None else frozenset(tags)
        for path in files:
            frames = split_frames(path.read_bytes())
            history.truncated |= frames.damaged
            history._add(frames.payloads, wanted)
        return history

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags with at least one number, sorted."""
        return tuple(sorted(self._points))

    @property
    def texts(self) -> dict[str, dict[int, str]]:
        """Text by tag and step; the later of two texts at one step."""
        return {tag: dict(sorted(by_step.items())) for tag, by_step in self._texts.items()}

    def series(self, tag: str) -> Series:
        """Return the points of `tag`, the last written of several at one step.

        A tag without points gives an empty series: a young run has not been evaluated yet. `tags` tells them apart.
        """
        rows = np.array(self._points.get(tag, []), dtype=np.float64).reshape(-1, 3)
        steps = rows[::-1, 0].astype(np.int64)  # later points first, because unique keeps the first
        steps, kept = np.unique(steps, return_index=True)
        latest = rows[::-1][kept]
        return Series(steps, latest[:, 1], latest[:, 2])

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

    def _add(self, payloads: list[bytes], wanted: frozenset[str] | None) -> None:
        points = self._points
        for payload in payloads:
            try:
                event = event_pb2.Event.FromString(payload)
            except DecodeError:
                self.truncated = True
                return
            step, wall_time = event.step, event.wall_time
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    tag = value.tag
                    if wanted is None or tag in wanted:
                        points[tag].append((step, value.simple_value, wall_time))
                elif value.HasField("tensor"):
                    self._add_tensor(value, event, wanted)

    def _add_tensor(self, value: Any, event: Any, wanted: frozenset[str] | None) -> None:
        tensor = value.tensor
        if tensor.dtype == types_pb2.DT_STRING:
            if value.metadata.plugin_data.plugin_name in ("text", ""):
                lines = [line.decode(errors="replace") for line in tensor.string_val]
                self._texts[value.tag.removesuffix(_TEXT_SUFFIX)][event.step] = "\n".join(lines)
            return
        number = _single_number(tensor)
        if number is not None and (wanted is None or value.tag in wanted):
            self._points[value.tag].append((event.step, number, event.wall_time))


def _single_number(tensor: Any) -> float | None:
    """Return the number in a tensor of one element; None for what is no scalar, such as a histogram."""
    if tensor.dtype not in _SCALAR_TYPES or any(dimension.size != 1 for dimension in tensor.tensor_shape.dim):
        return None
    name, packed = _SCALAR_TYPES[tensor.dtype]
    numbers = np.frombuffer(tensor.tensor_content, packed) if tensor.tensor_content else getattr(tensor, name)
    return float(numbers[0]) if len(numbers) == 1 else None

"""Where the numbers stand in an event of nothing but scalars.

A training writes the same tags epoch after epoch: its events differ in time, step and values alone, which stand at the
same places. So one event is taken apart, and those after it are read all at once.

The wire format (protobuf.dev/programming-guides/encoding): each field is a key, number · 8 + kind, and its content;
kind 0 is a varint (7 bits a byte, low ones first, the top bit says that more follow), 1 is eight bytes, 2 is a length
and so many bytes, 5 is four bytes. In event.proto and summary.proto: Event.wall_time 1 (double), Event.step 2 (int64),
Event.summary 5, Summary.value 1, Value.tag 1 (string), Value.simple_value 2 (float).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

__all__ = ["ScalarLayout", "find_layout"]

_WALL_TIME, _STEP, _SUMMARY = 0x09, 0x10, 0x2A  # keys in an event
_VALUE: Final = 0x0A  # key in a summary
_TAG, _NUMBER = 0x0A, 0x15  # keys in a value
_CONTINUES: Final = 0x80  # the top bit of a varint's byte


@dataclass(frozen=True)
class ScalarLayout:
    """One layout of an event. Other events have it where they have its length and `matches` says so."""

    tags: tuple[str, ...]
    _fixed: Bytes  # [length], the bits that are the same in all events of this layout
    _mask: Bytes  # [length], which bits those are
    _wall_time: int | None  # where the eight bytes begin; None where the field is absent, which means 0
    _step: slice  # the varint's bytes; empty means 0
    _numbers: NDArray[np.int64]  # [tags], where four bytes begin

    def matches(self, events: Bytes) -> NDArray[np.bool_]:
        """Tell which of the events uint8 [n, length] have this layout: bool [n]."""
        same: NDArray[np.bool_] = ((events & self._mask) == self._fixed).all(axis=1)
        return same

    def wall_times(self, events: Bytes) -> NDArray[np.float64]:
        """Seconds since 1970, float64 [n], of events that match."""
        if self._wall_time is None:
            return np.zeros(len(events))
        return events[:, self._wall_time : self._wall_time + 8].copy().view("<f8").ravel()

    def steps(self, events: Bytes) -> NDArray[np.int64]:
        """int64 [n]"""
        groups = events[:, self._step].astype(np.uint64) & np.uint64(0x7F)  # [n, bytes]
        shifts = 7 * np.arange(groups.shape[1], dtype=np.uint64)
        steps: NDArray[np.uint64] = np.bitwise_or.reduce(groups << shifts, axis=1)
        return steps.view(np.int64)

    def values(self, events: Bytes, columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """The numbers of some tags: float32 [n, columns]."""
        places = (self._numbers[columns, None] + np.arange(4)).ravel()
        return np.take(events, places, axis=1).view("<f4")


def find_layout(event: bytes) -> ScalarLayout | None:
    """Take one event apart; None where there is anything in it but a time, a step and scalars."""
    try:
        return _Reader(event).layout()
    except (_OtherContent, IndexError, UnicodeDecodeError):
        return None


class _OtherContent(Exception):  # noqa: N818 - it says what the event is, nothing failed
    """The event holds something else than scalars."""


class _Reader:
    """A place in one event."""

    def __init__(self, event: bytes) -> None:
        self._event = event
        self._at = 0
        self._mask = np.full(len(event), 0xFF, dtype=np.uint8)
        self._tags: list[str] = []
        self._numbers: list[int] = []

    def layout(self) -> ScalarLayout:
        """Read the whole event. Raises _OtherContent, IndexError or UnicodeDecodeError where it is of another kind."""
        wall_time, step = None, slice(0, 0)  # the last of several counts, as in protobuf
        while self._at < len(self._event):
            key = self._byte()
            if key == _WALL_TIME:
                wall_time = self._skip(8)
            elif key == _STEP:
                step = self._step()
            elif key == _SUMMARY:
                self._summary(self._varint())
            else:
                raise _OtherContent
        fixed = np.frombuffer(self._event, dtype=np.uint8) & self._mask
        return ScalarLayout(
            tuple(self._tags), fixed, self._mask, wall_time, step, np.array(self._numbers, dtype=np.int64)
        )

    def _summary(self, size: int) -> None:
        end = self._end(size)
        while self._at < end:
            if self._byte() != _VALUE:
                raise _OtherContent
            self._value(self._end(self._varint()))
        if self._at != end:
            raise _OtherContent

    def _value(self, end: int) -> None:
        if self._byte() != _TAG:
            raise _OtherContent
        size = self._varint()
        tag = self._event[self._at : self._end(size)].decode()
        self._at += size
        if self._byte() != _NUMBER:
            raise _OtherContent
        self._tags.append(tag)
        self._numbers.append(self._skip(4))
        if self._at != end:
            raise _OtherContent

    def _step(self) -> slice:
        begin = self._at
        self._varint()
        self._mask[begin : self._at] = _CONTINUES
        return slice(begin, self._at)

    def _skip(self, size: int) -> int:
        """Pass bytes that differ from event to event; return where they begin."""
        begin, self._at = self._at, self._end(size)
        self._mask[begin : self._at] = 0
        return begin

    def _end(self, size: int) -> int:
        end = self._at + size
        if end > len(self._event):
            raise _OtherContent
        return end

    def _varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & _CONTINUES:
                break
        if shift > 70:
            raise _OtherContent
        return value

    def _byte(self) -> int:
        self._at += 1
        return self._event[self._at - 1]

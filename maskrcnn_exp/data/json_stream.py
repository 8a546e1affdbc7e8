"""Walk through a large JSON file without ever holding all of it.

COCO's own training file is 450 MB; parsed whole it takes three gigabytes of small Python objects.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

__all__ = ["JsonStream", "opened_json"]

_PIECE: Final = 1 << 18  # characters read at once
_SPACE: Final = " \t\n\r"
_NESTED: Final = 8  # objects inside the last one, looked through for its beginning
_WIDEST_GAP: Final = 200  # characters of white space between two objects, in files written for the eye


@contextmanager
def opened_json(path: Path) -> Iterator[TextIO]:
    """Open a JSON file as text; inside, Python collects no garbage.

    Millions of objects are made and none is garbage: the collector would only walk them again and again.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with path.open(encoding="utf-8-sig") as text:
            yield text
    finally:
        if collecting:
            gc.enable()


class JsonStream:
    """A place in a JSON text; every method moves it forward. ValueError says where the text is not JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""  # what was read and is not behind the place, and a part of what is
        self._at = 0  # the place in `_text`
        self._behind = 0  # characters of the file before `_text`
        self._one_by_one_until = 0  # characters of the file where many elements at once did not parse
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """Return the next character that is not white space; "" at the end of the file."""
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in _SPACE:
                at += 1
            self._at = at
            if at < len(text):
                return text[at]
            if not self._read_on():
                return ""

    def object_keys(self) -> Iterator[str]:
        """Yield the keys of an object; take the value of each (`value` or `elements`) before the next."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise self._error("a key that is a string")
            self._take(":")
            yield key
            if self._take(",}") == "}":
                return

    def elements(self) -> Iterator[Any]:
        """Yield the elements of a list, one after the other."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Any]]:
        """Yield the elements of a list, those that were read together at once: half the time for small objects."""
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            yield self._many() or [self.value()]
            if self._take(",]") == "]":
                return

    def value(self) -> Any:
        """Return the next value, parsed whole."""
        if not self.peek():
            raise self._error("a value")
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._read_on():
                    continue
                self._at = error.pos
                raise self._error(error.msg) from error
            # A number may go on behind what was read, as the 1 in "1" + "5", "1." + "5" and "1e+" + "5" does.
            if len(self._text) - end > 2 or not self._read_on():
                self._at = end
                return value

    def _many(self) -> list[Any]:
        """The next elements of a list, as many as lie whole in what was read; none where that is not easily seen."""
        if self._behind + self._at < self._one_by_one_until:
            return []
        if len(self._text) - self._at < _PIECE // 8:  # parsing half an object is lost time
            self._read_on()
        end = self._last_gap()
        if not end:
            return []
        # A list that parses holds whole elements, or its brackets would not meet. It may end before `end`.
        try:
            elements, stop = self._decode(f"[{self._text[self._at : end]}]", 0)
        except json.JSONDecodeError:
            self._one_by_one_until = self._behind + len(self._text)
            return []
        self._at += stop - 2  # what was put around does not count
        return list(elements)

    def _last_gap(self) -> int:
        """The end of the last object in the text that another one follows after a comma; 0 for none."""
        begin = len(self._text)
        for _ in range(_NESTED):
            begin = self._text.rfind("{", self._at, begin)
            if begin <= self._at:
                return 0
            first = max(self._at, begin - _WIDEST_GAP)
            before = self._text[first:begin].rstrip(_SPACE).removesuffix(",").rstrip(_SPACE)
            if before.endswith("}"):
                return first + len(before)
        return 0

    def _take(self, expected: str) -> str:
        found = self.peek()
        if not found or found not in expected:
            raise self._error(" or ".join(expected))
        self._at += 1
        return found

    def _read_on(self) -> bool:
        # Twice as much each time, or one huge value would be parsed from its start once per piece.
        piece = self._file.read(max(_PIECE, len(self._text) - self._at))
        if not piece:
            return False
        self._behind += self._at
        self._text = self._text[self._at :] + piece
        self._at = 0
        return True

    def _error(self, expected: str) -> ValueError:
        place = self._behind + self._at + 1
        if self._at >= len(self._text):
            return ValueError(f"it ends after {place - 1} characters, expected: {expected}")
        return ValueError(f"at character {place}, {self._text[self._at : self._at + 20]!r}, expected: {expected}")

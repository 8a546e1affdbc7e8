"""Walk through a large JSON file without ever holding all of it.

COCO's own training file is 450 MB; parsed whole it takes three gigabytes of small Python objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, TextIO

__all__ = ["JsonStream"]

_PIECE: Final = 1 << 22  # characters read at once
_SPACE: Final = " \t\n\r"


class JsonStream:
    """A place in a JSON text; every method moves it forward. ValueError says where the text is not JSON."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""  # what was read and is not behind the place, and a part of what is
        self._at = 0  # the place in `_text`
        self._behind = 0  # characters of the file before `_text`
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
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            yield self.value()
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

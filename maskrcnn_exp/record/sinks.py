"""Places beside the record that hear what is recorded: a CSV file, Weights & Biases, MLflow.

The record is the truth, a sink a copy of it. A sink that fails, such as an unreachable server, is left out from then on
with one warning; no sink ends or changes a training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from maskrcnn_exp.record.secrets import mask_urls

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GuardedSink", "Sink"]


class Sink(Protocol):
    """What a copy of the record is written through. Every call may fail."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Take numbers by tag; `step` counts optimiser steps for tags under step/, epochs for the others."""

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Take a text."""

    def image(self, tag: str, picture: bytes | NDArray[np.uint8], step: int) -> None:
        """Take a picture, PNG bytes or uint8 [h, w, 3] RGB."""

    def rewind(self) -> None:
        """Hear that the record was cut back to an earlier moment, which it now ends with."""

    def close(self, *, failed: bool) -> None:
        """End the copy; `failed` where an error or a signal ends the run. Nothing follows."""


class GuardedSink:
    """A sink that cannot fail: its first error is told, and nothing reaches it afterwards."""

    def __init__(self, name: str, open_sink: Callable[[], Sink], warn: Callable[[str], None]) -> None:
        """Open the sink `name`; where that fails, warn and stay silent."""
        self._name, self._warn = name, warn
        self._sink: Sink | None = None
        self._try(lambda: setattr(self, "_sink", open_sink()))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._pass_on(lambda sink: sink.scalars(values, step))

    def text(self, tag: str, markdown: str, step: int) -> None:
        self._pass_on(lambda sink: sink.text(tag, markdown, step))

    def image(self, tag: str, picture: bytes | NDArray[np.uint8], step: int) -> None:
        self._pass_on(lambda sink: sink.image(tag, picture, step))

    def rewind(self) -> None:
        self._pass_on(lambda sink: sink.rewind())

    def close(self, *, failed: bool) -> None:
        self._pass_on(lambda sink: sink.close(failed=failed))
        self._sink = None

    def _pass_on(self, call: Callable[[Sink], None]) -> None:
        sink = self._sink
        if sink is not None:
            self._try(lambda: call(sink))

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # clients of servers raise what they like
            self._sink = None
            said = mask_urls(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}")
            self._warn(
                f"logger={self._name}: {said}. The training goes on without it; TensorBoard's record has it all."
            )

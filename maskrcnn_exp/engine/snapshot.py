"""A copy of one moment of a training, for a thread to write while the training goes on."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor

__all__ = ["SnapshotMemory"]


class SnapshotMemory:
    """The CPU memory of the copy; taken at the first and used again by the next, which so must wait for its reader."""

    def __init__(self) -> None:
        self._tensors: dict[tuple[object, ...], Tensor] = {}

    def copy(self, content: Any) -> Any:
        """Return `content` with all tensors in dicts, lists and tuples copied to the CPU, their strides kept.

        The tensors of the copy before this one are overwritten.
        """
        kept, self._tensors = self._tensors, {}
        return self._copied(content, (), kept)

    def _copied(self, value: Any, where: tuple[object, ...], kept: dict[tuple[object, ...], Tensor]) -> Any:
        if isinstance(value, Tensor):
            tensor = kept.get(where)
            if tensor is None or not _fits(tensor, value):
                tensor = torch.empty_like(value, device="cpu", requires_grad=False)
            self._tensors[where] = tensor
            return tensor.copy_(value.detach())
        if isinstance(value, dict):
            copied = copy(value)  # a state_dict carries its modules' format versions as an attribute
            copied.update((key, self._copied(item, (*where, key), kept)) for key, item in value.items())
            return copied
        if isinstance(value, list | tuple):
            return type(value)(self._copied(item, (*where, place), kept) for place, item in enumerate(value))
        return value


def _fits(memory: Tensor, tensor: Tensor) -> bool:
    same_values = memory.shape == tensor.shape and memory.dtype == tensor.dtype
    return same_values and memory.stride() == tensor.stride()

"""The copy of a moment: complete, apart from what goes on, in the same memory each time."""

from __future__ import annotations

import torch
from torch import nn

from maskrcnn_exp.engine.snapshot import SnapshotMemory


def test_a_copy_is_equal_and_does_not_follow() -> None:
    image = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    content = {"weights": {"w": image}, 3: [torch.tensor(5), ("lr", 0.1, torch.ones(2))], "none": None}
    copied = SnapshotMemory().copy(content)
    image += 1
    content[3][1][2].zero_()  # type: ignore[index]
    assert torch.equal(copied["weights"]["w"], image - 1)
    assert copied["weights"]["w"].is_contiguous(memory_format=torch.channels_last)
    assert copied[3][0].dtype == torch.int64
    assert copied[3][1][:2] == ("lr", 0.1)
    assert copied[3][1][2].tolist() == [1.0, 1.0]
    assert copied["none"] is None


def test_the_next_copy_takes_the_same_memory() -> None:
    memory, weight = SnapshotMemory(), torch.ones(3)
    first = memory.copy({"w": weight})["w"]
    second = memory.copy({"w": weight * 2})["w"]
    assert second.data_ptr() == first.data_ptr()
    assert second.tolist() == [2.0, 2.0, 2.0]


def test_what_changed_its_kind_gets_memory_of_its_own() -> None:
    memory = SnapshotMemory()
    tensors = [torch.ones(6), torch.ones(2, 3), torch.ones(3, 2).t(), torch.ones(2, 3).int()]
    for tensor in tensors:
        copied = memory.copy([tensor])[0]
        assert torch.equal(copied, tensor)
        assert (copied.dtype, copied.stride()) == (tensor.dtype, tensor.stride())


def test_memory_of_what_is_gone_is_given_back() -> None:
    memory = SnapshotMemory()
    memory.copy({"a": torch.ones(3), "b": torch.ones(3)})
    memory.copy({"a": torch.ones(3)})
    assert list(memory._tensors) == [("a",)]


def test_a_state_dict_keeps_its_format_versions() -> None:
    """Modules of torchvision rename the keys of old versions when they load."""
    state = nn.BatchNorm2d(2).state_dict()
    copied = SnapshotMemory().copy(state)
    assert copied._metadata == state._metadata
    assert copied._metadata[""]["version"] == 2


def test_a_parameter_is_copied_without_its_graph() -> None:
    copied = SnapshotMemory().copy([nn.Parameter(torch.ones(2)) * 2])[0]
    assert not copied.requires_grad

"""The peak of memory is in GiB."""

from __future__ import annotations

import torch

from maskrcnn_exp.engine.memory import peak_gib


def test_peak_of_a_cpu_is_the_resident_memory_in_gib() -> None:
    before = peak_gib(torch.device("cpu"))
    held = torch.ones(2**26)  # a quarter of a GiB
    after = peak_gib(torch.device("cpu"))
    assert held[-1] == 1
    assert 0.05 < before <= after < before + 1

"""torchvision's own network with our weights: its code alone, and the same detections."""

from __future__ import annotations

import torch

from maskrcnn_exp.model.plain import plain_maskrcnn
from tests.model.tiny import CLASSES, tiny_config, tiny_network


def test_the_plain_network_is_torchvisions_code_and_finds_the_same() -> None:
    ours = tiny_network().eval()
    plain = plain_maskrcnn(tiny_config(), CLASSES, 20, ours.state_dict())
    foreign = {type(module).__module__ for module in plain.modules()}
    assert {name for name in foreign if name.startswith("maskrcnn_exp")} <= {"maskrcnn_exp.model.build"}
    picture = torch.rand(3, 70, 90, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (mine,), (theirs,) = ours([picture]), plain([picture])
    assert len(mine["boxes"]) > 0
    for name, value in mine.items():
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=1e-3)

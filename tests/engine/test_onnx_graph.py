"""Resizing in the graph: the sizes that eager mode gives, row for row."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from maskrcnn_exp.engine.onnx_graph import _GraphTransform

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SHORTEST, LONGEST = 160, 256


class Resize(nn.Module):
    def __init__(self, transform: GeneralizedRCNNTransform) -> None:
        super().__init__()
        self.transform = transform.eval()

    def forward(self, image: Tensor) -> Any:
        return self.transform.resize(image, None)[0]


def test_every_picture_gets_the_size_that_eager_mode_gives_it() -> None:
    eager = Resize(GeneralizedRCNNTransform([SHORTEST], LONGEST, [0.0] * 3, [1.0] * 3))
    session = traced(Resize(_GraphTransform.like(eager.transform, paste_masks=True)))
    sizes = [(200, 202), (301, 400), (223, 443), (90, 202), (400, 300), (7, 500), (160, 161)]
    sizes += [(int(h), int(w)) for h, w in np.random.default_rng(0).integers(5, 700, (40, 2))]
    for height, width in sizes:
        image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(height))
        (found,) = session.run(None, {"image": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), eager(image), rtol=0, atol=1e-3)


def traced(module: nn.Module) -> Any:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.rand(3, 97, 131),),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            dynamic_axes={"image": {1: "height", 2: "width"}},
        )
    return onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])

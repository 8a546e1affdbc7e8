"""The whole network as one ONNX graph: a picture of any size in, detections out.

    image    float32 [3, height, width], RGB, 0..1; resizing and normalising are in the graph
    boxes    float32 [detections, 4], x1 y1 x2 y2 in the picture's pixels
    labels   int64 [detections], from 1
    scores   float32 [detections], falling
    masks    float32 [detections, 1, height, width], probabilities in the picture's pixels; above 0.5 is the object

These are torchvision's own names and units, so that what follows the network need not change. With small masks, `masks`
is what the mask head gives, [detections, 1, r, r], to be stretched over the box: a hundred pasted masks of a large
picture are some hundred megabytes.

torch's exporter that traces is used: the one built on torch.export is not, see
https://github.com/pytorch/vision/issues/9462. What Python decides is decided for the traced picture: torchvision's Swin
shifts its windows only where a map is larger than one.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.onnx.operators import shape_as_tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from maskrcnn_exp.engine.export_check import Found
from maskrcnn_exp.errors import CheckpointError, ConfigError

__all__ = ["found_by_onnx", "needs_onnx", "to_onnx"]

_OPSET = 17
_TRACED_SIZE: Final = (97, 131)  # an unlikely size: where it stayed in the graph, the comparison shows it
_OUTPUTS: Final = ("boxes", "labels", "scores", "masks")


def needs_onnx() -> None:
    """Raise ConfigError where the optional packages are missing."""
    for name in ("onnx", "onnxruntime"):
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            raise ConfigError(f"format=onnx needs {name}: pip install 'maskrcnn-exp[export]'") from error


def to_onnx(network: MaskRCNN, metadata: Mapping[str, str], *, paste_masks: bool) -> bytes:
    """Return the graph as the content of a .onnx file.

    Args:
        network: torchvision's own, in eval mode, on the CPU; its transform is exchanged.
        metadata: Goes into the file; onnxruntime gives it back as `custom_metadata_map`.
        paste_masks: Masks in the picture's pixels; else as the mask head gives them.

    Raises:
        CheckpointError: torch cannot export this network.
    """
    import onnx

    network.transform = _GraphTransform.like(network.transform, paste_masks=paste_masks)
    model = onnx.load_from_string(_traced(_Tuple(network).eval()))
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def found_by_onnx(content: bytes) -> Callable[[Tensor], Found]:
    """Return a function from a picture, uint8 [3, h, w] RGB, to what onnxruntime finds on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: that some initialisers are unused is no news to a user
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def find(picture: Tensor) -> Found:
        try:
            return Found.of(*session.run(_OUTPUTS, {"image": picture.float().div(255).numpy()}))
        except Exception as error:  # onnxruntime's errors share no base of their own
            size = f"{picture.shape[2]} × {picture.shape[1]}"
            raise CheckpointError(
                f"onnxruntime cannot run the graph on a picture of {size}: {_first(error)}"
            ) from error

    return find


def _traced(module: nn.Module) -> bytes:
    axes: dict[str, dict[int, str]] = {name: {0: "detections"} for name in _OUTPUTS}
    axes["image"] = {1: "height", 2: "width"}
    picture = torch.rand(3, *_TRACED_SIZE, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing; whether it went wrong is what the comparison finds out
        path = Path(folder) / "traced.onnx"
        try:
            torch.onnx.export(
                module,
                (picture,),
                path,
                dynamo=False,
                opset_version=_OPSET,
                input_names=["image"],
                output_names=list(_OUTPUTS),
                dynamic_axes=axes,
            )
        except Exception as error:  # whatever torch meets in a network that cannot be traced
            raise CheckpointError(
                f"torch cannot write this network as ONNX: {_first(error)}. format=torchvision exports its weights."
            ) from error
        return path.read_bytes()


def _first(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"


class _Tuple(nn.Module):
    """One picture in, four tensors out."""

    def __init__(self, network: MaskRCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        (found,) = self.network([image])
        return tuple(found[name] for name in _OUTPUTS)


class _GraphTransform(GeneralizedRCNNTransform):  # type: ignore[misc]
    """torchvision's resizing with sizes that come out as in eager mode; masks in the picture's pixels or small.

    Traced, torchvision takes 1 / 200 · 160 · 200 in float32 and rounds down to 159: one row less, and every map is
    another one. Eager takes 160 / 200 · 200 in float64. The exporter makes float32 of float64 scalars and of a number
    over a tensor a reciprocal, so everything here is a tensor with one axis.
    """

    @classmethod
    def like(cls, other: GeneralizedRCNNTransform, *, paste_masks: bool) -> _GraphTransform:
        transform = cls(other.min_size, other.max_size, other.image_mean, other.image_std)
        transform.paste_masks = paste_masks
        return transform

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        sides = shape_as_tensor(image)[-2:].double()
        limits = torch.tensor([self.min_size[-1], self.max_size], dtype=torch.float64)
        shorter_longer = torch.cat([sides.amin(0, keepdim=True), sides.amax(0, keepdim=True)])
        scale = (limits / shorter_longer).amin(0, keepdim=True)
        height, width = (sides * scale).floor().long()
        resized = interpolate(image[None], size=(height, width), mode="bilinear", align_corners=False)
        return resized[0], target

    def postprocess(self, result: list[dict[str, Tensor]], image_shapes: Any, original_image_sizes: Any) -> Any:
        if self.paste_masks:
            return super().postprocess(result, image_shapes, original_image_sizes)
        small = [found.pop("masks") for found in result]
        result = super().postprocess(result, image_shapes, original_image_sizes)
        return [{**found, "masks": masks} for found, masks in zip(result, small, strict=True)]

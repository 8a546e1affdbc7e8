"""torchvision's reference evaluation: full-size float masks, encoded one by one, matched by pycocotools.

Source: torchvision `references/detection/coco_eval.py`, `engine.py: evaluate`.
"""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as mask_util
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from maskrcnn_exp.data.target import GroundTruth

__all__ = ["CocoEvaluator"]

_KINDS: Final = ("bbox", "segm")


class CocoEvaluator:
    """Takes predictions picture by picture, matches each at once, and gives COCO's numbers at the end."""

    def __init__(self, ground_truth: GroundTruth, max_dets: int = 100) -> None:
        coco = COCO()
        coco.dataset = copy.deepcopy(ground_truth)
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
            self._evaluators = {kind: COCOeval(coco, iouType=kind) for kind in _KINDS}
        self._coco = coco
        for evaluator in self._evaluators.values():
            evaluator.params.maxDets = sorted({1, 10, 100, max_dets})
        self._picture_ids: list[int] = []
        self._matches: dict[str, list[NDArray[Any]]] = {kind: [] for kind in _KINDS}

    def update(self, predictions: dict[int, dict[str, Tensor]]) -> None:
        """Encode and match the predictions of some pictures, by image id, as torchvision's MaskRCNN returns them."""
        picture_ids = sorted(predictions)
        self._picture_ids += picture_ids
        for kind, evaluator in self._evaluators.items():
            results = _boxes(predictions) if kind == "bbox" else _masks(predictions)
            with contextlib.redirect_stdout(io.StringIO()):
                evaluator.cocoDt = self._coco.loadRes(results) if results else COCO()
                evaluator.params.imgIds = picture_ids
                evaluator.evaluate()
            matches = np.asarray(evaluator.evalImgs, dtype=object)
            self._matches[kind].append(matches.reshape(-1, len(evaluator.params.areaRng), len(picture_ids)))

    def accumulate(self) -> dict[str, list[float]]:
        """Return the twelve numbers at COCO's own 100 detections for boxes and for masks."""
        for kind, evaluator in self._evaluators.items():
            picture_ids, first = np.unique(np.array(self._picture_ids), return_index=True)
            merged = np.concatenate(self._matches[kind], axis=2)[..., first]
            evaluator.evalImgs = list(merged.flatten())
            evaluator.params.imgIds = list(picture_ids)
            evaluator._paramsEval = copy.deepcopy(evaluator.params)
            with contextlib.redirect_stdout(io.StringIO()):
                evaluator.accumulate()
                evaluator.summarize()
        return {kind: np.asarray(evaluator.stats).tolist() for kind, evaluator in self._evaluators.items()}

    def average_precision(self, kind: str) -> tuple[float, float]:
        """Return AP and AP50 at `max_dets` detections per picture; call `accumulate` first."""
        precision = self._evaluators[kind].eval["precision"][:, :, :, 0, -1]  # [iou, recall, category]
        return _mean(precision), _mean(precision[0])


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _boxes(predictions: dict[int, dict[str, Tensor]]) -> list[dict[str, Any]]:
    results = []
    for picture_id, prediction in predictions.items():
        left, top, right, bottom = prediction["boxes"].unbind(1)
        boxes_xywh = torch.stack((left, top, right - left, bottom - top), dim=1).tolist()
        for box, label, score in zip(boxes_xywh, *_labels_and_scores(prediction), strict=True):
            results.append({"image_id": picture_id, "category_id": label, "bbox": box, "score": score})
    return results


def _masks(predictions: dict[int, dict[str, Tensor]]) -> list[dict[str, Any]]:
    results = []
    for picture_id, prediction in predictions.items():
        masks = prediction["masks"] > 0.5  # [k, 1, h, w]
        rles = [
            mask_util.encode(np.array(mask[0, :, :, np.newaxis].numpy(), dtype=np.uint8, order="F"))[0]
            for mask in masks
        ]
        for rle, label, score in zip(rles, *_labels_and_scores(prediction), strict=True):
            rle["counts"] = rle["counts"].decode("utf-8")
            results.append({"image_id": picture_id, "category_id": label, "segmentation": rle, "score": score})
    return results


def _labels_and_scores(prediction: dict[str, Tensor]) -> tuple[list[int], list[float]]:
    return prediction["labels"].tolist(), prediction["scores"].tolist()

"""From detections to COCO's 24 numbers: ours against torchvision's reference evaluator.

    python -m benchmarks.bench.evaluation ours 500     one side alone, as JSON: numbers, seconds, memory

Both take boxes, labels, scores and 28 × 28 masks picture by picture, as they come out of a network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from torchvision.models.detection.roi_heads import paste_masks_in_image

from benchmarks.bench.found import SIDE, Found, detections, ground_truth
from benchmarks.bench.pairs import interleave
from benchmarks.bench.row import Row
from benchmarks.reference_coco import CocoEvaluator
from maskrcnn_exp.data.target import GroundTruth
from maskrcnn_exp.engine.coco_ap import Detections, encode_detections, evaluate_coco
from maskrcnn_exp.record.tags import COCO_METRICS

__all__ = ["evaluate_ours", "evaluate_reference", "rows"]

_PICTURES: Final = 500
_SOME: Final = 40  # pictures of one timed pair
_PAIRS: Final = 5
_TARGET: Final = "≥ 4, identical numbers"


class _Side(Protocol):
    def add(self, picture: int, found: Found) -> None: ...

    def numbers(self) -> list[float]:
        """The twelve of the boxes, then the twelve of the masks, in pycocotools' order."""


class _Ours:
    def __init__(self, truth: GroundTruth) -> None:
        self._truth = truth
        self._detections: list[Detections] = []

    def add(self, picture: int, found: Found) -> None:
        self._detections.append(
            encode_detections(picture, found.boxes, found.labels, found.scores, found.masks, height=SIDE, width=SIDE)
        )

    def numbers(self) -> list[float]:
        result = evaluate_coco(self._truth, self._detections)
        return [numbers[metric] for numbers in (result.bbox, result.segm) for metric in COCO_METRICS]


class _Reference:
    def __init__(self, truth: GroundTruth) -> None:
        self._evaluator = CocoEvaluator(truth)

    def add(self, picture: int, found: Found) -> None:
        """Do what torchvision's MaskRCNN does at its end, full-size float masks, and hand the result on."""
        masks = paste_masks_in_image(found.masks, found.boxes, (SIDE, SIDE))
        predictions = {"boxes": found.boxes, "labels": found.labels, "scores": found.scores, "masks": masks}
        self._evaluator.update({picture: predictions})

    def numbers(self) -> list[float]:
        numbers = self._evaluator.accumulate()
        return [*numbers["bbox"], *numbers["segm"]]


def evaluate_ours(truth: GroundTruth, found: Sequence[tuple[int, Found]]) -> list[float]:
    return _evaluate(_Ours(truth), found)


def evaluate_reference(truth: GroundTruth, found: Sequence[tuple[int, Found]]) -> list[float]:
    return _evaluate(_Reference(truth), found)


def _evaluate(side: _Side, found: Sequence[tuple[int, Found]]) -> list[float]:
    for picture, each in found:
        side.add(picture, each)
    return side.numbers()


_SIDES: Final[dict[str, Callable[[GroundTruth], _Side]]] = {"ours": _Ours, "reference": _Reference}


def rows() -> list[Row]:
    """Time pairs of small sets; then each side alone on the whole set, for its numbers and its memory."""
    truth, found = ground_truth(_SOME), list(detections(range(_SOME)))
    paired = interleave(
        lambda _: evaluate_ours(truth, found),
        lambda _: evaluate_reference(truth, found),
        pairs=_PAIRS,
        warmup=1,
    )
    mine, theirs = (_in_own_process(side, _PICTURES) for side in ("ours", "reference"))
    apart = max(abs(a - b) for a, b in zip(mine.numbers, theirs.numbers, strict=True))
    if not apart <= 1e-12:
        raise SystemExit(f"the two evaluations differ by {apart:g}: {mine.numbers} and {theirs.numbers}")
    whole = f"{mine.seconds:.1f} s against {theirs.seconds:.1f} s"
    note = f"{mine.detections} detections, 80 classes; the 24 numbers differ by at most {apart:.1e}"
    what = f"evaluation: {_PICTURES} pictures of {SIDE} px"
    memory = f"{mine.grown_mib:.0f} MiB against {theirs.grown_mib:.0f} MiB"
    return [
        Row(what, whole, _TARGET, theirs.seconds / mine.seconds, "one run of each in its own process", note),
        Row(f"evaluation: {_SOME} of them, in turns", f"{paired.medians[0]:.2f} s", "≥ 4", paired.ratio, paired.spread),
        Row("evaluation: memory above the start", memory, "flat", theirs.grown_mib / mine.grown_mib),
    ]


@dataclass(frozen=True)
class _Alone:
    """One side's evaluation of a whole set in a process of its own."""

    numbers: list[float]
    detections: int
    seconds: float  # encoding, matching, summing up; making the detections does not count
    grown_mib: float  # peak of the resident memory above that before the first picture


def _in_own_process(name: str, pictures: int) -> _Alone:
    command = [sys.executable, "-m", "benchmarks.bench.evaluation", name, str(pictures)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return _Alone(**json.loads(done.stdout.splitlines()[-1]))


def _measure_alone(name: str, pictures: int) -> _Alone:
    truth = ground_truth(pictures)
    before = _memory_from_here()
    side, count, seconds = _SIDES[name](truth), 0, 0.0
    for picture, found in detections(range(pictures)):
        started = time.perf_counter()
        side.add(picture, found)
        seconds += time.perf_counter() - started
        count += len(found.labels)
    started = time.perf_counter()
    numbers = side.numbers()
    seconds += time.perf_counter() - started
    return _Alone(numbers, count, seconds, _status_mib("VmHWM") - before)


def _memory_from_here() -> float:
    """Forget the process's peak so far, and return what is resident now, MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status_mib("VmRSS")


def _status_mib(key: str) -> float:
    """Read a line of Linux's account of this process. `ru_maxrss` would count what the parent had at the fork."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


if __name__ == "__main__":
    print(json.dumps(asdict(_measure_alone(sys.argv[1], int(sys.argv[2])))))

"""The training step against the reference's: same weights, same batches, in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from benchmarks.bench.pairs import Paired, interleave
from benchmarks.bench.row import Row, not_measured
from benchmarks.bench.scenes import draw_batches
from benchmarks.bench.trainings import in_turns
from maskrcnn_exp.data.target import Sample

__all__ = ["NUCLEI", "rows"]

NUCLEI: Final = Path(__file__).parents[2].parent / "shared" / "data" / "nuclei"


@dataclass(frozen=True)
class _Case:
    what: str
    words: tuple[str, ...]
    target: str
    pairs: int
    warmup: int = 3


_NUCLEI_WORDS: Final = ("experiment=nuclei", f"dataset.root={NUCLEI}")
_CASES: Final = (
    _Case("step: the default, 160 px, batch 8", (), "≥ 3.0, aim 3.5", pairs=24),
    _Case("step: the default at 128 px, batch 8", ("model.min_size=[128]",), "≥ 3.0, aim 3.5", pairs=24),
    _Case("step: `experiment=nuclei`, 256 px, batch 4", _NUCLEI_WORDS, "", pairs=16),
    _Case(
        "step: `mobilenet_v2_fpn` on nuclei, 256 px, batch 4",
        (*_NUCLEI_WORDS, "model=mobilenet_v2_fpn"),
        "≥ 2.0",
        pairs=16,
    ),
)
_RESNET50: Final = _Case(
    "step: `resnet50_fpn`, 512 px, batch 2",
    ("model=resnet50_fpn", "model.backbone_weights=none", "model.min_size=[512]", "model.max_size=512"),
    "≥ 2.0",
    pairs=8,
    warmup=2,
)
_RESNET50_OBJECTS: Final = 7  # per picture, as in COCO


def rows() -> list[Row]:
    """Measure each case on this CPU."""
    found = []
    for case in _CASES:
        if str(NUCLEI) in " ".join(case.words) and not NUCLEI.is_dir():
            found.append(not_measured(case.what, case.target, "the nuclei are not here"))
            continue
        found.append(_measure(case))
    batches = draw_batches(4, 2, [(512, 512)], _RESNET50_OBJECTS)
    return [*found, _measure(_RESNET50, ("trainer.batch_size=2",), batches)]


def _measure(case: _Case, more: tuple[str, ...] = (), batches: Sequence[list[Sample]] | None = None) -> Row:
    words = (*case.words, *more, "trainer=cpu")
    with in_turns(words, batches) as both:
        paired = interleave(both.step_ours, both.step_reference, pairs=case.pairs, warmup=case.warmup)
        return _row(case, paired, len(both.batches[0]))


def _row(case: _Case, paired: Paired, pictures: int) -> Row:
    ours, theirs = (pictures / seconds for seconds in paired.medians)
    note = f"{ours:.1f} and {theirs:.1f} pictures/s, {torch.get_num_threads()} threads"
    return Row(case.what, f"{paired.medians[0]:.3f} s", case.target, paired.ratio, paired.spread, note)

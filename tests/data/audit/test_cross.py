"""One file divided as training divides it."""

from __future__ import annotations

from pathlib import Path

from maskrcnn_exp.data.audit.cross import hold_out
from maskrcnn_exp.data.coco import CocoDataset
from tests.data.audit.audits import audit
from tests.data.coco_files import annotation, image, write_coco


def test_the_parts_are_those_of_training_and_have_their_own_objects(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(value) for value in range(1, 11)], [annotation(n, n) for n in range(1, 11)])
    train, val = hold_out(audit(path).splits[0], val_fraction=0.3)
    assert val is not None
    for part, expected in zip((train, val), CocoDataset.open(path, tmp_path).split(0.3), strict=True):
        ids = {expected.image_id(position) for position in range(len(expected))}
        assert {part.picture_ids[number] for number in part.usable.nonzero()[0]} == ids
        assert set(part.objects.ids.tolist()) == ids  # annotation n is of picture n


def test_one_picture_is_not_divided(tmp_path: Path) -> None:
    split = audit(write_coco(tmp_path, [image(1)], [annotation(1, 1)])).splits[0]
    assert hold_out(split, val_fraction=0.3) == (split, None)

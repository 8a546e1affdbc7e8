"""Which pictures stand out, by numbers worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskrcnn_exp.engine.suspects import LEAST_PICTURES, find_suspect_objects, find_suspects
from maskrcnn_exp.engine.validation import PictureMasks


def picture(index: int, loss: float, iou: float) -> PictureMasks:
    return PictureMasks(index, regions=4, loss_mask=loss, mask_iou=iou)


def healthy(count: int, spread: float = 0.2) -> list[PictureMasks]:
    """Losses and misses around 0.2 and 0.1, log-normal."""
    rng = np.random.default_rng(0)
    factors = np.exp(spread * rng.standard_normal((count, 2)))
    return [picture(place, 0.2 * a, 1 - 0.1 * b) for place, (a, b) in enumerate(factors)]


def test_the_score_is_that_of_the_source() -> None:
    """Losses e^-1, 1, e (ten each) and e^4: median 1, MAD of the logs 1, so that z = 0.6745 · 4 = 2.7 is none, 6 is."""
    losses = [math.exp(power) for power in (-1, 0, 1) for _ in range(10)]
    pictures = [picture(place, loss, 0.9) for place, loss in enumerate(losses)]
    assert find_suspects([*pictures, picture(30, math.exp(4), 0.9)]).found == ()
    (found,) = find_suspects([*pictures, picture(30, math.exp(6), 0.9)]).found
    assert found.picture.index == 30
    assert found.score == pytest.approx(0.6745 * 6)
    assert found.because == ("loss_mask",)


def test_a_bad_loss_and_a_bad_iou_are_each_reason_enough_and_the_worst_is_first() -> None:
    pictures = healthy(40)
    pictures[7] = picture(7, 1.5, pictures[7].mask_iou)
    pictures[3] = picture(3, pictures[3].loss_mask, 0.4)
    pictures[9] = picture(9, 4.0, 0.01)
    found = find_suspects(pictures).found
    assert found[0].picture.index == 9
    assert {suspect.picture.index: suspect.because for suspect in found} == {
        9: ("loss_mask", "mask_iou"),
        7: ("loss_mask",),
        3: ("mask_iou",),
    }


def test_good_pictures_are_no_suspects_however_far_out() -> None:
    assert find_suspects([*healthy(40), picture(40, 1e-9, 1.0)]).found == ()


def test_equal_pictures_need_a_real_difference() -> None:
    """1.4 times the median is far out where all others are equal, and still nothing to look at."""
    equal = [picture(place, 0.2, 0.9) for place in range(30)]
    assert find_suspects([*equal, picture(30, 0.28, 0.9)]).found == ()
    assert [one.picture.index for one in find_suspects([*equal, picture(30, 0.31, 0.9)]).found] == [30]


def test_healthy_sets_have_hardly_any() -> None:
    """Of 200 log-normal sets of 60 pictures, the two values of each drawn apart: one picture in three hundred."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        factors = np.exp(0.3 * rng.standard_normal((60, 2)))
        pictures = [picture(place, 0.2 * a, 1 - 0.05 * b) for place, (a, b) in enumerate(factors)]
        found += len(find_suspects(pictures).found)
    assert found < 200 * 60 / 300


@pytest.mark.parametrize(
    ("pictures", "why"),
    [
        ([], "no picture with objects"),
        (healthy(LEAST_PICTURES - 1), "fewer than 20 pictures with objects"),
        (
            [picture(place, 0.7, 0.3) for place in range(30)],
            "the median mask IoU is 0.30: the mask head is not trained",
        ),
    ],
)
def test_what_cannot_be_judged_says_why(pictures: list[PictureMasks], why: str) -> None:
    outcome = find_suspects(pictures)
    assert outcome.found == ()
    assert outcome.why_not.endswith(why)


def test_one_wrong_mask_among_many_in_its_picture_is_found_by_itself() -> None:
    """Ten pictures of nine objects with IoU 0.9 ± 0.02, and one mask in one of them with 0.3."""
    rng = np.random.default_rng(0)
    ious = {index: (0.9 + 0.02 * rng.standard_normal(9)).tolist() for index in range(10)}
    assert find_suspect_objects(ious) == ()
    ious[4][7] = 0.3
    (found,) = find_suspect_objects(ious)
    assert (found.index, found.place, found.mask_iou) == (4, 7, 0.3)


def test_annotations_are_not_judged_by_a_head_that_is_not_trained() -> None:
    assert find_suspect_objects({index: [0.3, 0.3, 0.001] for index in range(30)}) == ()
    assert find_suspect_objects({0: [0.9] * 18 + [0.1]}) == ()
    assert find_suspect_objects({}) == ()

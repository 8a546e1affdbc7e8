"""Every number that a rule decides by, and where it comes from.

"Shapes" are 15 runs of the default experiment (6 epochs, lr.mask_mult 0.02, 0.2, 1, 4, 10 times three seeds) and 34
trials of a sweep over lr.mask_mult and clip.norm; "nuclei" and "balloon" the two experiments on real pictures.
"""

from __future__ import annotations

from typing import Final

# --- noise and time ---------------------------------------------------------------------------------------------

SURE: Final = 3.0  # standard errors by which a trend counts; 2 calls one healthy curve in twenty a trend
NOISE_FLOOR: Final = 0.01  # of the level: two seeds of shapes differ by 1 to 3 % in every loss
NOISE_GUESS: Final = 0.03  # of the level, where fewer than four points are known
LINE_POINTS: Final = 60  # points of a line; 1,770 pairs, a millisecond
WARM: Final = 0.95  # share of the highest learning rate at which a warm-up is over
WARMUP_SLACK: Final = 0.1  # epochs by which a warm-up may reach into a settled epoch
RECENT: Final = 0.3  # share of the settled epochs that "now" means
RECENT_LEAST: Final = 3  # and at least so many epochs
AP_MEANS_SOMETHING: Final = 0.15  # box AP below it: mask AP over box AP jumps between 0.4 and 1.2 in healthy runs
AP_NOISE: Final = 0.01  # seed noise of AP on small sets: 0.5 to 1.0 points (anchors.md)

SURE_ENOUGH_TO_STOP: Final = 0.75  # confidence of a severe verdict that may end a run (diagnose=stop)

# --- data format ------------------------------------------------------------------------------------------------

LEFT_OUT: Final = 0.05  # share of annotations that cannot be used; the worst real file in shared/data loses 2 %
LEFT_OUT_SEVERE: Final = 0.2
BOXES_LEAST: Final = 10  # annotations with a box, before a share of them means something
BOXES_OFF: Final = 0.1  # share of boxes that are no extents; shapes and nuclei 0, balloon and COCO's own below 0.02
BOXES_OFF_SEVERE: Final = 0.3
MASKS_SMALL: Final = 0.6  # area of a mask's extent over its box's, where edges that are off would leave 0.9 to 1.1
FEW_PICTURES: Final = 20  # of the training set; balloon's 61 are learned, with 1.6 times the loss on validation
CHANNEL_TOO_LARGE: Final = 1.5  # image_mean or image_std above it is meant for pixels in 0..255
STD_TOO_SMALL: Final = 0.02  # a std below it multiplies pixels fiftyfold
FAR_INPUT: Final = 5.0  # standard deviations that mid grey is away from 0; ImageNet's own: below 0.5
FAR_MEAN: Final = 0.15  # distance from ImageNet's mean at which pretrained weights see other colours
FAR_STD: Final = 2.0  # factor on ImageNet's std
EMPTY_FOREGROUND: Final = 0.5  # foreground proposals per picture; shapes 7 to 14, nuclei 30 to 60, balloon 4 to 24
FEW_FOREGROUND: Final = 2.0  # on average: the mask head learns from two objects per picture
BACKGROUND_SHARE: Final = 0.03  # of the sampled proposals; shapes 0.40, nuclei 0.47, balloon 0.18
TRIVIAL_ACCURACY: Final = 0.995  # of mask pixels; the best healthy head here has 0.934 at 28 × 28
AP_ZERO: Final = 0.005  # AP that counts as none; nuclei pass it in their second epoch
AP_ZERO_EVALUATIONS: Final = 3  # so many in a row
HEAD_HAS_LEARNED: Final = 0.85  # mask accuracy that no guess reaches; a new head says 0.55
SPLIT_GAP: Final = 1.4  # validation over training loss, median since the warm-up; healthy 0.8 to 1.25, balloon's late
SPLIT_GAP_SEVERE: Final = 2.0
SPLIT_GAP_CLASSES: Final = 1.2  # while the classifier's stays below this
NOISIER: Final = 0.75  # the same ratio of one head, alone and over the others'; the lowest healthy median is 0.87
NOISIER_SEVERE: Final = 0.65
BOX_MASK_AP75: Final = 1.6  # mask AP75 over box AP75; balloon 1.1 to 1.5, shapes 0.9 to 1.2
BOX_MASK_AP75_SEVERE: Final = 2.5  # boxes that are no extents of their masks
AP75_LEAST: Final = 0.2  # mask AP75 from which the ratio counts
LABELS_SHARE: Final = 0.42  # share of loss_classifier; healthy 0.20 to 0.34 once masks are good
LABELS_LEVEL: Final = 0.35  # of ln(C+1): a classifier this far from certain while masks are good; healthy 0.17
LABELS_NOISY: Final = 0.09  # class accuracy, validation less training; three in a row in healthy shapes: up to 0.07
LABELS_NOISY_SEVERE: Final = 0.15
UNANNOTATED: Final = 0.2  # of the most certain detections, on no object; healthy shapes below 0.07 from epoch 3 on
UNANNOTATED_SEVERE: Final = 0.3
CERTAIN_RIGHT: Final = 0.15  # of the same, right ones: a network that finds nothing is no witness
OBJECTS_SEEN: Final = 0.15  # of ln 2: an RPN that tells objects from background; shapes 0.07 after two epochs
LATE: Final = 0.4  # share of the plan after which a run must have learned what it can learn early

# --- not finite, exploding --------------------------------------------------------------------------------------

GREW_BEFORE: Final = 5.0  # norm before the bad step over its median: it came slowly, so the rate; else one picture
FAR_ABOVE_DEFAULT: Final = 100.0  # times the optimizer's own rate; lr.mask_mult=30 is within what a sweep tries
EXPLODED: Final = 3.0  # times its best value (sweep/health.py: alone it happens in healthy runs)
HARM: Final = 0.5  # rise of the total by this share of its best: no healthy run does (sweep/health.py)
SPIKE: Final = 10.0  # times the median of its neighbours (SageMaker, losslint)
SPIKES_MANY: Final = 3  # so many make a habit

# --- learning rate ----------------------------------------------------------------------------------------------

PACE: Final[dict[str, float]] = {"rpn": 1e-2, "box": 9e-3, "mask": 2e-3}
"""‖Δw‖ / ‖w‖ per step of each head at its full rate in healthy runs: what a pace of 1 means.

Measured paces (rpn, box, mask): shapes 1.0 1.0 1.0, nuclei 1.0 0.8 0.7, balloon 1.1 1.3 1.0, 64 pictures with a warm-up
of 12 epochs 1.8 1.3 1.3. The mask head's own ratio is a fifth of the others' because its initial weights are larger.
"""
BEHIND: Final = (
    2.5  # times slower than the slower of the other heads; lr.mask_mult=0.2 has 3.1 and loses 6 points of mask AP
)
FAR_BEHIND: Final = 6.0  # 30 times in plain update ratios; lr.mask_mult=0.02 has 14 and loses 25 points
NORMAL_PACE: Final = 0.5  # a head at half of a healthy pace is not undertrained, whatever the others do
AHEAD: Final = (
    3.0  # times faster than the faster of the others; lr.mask_mult=10 has 5 and is the best, so outcome must agree
)
FAR_AHEAD: Final = 8.0  # so far that bad masks alone are outcome enough
BEST_RATIO: Final[dict[str, float]] = {"rpn": 0.8, "box": 0.8, "mask": 1.5}
"""Update ratio of the other heads (geometric mean) over a head's own in the best runs: shapes, lr.mask_mult 4 to 10."""
ADAPTIVE_EXPONENT: Final = 1.3  # AdamW: 50 times the rate gives 20 times the update ratio (shapes, 0.02 against 1)
RATE_ERROR: Final = 3.0  # factor by which a rate from update ratios 20 times off errs: 0.36 to 1.8 times the best here
SETTLED_EPOCHS: Final = 2  # epochs before an update ratio is believed
TOO_SLOW: Final = 0.2  # pace of the middle head; five times slower than any healthy run
FAR_TOO_SLOW: Final = 0.08  # twelve times
TOO_SLOW_PRETRAINED: Final = 0.2  # factor on both where the weights come from another training: they need less
TOO_FAST: Final = 4.0  # pace of the middle head; 2.1 is the fastest healthy one
OVERDRIVEN: Final = 3.0  # pace of one head that is ahead of the others
AT_CHANCE: Final = 0.85  # of chance: a head that has not learned
REBOUND: Final = 0.15  # rise over its own best at which a loss goes the wrong way
BURNING: Final = 12.0  # pace of one epoch that no head outlives; 6 is the fastest healthy one (lr.mask_mult=10)
DEAD: Final = 0.05  # of a head's first gradient norm that is left; healthy heads keep 0.03 to 0.8, but learn
LEAST_RATE: Final = 0.1  # of the full rate: below it an update ratio says nothing about the full one
LARGEST_RESCALE: Final = 2.0  # of an update ratio in warm-up or late decay: the RPN's is large while it is new
WARMUP_LONG: Final = 0.6  # share of the planned epochs; the default takes 0.33 of six
FROZEN: Final = 1e-9  # update ratio of what does not move at all

# --- clipping ---------------------------------------------------------------------------------------------------

ALWAYS_CLIPPED: Final = 0.9  # share of steps: "nearly every"
CLIP_SHRINKS: Final = 3.0  # median norm over the limit: SGD's rate is divided by it; a factor of 3 is felt
CLIP_SHRINKS_MUCH: Final = 10.0  # and this one decides the run
NORM_PERCENTILE: Final = 90.0  # of recorded norms: the recommended limit touches every tenth step
NORMS_NEEDED: Final = 5  # recorded steps before a percentile is given

# --- balance, masks ---------------------------------------------------------------------------------------------

FLAT: Final = 0.10  # drop of a loss over the settled epochs that counts as none: the document's 0.400 → 0.370 is 0.075
SLOWER: Final = 3.0  # times faster that the other heads' losses fall
HIGH_MASK: Final = 0.45  # of chance: 0.31; healthy shapes end at 0.28, nuclei at 0.43, document's final ≤ 0.29
STUCK: Final = 0.6  # of chance, late: a loss that stays this high has hardly been learned
HEALTHY_FIT: Final = 0.94  # mask AP over box AP; shapes 0.95 to 1.0, nuclei 0.96; 0.89 to 0.95 at lr.mask_mult=0.2
FULL_FIT: Final = 0.97  # so good that a slow mask head needs no remark; shapes 0.98 to 1.0 at the best multipliers
AP_OF_NOTHING: Final = 0.03  # best box AP of a run that learned nothing
LOW_FIT: Final = 0.80  # mask AP over box AP; COCO 0.91, shapes 0.95 to 1.0; 0.59 to 0.72 at lr.mask_mult=0.02
LOW_FIT_SEVERE: Final = 0.65
GOOD_LOSS: Final = 0.29  # of chance: loss_mask 0.20, the document's upper final value
GOOD_BOX_AP: Final = 0.25  # boxes that are good enough to ask about masks
GOOD_BOX_LOSSES: Final = 0.5  # a box loss below this share of its highest value is good
BACKGROUND_MASKS: Final = 0.9  # share of object pixels missed
PLATEAU: Final = 0.02  # change below it is none (the log doctors' figure)
JUDGED_EPOCHS: Final = 4  # settled epochs before a plateau is one
JUDGED_SHARE: Final = 0.25  # and as a share of the plan; nuclei's loss_mask falls 7 % in its first three settled of 22
EARLY: Final = 0.8  # share of the plan before which a plateau is early
RATE_STILL_HIGH: Final = 0.3  # of the highest rate: losses flatten when the schedule ends
SLOWISH: Final = 2.0  # times behind the slower of the others: bad masks are the rate's fault then; healthy 0.8 to 1.3
MISSES_MORE: Final = 3.0  # object pixels missed over background pixels added; healthy 0.3 to 0.4
STILL_LEARNING: Final = 0.05  # fall per recent epochs of a loss that still learns

# --- generalisation ---------------------------------------------------------------------------------------------

OVERFIT: Final = 0.05  # validation loss above its best (log doctors: 5 %), and beyond its noise
OVERFIT_SEVERE: Final = 0.30  # with AP falling or flat: a third of the validation loss is memory
VALIDATION_GAP: Final = 2.0  # validation over training loss; shapes 1.05, nuclei 0.9, balloon (61 pictures) 1.6

# --- time -------------------------------------------------------------------------------------------------------

DATA_SHARE: Final = 0.3  # of a step spent waiting (log doctors' figure)
DATA_SHARE_GOAL: Final = 0.1  # after which waiting is not worth a thought
EVALUATION_SHARE: Final = 0.5  # of an epoch with its evaluation
EVALUATION_GOAL: Final = 0.2
EVALUATION_SECONDS: Final = 60.0  # shorter ones are nobody's trouble

"""The tags of a run's record, spelled out. A change here is a change of a promise: name it in CHANGELOG.md."""

from __future__ import annotations

from maskrcnn_exp.record.tags import COCO_METRICS, EPOCH_TAGS, EXTRA_TAGS, STEP_TAGS

EPOCH = [
    "loss/train_loss_objectness",
    "loss/train_loss_rpn_box_reg",
    "loss/train_loss_classifier",
    "loss/train_loss_box_reg",
    "loss/train_loss_mask",
    "loss/train_total",
    "loss/val",
    "loss/val_loss_objectness",
    "loss/val_loss_rpn_box_reg",
    "loss/val_loss_classifier",
    "loss/val_loss_box_reg",
    "loss/val_loss_mask",
    "share/loss_objectness",
    "share/loss_rpn_box_reg",
    "share/loss_classifier",
    "share/loss_box_reg",
    "share/loss_mask",
    "mAP/bbox_AP",
    "mAP/bbox_AP50",
    "mAP/bbox_AP75",
    "mAP/bbox_APs",
    "mAP/bbox_APm",
    "mAP/bbox_APl",
    "mAP/bbox_AR1",
    "mAP/bbox_AR10",
    "mAP/bbox_AR100",
    "mAP/bbox_ARs",
    "mAP/bbox_ARm",
    "mAP/bbox_ARl",
    "mAP/segm_AP",
    "mAP/segm_AP50",
    "mAP/segm_AP75",
    "mAP/segm_APs",
    "mAP/segm_APm",
    "mAP/segm_APl",
    "mAP/segm_AR1",
    "mAP/segm_AR10",
    "mAP/segm_AR100",
    "mAP/segm_ARs",
    "mAP/segm_ARm",
    "mAP/segm_ARl",
    "lr/backbone",
    "lr/fpn",
    "lr/rpn",
    "lr/box",
    "lr/mask",
    "grad_norm/backbone",
    "grad_norm/fpn",
    "grad_norm/rpn",
    "grad_norm/box",
    "grad_norm/mask",
    "update_ratio/backbone",
    "update_ratio/fpn",
    "update_ratio/rpn",
    "update_ratio/box",
    "update_ratio/mask",
    "clip/backbone",
    "clip/fpn",
    "clip/rpn",
    "clip/box",
    "clip/mask",
    "mask/accuracy",
    "mask/false_positive",
    "mask/false_negative",
    "mask/iou",
    "mask/val_iou",
    "roi/foreground",
    "roi/class_accuracy",
    "roi/val_class_accuracy",
    "certain_errors/background",
    "certain_errors/classification",
    "certain_errors/localisation",
    "time/data_s",
    "time/step_s",
    "time/eval_s",
    "time/epoch_s",
    "memory/peak_gib",
]

EXTRA = [
    "mAP/bbox_AP_maxdets100",
    "mAP/bbox_AP50_maxdets100",
    "mAP/bbox_AP75_maxdets100",
    "mAP/bbox_APs_maxdets100",
    "mAP/bbox_APm_maxdets100",
    "mAP/bbox_APl_maxdets100",
    "mAP/bbox_AR1_maxdets100",
    "mAP/bbox_AR10_maxdets100",
    "mAP/bbox_AR100_maxdets100",
    "mAP/bbox_ARs_maxdets100",
    "mAP/bbox_ARm_maxdets100",
    "mAP/bbox_ARl_maxdets100",
    "mAP/segm_AP_maxdets100",
    "mAP/segm_AP50_maxdets100",
    "mAP/segm_AP75_maxdets100",
    "mAP/segm_APs_maxdets100",
    "mAP/segm_APm_maxdets100",
    "mAP/segm_APl_maxdets100",
    "mAP/segm_AR1_maxdets100",
    "mAP/segm_AR10_maxdets100",
    "mAP/segm_AR100_maxdets100",
    "mAP/segm_ARs_maxdets100",
    "mAP/segm_ARm_maxdets100",
    "mAP/segm_ARl_maxdets100",
]

STEP = [
    "step/loss_objectness",
    "step/loss_rpn_box_reg",
    "step/loss_classifier",
    "step/loss_box_reg",
    "step/loss_mask",
    "step/total",
    "step/lr/backbone",
    "step/lr/fpn",
    "step/lr/rpn",
    "step/lr/box",
    "step/lr/mask",
    "step/grad_norm/backbone",
    "step/grad_norm/fpn",
    "step/grad_norm/rpn",
    "step/grad_norm/box",
    "step/grad_norm/mask",
]


def test_epoch_tags_are_frozen() -> None:
    assert list(EPOCH_TAGS) == EPOCH


def test_extra_tags_are_frozen() -> None:
    assert list(EXTRA_TAGS) == EXTRA


def test_step_tags_are_frozen() -> None:
    assert list(STEP_TAGS) == STEP


def test_coco_metrics_are_frozen_in_pycocotools_order() -> None:
    assert COCO_METRICS == ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")

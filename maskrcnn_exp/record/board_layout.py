"""What TensorBoard's CUSTOM SCALARS page opens with: the plots that one asks for first."""

from __future__ import annotations

from typing import Any, Final

from tensorboard.plugins.custom_scalar import layout_pb2

from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.record import tags

__all__ = ["VIEWS", "board_layout"]

VIEWS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "losses": {
        "all five training losses and their total": (*map(tags.train_loss_tag, LOSSES), tags.TRAIN_TOTAL),
        "mask loss alone": (tags.train_loss_tag("loss_mask"), tags.val_loss_tag("loss_mask")),
        "training total against validation": (tags.TRAIN_TOTAL, tags.VAL_TOTAL),
    },
    "masks against boxes": {
        "mAP": (tags.map_tag("segm", "AP"), tags.map_tag("bbox", "AP")),
        "AP50 and AP75": tuple(tags.map_tag(kind, name) for name in ("AP50", "AP75") for kind in ("segm", "bbox")),
    },
    "heads": {
        "share of each loss in the total": tuple(map(tags.share_tag, LOSSES)),
        "update ratio of each part, per step": tuple(map(tags.update_ratio_tag, PARTS)),
        "gradient norm of each part, before clipping": tuple(map(tags.grad_norm_tag, PARTS)),
        "share of steps that clipping touched": tuple(map(tags.clip_tag, PARTS)),
        "learning rate of each part": tuple(map(tags.lr_tag, PARTS)),
    },
    "training against validation, loss by loss": {
        loss: (tags.train_loss_tag(loss), tags.val_loss_tag(loss)) for loss in LOSSES
    },
}
"""Category → title of a plot → tags in it."""


def board_layout() -> Any:
    """Return VIEWS as TensorBoard's `Layout` message."""
    categories = []
    for title, plots in VIEWS.items():
        charts = [
            layout_pb2.Chart(title=name, multiline=layout_pb2.MultilineChartContent(tag=[f"^{tag}$" for tag in shown]))
            for name, shown in plots.items()
        ]
        categories.append(layout_pb2.Category(title=title, chart=charts))
    return layout_pb2.Layout(category=categories)

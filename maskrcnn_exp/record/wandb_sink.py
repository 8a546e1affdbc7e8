"""A copy of the record for Weights & Biases, through its own client.

The key comes from `wandb login` or WANDB_API_KEY and is never a setting here, so that no file of a run can hold it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn_exp.record.atomic import write_text_atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["WandbSink"]

_ID_FILE = "wandb/run_id"  # a resumed run goes on under the same id
_EPOCH, _STEP = "epoch", "optimizer_step"  # the horizontal axes


class WandbSink:
    """One run there, whose folder `wandb/` lies in the run's own."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], *, project: str, entity: str | None, name: str | None, mode: str
    ) -> None:
        """Begin the run, or go on with the one that this folder began.

        Args:
            config: The composed configuration.
            mode: online, offline (`wandb sync` sends it later), or disabled.
        """
        import wandb
        from wandb.sdk.lib.runid import generate_id

        id_file = folder / _ID_FILE
        id_file.parent.mkdir(parents=True, exist_ok=True)
        if not id_file.is_file():
            write_text_atomic(id_file, generate_id())
        self._wandb: Any = wandb
        self._run: Any = wandb.init(
            id=id_file.read_text(),
            resume="allow",
            dir=folder,
            project=project,
            entity=entity,
            name=name or folder.name,
            config=dict(config),
            mode=mode,  # type: ignore[arg-type]  # config_check has looked at it
            # The console stays ours: a stream that is wrapped is no terminal any more.
            settings=wandb.Settings(console="off", quiet=True, init_timeout=30, finish_timeout=120),
        )
        for pattern, axis in (("*", _EPOCH), ("step/*", _STEP)):
            self._run.define_metric(pattern, step_metric=axis)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        axis = _STEP if next(iter(values)).startswith("step/") else _EPOCH
        self._run.log({**values, axis: step})

    def text(self, tag: str, markdown: str, step: int) -> None:
        self._run.log({f"text/{tag}": self._wandb.Html(f"<pre>{_escaped(markdown)}</pre>"), _EPOCH: step})

    def image(self, tag: str, picture: bytes | NDArray[np.uint8], step: int) -> None:
        self._run.log({tag: self._wandb.Image(_opened(picture)), _EPOCH: step})

    def rewind(self) -> None:
        """What was sent stays; the epochs that are trained again are sent again."""

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


def _opened(picture: bytes | NDArray[np.uint8]) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(picture)) if isinstance(picture, bytes) else Image.fromarray(picture)


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)

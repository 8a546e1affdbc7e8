"""A copy of the record for an MLflow server, or a folder or database that MLflow reads, through its own client.

A server's password comes from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, never from a setting.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from maskrcnn_exp.record.atomic import write_text_atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MlflowSink"]

_ID_FILE: Final = "mlflow_run_id"  # a resumed run goes on under the same id
_BATCH: Final = 500  # metrics of one request; MLflow takes a thousand
_PARAMS: Final = 100  # parameters of one request, MLflow's limit
_PARAM_LENGTH: Final = 500  # characters of a parameter's value that every store takes
_SECONDS: Final = 10.0  # step numbers wait at most this long for company
_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""MLflow's own would hold a training up for minutes when a server is gone. What the user has set stays."""


class MlflowSink:
    """One run there. Requests wait for their answers: a thread would be forked with a lock held."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], *, tracking_uri: str | None, experiment: str, name: str | None
    ) -> None:
        """Begin the run, or go on with the one that this folder began.

        Args:
            config: The composed configuration; its leaves become parameters.
            tracking_uri: Of the server; None: MLFLOW_TRACKING_URI, else MLflow's default.
        """
        for variable, value in _PATIENCE.items():
            os.environ.setdefault(variable, value)
        from mlflow import MlflowClient

        self._client: Any = MlflowClient(tracking_uri=tracking_uri)
        self._pending: list[Any] = []
        self._sent_at = time.monotonic()
        id_file = folder / _ID_FILE
        if id_file.is_file():
            self._id = id_file.read_text()
            self._client.update_run(self._id, status="RUNNING")
            return
        found = self._client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else self._client.create_experiment(experiment)
        self._id = self._client.create_run(experiment_id, run_name=name or folder.name).info.run_id
        write_text_atomic(id_file, self._id)
        self._send_params(config)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._pending += [Metric(tag, value, now, step) for tag, value in values.items()]
        is_epoch = not next(iter(values)).startswith("step/")
        if is_epoch or len(self._pending) > _BATCH or time.monotonic() - self._sent_at > _SECONDS:
            self._send()

    def text(self, tag: str, markdown: str, step: int) -> None:
        self._client.log_text(self._id, markdown, f"texts/{tag}_{step:05d}.md")

    def image(self, tag: str, picture: bytes | NDArray[np.uint8], step: int) -> None:
        from PIL import Image

        opened = Image.open(io.BytesIO(picture)) if isinstance(picture, bytes) else Image.fromarray(picture)
        self._client.log_image(self._id, opened, artifact_file=f"images/{tag}_{step:05d}.png")

    def rewind(self) -> None:
        """What was sent stays; the epochs that are trained again are sent again."""

    def close(self, *, failed: bool) -> None:
        self._send()
        self._client.set_terminated(self._id, status="FAILED" if failed else "FINISHED")

    def _send(self) -> None:
        pending, self._pending = self._pending, []
        for batch in _batches(pending, _BATCH):
            self._client.log_batch(self._id, metrics=batch)
        self._sent_at = time.monotonic()

    def _send_params(self, config: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(key, str(value)[:_PARAM_LENGTH]) for key, value in _leaves("", config)]
        for batch in _batches(params, _PARAMS):
            self._client.log_batch(self._id, params=batch)


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _leaves(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping):
        yield prefix, node
        return
    for key, value in node.items():
        yield from _leaves(f"{prefix}.{key}" if prefix else str(key), value)

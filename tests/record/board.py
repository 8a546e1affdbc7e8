"""A real TensorBoard, asked over HTTP as its own pages ask."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from PIL import Image
from tensorboard.program import TensorBoard

__all__ = ["Board"]


class Board:
    """A TensorBoard server on a folder, on a free port of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = TensorBoard()
        program.configure(argv=["tensorboard", "--logdir", str(folder), "--port", "0", "--load_fast", "false"])
        self._url = program.launch()

    def get(self, path: str) -> Any:
        return json.loads(self.bytes(path))

    def bytes(self, path: str) -> bytes:
        with urlopen(f"{self._url}data/plugin/{path}", timeout=60) as answer:
            content: bytes = answer.read()
            return content

    def texts(self, run: str, tag: str) -> dict[int, str]:
        """Return what the TEXT page shows under a tag: HTML by step."""
        shown = self.get(f"text/text?run={quote(run)}&tag={quote(tag)}")
        return {one["step"]: one["text"] for one in shown}

    def pictures(self, run: str, tag: str) -> dict[int, Image.Image]:
        """Return what the IMAGES page shows under a tag, by step."""
        shown = self.get(f"images/images?run={quote(run)}&tag={quote(tag)}&sample=0")
        files = {one["step"]: self.bytes(f"images/individualImage?{one['query']}") for one in shown}
        return {step: Image.open(io.BytesIO(file)) for step, file in files.items()}

    def hparams(self) -> dict[str, dict[str, Any]]:
        """Return the rows of the HPARAMS page by run, those of failed runs too."""
        statuses = ["STATUS_SUCCESS", "STATUS_FAILURE"]
        asked = {"experimentName": "", "allowedStatuses": statuses, "startIndex": 0, "sliceSize": 99}
        answer = self.post("hparams/session_groups", {**asked, "aggregationType": "AGGREGATION_AVG"})
        return {group["name"]: group for group in answer["sessionGroups"]}

    def post(self, path: str, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        request = Request(f"{self._url}data/plugin/{path}", json.dumps(body).encode(), headers)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

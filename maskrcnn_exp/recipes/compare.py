"""Compare: which run is better, why, and whether it is more than noise. Imports no torch."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from maskrcnn_exp.compare.conclusion import conclusion
from maskrcnn_exp.compare.document import to_json
from maskrcnn_exp.compare.groups import compare
from maskrcnn_exp.compare.runs import MASK_AP, read_runs
from maskrcnn_exp.compare.tables import losses_table, results_table
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.record import tags

__all__ = ["SHORT", "run"]

SHORT: Final = {
    "mask_ap": MASK_AP,
    "box_ap": tags.map_tag("bbox", "AP"),
    "mask_ap50": tags.map_tag("segm", "AP50"),
    "val": tags.VAL_TOTAL,
    "total": tags.TRAIN_TOTAL,
    "time": "time/epoch_s",
}
"""What `--sort` takes beside tags."""


def run(
    paths: Sequence[Path],
    say: Callable[[str], None],
    *,
    as_json: bool = False,
    sort: str = "mask_ap",
    top: int | None = None,
    plot: Path | None = None,
) -> None:
    """Read the runs that the paths name, rank their settings, and print tables and a conclusion.

    Args:
        sort: A tag, or one of SHORT: settings are ranked by its best value, the mean over seeds.
        top: Print so many settings; all where None. The conclusion always considers all.
        plot: Folder for the pictures.

    Raises:
        ConfigError: no such tag to sort by.
        DataError: a path names nothing that can be read.
    """
    metric = _metric(sort)
    runs, skipped = read_runs(paths, (metric,))
    comparison = compare(runs, metric)
    if as_json:
        say(json.dumps(to_json(comparison, skipped, top), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        hidden = len(comparison.groups) - top if top is not None else 0
        say(results_table(comparison, top) + (f"\n… and {hidden} more" if hidden > 0 else ""))
        say("\n" + losses_table(comparison, top))
        say("\n" + "\n".join(conclusion(comparison)))
        for problem in skipped:
            say(f"left out: {problem}")
    if plot is not None:
        from maskrcnn_exp.compare.plots import save_pictures

        pictures = save_pictures(comparison, plot)
        if not as_json:
            say(f"{len(pictures)} pictures in {plot}")


def _metric(sort: str) -> str:
    known = {**SHORT, **{tag: tag for tag in (*tags.EPOCH_TAGS, *tags.EXTRA_TAGS)}}
    if sort in known:
        return known[sort]
    near = difflib.get_close_matches(sort, known, n=3)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise ConfigError(f"--sort {sort}: no such tag.{hint} Expected {', '.join(SHORT)}, or a tag of the record.")

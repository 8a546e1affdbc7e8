"""The diagnosis of a run under way: after each epoch remarks in the console, a text in TensorBoard, `verdicts.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maskrcnn_exp.diagnose import own_record
from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Crash, Curves
from maskrcnn_exp.diagnose.diagnosis import Diagnosis, diagnose
from maskrcnn_exp.diagnose.facts import RunFacts
from maskrcnn_exp.diagnose.prescriptions import command
from maskrcnn_exp.diagnose.text import markdown_text, notes_of
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.atomic import write_json_atomic
from maskrcnn_exp.record.history import History

if TYPE_CHECKING:
    from maskrcnn_exp.diagnose.verdict import Verdict
    from maskrcnn_exp.record.run_log import RunLog

__all__ = ["FILE", "LiveDiagnosis"]

FILE: Final = "verdicts.json"
_TAG: Final = "diagnosis"  # of the text in TensorBoard


@dataclass
class LiveDiagnosis:
    """Judges after each epoch what was recorded so far; the record is kept in memory, not read again."""

    mode: str  # none, warn, stop
    folder: Path  # the run's
    facts: RunFacts
    _epochs: dict[str, dict[int, float]] = field(default_factory=dict, repr=False)
    _steps: dict[str, dict[int, float]] = field(default_factory=dict, repr=False)
    _diagnosis: Diagnosis | None = None
    _doomed: tuple[str, str] | None = None  # rule and part of the severe verdict that was the answer
    _stop: Verdict | None = None

    @classmethod
    def start(cls, mode: str, folder: Path, facts: RunFacts, before_epoch: int) -> LiveDiagnosis:
        """Return the diagnosis of a run that goes on with `before_epoch`; what was before is taken from its record.

        Args:
            folder: Holds the record, as far as the run got.
            before_epoch: 1 for a fresh start.
        """
        live = cls(mode, folder, facts)
        if mode != "none" and before_epoch > 1:
            live._remember(before_epoch)
        return live

    def _remember(self, before_epoch: int) -> None:
        try:
            by_epoch, by_step = own_record.points_of(History.read(self.folder))
        except DataError:  # the checkpoint was moved away from its run: what is recorded from here on is judged alone
            return
        for tag, points in by_epoch.items():
            self._epochs[tag] = {epoch: value for epoch, value in points.items() if epoch < before_epoch}
        self._steps = {tag: dict(points) for tag, points in by_step.items()}
        self._judge()

    def after_step(self, step: int, values: Mapping[str, float]) -> None:
        """Take in the numbers of a logged step."""
        if self.mode == "none":
            return
        for tag in own_record.STEP_TAGS_READ & values.keys():
            self._steps.setdefault(tag, {})[step] = values[tag]

    def after_epoch(self, epoch: int, values: Mapping[str, float], log: RunLog) -> dict[str, str]:
        """Judge the run with this epoch; return the remarks for the console's block.

        The text in TensorBoard is written when the findings change, `verdicts.json` after each epoch.

        Args:
            values: The epoch's numbers as they were recorded.
        """
        if self.mode == "none":
            return {}
        for tag, value in values.items():
            self._epochs.setdefault(tag, {})[epoch] = value
        before = self._diagnosis
        diagnosis, curves = self._judge()
        if _keys(before) != _keys(diagnosis):
            log.text(_TAG, markdown_text(diagnosis, curves), epoch)
        write_json_atomic(self.folder / FILE, diagnosis.to_json())
        return notes_of(diagnosis)

    def after_crash(self, epoch: int) -> str:
        """Judge a run whose step was not finite, from its black box; return what to say."""
        crash = own_record.latest_crash(self.folder, epoch - 1)
        if self.mode == "none" or crash is None:
            return ""
        diagnosis, _ = self._judge(crash)
        write_json_atomic(self.folder / FILE, diagnosis.to_json())
        return self.answer()

    def answer(self) -> str:
        """Return the first finding above info and the command against it; empty where there is none."""
        if self._diagnosis is None or not self._diagnosis.faults:
            return ""
        first = self._diagnosis.faults[0]
        typed = "" if first.prescription is None else f"\n   → {command(first.prescription, self.facts.overrides)}"
        return f"diagnosis: {first.says}{typed}"

    @property
    def stop(self) -> Verdict | None:
        """The verdict that ends the run: with `stop`, and where it was the answer, severe and sure, twice in a row."""
        return self._stop if self.mode == "stop" else None

    def _judge(self, crash: Crash | None = None) -> tuple[Diagnosis, Curves]:
        curves = Curves.of_points(
            self.folder.name, self._epochs, step_points=self._steps, facts=self.facts, crash=crash
        )
        self._diagnosis = diagnose(curves)
        first = self._diagnosis.first
        sure = first is not None and first.severity == "severe" and first.confidence >= limits.SURE_ENOUGH_TO_STOP
        doomed = (first.rule, first.part) if first is not None and sure else None
        self._stop = first if doomed is not None and doomed == self._doomed else None
        self._doomed = doomed
        return self._diagnosis, curves


def _keys(diagnosis: Diagnosis | None) -> list[tuple[str, str, str]]:
    """Return what a diagnosis finds, without its numbers; time is left out, for it tells of the machine."""
    faults = () if diagnosis is None else diagnosis.faults
    return [verdict.key for verdict in faults if verdict.rule != "data_starvation"]

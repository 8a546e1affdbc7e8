"""What the diagnosis says of the recorded runs: the answer of each, how early, and what healthy runs hear.

    python -m benchmarks.doctor.score                       all recorded runs, tuning and report apart
    python -m benchmarks.doctor.score --seeds 0 1 --runs    and the answer of each run

It imports no torch and takes seconds.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.doctor.faults import DATASETS
from benchmarks.doctor.runs_file import CURVES, Run, read_runs
from maskrcnn_exp.diagnose.diagnosis import Diagnosis, diagnose

__all__ = ["EARLY", "TUNED_ON", "Rates", "Score", "confusion", "described", "rates", "score_of", "split_runs"]

TUNED_ON: Final = frozenset({("shapes", 0), ("shapes", 1), ("nuclei", 0)})
"""Data set and seed of the runs by which rules and thresholds were chosen. All others are for the report."""

EARLY: Final = 0.4  # share of the planned epochs within which a fault should be named


@dataclass(frozen=True)
class Score:
    """How the diagnosis did on one run."""

    run: Run
    answer: str  # rule:part of the first verdict after the last epoch; "none" below a warning
    severity: str
    named_at: int | None  # first epoch after which the answer named the fault
    severe_at: int | None  # first epoch after which there was a severe verdict

    @property
    def named(self) -> bool:
        """Whether the answer at the end names the fault."""
        return self.run.fault.is_named_by(*_parts(self.answer))

    @property
    def named_early(self) -> bool:
        planned = self.run.facts.epochs or self.run.last_epoch
        return self.named_at is not None and self.named_at <= EARLY * planned


@dataclass(frozen=True)
class Rates:
    """Shares over a set of runs, as counts."""

    faulty: int
    named: int
    early: int
    healthy: int
    healthy_severe: int  # at the end
    healthy_severe_ever: int  # after any epoch
    healthy_warned: int  # a warning or worse at the end


def score_of(run: Run) -> Score:
    """Diagnose a run after each of its epochs."""
    diagnoses = {epoch: diagnose(run.curves(epoch)) for epoch in range(1, run.last_epoch + 1)}
    answers = {epoch: _answer(diagnosis) for epoch, diagnosis in diagnoses.items()}
    named = (epoch for epoch, answer in answers.items() if run.fault.is_named_by(*_parts(answer)))
    severe = (epoch for epoch, diagnosis in diagnoses.items() if diagnosis.reaches("severe"))
    last = diagnoses[run.last_epoch]
    return Score(run, answers[run.last_epoch], last.worst() or "none", next(named, None), next(severe, None))


def rates(scores: Iterable[Score]) -> Rates:
    """Count what the benchmark is about."""
    scores = list(scores)
    faulty = [score for score in scores if not score.run.fault.healthy]
    healthy = [score for score in scores if score.run.fault.healthy]
    return Rates(
        faulty=len(faulty),
        named=sum(score.named for score in faulty),
        early=sum(score.named_early for score in faulty),
        healthy=len(healthy),
        healthy_severe=sum(score.severity == "severe" for score in healthy),
        healthy_severe_ever=sum(score.severe_at is not None for score in healthy),
        healthy_warned=sum(score.answer != "none" for score in healthy),
    )


def split_runs(runs: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """Return the runs that rules were tuned on, and those for the report."""
    runs = list(runs)
    tuned = [run for run in runs if (run.dataset, run.seed) in TUNED_ON]
    return tuned, [run for run in runs if (run.dataset, run.seed) not in TUNED_ON]


def confusion(scores: Sequence[Score]) -> str:
    """Return a table in Markdown: for each kind of run the answers, how often named, and how early."""
    lines = ["| planted | runs | named | early | at epoch | answers |", "|---|---|---|---|---|---|"]
    for name in dict.fromkeys(score.run.case for score in sorted(scores, key=lambda score: score.run.fault.healthy)):
        rows = [score for score in scores if score.run.case == name]
        answers = Counter(f"`{score.answer}` ({score.severity})" for score in rows)
        said = ", ".join(f"{count} {answer}" for answer, count in answers.most_common())
        if rows[0].run.fault.healthy:
            lines.append(f"| healthy: {name} | {len(rows)} | – | – | – | {said} |")
            continue
        epochs = sorted(score.named_at for score in rows if score.named_at is not None)
        when = "–" if not epochs else f"{epochs[0]}" if len(set(epochs)) == 1 else f"{epochs[0]}–{epochs[-1]}"
        named, early = sum(score.named for score in rows), sum(score.named_early for score in rows)
        lines.append(f"| {name} | {len(rows)} | {named} | {early} | {when} | {said} |")
    return "\n".join(lines)


def _answer(diagnosis: Diagnosis) -> str:
    first = next(iter(diagnosis.faults), None)
    return "none" if first is None else f"{first.rule}:{first.part}"


def _parts(answer: str) -> tuple[str, str]:
    rule, _, part = answer.partition(":")
    return rule, part


def _share(count: int, of: int) -> str:
    return f"{count} of {of}" + (f" ({count / of:.0%})" if of else "")


def described(rate: Rates) -> str:
    """Return the rates in words, beside what is asked for."""
    return (
        f"named {_share(rate.named, rate.faulty)}, asked 95%; "
        f"within 40% of the epochs {_share(rate.early, rate.faulty)}, asked 80%\n"
        f"healthy with a severe verdict {_share(rate.healthy_severe, rate.healthy)}, asked ≤ 2%; after any epoch "
        f"{rate.healthy_severe_ever}; with a warning {rate.healthy_warned}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=DATASETS, nargs="+", default=list(DATASETS))
    parser.add_argument("--seeds", type=int, nargs="+", help="all where none is named")
    parser.add_argument("--runs", action="store_true", help="print the answer of each run")
    parser.add_argument("--curves", type=Path, default=CURVES)
    arguments = parser.parse_args()
    runs = [run for dataset in arguments.dataset for run in read_runs(dataset, arguments.curves)]
    chosen = [run for run in runs if not arguments.seeds or run.seed in arguments.seeds]
    for name, part in zip(("tuned on", "report"), split_runs(chosen), strict=True):
        scores = [score_of(run) for run in part]
        print(f"\n{name}: {len(part)} runs")
        if scores:
            print(f"{confusion(scores)}\n\n{described(rates(scores))}")
        for score in scores if arguments.runs else ():
            mark = "  " if score.named or (score.run.fault.healthy and score.answer == "none") else "✗ "
            where = f"{score.run.dataset}/{score.run.case}/{score.run.seed}"
            print(f"{mark}{where:38} AP {score.run.mask_ap:.3f} {score.severity:8} {score.answer} at {score.named_at}")


if __name__ == "__main__":
    main()

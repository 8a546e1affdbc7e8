"""How far a study, a record and an annotation file go: `python -m benchmarks.scaling`, its text in docs/scaling.md."""

"""The rules, one file per kind of cause. A rule takes curves and returns verdicts; it reads nothing else."""

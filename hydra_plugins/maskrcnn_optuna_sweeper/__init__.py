"""Hydra's sweeper `hydra/sweeper=optuna`. Hydra imports this package at every start: nothing heavy in here."""

"""Runs beside each other: from records and configurations to tables, pictures and one sentence."""

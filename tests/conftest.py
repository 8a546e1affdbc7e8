"""Settings of the whole test set.

One thread: the networks here are too small for two, and two test processes with two threads each on a two-core machine
wait for each other at every barrier. Tests of exactness set their own number.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

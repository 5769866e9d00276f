"""The commands of the project: python -m stages.NAME."""

import os

# Threads that wait for others sleep rather than spin. Where another process needs a core, one that spins takes it from
# the thread that it waits for. OpenMP reads this as torch loads it, so it stands before any stage's imports.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

"""What MLflow finds by its entry points; it loads the client guard (`zt_gate.registry.guard_roads`)."""

from __future__ import annotations

import os

GUARD = "ZT_GATE_GUARD"
"""Names the stage that a serving image serves; while it is set, nothing is loaded without a verdict."""

try:
    from zt_gate.registry.guard_roads import GuardedArtifacts, GuardedModels, GuardedRuns
except (ImportError, AttributeError) as error:
    # MLflow only warns of a plugin that cannot be imported and goes on, which would turn the guard off.
    if os.environ.get(GUARD, ""):
        raise RuntimeError(f"zt-gate: {GUARD} is set, and the guard cannot start: {error}") from error
    raise

__all__ = ["GUARD", "GuardedArtifacts", "GuardedModels", "GuardedRuns"]

"""The old home of `estimate`, kept for one release: use `planner.fleet.estimate`."""

from planner.fleet.estimate import Estimate, estimate

__all__ = ["Estimate", "estimate"]

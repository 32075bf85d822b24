"""Cases (arrays) and the only bridge from specs to them."""

from planner.cases.columns import Cases
from planner.cases.lower import lower

__all__ = ["Cases", "lower"]

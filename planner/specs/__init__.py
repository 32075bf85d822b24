"""Frozen specs, the strict YAML reader and the catalogue."""

from planner.specs.base import Loaded, Source, load
from planner.specs.catalog import Catalog
from planner.specs.question import Scenario, load_scenario

__all__ = ["Catalog", "Loaded", "Scenario", "Source", "load", "load_scenario"]

"""What thinking costs: from tokens per answer to GPUs, dollars and latency.

>>> from planner import Catalog, answer, load_scenario  # doctest: +SKIP
>>> catalog = Catalog()  # doctest: +SKIP
>>> answer(load_scenario("o1-class", catalog), catalog).best["cost_usd_per_month"]  # doctest: +SKIP

Arrays in, arrays out (a sweep, a grid, draws): `planner.fleet.estimate.estimate(cases)`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from planner.catalog.catalog import Catalog
    from planner.errors import PlannerError
    from planner.fleet.estimate import Estimate
    from planner.options.answer import Answer, answer
    from planner.scenario.load import Scenario, load_scenario
    from planner.serving.cases import Cases

_HOME = {
    "Answer": "planner.options.answer",
    "Cases": "planner.serving.cases",
    "Catalog": "planner.catalog.catalog",
    "Estimate": "planner.fleet.estimate",
    "PlannerError": "planner.errors",
    "Scenario": "planner.scenario.load",
    "answer": "planner.options.answer",
    "load_scenario": "planner.scenario.load",
}

__all__ = [
    "Answer",
    "Cases",
    "Catalog",
    "Estimate",
    "PlannerError",
    "Scenario",
    "__version__",
    "answer",
    "load_scenario",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the module protocol's own type
    """Import a public name when it is first used: `planner --version` must not pay for numpy."""
    if name not in _HOME:
        msg = f"module 'planner' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOME[name]), name)

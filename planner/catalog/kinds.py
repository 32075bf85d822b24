"""The table of the kinds of files: how each is recognised, its spec, its folder, the command that reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from planner.documents.spec import FileSpec
from planner.documents.yaml_reader import Document
from planner.errors import BadInputError


@cache
def _named(target: str) -> Any:  # noqa: ANN401 - a class or a function
    """Return what "module:name" names, imported when it is first needed."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    word: str
    """Its name in `planner schema` and `planner validate`."""
    mark: str
    """A required field that distinguishes files of this kind from the kinds below it in the table."""
    what: str
    """The content of such a file, as messages call it."""
    spec_path: str
    """module:class of its spec; a string, so that this table does not import them."""
    folder: str | None = None
    """Folder of the shipped files; None where the catalogue has a single file."""
    noun: str = ""
    """What messages call one entry; empty where entries are not looked up by name."""
    listed: str | None = None
    """The argument of `planner list` that lists them."""
    command: str | None = None
    """The command that solves it; None for data."""
    page: str | None = None
    """The file of formulas that solves it."""
    solver: str | None = None
    """module:function of (question, catalogue) that solves it."""

    @property
    def spec(self) -> type[FileSpec]:
        """Return the spec class."""
        found: type[FileSpec] = _named(self.spec_path)
        return found

    @property
    def listing(self) -> str:
        """Return where to see them all, as messages say it; empty where no command lists them."""
        return f"`planner list {self.listed}` lists them" if self.listed else ""

    @property
    def schema_path(self) -> str:
        """Return the path of its generated JSON Schema, relative to the catalogue."""
        root = (self.folder or "hardware").partition("/")[0]
        return f"{root}/{self.word}.schema.json"

    def solve(self, question: Any, catalog: Any) -> Any:  # noqa: ANN401 - the page of an economic question
        """Return the answer to an economic question of this kind."""
        function: Callable[[Any, Any], Any] = _named(self.solver or "")
        return function(question, catalog)


SCENARIO = Kind(
    "scenario",
    "workload",
    "a scenario",
    "planner.scenario.scenario:ScenarioSpec",
    folder="scenarios",
    listed="scenarios",
    command="estimate",
)


def _question(word: str, mark: str, what: str, spec: str, folder: str, command: str, module: str = "") -> Kind:
    """Return the kind of an economic question. Its page and solver are named by `module`, by default the command."""
    module = module or command.replace("-", "_")
    return Kind(
        word,
        mark,
        what,
        f"planner.economics.questions.{spec}",
        f"scenarios/{folder}",
        command=command,
        page=f"economics/{module}.csv",
        solver=f"planner.economics.{module}:{module}",
    )


KINDS = (
    SCENARIO,
    Kind("gpu", "hbm_bytes_per_s", "a GPU", "planner.catalog.hardware:GpuSpec", "hardware/gpus", "GPU", "gpus"),
    Kind(
        "system",
        "gpus_per_node",
        "a system",
        "planner.catalog.hardware:SystemSpec",
        "hardware/systems",
        "system",
        "systems",
    ),
    Kind(
        "engine",
        "factors",
        "a serving engine",
        "planner.catalog.hardware:EngineSpec",
        "hardware/engines",
        "engine",
        "engines",
    ),
    Kind(
        "engine-support",
        "versions",
        "what an engine runs",
        "planner.catalog.support:SupportSpec",
        "hardware/engines/support",
        "engine with a support table",
    ),
    Kind(
        "prices", "quotes", "price quotes", "planner.catalog.market:PricesFile", "hardware/prices", "provider", "prices"
    ),
    Kind(
        "api-prices",
        "token_prices",
        "API prices",
        "planner.catalog.api_prices:ApiPricesFile",
        "hardware/api_prices",
        "API provider",
        "api-prices",
    ),
    Kind("model", "attention", "a model", "planner.catalog.model:ModelSpec", "scenarios/models", "model", "models"),
    Kind(
        "demand",
        "hourly_relative_rate",
        "a demand curve",
        "planner.catalog.market:DemandCurve",
        "scenarios/demand",
        "demand curve",
    ),
    _question("plan", "limits", "a plan", "plan:PlanFile", "plans", "quota"),
    Kind(
        "benchmark",
        "points",
        "points of a benchmark",
        "planner.catalog.benchmark_points:BenchmarkFile",
        "scenarios/benchmarks",
        "benchmark",
        "benchmarks",
    ),
    _question("quality", "candidates", "a quality question", "quality:QualityFile", "quality", "quality"),
    _question("owning", "cost_of_capital", "GPUs to own", "owning:OwningFile", "owning", "payback"),
    _question(
        "required-revenue",
        "data_centre_factor",
        "an investment",
        "revenue:RevenueFile",
        "required-revenue",
        "payback",
        "required_revenue",
    ),
    _question("implied", "observations", "a comparison of models", "implied:ImpliedFile", "implied", "implied"),
    _question("budget", "budget_usd_per_month", "a budget", "budget:BudgetFile", "budgets", "budget"),
    Kind("text", "ratios", "a kind of text", "planner.catalog.text:TextFile", "scenarios/texts", "kind of text"),
    _question(
        "break-even",
        "tiers",
        "an API compared with own GPUs",
        "break_even:BreakEvenFile",
        "break-even",
        "break-even",
    ),
    Kind("formats", "formats", "number formats", "planner.catalog.hardware:FormatsFile"),
    Kind("assumptions", "busy_power_base", "assumptions", "planner.catalog.hardware:AssumptionsFile"),
)
"""A new kind of file needs an entry here, a spec and a folder; an economic question also a page and a solver."""
BY_WORD = {kind.word: kind for kind in KINDS}
_BY_SPEC = {kind.spec_path: kind for kind in KINDS}


def kind_of_spec(spec: type[FileSpec]) -> Kind:
    """Return the kind of file that a spec class describes."""
    return _BY_SPEC[f"{spec.__module__}:{spec.__qualname__}"]


def questions_of(command: str | None = None) -> list[Kind]:
    """Return the kinds of economic question that a command solves; without a command, all of them."""
    return [kind for kind in KINDS if kind.solver and command in {None, kind.command}]


def kind_of(document: Document) -> Kind | None:
    """Return the kind of a document by its fields; None where no field identifies it."""
    return next((kind for kind in KINDS if kind.mark in document.data), None)


def wrong_kind(document: Document, expected: str) -> BadInputError:
    """Return the error for a document of another kind than expected; it names the command that reads it."""
    kind = kind_of(document) or SCENARIO
    told = f"is a file for `planner {kind.command}` ({kind.what})" if kind.command else f"holds {kind.what}"
    return BadInputError(f"{told}; expected {expected}", where=document.where)

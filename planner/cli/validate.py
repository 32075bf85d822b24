"""`planner validate`: check scenarios and spec files, all problems of a file at once."""

from pathlib import Path
from typing import Any

import click

from planner.answers import find_model
from planner.cases import lower
from planner.cases.candidates import candidates
from planner.cases.workload import lower_workload
from planner.cli import common
from planner.economics.registry import QUESTIONS
from planner.errors import PlannerError
from planner.routes import by_model
from planner.specs.api_prices import ApiPricesFile
from planner.specs.base import FileSpec, Loaded, load
from planner.specs.break_even import BreakEvenFile
from planner.specs.budget import BudgetFile
from planner.specs.catalog import Catalog
from planner.specs.hardware import AssumptionsFile, EngineSpec, FormatsFile, GpuSpec, SystemSpec
from planner.specs.implied import ImpliedFile
from planner.specs.json_schema import SCHEMAS
from planner.specs.market import DemandCurve, PricesFile
from planner.specs.model import ModelSpec
from planner.specs.owning import OwningFile
from planner.specs.parameters import count_parameters
from planner.specs.plan import PlanFile
from planner.specs.quality import BenchmarkFile, QualityFile
from planner.specs.question import build_scenario, open_scenario
from planner.specs.reader import Document, exists, read_document
from planner.specs.revenue import RevenueFile
from planner.specs.text import TextFile
from planner.today import today

_MARKS: tuple[tuple[str, type[FileSpec]], ...] = (
    ("quotes", PricesFile),
    ("token_prices", ApiPricesFile),
    ("hbm_bytes_per_s", GpuSpec),
    ("gpus_per_node", SystemSpec),
    ("factors", EngineSpec),
    ("attention", ModelSpec),
    ("hourly_relative_rate", DemandCurve),
    ("limits", PlanFile),
    ("cost_of_capital", OwningFile),
    ("data_centre_factor", RevenueFile),
    ("points", BenchmarkFile),
    ("candidates", QualityFile),
    ("observations", ImpliedFile),
    ("budget_usd_per_month", BudgetFile),
    ("ratios", TextFile),
    ("tiers", BreakEvenFile),
    ("formats", FormatsFile),
    ("busy_power_base", AssumptionsFile),
)
"""A field that only files of that kind have."""


def kind_of(document: Document) -> type[FileSpec] | None:
    """Return what a document is by its fields; None for a scenario."""
    return next((kind for mark, kind in _MARKS if mark in document.data and "workload" not in document.data), None)


def check(name: str, catalog: Catalog) -> str:
    """Validate one file or shipped scenario with all its overrides; return what it is."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} and exists(path):
        document = read_document(path)
        kind = kind_of(document)
        if kind is not None:
            loaded = load(kind, document)
            _look_up(loaded, catalog)
            return next(word for word, spec in SCHEMAS.items() if spec is kind)
    if path.suffix == ".json" and exists(path) and "workload" not in read_document(path).data:
        return _config(path)
    document, folder = open_scenario(name, catalog)
    baseline = build_scenario(document, folder)
    for override in (None, *baseline.spec.overrides):
        for scenario in by_model(build_scenario(document, folder, override=override)):
            model, _ = find_model(scenario, catalog)
            lower_workload(scenario.spec, model.spec, where=scenario.loaded.document.place(("workload",)))
            options = candidates(scenario, catalog, model, today())
            if options:
                lower(scenario, catalog, model, options[:1])
    variants = len(baseline.spec.overrides)
    return f"scenario with {variants} variant{'s' if variants != 1 else ''}" if variants else "scenario"


def _look_up(loaded: Loaded[Any], catalog: Catalog) -> None:
    """Look up the names a file refers to: GPUs of prices, whatever an economic question needs."""
    if isinstance(loaded.spec, PricesFile):
        for index, quote in enumerate(loaded.spec.quotes):
            catalog.get(GpuSpec, quote.gpu, where=loaded.document.place(("quotes", index, "gpu")))
    for question in QUESTIONS.values():
        if isinstance(loaded.spec, question.spec):
            question.solve(loaded, catalog)


def _config(path: Path) -> str:
    """Read a Hugging Face config.json; return what it is."""
    from planner.specs.huggingface import read_config  # noqa: PLC0415 - only a config.json needs it

    counts = count_parameters(read_config(path).spec)
    return f"config.json of a model with {counts.total / 1e9:.4g} B parameters, {counts.active / 1e9:.4g} B active"


@click.command("validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@common.catalog_option
def command(files: tuple[str, ...], catalogs: tuple[str, ...]) -> None:
    """Check scenarios, GPUs, systems, engines, prices, models and demand curves without answering them.

    Names that a scenario refers to are looked up, its overrides are applied one by one.

    \b
    planner validate my.yaml o1-class
    """
    catalog = Catalog(catalogs)
    worst = 0
    for name in files:
        try:
            click.echo(f"{name}: ok ({check(name, catalog)})")
        except PlannerError as error:
            worst = max(worst, error.exit_code)
            for line in str(error).splitlines():
                click.echo(f"error: {line}", err=True)
    click.get_current_context().exit(worst)

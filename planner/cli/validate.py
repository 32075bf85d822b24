"""`planner validate`: check scenarios and spec files, all problems of a file at once."""

import json
from pathlib import Path
from typing import Any

import click

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import GpuSpec
from planner.catalog.kinds import SCENARIO, Kind, kind_of
from planner.catalog.market import PricesFile
from planner.catalog.parameters import count_parameters
from planner.cli import common
from planner.documents.spec import Loaded, load, today
from planner.documents.text_file import exists, read_text
from planner.errors import PlannerError
from planner.options.answer import find_model
from planner.options.candidates import candidates
from planner.options.lowering import lower
from planner.options.lowering_workload import lower_workload
from planner.options.router import by_model
from planner.scenario.load import build_scenario, open_any


def check(name: str, catalog: Catalog) -> str:
    """Validate a file, stdin or a shipped name, and a scenario with all its overrides. Returns its kind in words.

    Raises PlannerError, with one line for each problem of the file.
    """
    path = Path(name)
    if path.suffix == ".json" and exists(path) and _is_config(path):
        return _config(path)
    document, folder = open_any(name, catalog)
    kind = kind_of(document)
    if kind not in {None, SCENARIO}:
        _look_up(load(kind.spec, document), kind, catalog)
        return kind.word
    if path.suffix == ".json" and kind is None:
        return _config(path)
    baseline = build_scenario(document, folder)
    for override in (None, *baseline.spec.overrides):
        for scenario in by_model(build_scenario(document, folder, override=override)):
            model, _ = find_model(scenario, catalog)
            lower_workload(scenario.spec, model.spec, scenario.loaded.document.place)
            options = candidates(scenario, catalog, model, today())
            if options:
                lower(scenario, catalog, model, options[:1])
    variants = len(baseline.spec.overrides)
    return f"scenario with {variants} variant{'s' if variants != 1 else ''}" if variants else "scenario"


def _look_up(loaded: Loaded[Any], kind: Kind, catalog: Catalog) -> None:
    """Look up the names a file refers to: the GPUs of price quotes, and all that an economic question needs."""
    if isinstance(loaded.spec, PricesFile):
        for index, quote in enumerate(loaded.spec.quotes):
            catalog.get(GpuSpec, quote.gpu, where=loaded.document.place(("quotes", index, "gpu")))
    if kind.solver:
        kind.solve(loaded, catalog)


def _is_config(path: Path) -> bool:
    """Return whether a JSON file has the fields of a Hugging Face config.json."""
    try:
        data = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return False  # read_document reports what is wrong with it
    return isinstance(data, dict) and not data.keys().isdisjoint({"model_type", "architectures"})


def _config(path: Path) -> str:
    """Read a Hugging Face config.json and return its parameter counts in words."""
    from planner.catalog.huggingface.config import read_config  # noqa: PLC0415 - only a config.json needs it

    model = read_config(path).spec
    counts = count_parameters(model)
    sizes = f"config.json of a model with {counts.total / 1e9:.4g} B parameters, {counts.active / 1e9:.4g} B active"
    return f"{sizes}; {model.notes}" if model.notes else sizes


@click.command("validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@common.catalog_option
def command(files: tuple[str, ...], catalogs: tuple[str, ...]) -> None:
    """Check scenarios, catalogue files and economic questions without solving them.

    Names that a file refers to are looked up. The overrides of a scenario are applied one by one.

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

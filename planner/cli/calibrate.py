"""`planner calibrate`: engine factors from measured runs, and how well they predict what they have not seen."""

import math
from collections.abc import Mapping
from pathlib import Path

import click

from planner.calibration.bench import FOLDS, TITLES, Bench, contradictions, prepare, unsteady
from planner.calibration.fit import FACTORS, Fitted, starts_of
from planner.calibration.ledger import Ledger, errors, groups, in_sample, left_out
from planner.calibration.overlay import Evidence, engine_file
from planner.calibration.readers.registry import read_benchmark
from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineErrors, EngineSpec
from planner.cli import common
from planner.documents import csv_table
from planner.documents.spec import today
from planner.errors import BadInputError
from planner.loadtest.run import Row
from planner.report.output import write_below, write_file
from planner.report.page import Page, PageRow, Section
from planner.report.tables import table

_SHOWN_FAULTS = 5


@click.command("calibrate")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--start",
    type=common.Word(["catalog", "textbook"]),
    default="catalog",
    show_default=True,
    help="Where the fit starts: the engine's factors in the catalogue, or the same textbook values for every engine.",
)
@click.option(
    "--origin",
    metavar="TEXT",
    help="Name the runs in the source of the written factors; by default the names of the files.",
)
@click.option(
    "--given",
    "given",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Set a column that the files do not give, e.g. gpu=h100-sxm.",
)
@click.option(
    "--leave-out",
    type=common.Word([*FOLDS, "none"]),
    default="none",
    show_default=True,
    help="Predict each model, GPU or engine with factors fitted without it.",
)
@click.option("--predictions", metavar="OUT.csv", help="Write the prediction of every run with its interval.")
@click.option("--write", "folder", metavar="DIR", help="Write engine files with the fitted factors, for --catalog DIR.")
@common.format_option("table", "csv")
@common.output_option
@common.notes_option
@common.catalog_option
def command(
    files: tuple[str, ...],
    start: str,
    origin: str | None,
    given: tuple[str, ...],
    leave_out: str,
    predictions: str | None,
    folder: str | None,
    form: str,
    output: str | None,
    catalogs: tuple[str, ...],
) -> None:
    """Fit the factors of serving engines to measured runs and report the errors.

    FILE is a result of vLLM bench serve, SGLang bench_serving, GuideLLM, AIPerf, GenAI-Perf or inference-perf, a
    dump of vLLM's /metrics, or a CSV as `predict` takes it with measured_ columns. The fit starts from the factors
    of the catalogue and changes those that the runs carry data on; a large set of runs can start from textbook values.

    \b
    planner calibrate results/*.json --given gpu=h100-sxm --write mine
    planner estimate --catalog mine
    planner calibrate runs.csv --start textbook --leave-out model --predictions out.csv
    """
    catalog = Catalog(catalogs)
    rows = _rows(files, _given(given))
    bench = prepare(rows, catalog)
    _warn(bench)
    starts = starts_of(catalog, bench.labels("engine")) if start == "catalog" else None
    apart = {} if leave_out == "none" else {leave_out: left_out(bench, leave_out, starts)}
    whole = in_sample(bench, starts) if folder or not apart else None
    _warn_few(bench, whole[1] if whole else None)
    ledger = apart[leave_out] if whole is None or apart else whole[0]
    if predictions:
        write_file(predictions, csv_table.write(ledger.header(), ledger.rows()))
    if folder and whole:
        kinds = {kind: found for kind, found in apart.items() if kind in EngineErrors.model_fields}
        _write(Path(folder), whole[1], Evidence(origin or _origin(files), today(), whole[0], kinds), catalog)
    common.show(_page(ledger), form, output)


def _given(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInputError(f"{text!r} has no value; expected COLUMN=VALUE", where="--given")
        found[name.strip()] = value.strip()
    return found


def _rows(files: tuple[str, ...], given: Mapping[str, str]) -> list[Row]:
    if not files:
        raise BadInputError("no runs are given; expected result files of benchmarks")
    return [row for name in files for row in read_benchmark(Path(name), given)]


def _warn(bench: Bench) -> None:
    """Warn of runs that are left out, that contradict each other, or whose own numbers do not fit together."""
    faults = [f"{run}: {why}" for run, why in bench.left_out.items()]
    doubts = (
        (faults, "runs are left out"),
        (contradictions(bench), "configurations contradict themselves"),
        (unsteady(bench), "runs have no steady state"),
    )
    for found, rest in doubts:
        more = len(found) - _SHOWN_FAULTS
        common.warn([*found[:_SHOWN_FAULTS], *([f"and {more} more {rest}"] if more > 0 else [])])


def _warn_few(bench: Bench, fitted: Fitted | None) -> None:
    """Warn where there are fewer runs than factors, with the factors that changed."""
    runs, factors = len(bench.ids), len(FACTORS)
    if runs >= factors:
        return
    told = ", ".join(fitted.told) if fitted else ""
    moved = f": updated {told}; all others unchanged" if told else ": most stay unchanged"
    common.warn([f"{runs} {'run is' if runs == 1 else 'runs are'} fewer than the {factors} factors{moved}"])


def _origin(files: tuple[str, ...]) -> str:
    """Return the names of the files, for the source of the factors."""
    named = [Path(name).name for name in files[:_SHOWN_FAULTS]]
    named += [f"{len(files) - _SHOWN_FAULTS} more files"] if len(files) > _SHOWN_FAULTS else []
    return ", ".join(named)


def _write(folder: Path, fitted: Fitted, evidence: Evidence, catalog: Catalog) -> None:
    """Write an engine file for each fitted engine and print its path."""
    for engine in fitted.values:
        text = engine_file(catalog.get(EngineSpec, engine), fitted, evidence)
        path = write_below(folder, f"hardware/engines/{engine}.yaml", text)
        silent = fitted.silent[engine]
        kept = f"; no data on {', '.join(silent)}: value unchanged" if silent else ""
        click.echo(f"wrote {path}{kept}", err=True)


def _page(ledger: Ledger) -> Page:
    """Return the errors by group: median, mean and bias of each metric, and the share its interval held."""
    parts = ("median", "mean", "bias", "held")
    errors_of = [f"{title} {part}" for title in TITLES.values() for part in parts]
    rows: list[dict[str, str | int | float | None]] = []
    for (kind, name), use in groups(ledger.bench).items():
        row: dict[str, str | int | float | None] = {"by": kind, "group": name, "runs": int(use.sum())}
        found = [errors(ledger, metric, use) for metric in TITLES]
        values = [value for e in found for value in (e.median, e.mean, e.bias, e.covered)]
        row |= {n: None if math.isnan(v) else v for n, v in zip(errors_of, values, strict=True)}
        rows.append(row)
    header = ["by", "group", "runs", *errors_of]
    section = Section(table=table(header, rows, dict.fromkeys(errors_of, "share")))
    return Page(header, [PageRow(row) for row in rows], [section])

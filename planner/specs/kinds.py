"""What a file is by its fields, and who answers it: so that the wrong kind of file is told in one line."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from planner.errors import BadInputError
from planner.specs.catalog import Catalog
from planner.specs.reader import STDIN, Document, exists, parse_document, read_document, read_stdin

SCENARIO_MARK, SCENARIO_FOLDER = "workload", "scenarios"


class Kind(NamedTuple):
    """A kind of file that is no scenario."""

    mark: str
    """A field that only files of that kind have."""
    word: str
    """Its name in `planner schema` and `validate`."""
    what: str
    """What it holds, for people."""
    folder: str | None = None
    """Folder of the shipped ones."""
    command: str | None = None
    """The command that answers it; None where it is data."""


KINDS = (
    Kind("quotes", "prices", "price quotes", "hardware/prices"),
    Kind("token_prices", "api-prices", "API prices", "hardware/api_prices"),
    Kind("hbm_bytes_per_s", "gpu", "a GPU", "hardware/gpus"),
    Kind("gpus_per_node", "system", "a system", "hardware/systems"),
    Kind("factors", "engine", "a serving engine", "hardware/engines"),
    Kind("attention", "model", "a model", "scenarios/models"),
    Kind("hourly_relative_rate", "demand", "a demand curve", "scenarios/demand"),
    Kind("limits", "plan", "a plan", "scenarios/plans", "quota"),
    Kind("cost_of_capital", "owning", "machines to own", "scenarios/owning", "payback"),
    Kind("data_centre_factor", "required-revenue", "a spending", "scenarios/required-revenue", "payback"),
    Kind("points", "benchmark", "points of a benchmark", "scenarios/benchmarks"),
    Kind("candidates", "quality", "a quality question", "scenarios/quality", "quality"),
    Kind("observations", "implied", "a comparison of models", "scenarios/implied", "implied"),
    Kind("budget_usd_per_month", "budget", "a budget", "scenarios/budgets", "budget"),
    Kind("ratios", "text", "a kind of text", "scenarios/texts"),
    Kind("tiers", "break-even", "an API beside machines", "scenarios/break-even", "break-even"),
    Kind("formats", "formats", "number formats"),
    Kind("busy_power_base", "assumptions", "assumptions"),
)


_FOLDERS = (SCENARIO_FOLDER, *(k.folder for k in sorted(KINDS, key=lambda k: k.command is None) if k.folder))
"""Where any name is looked for: questions before data, as a question may have the name of its data."""


def is_scenario(document: Document) -> bool:
    """Return whether a document has what only a question to `planner estimate` has."""
    return SCENARIO_MARK in document.data


def kind_of(document: Document) -> Kind | None:
    """Return what a document is by its fields; None for a scenario, and for what cannot be told."""
    return None if is_scenario(document) else next((kind for kind in KINDS if kind.mark in document.data), None)


def wrong_kind(document: Document, expected: str) -> BadInputError:
    """Return the error of a document that is of another kind than expected: what it is, and who answers it."""
    kind = kind_of(document)
    command, what = (kind.command, kind.what) if kind else ("estimate", "a scenario")
    text = f"is a file that `planner {command}` answers ({what})" if command else f"holds {what}"
    return BadInputError(f"{text}; expected {expected}", where=document.where)


def open_named(name: str, catalog: Catalog, folders: Sequence[str]) -> tuple[Document, Path] | None:
    """Return the document of `-` (stdin), of a shipped name or of a file, and its folder; None where nothing has it.

    Names of `folders` come first, then files, then the names of every other kind.
    """
    if name == STDIN:
        return parse_document(read_stdin(), "stdin"), Path.cwd()
    path = Path(name)
    shipped = _shipped(name, catalog, folders)
    if shipped is None and (exists(path) or path.suffix in {".yaml", ".yml", ".json"} or "/" in name or "\\" in name):
        return read_document(path), path.parent
    shipped = shipped or _shipped(name, catalog, _FOLDERS)
    return None if shipped is None else (read_document(shipped, where=catalog.shown(shipped)), shipped.parent)


def _shipped(name: str, catalog: Catalog, folders: Sequence[str]) -> Path | None:
    found = (catalog.files(folder).get(name) for folder in folders)
    return next((path for path in found if path is not None), None)

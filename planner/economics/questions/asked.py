"""Opening an economic question: a shipped name, a file or stdin, with --set applied, validated to its kind."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from planner.catalog.catalog import Catalog
from planner.catalog.open_named import FILE_BY_PATH, open_named
from planner.documents.spec import Loaded, load
from planner.documents.text_file import exists
from planner.documents.yaml_reader import Document
from planner.economics.questions.question import QuestionFile
from planner.errors import DataMissingError, unknown
from planner.scenario.load import changed, parse_path

Asked = TypeVar("Asked", bound=QuestionFile)


def load_asked(
    kind: type[Asked], folder: str, name: str, catalog: Catalog, changes: Mapping[str, Any] | None = None
) -> Loaded[Asked]:
    """Return a question of a kind by shipped name, file or `-`, with single fields changed.

    Raises BadInputError for a bad file and DataMissingError for an unknown name.
    """
    return load_document(kind, open_asked([folder], name, catalog), changes)


def load_document(kind: type[Asked], document: Document, changes: Mapping[str, Any] | None = None) -> Loaded[Asked]:
    """Return a document as a question of a kind, with single fields changed. Raises BadInputError.

    Another scenario is set first: what the file chose for its own goes, what is set beside it counts.
    """
    sets = dict(changes or {})
    other, own = sets.pop(_SCENARIO, None), document.data.get(_SCENARIO)
    if other is not None and other != own:
        document = changed(document, (_SCENARIO,), other, f"--set {_SCENARIO}")
        document = changed(document, ("title",), f"{other} in place of {own}", f"--set {_SCENARIO}")
        document = replace(document, data=kind.for_another_scenario(document.data))
    for path, value in sets.items():
        document = changed(document, parse_path(path, where="--set"), value, f"--set {path}")
    return load(kind, document)


_SCENARIO = "scenario"
"""The field in which a question names its scenario."""


def open_asked(folders: Sequence[str], name: str, catalog: Catalog) -> Document:
    """Return the document of a shipped name, those in `folders` first, of a file, or of stdin; whatever its kind."""
    if found := open_named(name, catalog, folders):
        return found[0]
    shipped = [stem for folder in folders for stem in catalog.files(folder)]
    raise DataMissingError(f"{unknown('name', name, shipped)} {FILE_BY_PATH}")


def named_beside(name: str, document: Document, catalog: Catalog) -> str:
    """Return the scenario that a question names: a shipped one, else a file beside the question, else as it stands."""
    beside = Path(document.where).parent / name
    return str(beside) if name not in catalog.files("scenarios") and exists(beside) else name

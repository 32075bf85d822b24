"""Opening a file by a shipped name, a path or `-`, whatever its kind."""

from collections.abc import Sequence
from pathlib import Path

from planner.catalog.catalog import Catalog, Found
from planner.catalog.kinds import KINDS, SCENARIO
from planner.catalog.model import ModelSpec
from planner.documents.text_file import STDIN, exists, read_stdin
from planner.documents.yaml_reader import Document, parse_document, read_document
from planner.errors import BadInputError

_FOLDERS = (
    str(SCENARIO.folder),
    *(k.folder for k in sorted(KINDS, key=lambda k: k.command is None) if k.folder and k is not SCENARIO),
)
"""Folders to search for a name: questions before data, since both may have the same name."""
FILE_SUFFIXES = (".yaml", ".yml", ".json")
"""Endings of a name that is a file's."""
FILE_BY_PATH = "A file is given by its path."
"""Ends the message about an unknown name where a file would do."""


def open_named(name: str, catalog: Catalog, folders: Sequence[str]) -> tuple[Document, Path] | None:
    """Return the document of `-` (stdin), a shipped name or a file, and its folder; None for an unknown name.

    Names in `folders` come first, then files, then the names of every other kind. Raises BadInputError for a bad file.
    """
    if name == STDIN:
        return parse_document(read_stdin(), "stdin"), Path.cwd()
    path = Path(name)
    shipped = _shipped(name, catalog, folders)
    if shipped is None and (exists(path) or path.suffix in FILE_SUFFIXES or "/" in name or "\\" in name):
        return read_document(path), path.parent
    shipped = shipped or _shipped(name, catalog, _FOLDERS)
    return None if shipped is None else (read_document(shipped, where=catalog.shown(shipped)), shipped.parent)


def open_model(name: str, catalog: Catalog, *, folder: Path | None = None, where: str = "") -> Found:
    """Return the model that a config.json, a spec file or a name of the catalogue means.

    A relative path is looked for here, then in `folder`. Raises BadInputError for a file that is not there or is bad,
    DataMissingError for an unknown name.
    """
    if not name.endswith(FILE_SUFFIXES):
        return catalog.find(ModelSpec, name, where=where)
    places = (Path(name), *([folder / name] if folder else []))
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise BadInputError(
            f"model: no such file {name!r}; expected a config.json, a spec file or a catalogue name", where=where
        )
    if path.suffix != ".json":
        return Found(catalog.read(ModelSpec, path), None)
    from planner.catalog.huggingface.config import read_config  # noqa: PLC0415 - only a config.json needs it

    return Found(read_config(path), None)


def _shipped(name: str, catalog: Catalog, folders: Sequence[str]) -> Path | None:
    found = (catalog.files(folder).get(name) for folder in folders)
    return next((path for path in found if path is not None), None)

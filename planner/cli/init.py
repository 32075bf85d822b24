"""`planner init`: write a commented scenario to start from."""

import json
from importlib.resources import files
from pathlib import Path

import click

from planner.catalog.kinds import SCENARIO
from planner.documents.json_schema import json_schema
from planner.documents.text_file import exists, read_text
from planner.errors import BadInputError
from planner.report.output import write_file

SCHEMA_FILE = "scenario.schema.json"


@click.command("init")
@click.argument("file", default="scenario.yaml", metavar="[FILE]")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(file: str, force: bool) -> None:
    """Write a commented scenario, and beside it the JSON Schema that editors check it with.

    \b
    planner init my.yaml
    """
    path = Path(file)
    if path.suffix not in {".yaml", ".yml"}:
        raise BadInputError(f"{file!r} is not a YAML file name; expected e.g. scenario.yaml", where="init")
    schema = path.parent / SCHEMA_FILE
    if exists(path) and not force:
        raise BadInputError("already exists; --force replaces it", where=file)
    text = files("planner.cli").joinpath("template.yaml").read_text(encoding="utf-8")
    wanted = json.dumps(json_schema(SCENARIO.spec), indent=2) + "\n"
    if exists(schema) and not force and read_text(schema) != wanted:
        raise BadInputError("already exists and differs; --force replaces it", where=str(schema))
    write_file(path, text.replace("{name}", json.dumps(path.stem, ensure_ascii=False)))
    write_file(schema, wanted)
    click.echo(f"wrote {path} and {schema}; next: planner estimate {path}", err=True)

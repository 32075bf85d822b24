"""The documents say what the code does: every field, every command, every formula's home."""

import re
from pathlib import Path

import pytest

from planner.cli.main import COMMANDS
from planner.documents.json_schema import json_schema
from planner.documents.spec import field_names
from planner.scenario.scenario import ScenarioSpec

ROOT = Path(__file__).resolve().parents[1]


def text(name: str) -> str:
    """Return a document."""
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("group", ["", *ScenarioSpec.model_fields])
def test_every_scenario_field_is_documented(group: str) -> None:
    """docs/scenarios.md names each field of the schema; percentile limits are described by their pattern."""
    page = text("docs/scenarios.md")
    names = field_names(ScenarioSpec, (group,) if group else ())
    for name in names:
        shown = re.sub(r"^(tpot|e2e|time_to_answer)_p\d\d_s$", r"\1", name)
        assert re.search(rf"\b{re.escape(shown)}\b", page), f"{group}.{name}"


def test_every_module_named_in_the_method_exists() -> None:
    """docs/method.md names the file that holds each formula, and the file is there."""
    files = re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", text("docs/method.md"))
    assert len(files) >= 8
    assert [name for name in files if not (ROOT / "planner" / name).exists()] == []


def test_decisions_are_short_and_have_three_parts() -> None:
    """A decision is context, decision, consequences in at most 20 lines."""
    found = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert found
    for path in found:
        page = path.read_text(encoding="utf-8")
        assert page.count("\n") <= 20, path.name
        assert all(f"**{part}.**" in page for part in ("Context", "Decision", "Consequences")), path.name


def test_the_readme_names_every_command() -> None:
    """A command that is not in the README is not found."""
    page = text("README.md")
    assert [name for name in COMMANDS if not re.search(rf"`?planner {name}\b", page)] == []


def test_editors_show_what_a_field_means() -> None:
    """Every field of a scenario has a description in the JSON Schema, or a name that says it all."""
    schema = json_schema(ScenarioSpec)
    parts = {name: schema["$defs"][name] for name in schema["$defs"] if name not in {"SloSpec", "Length"}}
    silent = [f"{n}.{f}" for n, part in (parts | {"": schema}).items()
              for f, prop in part.get("properties", {}).items() if not prop.get("description")]  # fmt: skip
    plain = {"answers_per_second", "answers_per_hour", "answers_per_day", "answers_per_month", "input_tokens", "name",
             "answer_tokens", "samples_per_answer", "turns_per_answer", "users", "url", "published", "confidence",
             "note", "count", "input", "output", "tokens_per_day", "classes", "benchmark"}  # fmt: skip
    assert {f.rsplit(".")[-1] for f in silent} <= plain

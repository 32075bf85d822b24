"""A value in its short form means what its long form means, and counts as given by the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from planner.catalog.catalog import Catalog
from planner.documents.json_schema import json_schema
from planner.economics.questions.asked import load_asked
from planner.economics.questions.break_even import BreakEvenFile
from planner.economics.questions.owning import OwningFile
from planner.options.provenance import file_inputs

MACHINES = """\
name: mine
as_of: 2026-11-01
cost_of_capital: 0.1
site: {pue: 1.25, usd_per_kwh: 0.1}
operations: {maintenance_share: 0.02}
options:
  - {name: nodes, system: hgx-h100, life_years: 4, capex_usd_per_system: 300000, VALUE}
"""
PLACE = f":7:{MACHINES.splitlines()[6].index('VALUE') + len('rent_out: ') + 1}"


@pytest.mark.parametrize("field", ["rent_out", "own_use"])
@pytest.mark.parametrize("short", ["2.1", "{value: 2.1}"])
def test_what_an_hour_brings_may_be_a_number(call: Callable[..., Any], tmp_path: Path, field: str, short: str) -> None:
    """`rent_out: 2.1` is `rent_out: {usd_per_gpu_hour: 2.1}`, in the answer and in the schema for editors."""
    path, answers = tmp_path / "mine.yaml", []
    for value in (f"{field}: {short}", f"{field}: {{usd_per_gpu_hour: 2.1}}"):
        path.write_text(MACHINES.replace("VALUE", value), encoding="utf-8")
        outcome = call("payback", path, "-f", "csv")
        assert outcome.code == 0, outcome.errors
        answers.append(outcome.out)
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["as_of"] = document["as_of"].isoformat()
        jsonschema.validate(document, json_schema(OwningFile))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("-2.1", "-2.1 is negative; expected a number above 0"),
        ("cheap", "'cheap' is not valid here; expected a number [USD/h] or {provider, tier}"),
        ("true", "true is not valid here; expected a number [USD/h] or {provider, tier}"),
    ],
)
def test_what_is_no_price_of_an_hour_is_told_so(
    call: Callable[..., Any], tmp_path: Path, value: str, fault: str
) -> None:
    """One line at the value, which says both forms."""
    path = tmp_path / "mine.yaml"
    path.write_text(MACHINES.replace("VALUE", f"rent_out: {value}"), encoding="utf-8")
    outcome = call("payback", path)
    assert outcome.code == 2
    assert outcome.errors == [f"error: {path}{PLACE} options[0].rent_out: {fault}"]


def test_a_short_form_is_given_and_its_defaults_are_assumed(tmp_path: Path) -> None:
    """A number in place of a mapping, and a tier by its name, are no assumptions of the planner."""
    path = tmp_path / "mine.yaml"
    path.write_text(MACHINES.replace("VALUE", "rent_out: 2.1"), encoding="utf-8")
    found = {i.name: i for i in file_inputs(load_asked(OwningFile, "", str(path), Catalog()))}
    assert not found["options[0].rent_out.usd_per_gpu_hour"].assumed
    assert found["options[0].rent_out.usd_per_gpu_hour"].where == f"{path}{PLACE}"
    assert found["options[0].rent_out.share"].assumed
    tiers = load_asked(BreakEvenFile, "scenarios/break-even", "o1-own-or-api", Catalog())
    assert not any(i.assumed for i in file_inputs(tiers) if i.name.startswith("tiers["))

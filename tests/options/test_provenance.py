"""Where inputs come from: given or assumed, by which source, at which place; one rule for scenarios and questions."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import GpuSpec
from planner.catalog.market import DemandCurve
from planner.documents.spec import Confidence, Source, load
from planner.documents.yaml_reader import parse_document
from planner.economics.questions.plan import PlanFile
from planner.options.provenance import (
    ASSUMED,
    GIVEN,
    NO_SOURCE,
    Input,
    file_inputs,
    grid_input,
    scenario_inputs,
    spec_inputs,
)
from planner.scenario.load import build_scenario, load_scenario

SCENARIO = """name: mine
model: deepseek-r1
engine: [vllm, sglang]
workload:
  answers_per_day: {value: 1e5, source: measured}
  input_tokens: {mean: 1268, cv: 3.1}
  answer_tokens: {value: 392, source: guess}
  reasoning_multiplier: 3.9
prices: {max_age_days: 30, source: measured}
sources:
  measured: {title: Traffic of October, url: "https://example.com/t", checked: 2026-11-01}
  guess: {title: A guess, checked: 2026-11-02, confidence: low}
"""


def inputs_of(text: str, **changes: Any) -> dict[str, Input]:
    """Return the inputs of a scenario's text by name."""
    scenario = build_scenario(parse_document(text, "mine.yaml"), Path(), changes=changes)
    return {i.name: i for i in scenario_inputs(scenario)}


@pytest.mark.parametrize(("confidence", "assumed"), [(None, False), ("high", False), ("medium", False), ("low", True)])
def test_a_value_of_a_weak_source_counts_as_assumed(confidence: Confidence | None, assumed: bool) -> None:  # noqa: FBT001
    """Only low confidence makes an assumption of a value that has a source; the source is cited either way."""
    source = Source(title="Sheet", url="https://x.org", checked=dt.date(2026, 11, 1), confidence=confidence)
    one = Input.of("gpu.tdp_w", 700, "gpus/x.yaml:3:8", source)
    assert one.row() == {
        "name": "gpu.tdp_w",
        "value": 700,
        "where": "gpus/x.yaml:3:8",
        "source": "Sheet, https://x.org (checked 2026-11-01)",
        "checked": "2026-11-01",
        "assumed": assumed,
    }


@pytest.mark.parametrize(("without", "assumed"), [(GIVEN, False), (NO_SOURCE, False), (ASSUMED, True)])
def test_a_value_without_a_source_says_why(without: str, assumed: bool) -> None:  # noqa: FBT001
    """Given by the user, without a source in the catalogue, or a default: only the last is assumed."""
    one = Input.of("x", dt.date(2026, 1, 2), "f.yaml", None, without=without)
    assert (one.value, one.source, one.checked, one.assumed) == ("2026-01-02", without, None, assumed)


def test_a_scenario_s_values_are_given_sourced_or_assumed() -> None:
    """A source covers its value or everything in its mapping; a default has no line in the file."""
    found = inputs_of(SCENARIO)
    assert found["model"][2:] == ("mine.yaml:2:8", GIVEN, None, False)
    cited = "Traffic of October, https://example.com/t (checked 2026-11-01)"
    assert found["workload.answers_per_day"][1:] == (100000, "mine.yaml:5:28", cited, "2026-11-01", False)
    assert found["prices.max_age_days"].source == cited
    assert found["workload.answer_tokens"].assumed
    assert found["fleet.headroom"][1:] == (0.1, "mine.yaml", ASSUMED, None, True)
    assert found["demand.peak_to_mean"][1:] == (1.0, "mine.yaml", ASSUMED, None, True)


def test_a_list_and_a_length_of_a_scenario_are_one_input_each() -> None:
    """As they are written, so that a list of engines or a distribution stays readable."""
    found = inputs_of(SCENARIO)
    assert found["engine"].value == ["vllm", "sglang"]
    assert found["workload.input_tokens"].value == {"mean": 1268.0, "cv": 3.1}
    assert not any(name.startswith(("engine[", "workload.input_tokens.")) for name in found)


def test_a_change_on_the_command_line_is_given_there() -> None:
    """--set replaces the value, its place and its source."""
    one = inputs_of(SCENARIO, **{"workload.answers_per_day": 5})["workload.answers_per_day"]
    assert one[1:] == (5, "--set workload.answers_per_day", GIVEN, None, False)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("  reasoning_multiplier: 3.9\n", "workload.reasoning_multiplier"),
        ("  cached_share: 0.5\n", "workload.cached_share"),
        ("  max_tokens: 100\n", "workload.max_tokens"),
    ],
)
def test_what_a_workload_leaves_out_is_listed_with_its_default(line: str, name: str) -> None:
    """A field is listed once: with its value, or else as an assumption."""
    without = SCENARIO.replace("  reasoning_multiplier: 3.9\n", "")
    given = without.replace("prices:", f"{line}prices:")
    assert inputs_of(without)[name].assumed
    assert not inputs_of(given)[name].assumed


def test_an_effort_is_a_way_to_think_and_leaves_no_default_multiplier() -> None:
    """A multiplier of 1 is assumed only where nothing says how much the model thinks."""
    text = SCENARIO.replace("reasoning_multiplier: 3.9", "reasoning_tokens: 900")
    assert "workload.reasoning_multiplier" not in inputs_of(text)
    assert (
        inputs_of(SCENARIO.replace("  reasoning_multiplier: 3.9\n", ""))["workload.reasoning_multiplier"].value == 1.0
    )


def test_a_question_s_lists_are_inputs_one_by_one(catalog: Catalog) -> None:
    """Entries of a plan's limits have paths of their own, with the place of each."""
    path = catalog.files("scenarios/plans")["open-plus"]
    loaded = catalog.read(PlanFile, path)
    found = {i.name: i for i in file_inputs(loaded)}
    names = [name for name in found if name.startswith("limits[0].")]
    assert names
    assert all(found[name].where.startswith("scenarios/plans/open-plus.yaml:") for name in names)


def test_values_of_the_catalogue_leave_out_levels_that_say_nothing(catalog: Catalog) -> None:
    """`quotes[3].usd_per_gpu_hour` of a price file is price.usd_per_gpu_hour, with the value of that quote."""
    gpu = catalog.get(GpuSpec, "h100-sxm")
    one, nested = spec_inputs("gpu", gpu, [("hbm_bytes_per_s",), ("dense_flop_per_s", "fp16")])
    assert (one.name, one.value) == ("gpu.hbm_bytes_per_s", gpu.spec.hbm_bytes_per_s)
    assert (nested.name, nested.value) == ("gpu.dense_flop_per_s.fp16", gpu.spec.dense_flop_per_s.fp16)
    assert one.where.startswith("hardware/gpus/h100-sxm.yaml:")
    assert one.source not in {NO_SOURCE, GIVEN, ASSUMED}


def test_a_grid_cites_the_source_of_its_row(catalog: Catalog) -> None:
    """The place is the row of grids.csv, the source that of the row."""
    grid = catalog.grid("FRA")
    one = grid_input(grid)
    assert (one.name, one.value, one.where) == ("grid.gco2e_per_kwh", grid.gco2e_per_kwh, grid.where)
    assert one.source.startswith(grid.source.title)
    assert one.checked == grid.source.checked.isoformat()


def test_no_field_of_a_shipped_scenario_is_listed_twice(catalog: Catalog) -> None:
    """Every shipped scenario, each name once; nothing without a place."""
    for name in catalog.files("scenarios"):
        found = scenario_inputs(load_scenario(name, catalog))
        names = [i.name for i in found]
        assert len(names) == len(set(names)), name
        assert all(i.where for i in found)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Return the shipped catalogue."""
    return Catalog()


def test_a_document_without_sources_is_loaded_and_has_none() -> None:
    """A file may name no source at all."""
    text = "id: x\nname: X\nhourly_relative_rate: [" + ", ".join(["1"] * 24) + "]\nstarts: Monday 00:00 UTC\n"
    (one,) = [i for i in file_inputs(load(DemandCurve, parse_document(text, "c.yaml"))) if i.name == "starts"]
    assert one[1:] == ("Monday 00:00 UTC", "c.yaml:4:9", GIVEN, None, False)

"""Output formats: the contract's fields, the same numbers in each format, the same bytes each time, and no network."""

import csv
import io
import json
import math
import socket
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.documents.csv_table import DIALECTS, cell, write
from planner.options.option import COLUMNS
from planner.report.as_markdown import escape
from planner.scenario.load import open_scenario

Call = Callable[..., Any]
# The contract's result fields, in its order.
CONTRACT = """
scenario, model, gpu, system, engine, precision, provider, price_tier, region, tensor_parallel, pipeline_parallel,
expert_parallel, data_parallel, gpus_per_replica, fits, meets_slo, limit, replicas, spare_replicas, nodes, nodes_mean,
gpus, answers_per_month, input_tokens_per_answer, answer_tokens_per_answer, reasoning_multiplier,
generated_tokens_per_answer, truncated_share, concurrency_per_replica, max_concurrency_per_replica, utilization,
ttft_p50_s, ttft_p95_s, ttft_p99_s, tpot_p50_s, tpot_p95_s, tpot_p99_s, time_to_answer_p50_s, time_to_answer_p95_s,
time_to_answer_p99_s, e2e_p50_s, e2e_p95_s, e2e_p99_s, output_tokens_per_s_per_gpu, gpu_seconds_per_answer,
gpu_hours_per_month_reserved, gpu_hours_per_month_used, usd_per_gpu_hour, cost_usd_per_month, cost_usd_per_answer,
cost_usd_per_answer_used, cost_usd_per_mtok_input, cost_usd_per_mtok_output, accuracy, cost_usd_per_correct_answer,
gpu_time_multiplier, cost_multiplier, energy_multiplier, power_kw, energy_kwh_per_month, energy_wh_per_answer,
co2e_kg_per_month, prices_as_of, price_source, basis, scenario_hash,
prefill_tensor_parallel, prefill_pipeline_parallel, prefill_expert_parallel, prefill_data_parallel,
prefill_gpus_per_replica, prefill_replicas,
longest_context_tokens, engine_version, why
"""
FIELDS = [name.strip() for name in CONTRACT.replace("\n", " ").split(",")]
TEXTS = {"scenario", "model", "gpu", "system", "engine", "precision", "provider", "price_tier", "region", "limit",
         "prices_as_of", "price_source", "basis", "scenario_hash", "engine_version", "why"}  # fmt: skip
FLAGS = {"fits", "meets_slo"}
LONG = ["scenario", "option", "metric", "unit", "value", "low", "high", "basis", "source"]


@cache
def questions() -> tuple[tuple[str, str | None], ...]:
    """Return every shipped scenario with None and each of its overrides."""
    catalog = Catalog()
    found: list[tuple[str, str | None]] = []
    for name in catalog.files("scenarios"):
        overrides = open_scenario(name, catalog)[0].data.get("overrides") or {}
        found += [(name, None), *((name, override) for override in overrides)]
    return tuple(found)


def named(question: tuple[str, str | None]) -> str:
    """Return a test's name."""
    return "/".join(filter(None, question))


def arguments(question: tuple[str, str | None], *more: str) -> list[str]:
    """Return the command line of a question."""
    name, override = question
    return ["estimate", name, *(["--override", override] if override else []), *more]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every use of the network fail the test."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the network was touched")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


def number_from(text: str) -> float | None:
    """Return a CSV cell as a number; an empty one is missing."""
    return float(text) if text else None


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("question", questions(), ids=named)
def test_every_shipped_question_is_answered_alike_in_every_format(call: Call, question: tuple[str, str | None]) -> None:
    """All fields of the contract in order, no NaN or infinity, CSV = JSON to the last digit, the same bytes twice."""
    outcome = call(*arguments(question, "--all", "--format", "json"))
    assert outcome.code == 0
    assert outcome.errors == []
    document = json.loads(outcome.out, parse_constant=pytest.fail)
    assert list(document) == ["schema_version", "tool_version", "inputs", "results", "warnings", "provenance"]
    rows = document["results"]
    assert [list(row) for row in rows] == [FIELDS] * len(rows)
    assert {row["scenario"] for row in rows} == {named(question)}
    assert rows[0]["meets_slo"]
    assert call(*arguments(question, "--all", "--format", "json")).out == outcome.out
    _check_types(rows)
    _check_csv(call(*arguments(question, "--all", "--format", "csv")).out, rows)
    _check_long(call(*arguments(question, "--all", "--format", "long-csv")).out, rows)
    for form in ("table", "markdown"):
        text = call(*arguments(question, "--format", form)).out
        assert f"{rows[0]['gpus']:,} × {rows[0]['gpu']}" in text
        assert "nan" not in text.lower().split()
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_two_pools_are_answered_alike_in_every_format(call: Call) -> None:
    """Fields, CSV and long CSV as with one pool; the table, Markdown and `compare` say what either pool is."""
    two = ["--set", "fleet.pools=any", "--set", "fleet.gpus=a100-sxm-80gb"]
    rows = json.loads(call("estimate", "o1-class", *two, "--all", "--format", "json").out)["results"]
    assert [list(row) for row in rows] == [FIELDS] * len(rows)
    best = rows[0]
    assert best["prefill_replicas"] >= 1
    assert best["prefill_gpus_per_replica"] == best["prefill_tensor_parallel"] * best["prefill_pipeline_parallel"]
    _check_types(rows)
    _check_csv(call("estimate", "o1-class", *two, "--all", "--format", "csv").out, rows)
    _check_long(call("estimate", "o1-class", *two, "--all", "--format", "long-csv").out, rows)
    sizes = f"P {best['prefill_replicas']}×TP{best['prefill_tensor_parallel']}"
    for form in ("table", "markdown"):
        text = call("estimate", "o1-class", *two, "--format", form).out
        assert sizes in text
        assert f"{best['prefill_replicas']} × {best['prefill_gpus_per_replica']} GPUs" in text
    assert sizes in call("compare", "o1-class", "chat-assistant", *two).out


def _check_types(rows: list[dict[str, Any]]) -> None:
    """Texts are text, flags are flags, everything else is a finite number or null."""
    for row in rows:
        for name, value in row.items():
            if name in TEXTS:
                assert value is None or isinstance(value, str), name
            elif name in FLAGS:
                assert isinstance(value, bool), name
            else:
                assert value is None or (isinstance(value, int | float) and math.isfinite(value)), name
        assert row["cost_usd_per_month"] is None or row["cost_usd_per_month"] > 0


def _check_csv(text: str, rows: list[dict[str, Any]]) -> None:
    """RFC 4180: CRLF everywhere, the header first, and each cell reads back as the JSON value."""
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n")
    read = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert read[0] == FIELDS
    assert len(read) == len(rows) + 1
    for cells, row in zip(read[1:], rows, strict=True):
        for name, text_of in zip(FIELDS, cells, strict=True):
            value = row[name]
            if name in TEXTS:
                assert text_of == (value or "")
            elif name in FLAGS:
                assert text_of == ("TRUE" if value else "FALSE")
            else:
                assert number_from(text_of) == value, name


def _check_long(text: str, rows: list[dict[str, Any]]) -> None:
    """One line per number: the same numbers with the unit of the column dictionary; options are told apart."""
    read = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert list(read[0]) == LONG
    numbers = [
        (r["scenario"], n, float(r[n])) for r in rows for n in FIELDS if n not in TEXTS | FLAGS and r[n] is not None
    ]
    assert [(line["scenario"], line["metric"], float(line["value"])) for line in read] == numbers
    assert all(line["unit"] == COLUMNS[line["metric"]].unit for line in read)


@pytest.mark.parametrize("question", questions(), ids=named)
def test_an_open_question_compares_at_least_four_gpus(call: Call, question: tuple[str, str | None]) -> None:
    """Where the scenario does not name GPUs, four or more kinds are among the options."""
    document = json.loads(call(*arguments(question, "--format", "json")).out)
    asked = document["inputs"][0]["fields"]
    if asked.get("fleet.gpus") is None:
        assert len({row["gpu"] for row in document["results"]}) >= 4


@pytest.mark.usefixtures("offline")
def test_the_default_is_the_worked_example(call: Call) -> None:
    """`planner estimate` alone answers o1-class, offline, as a table with its variants named."""
    outcome = call("estimate")
    assert outcome.code == 0
    assert outcome.out == call("estimate", "o1-class").out
    assert outcome.out.startswith("o1-class – ")
    assert "without-thinking" in outcome.out


def test_the_envelope_says_what_was_asked_and_where_it_comes_from(call: Call) -> None:
    """Inputs hold each field; provenance holds name, value, place and source of each input, assumptions marked."""
    document = json.loads(call("estimate", "--format", "json").out)
    asked = document["inputs"][0]
    assert asked["scenario"] == "o1-class"
    assert asked["fields"]["workload.answers_per_day"] == 1e6
    names = {p["name"] for p in document["provenance"]}
    assert "workload.reasoning_multiplier" in names
    assert all(p["scenario"] == "o1-class" and p["where"] and p["source"] for p in document["provenance"])
    assert any("assum" in str(p["source"]).lower() for p in document["provenance"])


def test_several_questions_stand_in_one_document(call: Call) -> None:
    """`estimate A B --override all`: every question's rows, each labelled."""
    document = json.loads(call("estimate", "o1-class", "--override", "all", "--format", "json").out)
    labels = list(dict.fromkeys(row["scenario"] for row in document["results"]))
    assert labels == [named(q) for q in questions() if q[0] == "o1-class"]
    assert [i["scenario"] for i in document["inputs"]] == labels


@pytest.mark.parametrize("form", ["json", "csv", "long-csv"])
def test_fields_are_chosen_and_ordered(call: Call, form: str) -> None:
    """--fields a,b gives those, in that order, once, in each data format."""
    out = call("estimate", "--gpu", "h100-sxm", "--format", form, "--fields", "gpus, cost_usd_per_month,gpus").out
    if form == "json":
        assert {tuple(row) for row in json.loads(out)["results"]} == {("gpus", "cost_usd_per_month")}
    elif form == "csv":
        assert out.splitlines()[0] == "gpus,cost_usd_per_month"
    else:
        metrics = [line["metric"] for line in csv.DictReader(io.StringIO(out, newline=""))]
        assert list(dict.fromkeys(metrics)) == ["gpus", "cost_usd_per_month"]


def test_the_dialects_for_spreadsheets(call: Call) -> None:
    """Excel gets a BOM; excel-eu also semicolons and decimal commas; plain neither; none has `sep=`."""
    texts = {d: call("estimate", "--format", "csv", "--dialect", d).out for d in DIALECTS}
    assert texts["excel"] == "\ufeff" + texts["plain"]
    assert texts["plain"].startswith("scenario,model,gpu")
    assert texts["excel-eu"].startswith("\ufeffscenario;model;gpu")
    plain = list(csv.DictReader(io.StringIO(texts["plain"], newline="")))
    europe = list(csv.DictReader(io.StringIO(texts["excel-eu"].removeprefix("\ufeff"), newline=""), delimiter=";"))
    for one, other in zip(plain, europe, strict=True):
        assert one["cost_usd_per_month"] == other["cost_usd_per_month"].replace(",", ".")
        assert one["gpu"] == other["gpu"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-x", "'-x"),
        ("@cmd", "'@cmd"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("a=b", "a=b"),
        (-1.5, "-1.5"),
        (-3, "-3"),
        (1e-7, "1e-07"),
        (0, "0"),
        (True, "TRUE"),
        (None, ""),
        ("", ""),
    ],
)
def test_text_that_looks_like_a_formula_is_guarded(value: Any, text: str) -> None:
    """A leading = + - @ tab or CR gets an apostrophe; numbers never do."""
    assert cell(value) == text


def test_a_scenario_name_cannot_smuggle_a_formula(call: Call, scenario_text: str) -> None:
    """A hostile name is guarded in CSV, escaped in Markdown, and whole in JSON."""
    hostile = '=HYPERLINK(\\"http://x\\")|<b>'
    text = scenario_text.replace("name: question", f'name: "{hostile}"')
    name = hostile.replace('\\"', '"')
    rows = list(csv.DictReader(io.StringIO(call("estimate", "-", "--format", "csv", stdin=text).out, newline="")))
    assert {row["scenario"] for row in rows} == {"'" + name}
    assert json.loads(call("estimate", "-", "--format", "json", stdin=text).out)["results"][0]["scenario"] == name
    first = call("estimate", "-", "--format", "markdown", stdin=text).out.splitlines()[0]
    assert first == "## " + name.replace("|", "\\|").replace("<", "&lt;")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_csv(value: float) -> None:
    """What the file holds is what was computed, in the European dialect too."""
    assert float(cell(value)) == value
    assert float(cell(value, decimal_comma=True).replace(",", ".")) == value


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4), st.sampled_from(DIALECTS))
def test_any_text_survives_csv(rows: list[tuple[str, str]], dialect: str) -> None:
    """Quotes, line breaks and delimiters read back, but for the guard's apostrophe."""
    text = write(["a", "b"], rows, dialect).removeprefix("\ufeff")
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=";" if dialect == "excel-eu" else ",", strict=True))
    expected = [tuple(cell(c) for c in row) for row in rows]
    assert [tuple(r) for r in read[1:]] == expected


@given(st.text(alphabet="a|\\<", max_size=10))
def test_markdown_shows_the_text_itself(text: str) -> None:
    """No bar ends a cell and no tag opens: each is escaped."""
    shown = escape(text)
    assert "<" not in shown
    assert shown.replace("&lt;", "<").replace("\\|", "|").replace("\\\\", "\\") == text or "\\" in text


def test_the_column_dictionary_is_the_contract() -> None:
    """The columns are the contract's fields in its order, each with a meaning."""
    assert list(COLUMNS) == FIELDS
    assert all(column.meaning for column in COLUMNS.values())

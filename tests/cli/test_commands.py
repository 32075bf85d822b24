"""Every command in its normal use, from its help to its answer."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import planner
from planner.catalog.catalog import Catalog, shipped_root
from planner.catalog.kinds import BY_WORD, SCENARIO
from planner.cli.list_ import KINDS
from planner.cli.main import COMMANDS
from planner.documents.json_schema import json_schema
from planner.documents.yaml_reader import plain_scalar

Call = Callable[..., Any]
VERSION = f"inference-planner {planner.__version__}\n"
FILES = {
    "plan": "scenarios/plans/*.yaml",
    "owning": "scenarios/owning/*.yaml",
    "required-revenue": "scenarios/required-revenue/*.yaml",
    "benchmark": "scenarios/benchmarks/*.yaml",
    "quality": "scenarios/quality/*.yaml",
    "implied": "scenarios/implied/*.yaml",
    "budget": "scenarios/budgets/*.yaml",
    "text": "scenarios/texts/*.yaml",
    "break-even": "scenarios/break-even/*.yaml",
    "scenario": "scenarios/*.yaml",
    "model": "scenarios/models/*.yaml",
    "demand": "scenarios/demand/*.yaml",
    "gpu": "hardware/gpus/*.yaml",
    "system": "hardware/systems/*.yaml",
    "engine": "hardware/engines/*.yaml",
    "engine-support": "hardware/engines/support/*.yaml",
    "prices": "hardware/prices/*.yaml",
    "api-prices": "hardware/api_prices/*.yaml",
    "formats": "hardware/formats.yaml",
    "assumptions": "hardware/assumptions.yaml",
}


def rows_of(text: str) -> list[dict[str, str]]:
    """Return CSV text as rows."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", list(COMMANDS))
def test_the_help_of_every_command_has_an_example(call: Call, command: str, flag: str) -> None:
    """Usage, what it does, and at least one line to copy that starts with the command itself."""
    outcome = call(command, flag)
    assert (outcome.code, outcome.err) == (0, "")
    usage, _, rest = outcome.out.partition("\n")
    assert usage.startswith(f"Usage: planner {command} ")
    assert f"planner {command}" in rest


def test_the_help_lists_every_command_and_the_exit_codes(call: Call) -> None:
    """`planner -h`: one line per command, the codes a script needs, where to start."""
    outcome = call("-h")
    assert outcome.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in outcome.out
    assert "Exit codes: 0 " in outcome.out
    assert "Start with: planner estimate" in outcome.out


@pytest.mark.parametrize(
    "arguments", [["-m", "planner", "--version"], ["-m", "planner", "--version", "--version"]], ids=["fast", "click"]
)
def test_the_version_is_one_line(arguments: list[str]) -> None:
    """`python -m planner --version`, by the short way and by the parser."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (VERSION, "")


def test_the_version_of_the_parser_is_the_same(call: Call) -> None:
    """The command group answers --version as the entry point does."""
    assert call("--version").out == VERSION


def test_init_writes_a_scenario_that_works(call: Call, tmp_path: Path) -> None:
    """The file and its schema: both are there, `validate` and `estimate` accept them, editors find the schema."""
    path = tmp_path / "mine.yaml"
    outcome = call("init", path)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"wrote {path} and {tmp_path / 'scenario.schema.json'}; next: planner estimate {path}\n"
    assert call("validate", path).out == f"{path}: ok (scenario with 2 variants)\n"
    answered = call("estimate", path, "--format", "json", "--fields", "scenario,gpus")
    assert answered.code == 0
    assert json.loads(answered.out)["results"][0]["scenario"] == "mine"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=scenario.schema.json"
    assert json.loads((tmp_path / "scenario.schema.json").read_text(encoding="utf-8")) == json_schema(SCENARIO.spec)


def test_init_keeps_what_is_there(call: Call, tmp_path: Path) -> None:
    """A file that exists stays as it is without --force, and no schema is written beside it."""
    path = tmp_path / "scenario.yaml"
    path.write_text("mine", encoding="utf-8")
    outcome = call("init", path)
    assert outcome.code == 2
    assert outcome.errors == [f"error: {path}: already exists; --force replaces it"]
    assert path.read_text(encoding="utf-8") == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["scenario.yaml"]
    assert call("init", path, "--force").code == 0
    assert call("validate", path).code == 0


def test_init_names_the_file_by_default(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`planner init` alone writes scenario.yaml here."""
    monkeypatch.chdir(tmp_path)
    assert call("init").code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scenario.schema.json", "scenario.yaml"]


class RawLoader(yaml.SafeLoader):
    """YAML as an editor reads it: keys such as `source` stay, and 1e6 is a number."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - replaces the base class's table


def _scalar(_: RawLoader, node: yaml.ScalarNode) -> Any:
    value = node.value if node.style in {"'", '"', "|", ">"} else plain_scalar(node.value)
    return value.isoformat() if hasattr(value, "isoformat") else value


RawLoader.add_constructor("tag:yaml.org,2002:str", _scalar)


def raw(path: Path) -> Any:
    """Return a YAML file as plain data with its `source` keys."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=RawLoader)  # noqa: S506 - derived from SafeLoader


@pytest.mark.parametrize("kind", list(BY_WORD))
def test_the_schema_accepts_what_ships_and_refuses_an_unknown_key(call: Call, kind: str) -> None:
    """JSON Schema draft 7: every shipped file of the kind is valid, and is not with a key too many."""
    outcome = call("schema", kind)
    schema = json.loads(outcome.out)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    paths = sorted(shipped_root().glob(FILES[kind]))
    assert paths
    for path in paths:
        data = raw(path)
        assert [f"{path.name}: {e.json_path}: {e.message}" for e in validator.iter_errors(data)] == []
        assert not validator.is_valid({**data, "zzz": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"workload": {"answers_per_day": -1, "input_tokens": 1, "answer_tokens": 1}},
        {"workload": {"answers_per_day": 1, "input_tokens": "many", "answer_tokens": 1}},
        {"workload": {"answers_per_day": 1, "input_tokens": {"men": 1}, "answer_tokens": 1}},
        {"prices": {"tiers": ["spt"]}},
        {"fleet": {"headroom": 1.5}},
        {"slo": {"ttft_p96_s": 1}},
        {"model": None},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(change: dict[str, Any]) -> None:
    """An editor marks the same slips: signs, text for numbers, unknown fields, unknown tiers."""
    validator = jsonschema.Draft7Validator(json_schema(SCENARIO.spec))
    workload = {
        "answers_per_day": 1,
        "input_tokens": {"value": 1, "source": "s"},
        "answer_tokens": {"mean": 1, "cv": 1},
    }
    good = {"name": "q", "model": "m", "workload": workload, "prices": {"tiers": "spot"}}
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, **change})


@pytest.mark.parametrize("kind", list(BY_WORD))
def test_the_schema_files_are_the_generated_ones(call: Call, kind: str) -> None:
    """A changed spec changes its schema file: `planner schema KIND -o FILE` writes it."""
    path = shipped_root() / BY_WORD[kind].schema_path
    assert path.read_text(encoding="utf-8") == call("schema", kind).out, (
        f"planner schema {kind} -o {BY_WORD[kind].schema_path}"
    )


def test_the_columns_are_documented(call: Call) -> None:
    """`schema --columns`: every result field of an answer with its unit and meaning, in order."""
    rows = rows_of(call("schema", "--columns").out)
    result = json.loads(call("estimate", "--gpu", "h100-sxm", "--interval", "--format", "json").out)["results"][0]
    assert [r["field"] for r in rows] == list(result)
    assert {
        "field": "gpus_p10",
        "unit": "GPUs",
        "description": "10th percentile of gpus (only with --interval)",
    } in rows
    assert all(r["description"] for r in rows)


@pytest.mark.parametrize(
    ("kind", "known", "least"),
    [
        ("models", "deepseek-r1", 20),
        ("gpus", "h100-sxm", 20),
        ("systems", "hgx-h100", 5),
        ("engines", "vllm", 3),
        ("prices", "lambda", 70),
        ("scenarios", "o1-class", 8),
    ],
)
def test_list_shows_every_kind(call: Call, kind: str, known: str, least: int) -> None:
    """The table and the CSV have the same rows; a word filters them, whatever its case."""
    rows = rows_of(call("list", kind, "--format", "csv").out)
    first = next(iter(rows[0]))
    assert len(rows) >= least
    assert known in {r[first] for r in rows}
    table = call("list", kind)
    assert table.code == 0
    assert len(table.out.splitlines()) >= len(rows) + 2
    filtered = rows_of(call("list", kind, known.upper(), "--format", "csv").out)
    assert 0 < len(filtered) <= len(rows)
    assert all(any(known in cell.lower() for cell in r.values()) for r in filtered)
    assert rows_of(call("list", kind, "zzzzzz", "--format", "csv").out) == []


@pytest.mark.parametrize("name", sorted(Catalog().files("scenarios")))
def test_validate_accepts_every_shipped_scenario(call: Call, name: str) -> None:
    """By name and by file, with all variants."""
    path = Catalog().files("scenarios")[name]
    assert call("validate", name).out.startswith(f"{name}: ok (scenario")
    assert call("validate", path).out.startswith(f"{path}: ok (scenario")


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ("hardware/gpus/h100-sxm.yaml", "gpu"),
        ("hardware/systems/hgx-h100.yaml", "system"),
        ("hardware/engines/vllm.yaml", "engine"),
        ("hardware/prices/aws.yaml", "prices"),
        ("scenarios/models/deepseek-r1.yaml", "model"),
        ("scenarios/demand/azure-2024-coding.yaml", "demand"),
        ("hardware/api_prices/openai.yaml", "api-prices"),
    ],
)
def test_validate_knows_a_file_by_its_fields(call: Call, pattern: str, word: str) -> None:
    """Spec files of every kind are checked as what they are."""
    path = shipped_root() / pattern
    assert call("validate", path).out == f"{path}: ok ({word})\n"


def test_explain_ends_in_the_number_that_estimate_gives(call: Call) -> None:
    """The first step is the field itself, with the value of the best option; every input has a source."""
    best = json.loads(call("estimate", "--format", "json").out)["results"][0]
    for field in ("cost_usd_per_month", "gpu_seconds_per_answer", "energy_wh_per_answer"):
        document = json.loads(call("explain", "o1-class", field, "--format", "json").out)
        assert document["steps"][0]["name"] == field
        assert document["steps"][0]["value"] == pytest.approx(best[field], rel=1e-9)
        assert document["inputs"]
    text = call("explain", "o1-class")
    assert text.code == 0
    assert text.out.startswith("o1-class: cost_usd_per_month = ")


def test_compare_puts_the_variants_of_one_file_side_by_side(call: Call) -> None:
    """One file: the baseline and each override; without thinking one token is generated per visible one."""
    outcome = call(
        "compare", "o1-class", "--format", "csv", "--fields", "scenario,reasoning_multiplier,cost_usd_per_month"
    )
    assert outcome.code == 0
    rows = {r["scenario"]: r for r in rows_of(outcome.out)}
    assert list(rows)[:2] == ["o1-class", "o1-class/without-thinking"]
    assert float(rows["o1-class/without-thinking"]["reasoning_multiplier"]) == 1.0
    cost = {name: float(r["cost_usd_per_month"]) for name, r in rows.items()}
    assert cost["o1-class/without-thinking"] <= cost["o1-class/medium-2x"] <= cost["o1-class"]


def test_compare_takes_several_questions_and_sets(call: Call) -> None:
    """Two scenarios, --set on both: a table with one column each, and JSON with the best option of each."""
    outcome = call("compare", "o1-class", "gpt-4o-class", "--set", "workload.answers_per_day=1e5")
    assert outcome.code == 0
    assert "o1-class" in outcome.out.splitlines()[0]
    assert "gpt-4o-class" in outcome.out.splitlines()[0]
    document = json.loads(call("compare", "o1-class", "gpt-4o-class", "--format", "json").out)
    assert [r["scenario"] for r in document["results"]] == ["o1-class", "gpt-4o-class"]


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        (["--max", "cost_usd_per_month=1e12"], 0),
        (["--max", "cost_usd_per_month=1"], 1),
        (["--min", "gpus=1"], 0),
        (["--min", "gpus=1e9"], 1),
        (["--min", "accuracy=0.8"], 1),
        (["--set", "quality.accuracy=0.9", "--min", "accuracy=0.8"], 0),
        (["--max", "cost_usd_per_month=1e12", "--max", "gpus=0"], 1),
    ],
)
def test_a_gate_that_fails_is_exit_1(call: Call, gate: list[str], code: int) -> None:
    """The answer is printed either way; a failed gate says the value and the limit, a missing value fails."""
    outcome = call("estimate", "--format", "csv", *gate)
    assert outcome.code == code
    assert len(rows_of(outcome.out)) >= 1
    assert len(outcome.errors) == code
    assert all(e.startswith("o1-class: gate failed: ") and "; wanted at " in e for e in outcome.errors)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(call: Call, shell: str) -> None:
    """A script for each shell that asks the command itself."""
    outcome = call("completion", shell)
    assert outcome.code == 0
    assert f"_PLANNER_COMPLETE={shell}_complete" in outcome.out


def test_predict_answers_row_by_row(call: Call, tmp_path: Path) -> None:
    """The rows come back with predictions appended; a bad row says why and is exit 2."""
    path = tmp_path / "runs.csv"
    path.write_text(
        "id,model,gpu,input_tokens,output_tokens,concurrency\n"
        "a,llama-3.1-8b,h100-sxm,1000,200,16\n"
        "b,llama-3.1-8b,h100-sxn,1000,200,16\n",
        encoding="utf-8",
    )
    outcome = call("predict", path)
    assert outcome.code == 2
    rows = rows_of(outcome.out)
    assert [r["id"] for r in rows] == ["a", "b"]
    assert float(rows[0]["output_tokens_per_s"]) > 0
    assert rows[0]["error"] == ""
    assert "h100-sxm" in rows[1]["error"]
    assert call("predict", "-", stdin="model,gpu\nllama-3.1-8b,h100-sxm,1\n").code == 2


def test_a_ragged_row_of_predict_is_bad_alone(call: Call, tmp_path: Path) -> None:
    """A row with too few cells says so and stops nobody."""
    path = tmp_path / "runs.csv"
    header = "id,model,gpu,input_tokens,output_tokens,concurrency\n"
    path.write_text(f"{header}a,llama-3.1-8b\nb,llama-3.1-8b,h100-sxm,1000,200,16\n", encoding="utf-8")
    outcome = call("predict", path)
    assert outcome.code == 2
    assert outcome.errors == [f"error: {path}:2: has 2 cells; expected 6, as in the header"]
    bad, good = rows_of(outcome.out)
    assert bad["error"] == "has 2 cells; expected 6, as in the header"
    assert (good["error"], float(good["tpot_mean_s"]) > 0) == ("", True)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("form", ["table", "csv"])
def test_listing_what_is_not_there_is_missing_data(call: Callable[..., Any], kind: str, form: str) -> None:
    """A word that no row contains is exit 3 and no empty table, for every kind and format."""
    outcome = call("list", kind, "zzzzzz", "-f", form)
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.errors == [f"error: none of the {kind} contains 'zzzzzz'. `planner list {kind}` lists them."]


@pytest.mark.parametrize(
    ("kind", "word", "name"),
    [
        ("models", "deepseek-r2", "deepseek-r1"),
        ("gpus", "h100-sxn", "h100-sxm"),
        ("engines", "vlm", "vllm"),
        ("prices", "lamda", "lambda"),
        ("api-prices", "opnai", "openai"),
        ("scenarios", "o1-clas5", "o1-class"),
    ],
)
def test_listing_a_misspelt_name_shows_the_nearest(call: Callable[..., Any], kind: str, word: str, name: str) -> None:
    """A misspelt name is answered with the nearest ones of that kind."""
    outcome = call("list", kind, word)
    assert outcome.code == 3
    assert name in outcome.errors[0].partition("Did you mean ")[2].removesuffix("?").split(", ")

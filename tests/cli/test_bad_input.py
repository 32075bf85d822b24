"""Bad input of every kind: one clear line on stderr, the right exit code, nothing on stdout, nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.catalog import shipped_root
from planner.documents.yaml_reader import parse_document

Call = Callable[..., Any]


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["estimat"], 2, "error: unknown command 'estimat'. Did you mean estimate?"),
        (["zzz"], 2, "error: unknown command 'zzz'. Known: estimate, compare, "),
        (["estimate", "--bogus"], 2, "error: No such option '--bogus'."),
        (["estimate", "o1-clas"], 3, "error: unknown scenario 'o1-clas'. Did you mean o1-class, "),
        (["estimate", "zzz"], 3, "error: unknown scenario 'zzz'. Known: chat-assistant, "),
        (["estimate", "nowhere.yaml"], 2, "error: nowhere.yaml: no such file"),
        (["estimate", "a\0b.yaml"], 2, "error: a\0b.yaml: is not a usable file name"),
        (["estimate", "x" * 400], 3, "error: unknown scenario"),
        (["estimate", "x" * 400 + ".yaml"], 2, f"error: {'x' * 400}.yaml: is not a usable file name"),
        (["estimate", "."], 2, "error: .: is a directory; expected a YAML file"),
        (
            ["estimate", "--gpu", "h100-sxn"],
            3,
            "error: --set fleet.gpus: unknown GPU 'h100-sxn'. Did you mean h100-sxm, ",
        ),
        (
            ["estimate", "--model", "deepseek-r2"],
            3,
            "error: --set model: unknown model 'deepseek-r2'. Did you mean deep",
        ),
        (["estimate", "--model", "no.json"], 2, "error: --set model: model: no such file 'no.json'; expected a config"),
        (
            ["estimate", "--precision", "fp9"],
            3,
            "error: --set fleet.precisions: unknown precision 'fp9'. Did you mean fp8",
        ),
        (["estimate", "--engine", "vlm"], 3, "error: --set engine: unknown engine 'vlm'. Did you mean vllm"),
        (["estimate", "--override", "spoot"], 3, "error: scenarios/o1-class.yaml: unknown override 'spoot'. Did you"),
        (["estimate", "--catalog", "nowhere"], 2, "error: nowhere: is not a folder; expected one with hardware/ and s"),
        (["estimate", "--format", "jsno"], 2, "error: Invalid value for '-f' / '--format': 'jsno' is not a choice. D"),
        (["estimate", "--dialect", "exel"], 2, "error: Invalid value for '--dialect': 'exel' is not a choice. Did yo"),
        (["estimate", "--fields", "cost_usd_per_mnth"], 2, "error: --fields: unknown field 'cost_usd_per_mnth'. Did "),
        (["estimate", "--fields", ","], 2, "error: --fields: no field given; for example gpu,gpus,cost_usd_per_month"),
        (["estimate", "--fields", ""], 2, "error: --fields: no field given; for example gpu,gpus,cost_usd_per_month"),
        (["estimate", "--max", "cost_usd_per_mnth=1"], 2, "error: --max: unknown field 'cost_usd_per_mnth'. Did you "),
        (["estimate", "--max", "gpu=1"], 2, "error: --max: unknown field 'gpu'. Did you mean gpus"),
        (["estimate", "--max", "gpus"], 2, "error: --max: 'gpus' is not a gate; expected FIELD=NUMBER, e.g. cost_usd"),
        (["estimate", "--min", "gpus=many"], 2, "error: --min: 'gpus=many' is not a gate; expected FIELD=NUMBER, e.g"),
        (["estimate", "--min", "gpus=nan"], 2, "error: --min: nan is not a finite number; expected a number"),
        (["estimate", "--set", "x"], 2, "error: --set: 'x' has no value; expected PATH=VALUE"),
        (["estimate", "--set", "=5"], 2, "error: --set: '' is not a field path; expected e.g. workload.reasoning_mult"),
        (["estimate", "--set", "a b=5"], 2, "error: --set: 'a b' is not a field path; expected e.g. workload.reasoni"),
        (["estimate", "--set", "name.x=5"], 2, "error: --set name.x: 'x' is a field of a plain value; expected a ma"),
        (["estimate", "--set", "slo.ttft_p96_s=1"], 2, "error: --set slo.ttft_p96_s: unknown field. Did you mean ttf"),
        (["estimate", "--set", "slo.ttft_p95_s=0"], 2, "error: --set slo.ttft_p95_s: 0 is zero; expected a number ab"),
        (["estimate", "--set", "slo.ttft_p95_s=12:30"], 2, "error: --set slo.ttft_p95_s: 12:30 reads as a base-60 nu"),
        (["estimate", "--set", "engine=NO"], 2, "error: --set engine: NO reads as a yes/no value in YAML; expected tr"),
        (["estimate", "--set", "overrides.a={}"], 2, "error: --set: 'overrides.a' cannot be overridden; expected a "),
        (
            ["estimate", "--set", "workload.answer_tokens={mean: 5"],
            2,
            "error: --set workload.answer_tokens:2:1: is not ",
        ),
        (["estimate", "--set", "workload.answer_tokens=0"], 2, "error: --set workload.answer_tokens: 0 is out of ran"),
        (["estimate", "--set", "workload.answers_per_day=-1"], 2, "error: --set workload.answers_per_day: -1 is neg"),
        (["estimate", "--set", "workload.answers_per_day=.inf"], 2, "error: --set workload.answers_per_day: .inf is "),
        (["estimate", "--set", "workload.answers_per_day=1e400"], 2, "error: --set workload.answers_per_day: 1e400 i"),
        (["estimate", "--set", "workload.answers_per_day=1e308"], 2, "error: --set workload.answers_per_day: 1e+308 "),
        (["estimate", "--set", "workload.reasoning_multiplier=0.5"], 2, "error: --set workload.reasoning_multiplier:"),
        (["estimate", "--set", "prices.tiers=spt"], 2, "error: --set prices.tiers: 'spt' is not valid here; expec"),
        (["estimate", "--set", "prices.providers=lamda"], 3, "error: --set prices.providers: unknown provider 'lamda"),
        (["estimate", "--set", "prices.regions=mars"], 3, "error: --set prices.regions: unknown region 'mars'. "),
        (["estimate", "--set", "fleet.systems=hgx-h10"], 3, "error: --set fleet.systems: unknown system 'hgx-h10'. D"),
        (
            ["estimate", "--set", "energy.grid=USB"],
            3,
            "error: --set energy.grid: unknown grid zone 'USB'. Did you mean ",
        ),
        (["estimate", "--set", "demand.curve=azure"], 3, "error: --set demand.curve: unknown demand curve 'azure'."),
        (["estimate", "--set", "workload.effort=hgh"], 3, "error: --set workload.effort: deepseek-r1 has no measured"),
        (["estimate", "--gpu", "h100-sxm", "--set", "prices.tiers=owned"], 3, "error: scenarios/o1-class.yaml:"),
        (["estimate", "--gpu", "h100-sxm", "--set", "prices.as_of=2001-01-01"], 3, "error: scenarios/o1-class.yaml:"),
        (["estimate", "--set", "fleet.tensor_parallel=3"], 3, "error: "),
        (["estimate", "--from", "nowhere.csv"], 2, "error: nowhere.csv: no such file"),
        (["estimate", "a", "b", "--from", "x.csv"], 2, "error: --from: a sheet takes one baseline scenario; name oth"),
        (["estimate", "--from", "x.csv", "--format", "markdown"], 2, "error: --format: a sheet is answered as csv, "),
        (["estimate", "--from", "x.csv", "--max", "gpus=1"], 2, "error: --from: a sheet has no gates; name a row's v"),
        (["compare"], 2, "error: Missing argument 'SCENARIO...'."),
        (
            ["explain", "o1-class", "cost_usd_per_mnth"],
            2,
            "error: explain: no formula for 'cost_usd_per_mnth'. Did y",
        ),
        (["validate", "nowhere.yaml"], 2, "error: nowhere.yaml: no such file"),
        (["validate", "x" * 400 + ".yaml"], 2, f"error: {'x' * 400}.yaml: is not a usable file name"),
        (["list", "gpu"], 2, "error: Invalid value for '{models|gpus|systems|engines|prices|"),
        (["list"], 2, "error: Missing argument"),
        (["schema", "scenaro"], 2, "error: Invalid value for "),
        (
            ["schema", "api-prices", "--columns"],
            2,
            "error: --columns: api-prices files are data and have no result columns; ",
        ),
        (
            ["schema", "benchmark", "--columns"],
            2,
            "error: --columns: benchmark files are data and have no result columns; ",
        ),
        (
            ["schema", "text", "--columns"],
            2,
            "error: --columns: text files are data and have no result columns; ",
        ),
        (["schema", "-o", "new/"], 4, "error: new/: is a directory; expected a file name"),
        (["init", "x.txt"], 2, "error: init: 'x.txt' is not a YAML file name; expected e.g. scenario.yaml"),
        (["init", "nowhere/x.yaml"], 4, "error: nowhere/x.yaml: cannot be written: No such file or directory"),
        (["predict", "nowhere.csv"], 2, "error: nowhere.csv: no such file"),
        (["completion", "tcsh"], 2, "error: Invalid value for "),
    ],
    ids=lambda x: " ".join(x)[:60].replace("\0", "?") if isinstance(x, list) else "",
)
def test_bad_usage_is_one_line_and_an_exit_code(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, line: str
) -> None:
    """One line on stderr that begins as written here, no data, no traceback, no file."""
    monkeypatch.chdir(tmp_path)
    outcome = call(*arguments)
    assert outcome.code == code
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(line)
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["estimate", "--format", "jsno"], "json"),
        (["estimate", "--dialect", "exel"], "excel"),
        (["list", "gpu"], "gpus"),
        (["schema", "scenaro"], "scenario"),
        (["completion", "bsh"], "bash"),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest(call: Call, arguments: list[str], nearest: str) -> None:
    """Formats, dialects, kinds and shells know their neighbours."""
    assert f"Did you mean {nearest}" in call(*arguments).err


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        (
            "answer_tokens: 200",
            "answer_tokens: -500",
            2,
            ":7:18 workload.answer_tokens: -500 is negative; expected a number of at least 0",
        ),
        (
            "answer_tokens: 200",
            "answer_tokens: 0",
            2,
            ":7:18 workload.answer_tokens: 0 is out of range; expected at least 1 visible token",
        ),
        (
            "answer_tokens: 200",
            "answer_token: 200",
            2,
            ":7:17 workload.answer_token: unknown field. Did you mean answer_tokens",
        ),
        (
            "answer_tokens: 200",
            "answer_tokens: 12:30",
            2,
            ":7:18 workload.answer_tokens: 12:30 reads as a base-60 number in YAML",
        ),
        (
            "answers_per_day: 1e5",
            "cached_share: 0",
            2,
            ":5:3 workload: no rate is given; expected exactly one of answers_per_second",
        ),
        ("answers_per_day: 1e5", "{answers_per_day: 1}", 2, ":6:3: is not valid YAML: "),
        ("engine: vllm", "engine: vllm\nengine: vllm", 2, ":4:1 engine: the key is repeated; expected it once"),
        ("engine: vllm", "engine: vlm", 3, ":3:9: unknown engine 'vlm'. Did you mean vllm"),
        ("llama-3.1-8b", "lama-3.1-8b", 3, ":2:8: unknown model 'lama-3.1-8b'. Did you mean llama-3.1-8b"),
        ("h100-sxm", "h100-sxn", 3, ":10:10: unknown GPU 'h100-sxn'. Did you mean h100-sxm"),
        ("tiers: [on_demand]", "providers: [lamda]", 3, ":12:15: unknown provider 'lamda'. Did you mean lambda"),
        ("workload.answers_per_day: 2e5", "overrides.twice: 1", 2, ":14:28: 'overrides.twice' cannot be overridden"),
    ],
)
def test_a_bad_file_is_one_line_with_its_place(
    call: Call, scenario_file: Path, old: str, new: str, code: int, line: str
) -> None:
    """file:line:column field.path, for `estimate` and `validate` alike."""
    text = scenario_file.read_text(encoding="utf-8")
    assert old in text
    scenario_file.write_text(text.replace(old, new), encoding="utf-8")
    for command in ("estimate", "validate"):
        outcome = call(command, scenario_file)
        assert outcome.code == code
        assert len(outcome.errors) == 1
        assert outcome.errors[0].startswith(f"error: {scenario_file}{line}")
        assert outcome.out == ""


def test_validate_finds_a_bad_variant_before_anybody_asks_for_it(call: Call, scenario_file: Path) -> None:
    """A variant that names an unknown field is refused at its place; `estimate` of the baseline still answers."""
    text = scenario_file.read_text(encoding="utf-8").replace("workload.answers_per_day: 2e5", "workload.answer: 1")
    scenario_file.write_text(text, encoding="utf-8")
    outcome = call("validate", scenario_file)
    assert outcome.code == 2
    assert outcome.errors[0].startswith(f"error: {scenario_file}:14:28 workload.answer: unknown field. Did you mean")
    assert call("estimate", scenario_file).code == 0


def test_validate_knows_the_length_of_the_model(call: Call, tmp_path: Path) -> None:
    """A longest request beyond the model's own is refused by `validate` as by `estimate`; one too short is named."""
    text = """\
name: t
model: qwen3-8b
engine: vllm
engine_settings: {max_model_len: %s}
workload: {answers_per_day: 1000, input_tokens: 5000, answer_tokens: 100}
"""
    path = tmp_path / "t.yaml"
    path.write_text(text % "99999999", encoding="utf-8")
    for command in ("validate", "estimate"):
        outcome = call(command, path)
        assert outcome.code == 2
        assert outcome.errors == [f"error: {path}:4:34: max_model_len 99,999,999 is more than qwen3-8b's 40,960 tokens"]
    path.write_text(text % "4096", encoding="utf-8")
    outcome = call("estimate", path)
    assert outcome.code == 1
    assert "nothing fits: input and output together exceed max_model_len 4,096" in outcome.out


def test_one_field_in_two_columns(call: Call, tmp_path: Path) -> None:
    """A sheet that names its GPUs in two columns is refused, as one of them would be lost."""
    sheet = tmp_path / "s.csv"
    sheet.write_text("gpu,fleet.gpus\nl4,h100-sxm\n", encoding="utf-8")
    outcome = call("estimate", "--from", sheet)
    assert outcome.code == 2
    assert outcome.errors == [f"error: {sheet}:1: the columns 'gpu' and 'fleet.gpus' are the same field"]


def test_validate_goes_on_after_a_bad_file(call: Call, scenario_file: Path, tmp_path: Path) -> None:
    """Every file is told about; the worst exit code wins."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\n", encoding="utf-8")
    outcome = call("validate", bad, "zzz", scenario_file)
    assert outcome.code == 3
    assert outcome.out == f"{scenario_file}: ok (scenario with 1 variant)\n"
    assert [e.removeprefix(f"error: {bad}:1:1 ")[:8] for e in outcome.errors[:2]] == ["model: i", "workload"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; expected a mapping of fields"),
        (b"\xff\xfe\x00\x00", "is not UTF-8 text; expected a text file"),
        (b"\x7fELF\x02\x01\x01\x00", "contains a character that YAML does not allow (#x007f)"),
        (b"hello\n", "1:1: has no fields; expected `key: value` lines"),
        (b"a: 1\n---\nb: 1\n", "2:1: has a second document; expected one per file"),
        (b"a: &a [*a]\n", "1:4 a[0]: an alias refers to itself"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(call: Call, tmp_path: Path, content: bytes, says: str) -> None:
    """Empty, binary, plain text, two documents, an alias cycle: exit 2 and one line."""
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    outcome = call("estimate", path)
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(f"error: {path}:")
    assert outcome.errors[0].endswith(says)


@pytest.mark.parametrize("stdin", ["", "name: [", "a: 1\na: 2\n"])
def test_bad_stdin_says_so(call: Call, stdin: str) -> None:
    """`-` is named stdin in errors."""
    outcome = call("estimate", "-", stdin=stdin)
    assert outcome.code == 2
    assert outcome.errors[0].startswith("error: stdin")


def test_a_trillion_users_are_answered_with_a_loud_warning(call: Call) -> None:
    """1e12 users of one answer a day: more GPUs than any fleet on record, said in capitals, exit 0."""
    users = "workload.users={count: 1e12, answers_per_day: 1}"
    outcome = call("estimate", "o1-class", "--set", users, "--format", "json", "--fields", "gpus,answers_per_month")
    assert outcome.code == 0
    best = json.loads(outcome.out)["results"][0]
    assert best["answers_per_month"] == pytest.approx(1e12 * 730 / 24, rel=1e-9)
    assert best["gpus"] > 1e6
    assert "BEYOND ANY FLEET ON RECORD" in outcome.err


@pytest.mark.parametrize(
    "value",
    [
        "workload.answers_per_day=1e21",
        "workload.answers_per_day=1e-21",
        "workload.answer_tokens=1e21",
        "workload.input_tokens=1e21",
        "workload.reasoning_multiplier=1e21",
        "workload.reasoning_tokens=0",
        "workload.answer_tokens={mean: 1e21, cv: 1e21}",
        "workload.answer_tokens={p50: 1, p90: 1e6}",
        "workload.samples_per_answer=1000000",
        "workload.turns_per_answer=1000000",
        "workload.max_tokens=1",
        "workload.max_tokens=1000000000000000",
        "workload.cached_share=1",
        "demand.burst=1e6",
        "demand.growth_per_month=10",
        "demand.growth_per_month=-0.9",
        "fleet.headroom=0.9999999999999999",
        "fleet.availability=0.9999999999999999",
        "fleet.availability=1e-15",
        "fleet.repair_hours=1e21",
        "fleet.failures_per_gpu_hour=0",
        "fleet.failures_per_gpu_hour=1",
        "prices.extra_share=1e21",
        "energy.pue=10",
        "quality.accuracy=1e-6",
        "slo.ttft_p95_s=1e21",
        "slo.tpot_p95_s=1e-21",
    ],
)
def test_the_ends_of_every_domain_are_answered(call: Call, value: str) -> None:
    """What the specs accept, however absurd, gives an answer without NaN, infinity or a traceback."""
    horizon = ["--set", "demand.horizon_months=120"] if "growth" in value else []
    outcome = call("estimate", "--gpu", "h100-sxm", "--format", "json", "--set", value, *horizon)
    assert outcome.code in {0, 1}
    assert outcome.errors == []
    json.loads(outcome.out, parse_constant=pytest.fail)


def test_a_model_too_large_for_every_candidate_says_what_was_tried(call: Call) -> None:
    """DeepSeek-R1's 671 B parameters do not fit a T4 of 16 GB: exit 1, every row says memory, a warning says why."""
    outcome = call("estimate", "o1-class", "--gpu", "t4", "--format", "json")
    assert outcome.code == 1
    rows = json.loads(outcome.out)["results"]
    assert rows
    assert {(r["fits"], r["meets_slo"], r["limit"]) for r in rows} == {(False, False, "memory")}
    assert all(r["cost_usd_per_month"] is None and r["gpus"] is None for r in rows)
    assert "nothing fits" in outcome.err


def test_an_slo_nothing_meets_names_the_constraint_and_the_best_attainable(call: Call) -> None:
    """A first token within a microsecond: exit 1, the limit and the shortest time any option reaches."""
    outcome = call("estimate", "--gpu", "h100-sxm", "--set", "slo.ttft_p95_s=1e-6")
    assert outcome.code == 1
    line = next(x for x in outcome.err.splitlines() if "no option meets the SLO" in x)
    assert "ttft_p95_s 1e-06 is below the best attainable" in line
    assert "h100-sxm" in line


def test_a_fleet_too_small_names_the_smallest_that_works(call: Call) -> None:
    """fleet.max_gpus 1 for a million answers a day: exit 1, and how many GPUs it takes."""
    outcome = call("estimate", "--gpu", "h100-sxm", "--set", "fleet.max_gpus=1")
    assert outcome.code == 1
    assert "no option stays within fleet.max_gpus 1; the smallest fleet needs" in outcome.err


def test_a_config_that_is_no_text_model_is_refused(call: Call, tmp_path: Path) -> None:
    """A Hugging Face config.json of something else is a sentence, not a guess."""
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "t5", "is_encoder_decoder": true}', encoding="utf-8")
    outcome = call("estimate", "--model", path)
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    path.write_text("{", encoding="utf-8")
    assert call("estimate", "--model", path).code == 2


@pytest.mark.parametrize("flags", [["--format", "json"], ["--format=json"], ["-f", "json"], ["-fjson"]])
def test_an_error_is_json_where_json_was_asked_for(call: Call, flags: list[str]) -> None:
    """The envelope on stdout holds exit code, place and message; the line stays on stderr."""
    outcome = call("estimate", "--set", "slo.ttft_p95_s=0", *flags)
    assert outcome.code == 2
    place, message = "--set slo.ttft_p95_s", "0 is zero; expected a number above 0"
    assert json.loads(outcome.out) == {"error": {"exit_code": 2, "where": place, "message": message}}
    assert outcome.errors == [f"error: {place}: {message}"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["estimate", "--bogus"], 2),
        (["estimate", "zzz"], 3),
        (["compare", "zzz"], 3),
        (["explain", "zzz"], 3),
        (["predict", "nowhere.csv"], 2),
        (["estimate", "-o", "/"], 4),
    ],
)
def test_every_kind_of_error_is_valid_json(call: Call, arguments: list[str], code: int) -> None:
    """Usage, missing data and system errors: one JSON document each, with the exit code in it."""
    outcome = call(*arguments, "--format", "json")
    assert outcome.code == code
    assert json.loads(outcome.out)["error"]["exit_code"] == code


def test_a_file_of_json_is_read_with_its_dates(call: Call, tmp_path: Path) -> None:
    """JSON writes a date in quotes: a plan as JSON is answered as the same plan is in YAML; other texts are refused."""
    shipped = shipped_root() / "scenarios/plans/open-plus.yaml"
    data = parse_document(shipped.read_text(encoding="utf-8"), "plan").data
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(data, default=str), encoding="utf-8")
    assert call("quota", path, "--format", "csv").out == call("quota", shipped, "--format", "csv").out
    assert call("validate", path).out == f"{path}: ok (plan)\n"
    for day, says in (
        ("2024-02-30", "2024-02-30 is not a calendar date; expected YYYY-MM-DD"),
        ("May 2024", "'May 2024' is not valid here; expected a date, YYYY-MM-DD"),
    ):
        path.write_text(json.dumps({**data, "as_of": day}, default=str), encoding="utf-8")
        outcome = call("quota", path)
        assert outcome.code == 2
        assert len(outcome.errors) == 1
        assert outcome.errors[0].endswith(f" as_of: {says}")


def test_a_config_with_a_chat_template_is_a_config(call: Call, tmp_path: Path) -> None:
    """What other programs write into a config.json is not held to the rules of our own files."""
    hf = Path(__file__).parents[1] / "data" / "hf"
    data = json.loads(next(hf.rglob("*llama*.json")).read_text(encoding="utf-8"))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**data, "chat_template": "a\n\x1bb", "source": 5}, indent="\t"), encoding="utf-8")
    outcome = call("validate", path)
    assert (outcome.code, outcome.errors) == (0, [])
    assert outcome.out.startswith(f"{path}: ok (config.json of a model with ")


def test_a_day_or_latest_takes_both_spellings(call: Call, scenario_file: Path) -> None:
    """prices.as_of: a day, quoted or not, or latest; anything else is one line."""
    text = scenario_file.read_text(encoding="utf-8").replace("prices:", "prices:\n  as_of: DAY")
    for day, code in (("2026-06-01", 0), ("'2026-06-01'", 0), ("latest", 0), ("noon", 2)):
        scenario_file.write_text(text.replace("DAY", day), encoding="utf-8")
        outcome = call("validate", scenario_file)
        assert outcome.code == code
    assert outcome.errors[0].endswith("as_of: 'noon' is not a day; expected a date, YYYY-MM-DD, or latest")
    assert len(outcome.errors) == 1


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("90", "90 looks like a percentage; expected a share between 0 and 1: 0.9"),
        ("1.2", "1.2 is too large; expected a number of at most 1"),
        ("-1", "-1 is negative; expected a number of at least 1e-06"),
    ],
)
def test_an_accuracy_in_percent_is_told_as_a_share(call: Call, tmp_path: Path, number: str, says: str) -> None:
    """In a file, with --set and in a sheet, as with --target; what may be a slip is not called a percentage."""
    sheet = tmp_path / "s.csv"
    sheet.write_text(f"quality.accuracy\n{number}\n", encoding="utf-8")
    for arguments, place in (
        (("--set", f"quality.accuracy={number}"), "--set quality.accuracy"),
        (("--from", sheet), f"{sheet}:2:quality.accuracy"),
    ):
        outcome = call("estimate", "o1-class", *arguments)
        assert (outcome.code, outcome.errors) == (2, [f"error: {place}: {says}"])


PLAN = "scenarios/plans/open-plus.yaml: is a file for `planner quota` (a plan); expected a scenario"
POINTS = "scenarios/benchmarks/aime-2024.yaml: holds points of a benchmark; expected "


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["estimate", "scenarios/plans/open-plus.yaml"], PLAN),
        (["energy", "scenarios/plans/open-plus.yaml"], PLAN),
        (["thinking", "scenarios/plans/open-plus.yaml"], PLAN),
        (["compare", "scenarios/plans/open-plus.yaml"], PLAN),
        (["compare", "open-plus"], PLAN),
        (["compare", "o1-class", "open-plus"], PLAN),
        (["estimate", "aime-2024"], f"{POINTS}a scenario"),
        (["explain", "aime-2024", "gpus"], f"{POINTS}a scenario"),
        (["quality", "scenarios/benchmarks/aime-2024.yaml"], f"{POINTS}a file for `planner quality`"),
        (
            ["implied", "hardware/prices/aws.yaml"],
            "hardware/prices/aws.yaml: holds price quotes; expected a file for `p",
        ),
        (["estimate", "h100-sxm"], "hardware/gpus/h100-sxm.yaml: holds a GPU; expected a scenario"),
        (["quota", "o1-class"], "scenarios/o1-class.yaml: is a file for `planner estimate` (a scenario); expected"),
        (["quota", "logic-puzzles"], "scenarios/quality/logic-puzzles.yaml: is a file for `planner quality` ("),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_the_wrong_kind_of_file_is_told_who_answers_it(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    """By path or by name: what the file is, and the command for it, not its fields one by one; exit 2."""
    monkeypatch.chdir(shipped_root())
    outcome = call(*arguments)
    assert (outcome.code, outcome.out, len(outcome.errors)) == (2, "", 1)
    assert outcome.errors[0].startswith(f"error: {line}")


def test_validate_tells_the_kind_of_stdin_and_of_names(call: Call, scenario_text: str) -> None:
    """What `-` holds is checked as what it is, not as a scenario; so is a shipped name of any kind."""
    plan = (shipped_root() / "scenarios/plans/open-plus.yaml").read_text(encoding="utf-8")
    assert call("validate", "-", stdin=plan).out == "-: ok (plan)\n"
    assert call("validate", "-", stdin=scenario_text).out == "-: ok (scenario with 1 variant)\n"
    assert call("validate", "open-plus", "h100-sxm").out == "open-plus: ok (plan)\nh100-sxm: ok (gpu)\n"
    wrong = call("validate", "-", stdin=plan.replace("limits:", "limits: 5\nx:"))
    assert wrong.code == 2
    assert "error: stdin:" in wrong.err


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="the system has no /dev/zero")
@pytest.mark.parametrize("command", ["validate", "estimate", "quota", "predict", "calibrate"])
def test_a_file_without_end_is_refused(call: Call, command: str) -> None:
    """Every command that reads a file stops at the limit: exit 2 and one line."""
    outcome = call(command, "/dev/zero")
    assert (outcome.code, outcome.out, len(outcome.errors)) == (2, "", 1)
    assert outcome.errors[0].startswith("error: /dev/zero: is larger than ")


def test_too_little_memory_is_one_line(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the memory ends there is no traceback: exit 4."""

    def exhausted(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr("planner.cli.validate.check", exhausted)
    outcome = call("validate", "o1-class")
    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.errors == ["error: out of memory; expected a smaller question, or a machine with more memory"]


def test_no_arguments_show_the_help_as_bad_usage(call: Call) -> None:
    """`planner` alone: the help on stderr, nothing on stdout, exit 2."""
    outcome = call()
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: planner ")
    assert "Start with: planner estimate" in outcome.err


@pytest.mark.parametrize(
    ("scenario", "sets"),
    [
        ("o1-class", ("workload.effort=nonsense",)),
        ("o1-class", ("workload.effort=nonsense", "workload.reasoning_multiplier=null")),
        ("o1-class", ("workload.reasoning_multiplier=null", "workload.effort=nonsense")),
        ("deepseek-day", ("workload.effort=nonsense",)),
    ],
)
def test_an_unknown_effort_is_told_whatever_else_is_cleared(call: Call, scenario: str, sets: tuple[str, ...]) -> None:
    """A level that the model does not have is exit 3: it is neither dropped nor passed over."""
    outcome = call("estimate", scenario, *(part for text in sets for part in ("--set", text)))
    assert outcome.code == 3
    assert "has no measured multiplier for effort 'nonsense'" in outcome.errors[0]


def test_an_effort_stays_where_the_multiplier_is_cleared(call: Call) -> None:
    """The multiplier of DeepSeek-R1's level `default` counts, and not a multiplier of one."""
    sets = ("--set", "workload.effort=default", "--format", "json")
    alone = json.loads(call("estimate", *sets).out)["results"]
    cleared = json.loads(call("estimate", *sets, "--set", "workload.reasoning_multiplier=null").out)["results"]
    assert [{**row, "scenario_hash": None} for row in alone] == [{**row, "scenario_hash": None} for row in cleared]
    assert alone[0]["reasoning_multiplier"] > 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("--set", "slo.ttft_p95_s=1"), ("--set", "slo.ttft_p95_s=2")),
        (("--set", "model=deepseek-r1"), ("--set", "model=null")),
        (("--set", "fleet={gpus: h100-sxm}"), ("--set", "fleet.gpus=h200-sxm")),
        (("--set", "workload.users.count=5"), ("--set", "workload.users={count: 3, answers_per_day: 1}")),
        (("--set", "workload.users.count=5"), ("--set", "workload.answers_per_day=7")),
        (("--set", "workload.effort=default"), ("--set", "workload.reasoning_multiplier=2")),
        (("--set", "workload.users={count: 5}"), ("--set", "workload.users.count=6")),
        (("--set", "demand={growth_per_month: 0.1}"), ("--set", "demand={burst: 2}")),
        (("--gpu", "h100-sxm"), ("--set", "fleet.gpus=h200-sxm")),
        (("--gpu", "h100-sxm"), ("--set", "fleet={headroom: 0.2}")),
        (("--model", "deepseek-r1"), ("--set", "model=deepseek-v3")),
        (("--precision", "fp8"), ("--set", "fleet.precisions=bf16")),
        (("--engine", "vllm"), ("--set", "engine=sglang")),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    call: Call, first: tuple[str, str], second: tuple[str, str]
) -> None:
    """A field set twice, with its parent, or beside one that it excludes: both are named, in either order."""
    for one, other in ((first, second), (second, first)):
        outcome = call("estimate", "chat-assistant", *one, *other)
        assert (outcome.code, outcome.out) == (2, "")
        (line,) = outcome.errors
        assert all(f"{flag} {value}" in line for flag, value in (first, second))
        assert "contradict each other" in line


def test_a_mapping_set_after_one_of_its_fields_is_refused(call: Call) -> None:
    """The mapping would drop the field; in the other order the field is added to it."""
    outcome = call("estimate", "chat-assistant", "--set", "fleet.availability=0.99", "--set", "fleet={headroom: 0.2}")
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.errors
    assert "--set fleet.availability=0.99 and --set fleet={headroom: 0.2} contradict each other" in line


@pytest.mark.parametrize("command", ["payback", "quota", "budget"])
def test_an_economic_question_refuses_contradictory_settings_too(call: Call, command: str) -> None:
    """The rule is the same for every file that --set changes."""
    outcome = call(command, "--set", "title=a", "--set", "title=b")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--set title=a and --set title=b contradict each other" in outcome.err


@pytest.mark.parametrize(
    "sets",
    [
        ("slo.ttft_p95_s=2", "slo.ttft_p95_s=2.0"),
        ("slo.ttft_p95_s=2", "slo.ttft_p99_s=3"),
        ("workload.input_tokens.mean=1000", "workload.input_tokens.cv=1"),
        ("workload.effort=null", "workload.reasoning_multiplier=2"),
        ("fleet={headroom: 0.2, gpus: h200-sxm}", "fleet.availability=0.99"),
        ("fleet={headroom: 0.2, gpus: h200-sxm}", "fleet.headroom=0.2"),
    ],
)
def test_settings_that_can_all_hold_are_taken(call: Call, sets: tuple[str, ...]) -> None:
    """The same value twice, neighbours, an addition to a mapping, and null beside an alternative do not contradict."""
    outcome = call("estimate", "chat-assistant", *(p for s in sets for p in ("--set", s)))
    assert outcome.code in {0, 1}
    assert outcome.errors == []

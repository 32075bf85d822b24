"""`--interval` on the command line: every format carries the columns, sheets come back, the table has a line."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.options.option import INTERVAL_COLUMNS

Call = Callable[..., Any]
ENGINES = Path(__file__).resolve().parents[2] / "hardware" / "engines"


def read(text: str) -> list[dict[str, str]]:
    """Return CSV text as rows."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_format_carries_the_columns(call: Call, scenario_file: Path) -> None:
    """CSV and JSON have the interval columns last, the long CSV has low and high beside each number."""
    plain = call("estimate", scenario_file, "--format", "csv").out
    wide = call("estimate", scenario_file, "--interval", "--format", "csv").out
    header = wide.splitlines()[0].split(",")
    assert header == [*plain.splitlines()[0].split(","), *INTERVAL_COLUMNS]
    first = read(wide)[0]
    assert {n: v for n, v in first.items() if n not in INTERVAL_COLUMNS} == read(plain)[0]
    as_json = json.loads(call("estimate", scenario_file, "--interval", "--format", "json").out)["results"][0]
    assert list(as_json) == header
    assert isinstance(as_json["gpus_p10"], int)
    long = read(call("estimate", scenario_file, "--interval", "--format", "long-csv").out)
    option = [row for row in long if row["option"] == long[0]["option"]]
    metrics = [row["metric"] for row in option]
    assert len(set(metrics)) == len(metrics)
    assert not [m for m in metrics if m.endswith(("_p10", "_p90"))]
    for row in option:
        name = row["metric"]
        assert (row["low"], row["high"]) == (first.get(f"{name}_p10", ""), first.get(f"{name}_p90", "")), name
    assert sum(bool(row["low"] and row["high"]) for row in option) >= 20


def test_fields_of_intervals_need_the_flag(call: Call, scenario_file: Path) -> None:
    """--fields gpus,gpus_p10 is a field with --interval and unknown without, the nearest name said."""
    flags = ["--format", "csv", "--fields", "gpus,gpus_p10"]
    good = call("estimate", scenario_file, "--interval", *flags)
    assert good.out.splitlines()[0] == "gpus,gpus_p10"
    bad = call("estimate", scenario_file, *flags)
    assert (bad.code, bad.out) == (2, "")
    assert bad.errors == ["error: --fields: unknown field 'gpus_p10'. Did you mean gpus, gpu, gpus_per_replica?"]
    wrong = call("estimate", scenario_file, "--interval", "--fields", "gpus_p20")
    assert "unknown field 'gpus_p20'. Did you mean gpus_p90, gpus_p10, gpus?" in wrong.errors[0]


def test_a_single_interval_column_in_the_long_form(call: Call, scenario_file: Path) -> None:
    """Asked for by itself it is a metric of its own, with the unit of its field."""
    out = call("estimate", scenario_file, "--interval", "--format", "long-csv", "--fields", "gpus_p90").out
    assert {(row["metric"], row["unit"]) for row in read(out)} == {("gpus_p90", "GPUs")}


def test_a_sheet_with_intervals_and_asked_again(call: Call, tmp_path: Path) -> None:
    """The columns come with each row; an answered sheet with them is answered again, to the same numbers."""
    sheet, again = tmp_path / "sheet.csv", tmp_path / "again.csv"
    sheet.write_text("id,gpu,workload.answer_tokens\na,h100-sxm,100\nb,h10,100\n", encoding="utf-8")
    first = call("estimate", "chat-assistant", "--from", sheet, "--interval")
    assert first.code == 2
    good, bad = read(first.out)
    assert int(good["gpus_p10"]) <= int(good["gpus"]) <= int(good["gpus_p90"])
    assert "unknown GPU 'h10'" in bad["error"]
    assert {bad[name] for name in INTERVAL_COLUMNS} == {""}
    again.write_text("\n".join(first.out.splitlines()[:2]), encoding="utf-8")
    second = call("estimate", "chat-assistant", "--from", again, "--interval")
    assert second.code == 0
    hashes = {"scenario_hash": ""}  # the engine that was found is now asked for
    assert read(second.out)[0] | hashes == good | hashes
    without = read(call("estimate", "chat-assistant", "--from", again).out)[0]
    assert without["gpus"] == good["gpus"]
    assert without["gpus_p10"] == ""


def test_predicted_rows_with_intervals_are_rows_again(call: Call, tmp_path: Path) -> None:
    """`predict --interval`: columns after the others, empty where a row fails, and its output is its input."""
    path = tmp_path / "runs.csv"
    path.write_text("model,gpu,input_tokens,output_tokens,concurrency\nllama-3.1-8b,h100,1024,256,8\n", "utf-8")
    first = call("predict", path, "--interval")
    assert first.code == 0
    path.write_text(first.out, encoding="utf-8")
    assert call("predict", path, "--interval").out == first.out
    plain = call("predict", path, "--format", "json").out
    assert json.loads(plain)["results"][0]["tpot_mean_s_p10"] == pytest.approx(
        float(read(first.out)[0]["tpot_mean_s_p10"])
    )


def test_an_engine_without_errors_has_empty_cells_and_says_so(call: Call, scenario_file: Path, tmp_path: Path) -> None:
    """Its interval columns are empty in the CSV and null in JSON; the table has a sentence in place of an interval."""
    data = yaml.safe_load((ENGINES / "vllm.yaml").read_text(encoding="utf-8"))
    folder = tmp_path / "mine" / "hardware" / "engines"
    folder.mkdir(parents=True)
    del data["errors"]
    (folder / "vllm.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    arguments = ["estimate", scenario_file, "--catalog", tmp_path / "mine", "--interval"]
    table = call(*arguments)
    assert table.code == 0, table.err
    assert "  no interval: the file of vllm records no prediction errors\n" in table.out
    row = json.loads(call(*arguments, "--format", "json").out)["results"][0]
    assert {row[name] for name in INTERVAL_COLUMNS} == {None}
    assert row["gpus"]
    cells = read(call(*arguments, "--format", "csv").out)[0]
    assert {cells[name] for name in INTERVAL_COLUMNS} == {""}


def test_the_table_says_the_interval_of_the_best_option_in_one_line(call: Call, scenario_file: Path) -> None:
    """Seen in every way: no reason behind it; on another vendor's GPU the reason; measured rates: none."""
    seen = ("estimate", scenario_file, "--interval", "--model", "qwen3-32b")
    line = next(x for x in call(*seen, "--gpu", "h100-sxm").out.splitlines() if "interval" in x)
    assert line.startswith("  80 % interval: ")
    assert "not among" not in line
    other = call(*seen, "--gpu", "mi300x", "--set", "workload.input_tokens=20").out
    assert "; not among the measured runs: its GPU's vendor and lengths\n" in other
    assert "  no interval: the rates are measured\n" in call("estimate", "deepseek-day", "--interval").out
    assert "interval" not in call("estimate", scenario_file).out


def test_the_table_leaves_out_what_has_no_number(call: Call, scenario_file: Path) -> None:
    """An answer of one token has no TPOT, so no interval of it either."""
    out = call("estimate", scenario_file, "--interval", "--set", "workload.answer_tokens=1").out
    line = next(x for x in out.splitlines() if "interval" in x)
    assert "TTFT p95" in line
    assert "TPOT" not in line


def test_the_table_says_where_a_slow_machine_meets_nothing(call: Call) -> None:
    """No upper number then, and a clause that says why."""
    out = call("estimate", "chat-assistant", "--interval", "--set", "slo.ttft_p95_s=0.2").out
    line = next(x for x in out.splitlines() if "interval" in x)
    assert line.startswith("  80 % interval: at least ")
    assert " a month, " in line
    assert "; at the slow end no fleet meets the limits" in line


def test_a_bad_engine_file_is_named_where_it_is_read(call: Call, scenario_file: Path, tmp_path: Path) -> None:
    """Its place stands in the one line of `estimate`, and in each row's `error` of `predict`; others answer."""
    folder = tmp_path / "mine" / "hardware" / "engines"
    folder.mkdir(parents=True)
    text = (ENGINES / "vllm.yaml").read_text(encoding="utf-8")
    (folder / "vllm.yaml").write_text(text.replace("tpot: [0.893, 1.18]", "tpot: [1.18, 0.893]"), encoding="utf-8")
    says = "errors.known.tpot: [1.18, 0.893] is in descending order; expected the lower number first"
    refused = call("estimate", scenario_file, "--catalog", tmp_path / "mine")
    assert (refused.code, refused.out, len(refused.errors)) == (2, "", 1)
    assert refused.errors[0].startswith(f"error: {folder / 'vllm.yaml'}:")
    assert refused.errors[0].endswith(says)
    rows = tmp_path / "runs.csv"
    header = "model,gpu,input_tokens,output_tokens,engine\n"
    rows.write_text(f"{header}llama-3.1-8b,h100,64,64,vllm\nllama-3.1-8b,h100,256,256,sglang\n", encoding="utf-8")
    done = call("predict", rows, "--catalog", tmp_path / "mine", "--interval")
    assert done.code == 2
    bad, good = read(done.out)
    assert bad["error"].startswith(f"{folder / 'vllm.yaml'}:")
    assert bad["error"].endswith(says)
    assert (good["error"], good["tpot_mean_s_p10"] != "") == ("", True)

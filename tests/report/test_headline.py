"""The first lines of an answer: confidence of the best option, the best measured one beside it, or the nearest miss."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from planner.wording import money, seconds

Call = Callable[..., Any]


def rows_of(call: Call, *arguments: str) -> list[dict[str, str]]:
    """Return the options of a question as the CSV has them."""
    return list(csv.DictReader(io.StringIO(call(*arguments, "-f", "csv").out, newline="")))


def said(call: Call, *arguments: str) -> list[str]:
    """Return the verdict, line by line."""
    return [line[2:] for line in call(*arguments).out.splitlines() if line.startswith("  ")]


def test_a_measured_option_stands_alone(call: Call) -> None:
    """A calibrated best option has no remark and nothing beside it."""
    assert rows_of(call, "estimate", "chat-assistant")[0]["basis"] == "calibrated"
    assert "low confidence" not in call("estimate", "chat-assistant").out
    assert "that was measured" not in call("estimate", "chat-assistant").out


def test_a_low_confidence_option_is_called_so_and_a_measured_one_is_beside_it(call: Call) -> None:
    """The best option is of an unmeasured vendor; the cheapest calibrated one follows with its own price."""
    question = ["estimate", "chat-assistant", "--gpu", "mi300x,h100-sxm", "--set", "workload.answers_per_day=3e6"]
    rows = [row for row in rows_of(call, *question) if row["meets_slo"] == "TRUE" and row["cost_usd_per_month"]]
    measured = next(row for row in rows if row["basis"] == "calibrated")
    assert (rows[0]["gpu"], rows[0]["basis"]) == ("mi300x", "datasheet")
    lines = said(call, *question)
    assert "mi300x from" in lines[0]
    assert lines[0].endswith("(low confidence: no measured run of its GPU's vendor)")
    price = money(float(measured["cost_usd_per_month"]))
    machine = f"{int(measured['gpus']):,} × {measured['gpu']}"
    assert re.fullmatch(rf"best on a GPU that was measured: {machine}.* {re.escape(price)} a month, .*", lines[1])


def test_without_a_calibrated_option_the_gpu_counts(call: Call) -> None:
    """DeepSeek-R1 needs layouts that no run had: the best option on a measured GPU is named all the same."""
    rows = rows_of(call, "estimate", "o1-class")
    assert rows[0]["basis"] in {"datasheet", "assumed"}
    assert not [row for row in rows if row["basis"] == "calibrated" and row["meets_slo"] == "TRUE"]
    beside = said(call, "estimate", "o1-class")[1]
    machine = re.fullmatch(r"best on a GPU that was measured: ([\d,]+) × (\S+).*", beside)
    assert machine is not None
    same = [r for r in rows if r["gpu"] == machine[2] and f"{int(r['gpus'] or 0):,}" == machine[1]]
    assert same
    assert machine[2] not in {"mi300x", "mi325x"}


def test_figures_somebody_assumed_are_called_so(call: Call) -> None:
    """The published rates of DeepSeek's day carry an assumed price."""
    assert said(call, "estimate", "deepseek-day")[0].endswith("(low confidence: it rests on assumed figures)")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ("slo.ttft_p95_s=0.001", "ttft_p95_s", "TTFT p95"),
        ("slo.tpot_p95_s=0.0001", "tpot_p95_s", "TPOT p95"),
        ("slo.e2e_p50_s=0.01", "e2e_p50_s", "end to end p50"),
    ],
)
def test_the_nearest_miss_is_named(call: Call, change: str, field: str, words: str) -> None:
    """Where nothing meets the SLO: GPU, what it reaches and what was wanted, of the option that misses by least."""
    question = ["estimate", "chat-assistant", "--gpu", "h100-sxm,a100-sxm-80gb", "--set", change]
    least = min((row for row in rows_of(call, *question) if row[field]), key=lambda row: float(row[field]))
    wanted = float(change.partition("=")[2])
    line = said(call, *question)[0]
    expected = f"{least['gpu']}: {words} {seconds(float(least[field]))}, wanted {seconds(wanted)}"
    assert line == f"no option meets the SLO; nearest miss: {expected}"
    assert call(*question).code == 1


def test_a_fleet_that_is_too_large_misses_by_its_gpus(call: Call) -> None:
    """fleet.max_gpus is missed by the GPUs that the nearest option needs."""
    question = ["estimate", "chat-assistant", "--gpu", "h100-sxm", "--set", "fleet.max_gpus=1"]
    needed = int(rows_of(call, *question)[0]["gpus"])
    assert needed > 1
    assert said(call, *question)[0] == f"no option meets the SLO; nearest miss: h100-sxm: {needed} GPUs, wanted 1"


def test_where_nothing_fits_the_reason_is_the_headline(call: Call) -> None:
    """No latency is near or far where the weights have no room."""
    assert said(call, "estimate", "o1-class", "--gpu", "l4")[0].startswith("nothing fits: the weights and the cache")


def test_an_option_without_a_price_says_so(call: Call) -> None:
    """What would meet the SLO but has no listed price is no bill of dashes, where what has a price does not fit."""
    question = ["estimate", "o1-class", "--gpu", "vr200,l4"]
    assert rows_of(call, *question)[0]["cost_usd_per_month"] == ""
    line = said(call, *question)[0]
    assert " would meet the SLO, but has no listed price; no priced option does" in line
    assert "–" not in line

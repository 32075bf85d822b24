"""What thinking costs: multipliers are ratios of two solved options, and long thoughts cost more than their tokens."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.economics.page import QuestionResult
from planner.economics.thinking import ASKED, NONE, thinking, variants
from planner.errors import EXIT_DATA_MISSING, EXIT_OK
from planner.options.answer import answer
from planner.scenario.load import load_scenario

CATALOG = Catalog()


def result(name: str, override: str | None = None, **changes: Any) -> QuestionResult:
    """Return the result of a shipped scenario with some fields changed (dots written as __)."""
    sets = {path.replace("__", "."): value for path, value in changes.items()}
    return thinking(answer(load_scenario(name, CATALOG, override=override, changes=sets), CATALOG), CATALOG)


def test_thinking_on_the_same_weights_costs_more_than_twice_its_tokens() -> None:
    """Qwen3-32B on H100 at saturation: the KV cache holds fewer answers, so GPU time grows faster than tokens.

    ML.ENERGY measured 11.1 times the tokens for 27.6 times the GPU-seconds (with limits of 256 and 64 sequences).
    """
    free, held = (result("qwen3-32b-thinking", override).line(ASKED).values for override in (None, "equal-tpot"))
    assert free["token_multiplier"] == pytest.approx((632 + 6416) / 632, rel=0.01)
    assert free["gpu_time_multiplier"] > 2 * free["token_multiplier"]
    assert free["cost_multiplier"] == pytest.approx(free["gpu_time_multiplier"], rel=1e-12)
    assert 2 * held["token_multiplier"] < held["gpu_time_multiplier"] < free["gpu_time_multiplier"]


def test_the_multiplier_is_tokens_times_batch_times_step() -> None:
    """GPU-seconds = GPUs x steps x step time / batch: the ratio splits into the three, but for the first token."""
    line = result("qwen3-32b-thinking").line(ASKED).values
    parts = line["token_multiplier"] * line["smaller_batch_multiplier"] * line["slower_step_multiplier"]
    assert line["gpu_time_multiplier"] == pytest.approx(parts, rel=0.005)


@pytest.mark.parametrize("pools", ["one", "two"])
def test_it_agrees_with_the_estimate(pools: str) -> None:
    """The row as asked holds the estimate's own multipliers and dollars; the row without is 1 everywhere.

    Two pools have no one batch, so their GPU time is not said to come from it.
    """
    found = answer(load_scenario("o1-class", CATALOG, changes={"fleet.pools": pools}), CATALOG)
    assert ("at once" in thinking(found, CATALOG).verdict[1]) == (pools == "one")
    none, asked = (thinking(found, CATALOG).line(name) for name in (NONE, ASKED))
    for name in ("gpu_time_multiplier", "cost_multiplier", "energy_multiplier", "gpu_seconds_per_answer"):
        assert asked.value(name) == pytest.approx(found.best[name], rel=1e-9)
    assert asked.value("cost_usd_per_month") == found.best["cost_usd_per_month"]
    assert {none.value(n) for n in none.values if n.endswith("_multiplier")} <= {1.0, None}


def test_more_thinking_costs_more() -> None:
    """GPU-seconds rise with the multiplier; a multiplier of the file's own size gives the row as asked."""
    found = answer(load_scenario("o1-class", CATALOG), CATALOG)
    lines = thinking(found, CATALOG, variants([2.0, 3.9, 8.0], [])).lines
    seconds = [line.values["gpu_seconds_per_answer"] for line in lines if line.label != ASKED]
    assert seconds == sorted(seconds)
    by_name = {line.label: line for line in lines}
    assert by_name["3.9×"].values == pytest.approx(by_name[ASKED].values, rel=1e-9, nan_ok=True)


def test_the_command_answers_in_csv_and_names_an_unknown_effort(call: Callable[..., Any]) -> None:
    """Rows for each variant; an effort level nobody measured is data missing."""
    found = call("thinking", "o1-class", "--multiplier", "8", "--format", "csv")
    assert found.code == EXIT_OK
    assert [row["thinking"] for row in csv.DictReader(io.StringIO(found.out))] == [NONE, ASKED, "8×"]
    wrong = call("thinking", "o1-class", "--effort", "huge")
    assert wrong.code == EXIT_DATA_MISSING
    assert "no measured multiplier for effort 'huge'" in wrong.errors[0]
    assert "at least 1" in call("thinking", "o1-class", "--multiplier", "0.5").errors[0]


def test_the_api_bill_multiplies_less_than_the_tokens(call: Callable[..., Any]) -> None:
    """R1's first price: input and cached input are billed once, thinking as output (bills added up by hand)."""
    out = call("thinking", "o1-class", "--api", "deepseek-r1", "--at", "2025-03-01", "--format", "csv")
    none, asked = csv.DictReader(io.StringIO(out.out))
    read = 1268 * (0.563 * 0.14 + 0.437 * 0.55)
    for row in (none, asked):
        by_hand = (read + float(row["generated_tokens_per_answer"]) * 2.19) / 1e6
        assert float(row["api_usd_per_answer"]) == pytest.approx(by_hand, rel=1e-9)
    ratio = float(asked["api_usd_per_answer"]) / float(none["api_usd_per_answer"])
    assert float(asked["api_multiplier"]) == pytest.approx(ratio, rel=1e-9)
    assert ratio < float(asked["token_multiplier"])
    assert "expected YYYY-MM-DD" in call("thinking", "--api", "o1", "--at", "2024-13-01").errors[0]


def test_a_row_that_is_cut_says_so(call: Callable[..., Any]) -> None:
    """A multiplier beyond max_tokens is cut there, and the multipliers shown are of what is left."""
    found = call("thinking", "o1-class", "--multiplier", "1e6", "--notes")
    assert "1e+06×: 100.0% of the sequences are cut at max_tokens" in found.err


def test_explain_takes_the_numbers_of_thinking_and_energy(call: Callable[..., Any]) -> None:
    """Names that only those pages have are explained by them, for the answer as asked."""
    found = call("explain", "qwen3-32b-thinking", "token_multiplier")
    assert "token_multiplier = answer.generated_tokens / plain.generated_tokens" in found.out
    assert (
        "waiting_share = 1 - used_wh_per_answer / energy_wh_per_answer"
        in call("explain", "o1-class", "waiting_share").out
    )
    wrong = call("explain", "chatgpt-plus-2024-09", "usd_per_month_revenue", "--gpu", "h100-sxm")
    assert wrong.errors[0].startswith("error: --gpu: is of scenarios")


def test_the_columns_of_thinking_and_energy_have_a_dictionary(call: Callable[..., Any]) -> None:
    """Each column with unit and meaning; the words are no kinds of file."""
    for command in ("thinking", "energy"):
        known = {row["field"] for row in csv.DictReader(io.StringIO(call("schema", command, "--columns").out))}
        header = call(command, "o1-class", "--format", "csv").out.splitlines()[0].split(",")
        texts = {"scenario", "thinking", "limit", "model", "grid", "year", "source"}
        assert set(header) - texts == known
        assert "--columns for its results" in call("schema", command).errors[0]


def test_compare_and_thinking_say_what_they_hold_constant(call: Callable[..., Any]) -> None:
    """The two ratios differ where the plain answers have a better option of their own; each command says why."""
    flags = ("--gpu", "mi300x")
    rows = json.loads(call("compare", "o1-class", "--override", "without-thinking", *flags, "-f", "json").out)[
        "results"
    ]
    best = json.loads(call("compare", "o1-class", "--override", "all", *flags, "-f", "json").out)["results"][0]
    layouts = [[row[n] for n in ("tensor_parallel", "data_parallel", "expert_parallel")] for row in (best, rows[0])]
    assert layouts[0] != layouts[1]
    searched = best["gpu_seconds_per_answer"] / rows[0]["gpu_seconds_per_answer"]
    assert searched > best["gpu_time_multiplier"]
    table = " ".join(call("compare", "o1-class", *flags).out.split())
    assert "searched anew: GPU, layout and offer may differ" in table
    assert "all else held constant, as in `planner thinking`" in table
    told = call("thinking", "o1-class", *flags).out
    assert "held constant: GPU, engine, weights, layout, offer and demand" in told
    assert "`planner compare` searches the best option of each question anew" in told


def test_searching_anew_gives_the_same_ratio_where_one_option_is_left() -> None:
    """With one GPU, weight format, layout and offer there is nothing to search, and both ways to ask agree."""
    only = {
        "fleet.gpus": ("h100-sxm",),
        "fleet.precisions": ("native",),
        "fleet.tensor_parallel": (2,),
        "engine": ("vllm",),
    }
    asked, plain = (
        answer(load_scenario("qwen3-32b-thinking", CATALOG, changes={**only, **more}), CATALOG).best
        for more in ({}, {"workload.reasoning_multiplier": 1})
    )
    ratio = asked["gpu_seconds_per_answer"] / plain["gpu_seconds_per_answer"]
    assert ratio == pytest.approx(asked["gpu_time_multiplier"], rel=1e-6)
    assert ratio > 2


def test_one_question_alone_is_compared_with_nothing(call: Callable[..., Any]) -> None:
    """A table of one column has no ratio to explain."""
    assert "searched anew" not in call("compare", "o1-class", "--override", "spot").out

"""API or own: the crossing against another method and by hand, DeepSeek's day, verdicts, the curve, bad input."""

import csv
import datetime as dt
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.economics.api import bill_usd, find_price
from planner.economics.break_even import break_even, curve
from planner.economics.crossing import first_crossing, last_crossing
from planner.economics.fleet_by_demand import FleetModel, fleet_model_of
from planner.economics.page import QuestionResult, ResultLine
from planner.economics.questions.asked import load_asked
from planner.economics.questions.break_even import BreakEvenFile
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, EXIT_GATE_FAILED, EXIT_OK, BadInputError
from planner.options.answer import answer
from planner.scenario.load import load_scenario

CATALOG = Catalog()
FOLDER = "scenarios/break-even"
SCENARIO = """\
name: small
model: llama-3.1-8b
engine: vllm
workload: {{answers_per_day: {demand}, input_tokens: 1000, answer_tokens: 200}}
demand: {{peak_to_mean: 1}}
fleet: {{gpus: [h100-sxm], tensor_parallel: 1, availability: 0.5, headroom: 0, precisions: [native]}}
prices: {{tiers: [on_demand], providers: [acme], as_of: 2026-11-01}}
"""
QUESTION = """\
name: mine
scenario: small.yaml
api: {{model: acme/big, as_of: 2026-11-01}}
tiers: [on_demand]
answers_per_day: {{least: 1000, most: {most}}}
"""
SELLER = """\
provider: acme
name: Acme
sources: {{contract: {{title: "contract 4711", checked: 2026-11-01}}}}
source: contract
"""
GPU_HOUR = "  - {{gpu: h100-sxm, tier: on_demand, usd_per_gpu_hour: {0}, as_of: 2026-10-01, confidence: high{1}}}\n"
TOKENS = (
    "token_prices:\n  - {{model: big, usd_per_mtok_input: {0}, usd_per_mtok_output: {1}, "
    "valid_from: 2026-10-01, confidence: high}}\n"
)


def own(
    tmp_path: Path, *, gpu_hour: float = 2.0, unit: str = "", token: tuple[float, float] = (2.0, 8.0),
    demand: float = 1e5, most: float = 1e6, extra: str = "",
) -> QuestionResult:  # fmt: skip
    """Return the answer to a small question: an 8 B model on single H100s, an API of 2 and 8 dollars."""
    catalog = files(tmp_path, gpu_hour=gpu_hour, unit=unit, token=token, demand=demand, most=most, extra=extra)
    return break_even(load_asked(BreakEvenFile, FOLDER, str(tmp_path / "mine.yaml"), catalog), catalog)


def files(
    tmp_path: Path, *, gpu_hour: float = 2.0, unit: str = "", token: tuple[float, float] = (2.0, 8.0),
    demand: float = 1e5, most: float = 1e6, extra: str = "",
) -> Catalog:  # fmt: skip
    """Write the files of that question; return the catalogue."""
    for folder in ("prices", "api_prices"):
        (tmp_path / "hardware" / folder).mkdir(parents=True, exist_ok=True)
    seller = SELLER.format()
    quotes = seller + "quotes:\n" + GPU_HOUR.format(gpu_hour, unit)
    (tmp_path / "hardware/prices/acme.yaml").write_text(quotes, encoding="utf-8")
    (tmp_path / "hardware/api_prices/acme.yaml").write_text(seller + TOKENS.format(*token), encoding="utf-8")
    (tmp_path / "small.yaml").write_text(SCENARIO.format(demand=demand), encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(QUESTION.format(most=most) + extra, encoding="utf-8")
    return Catalog([tmp_path])


def row(result: QuestionResult, label: str | None = None) -> ResultLine:
    """Return a row."""
    return result.line(label)


@given(
    widths=st.lists(st.floats(0.1, 10.0), min_size=1, max_size=12),
    rises=st.lists(st.floats(0.01, 10.0), min_size=12, max_size=12),
    price=st.floats(0.1, 5.0),
)
def test_crossings_of_any_staircase(widths: list[float], rises: list[float], price: float) -> None:
    """Against another method: on step k of cost C_k the fleet loses below C_k / price, so look at every step."""
    ends = np.cumsum(widths)
    costs = np.cumsum(rises[: len(widths)])
    starts = np.concatenate([[0.0], ends[:-1]])
    most = float(ends[-1])

    def staircase(demand: np.ndarray) -> np.ndarray:
        return costs[np.minimum(np.searchsorted(ends, demand, side="left"), len(costs) - 1)]

    losing = [k for k in range(len(costs)) if costs[k] / price > starts[k] * (1 + 1e-9)]
    last = last_crossing(staircase, price, most)
    if costs[-1] > price * most:
        assert np.isnan(last)
        return
    assert last == pytest.approx(costs[losing[-1]] / price, rel=1e-9)
    winning = [max(c / price, s) for c, s, e in zip(costs, starts, ends, strict=True) if c / price <= e]
    assert first_crossing(staircase, price, last) == pytest.approx(min(winning), rel=1e-9)


@pytest.mark.parametrize("dearer", [1e-2, 1e-3, 1e-4])
def test_a_crossing_of_many_machines_is_exact(dearer: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine an answer, an API dearer by 1/k: machine k is the last that loses, however many turns that takes."""

    def machines(demand: np.ndarray) -> np.ndarray:
        return np.ceil(demand * (1 - 1e-15))

    price = 1.0 + dearer
    last = math.ceil(price / dearer) - 1
    assert last_crossing(machines, price, 1e7) == pytest.approx(last / price, rel=1e-12)
    assert first_crossing(machines, price, last / price) == pytest.approx(1 / price, rel=1e-12)
    monkeypatch.setattr("planner.economics.crossing._TURNS", 5)
    with pytest.raises(BadInputError, match="the crossing was not found in 5 turns of the search: at"):
        last_crossing(machines, price, 1e7)


@pytest.mark.parametrize("cache", ["held", "freed"])
def test_the_api_finds_the_last_turn_whatever_ones_own_cache_does(tmp_path: Path, cache: str) -> None:
    """Four turns of 1,000, 1,500, 2,000 and 2,500 tokens; the API finds 1,200, 1,700 and 2,200 of them again."""
    agent = f"workload.agent: {{tool_tokens: 300, tool_time_s: 5, kv_cache: {cache}}}"
    result = own(tmp_path, extra=f"changes: {{workload.turns_per_answer: 4, {agent}}}\n")
    assert row(result).value("api_cached_share") == pytest.approx((1200 + 1700 + 2200) / 7000)
    bill = (7000 * 2 + 4 * 200 * 8) / 1e6
    assert row(result).value("api_usd_per_answer") == pytest.approx(bill)  # acme gives no discount for cached input


def test_a_given_cached_share_wins_and_the_default_is_said(call: Callable[..., Any]) -> None:
    """The warning has the number; api.cached_share silences it."""
    taken = "assumes the API's cache finds 56.3% of the input, as much as your own cache"
    question = ("break-even", "o1-own-or-api", "--format", "json")
    assert any(taken in w for w in json.loads(call(*question).out)["warnings"])
    given = json.loads(call(*question, "--set", "api.cached_share=0.3").out)
    assert {r["api_cached_share"] for r in given["results"]} == {0.3}
    assert not any("cache is taken" in w for w in given["warnings"])


def test_the_crossing_by_hand(tmp_path: Path) -> None:
    """One GPU at $2 an hour costs $48 a day, an answer (1000 x 2 + 200 x 8) / 10^6 = $0.0036: 13,333 answers a day."""
    line = row(own(tmp_path))
    assert line.value("api_usd_per_answer") == pytest.approx(0.0036)
    assert line.value("break_even_answers_per_day") == pytest.approx(48 / 0.0036)
    assert line.value("first_break_even_answers_per_day") == pytest.approx(48 / 0.0036)
    assert line.value("break_even_gpus") == 1
    assert line.value("own_usd_per_month") == pytest.approx(2 * 730)
    assert line.value("api_usd_per_month") == pytest.approx(0.0036 * 1e5 * 730 / 24)
    assert line.value("gross_margin") == pytest.approx(1 - 1460 / (360 * 730 / 24))
    assert line.texts["cheaper"] == "own"
    assert "below 13,300 answers a day the API is cheaper, from 13,300 on own machines are (1 GPU," in str(
        line.texts["verdict"]
    )
    assert line.value("break_even_utilization") == pytest.approx(
        (line.value("utilization") or 0) * (48 / 0.0036) / 1e5, rel=1e-6
    )


def test_whole_nodes_are_paid(tmp_path: Path) -> None:
    """Where eight GPUs are the smallest thing sold, the crossing is eight times as far."""
    line = row(own(tmp_path, unit=", sold_by: node, gpus_per_instance: 8"))
    assert line.value("break_even_answers_per_day") == pytest.approx(8 * 48 / 0.0036)
    assert line.value("break_even_gpus") == 8


def test_a_staircase_crosses_more_than_once(tmp_path: Path) -> None:
    """With an API hardly dearer than a full GPU the crossings differ, and the curve agrees with both."""
    full = row(own(tmp_path)).value("full_fleet_usd_per_answer") or 0.0
    dear = full * 1.07
    result = own(tmp_path, token=(0.0, dear * 1e6 / 200), most=1e8)
    line = row(result)
    first, last = line.value("first_break_even_answers_per_day"), line.value("break_even_answers_per_day")
    assert first is not None
    assert last is not None
    assert first < 0.9 * last
    assert "in between, it depends" in str(line.texts["verdict"])
    fleet = fleet_of(tmp_path)
    above, below = np.geomspace(last * 1.000001, last * 1e3, 5000), np.geomspace(1.0, first * 0.999999, 5000)
    assert np.all(fleet.usd_per_day(above) <= dear * above * (1 + 1e-9))
    assert np.all(fleet.usd_per_day(below) > dear * below * (1 - 1e-9))
    assert float(fleet.usd_per_day(np.array([last * 0.999999]))[0]) > dear * last * 0.999999


def fleet_of(tmp_path: Path) -> FleetModel:
    """Return the fleet of the small question."""
    catalog = Catalog([tmp_path])
    return fleet_model_of(answer(load_scenario(tmp_path / "small.yaml", catalog), catalog)).contenders()


def test_an_api_below_the_cost_of_a_full_fleet_is_never_beaten(tmp_path: Path) -> None:
    """The verdict is never, with the ratio at scale; the crossing is empty, not a huge number."""
    full = row(own(tmp_path)).value("full_fleet_usd_per_answer") or 0.0
    line = row(own(tmp_path, token=(0.0, full / 3 * 1e6 / 200)))
    assert line.value("break_even_answers_per_day") is None
    assert line.value("break_even_utilization") is None
    assert line.value("full_fleet_over_api") == pytest.approx(3.0, rel=2e-3)
    assert str(line.texts["verdict"]).startswith("on-demand: never: even a full fleet costs 3 × the API")


def test_a_free_api_is_never_beaten(tmp_path: Path) -> None:
    """No division by a bill of nothing."""
    line = row(own(tmp_path, token=(0.0, 0.0)))
    assert line.value("own_over_api") is None
    assert line.value("break_even_answers_per_day") is None
    assert "the API is free" in str(line.texts["verdict"])


def test_measured_nodes_win_from_the_first_that_pays(call: Callable[..., Any]) -> None:
    """A node at $384 a day pays from $384 of the API's bill on: 56.25 % of the input is cached, at $0.14."""
    known = "changes={workload: {answers_per_day: 1e8, input_tokens: 3441, answer_tokens: 951}}"
    out = call("break-even", "deepseek-day-sold", "--set", known, "--format", "json")
    (found,) = json.loads(out.out)["results"]
    answer_usd = (3441 * (0.4375 * 0.55 + 0.5625 * 0.14) + 951 * 2.19) / 1e6
    assert found["break_even_answers_per_day"] == pytest.approx(8 * 2 * 24 / answer_usd, rel=1e-6)
    assert found["break_even_gpus"] == 8
    assert call("break-even", "deepseek-day-sold", "--set", known, "--curve").code == EXIT_OK
    dear = call(
        "break-even", "deepseek-day-sold", "--set", known, "--set", "changes.prices.extra_share=9", "-f", "json"
    )
    assert "never: even a full fleet costs" in json.loads(dear.out)["results"][0]["verdict"]


@pytest.mark.parametrize("most", [1e5, 1e9])
def test_the_range_does_not_move_the_crossing(tmp_path: Path, most: float) -> None:
    """The range is the curve's; a crossing beyond it is found and said to be beyond.

    A node of eight at $200 a GPU-hour costs $38,400 a day, so k nodes win from k x 10.67 million answers on. A node
    serves S answers: the first node that is empty enough to lose decides.
    """
    line = row(own(tmp_path, most=most, gpu_hour=200.0, unit=", sold_by: node, gpus_per_instance: 8"))
    node = 8 * 24 * 200
    serves = node / (line.value("full_fleet_usd_per_answer") or 0.0)
    k = max(k for k in range(1, 100) if k * node / 0.0036 > serves * (k - 1))
    assert k == 2
    assert line.value("break_even_answers_per_day") == pytest.approx(k * node / 0.0036)
    assert line.value("first_break_even_answers_per_day") == pytest.approx(node / 0.0036)
    assert ("beyond the requested range" in str(line.texts["verdict"])) == (most < k * node / 0.0036)


def test_cheaper_machines_and_a_dearer_api_cross_earlier(tmp_path: Path) -> None:
    """A property of the two prices, over a grid of them: the crossing never moves the wrong way."""
    table = [
        [
            row(own(tmp_path, gpu_hour=g, token=(2.0 * t, 8.0 * t))).values["break_even_answers_per_day"]
            for t in (1, 2, 5)
        ]
        for g in (0.5, 2.0, 9.0)
    ]
    assert np.all(np.diff(table, axis=0) > 0)
    assert np.all(np.diff(table, axis=1) < 0)


def test_the_largest_fleet_allowed_bounds_the_search(tmp_path: Path) -> None:
    """With fleet.max_gpus the crossing still is the last below what one GPU can serve; at more demand there is none."""
    within = row(own(tmp_path, extra="changes: {fleet.max_gpus: 1}\n"))
    assert within.value("break_even_answers_per_day") == pytest.approx(48 / 0.0036)
    dear = row(own(tmp_path, gpu_hour=9000.0, extra="changes: {fleet.max_gpus: 1}\n"))
    assert dear.value("break_even_answers_per_day") is None
    assert "even the largest fleet allowed, for" in str(dear.texts["verdict"])


@pytest.mark.parametrize(
    ("name", "pools"),
    [("o1-class", "one"), ("gpt-4o-class", "one"), ("chat-assistant", "one"), ("o1-class", "two"), ("o1-class", "any")],
)
def test_the_pruned_search_finds_what_the_full_one_finds(name: str, pools: str) -> None:
    """At several demands the cheapest fleet costs what `planner estimate` answers, and what all options give."""
    changes = {"fleet.pools": pools}
    every = fleet_model_of(answer(load_scenario(name, CATALOG, changes=changes), CATALOG))
    fleet = every.contenders()
    assert len(fleet.options) < len(every.options)
    many = np.geomspace(1.0, 1e10, 60)
    np.testing.assert_array_equal(fleet.usd_per_day(many), every.usd_per_day(many))
    for demand in (50.0, 3e4, 1e6, 4e7):
        found = answer(load_scenario(name, CATALOG, changes=changes | {"workload.answers_per_day": demand}), CATALOG)
        a_month = float(fleet.usd_per_day(np.array([demand]))[0]) * 730 / 24
        assert a_month == pytest.approx(found.best["cost_usd_per_month"], rel=1e-9), demand


def test_deepseeks_day_sold_at_its_list_price(call: Callable[..., Any]) -> None:
    """Published: $562,027 of revenue, $87,072 of cost, a profit of 545 % on cost; hence a margin of 84.5 %."""
    out = call("break-even", "deepseek-day-sold", "--format", "json")
    assert out.code == EXIT_OK
    (found,) = json.loads(out.out)["results"]
    assert found["api_usd_per_day"] == pytest.approx(562_027, rel=1e-3)
    assert found["own_usd_per_day"] == pytest.approx(87_072, rel=2e-3)
    assert found["profit_over_cost"] == pytest.approx(5.45, abs=0.01)
    assert found["gross_margin"] == pytest.approx(0.845, abs=0.001)
    assert found["break_even_answers_per_day"] is None
    assert "545% profit over cost, 84.5% gross margin" in found["verdict"]
    refused = call("break-even", "deepseek-day-sold", "--curve")
    assert refused.code == EXIT_DATA_MISSING
    assert "a curve needs the number of answers" in refused.err


def test_the_page_and_the_function_bill_alike() -> None:
    """The page's formula and bill_usd are the same bill, with cached tokens and reasoning counted once."""
    question = load_asked(BreakEvenFile, FOLDER, "o1-own-or-api", CATALOG)
    line = break_even(question, CATALOG).lines[0]
    price = find_price(CATALOG, "o1", dt.date(2026, 10, 22))
    answers = line.values["traffic.answers_per_month"]
    tokens = (line.values["traffic.input_tokens_per_month"], line.values["traffic.output_tokens_per_month"])
    bill = bill_usd(price, tokens[0], line.values["api.cached_share"], tokens[1])
    assert line.values["api_usd_per_month"] == pytest.approx(float(bill))
    # 1268 tokens in, 56.3 % of them cached; 392 x 3.9 written, a few of them cut at 32,768
    assert tokens[0] / answers == pytest.approx(1268)
    assert tokens[1] / answers == pytest.approx(392 * 3.9, rel=0.005)
    assert line.values["api.cached_share"] == pytest.approx(0.563)


def test_the_curve(tmp_path: Path, call: Callable[..., Any]) -> None:
    """CSV by default, over the range, own cost never falls, the API's is a line, both sides of steps are there."""
    catalog = files(tmp_path, most=1e8)
    out = call("break-even", tmp_path / "mine.yaml", "--curve", "--catalog", tmp_path)
    rows = list(csv.DictReader(io.StringIO(out.out)))
    demand = np.array([float(r["answers_per_day"]) for r in rows])
    paid = np.array([float(r["own_usd_per_month"]) for r in rows])
    gpus = np.array([float(r["gpus"]) for r in rows])
    assert (demand[0], demand[-1]) == pytest.approx((1000, 1e8))
    assert np.all(np.diff(demand) > 0)
    assert np.all(np.diff(paid) >= 0)
    assert np.allclose([float(r["api_usd_per_month"]) for r in rows], 0.0036 * demand * 730 / 24)
    assert [r["cheaper"] == "own" for r in rows] == [x >= 48 / 0.0036 * (1 - 1e-9) for x in demand]
    close = np.flatnonzero(np.diff(demand) < 1e-6 * demand[1:])
    assert close.size > 5
    assert np.all(gpus[close + 1] > gpus[close])
    assert gpus[close[0]] == 1
    assert gpus[close[0] + 1] == 2
    assert np.isclose(demand, 48 / 0.0036).any()
    assert np.isclose(demand, 1e5).any()
    lines = curve(load_asked(BreakEvenFile, FOLDER, str(tmp_path / "mine.yaml"), catalog), catalog).lines
    assert len(lines) == len(rows)
    as_json = call("break-even", tmp_path / "mine.yaml", "--curve", "--catalog", tmp_path, "--format", "json")
    assert len(json.loads(as_json.out)["results"]) == len(rows)


def test_tiers_are_compared(call: Callable[..., Any]) -> None:
    """A row for every tier, the API's bill is the same in all; a tier without a price is an empty row with a reason."""
    out = call("break-even", "o1-own-or-api", "--format", "json")
    rows = json.loads(out.out)["results"]
    assert [r["tier"] for r in rows] == ["on_demand", "spot", "committed_1y", "committed_3y", "owned"]
    assert len({r["api_usd_per_month"] for r in rows}) == 1
    for r in rows:
        assert r["break_even_usd_per_month"] == pytest.approx(
            r["break_even_answers_per_day"] * r["api_usd_per_answer"] * 730 / 24
        )
    bare = call("break-even", "o1-own-or-api", "--set", "tiers=[on_demand, owned]", "--format", "json")
    (_, owned) = json.loads(bare.out)["results"]
    assert bare.code == EXIT_OK
    assert owned["own_usd_per_month"] is None
    assert owned["cheaper"] is None
    assert owned["verdict"].startswith("owned: no price for")
    assert bare.out.count("no price for") == 1
    drawn = call("break-even", "o1-own-or-api", "--set", "tiers=[on_demand, owned]", "--curve", "--format", "json")
    assert [w for w in json.loads(drawn.out)["warnings"] if w.startswith("owned: no price for")]
    assert call("break-even", "o1-own-or-api", "--set", "tiers=owned").code == EXIT_DATA_MISSING


def test_fields_of_the_scenario_can_be_set(call: Callable[..., Any]) -> None:
    """--set changes.PATH reaches the scenario; its lengths are billed."""
    less = ("--set", "changes.workload.reasoning_multiplier=1", "--set", "tiers=on_demand", "--format", "json")
    (plain,) = json.loads(call("break-even", "o1-own-or-api", *less).out)["results"]
    # 392 tokens out at $60, 1268 in of which 56.3 % at $7.50 and the rest at $15
    by_hand = (392 * 60 + 1268 * (0.563 * 7.5 + 0.437 * 15)) / 1e6
    assert plain["api_usd_per_answer"] == pytest.approx(by_hand, rel=2e-3)
    own_count = (
        *less,
        "--set",
        "api.output_tokens=1000",
        "--set",
        "api.input_tokens=100",
        "--set",
        "api.cached_share=0",
    )
    (own_tokens,) = json.loads(call("break-even", "o1-own-or-api", *own_count).out)["results"]
    assert own_tokens["api_usd_per_answer"] == pytest.approx((1000 * 60 + 100 * 15) / 1e6)


@pytest.mark.parametrize(
    ("sets", "code", "said"),
    [
        (
            "api.model=o1-prevew",
            EXIT_DATA_MISSING,
            "--set api.model: no API price of 'o1-prevew'. Did you mean o1-preview",
        ),
        ("api.as_of=2024-01-01", EXIT_DATA_MISSING, "o1 has no API price on 2024-01-01. Nearest: 2024-12-17 to"),
        ("api.as_of=soon", EXIT_BAD_INPUT, "--set api.as_of"),
        ("scenario=o1-clas", EXIT_DATA_MISSING, "o1-class"),
        ("override=spott", EXIT_DATA_MISSING, "Did you mean spot"),
        ("tiers=on_demnd", EXIT_BAD_INPUT, "expected one of 'on_demand'"),
        ("tiers=[{tier: owned, providers: semianalysis}]", EXIT_DATA_MISSING, "unknown provider 'semianalysis'"),
        (
            "api.cached_share=1.5",
            EXIT_BAD_INPUT,
            "--set api.cached_share: 1.5 is too large; expected a number of at most",
        ),
        ("answers_per_day.most=10", EXIT_BAD_INPUT, "most, 10, is not above least, 100; expected a range"),
        ("changes.workload.answer_tokens=-5", EXIT_BAD_INPUT, "workload.answer_tokens"),
        ("changes.wrkload.answer_tokens=5", EXIT_BAD_INPUT, "Did you mean workload"),
        ("apii.model=o1", EXIT_BAD_INPUT, "unknown field. Did you mean api?"),
    ],
)
def test_bad_questions_get_one_line(call: Callable[..., Any], sets: str, code: int, said: str) -> None:
    """What is wrong, where, what was expected or is nearest; the right exit code."""
    out = call("break-even", "o1-own-or-api", "--set", sets)
    assert out.code == code, out.err
    assert said in out.err
    assert len(out.errors) == 1
    assert out.out == ""


def test_a_batch_price_that_is_not_known_is_refused(call: Callable[..., Any]) -> None:
    """o1's batch costs half; R1 has no batch service."""
    full, batch = (
        json.loads(call("break-even", "--set", "tiers=spot", "--set", f"api.batch={b}", "--format", "json").out)
        for b in ("false", "true")
    )
    cached = 1268 * 0.563 * 7.5 / 1e6  # cached input keeps its price in the batch service
    assert batch["results"][0]["api_usd_per_answer"] - cached == pytest.approx(
        (full["results"][0]["api_usd_per_answer"] - cached) / 2, rel=1e-6
    )
    assert any("batch answers arrive within a day" in w for w in batch["warnings"])
    assert call("break-even", "deepseek-day-sold", "--set", "api.batch=true").code == EXIT_DATA_MISSING


def test_nothing_meets_the_slo_fails(call: Callable[..., Any]) -> None:
    """An SLO no machine meets: empty rows, said, exit 1."""
    out = call("break-even", "--set", "tiers=spot", "--set", "changes.slo.ttft_p95_s=0.001", "--format", "csv")
    assert out.code == EXIT_GATE_FAILED
    assert "no tier has a fleet with a price that meets the SLO" in out.err
    (found,) = csv.DictReader(io.StringIO(out.out))
    assert found["own_usd_per_month"] == ""


def test_what_works_only_at_less_demand_or_without_a_price_is_said(call: Callable[..., Any]) -> None:
    """fleet.max_gpus bounds this demand, not the crossing; a fleet without a price is not one that misses the SLO."""
    few = call("break-even", "--set", "tiers=on_demand", "--set", "changes.fleet.max_gpus=16", "-f", "json")
    (found,) = json.loads(few.out)["results"]
    assert few.code == EXIT_GATE_FAILED
    assert found["own_usd_per_month"] is None
    assert found["break_even_gpus"] <= 16
    assert "no fleet stays within fleet.max_gpus" in found["verdict"]
    bare = call("break-even", "--set", "tiers=on_demand", "--set", "changes.fleet.gpus=gb200", "-f", "json")
    assert bare.code == EXIT_GATE_FAILED
    assert (
        json.loads(bare.out)["results"][0]["verdict"] == "on-demand: the fleets that meet the SLO have no listed price"
    )


def test_explain_shows_the_chain_and_the_price_s_source(call: Callable[..., Any]) -> None:
    """The bill's formula with its numbers, and the file and line of the token price."""
    out = call("explain", "o1-own-or-api", "break_even_answers_per_day", "--row", "spot", "--all")
    assert out.code == EXIT_OK
    assert "break_even_usd_per_month / api_usd_per_answer / days_per_month" in out.out
    assert "hardware/api_prices/openai.yaml:" in out.out


def test_another_scenario_brings_its_own_days_and_sellers(tmp_path: Path) -> None:
    """`--set scenario=mine.yaml` leaves behind what the shipped question chose for its own: title, changes, sellers."""
    files(tmp_path)
    mine = str(tmp_path / "small.yaml")
    sets: dict[str, Any] = {"scenario": mine}
    question = load_asked(BreakEvenFile, FOLDER, "o1-own-or-api", CATALOG, sets)
    assert question.spec.title == f"{mine} in place of o1-class"
    assert dict(question.spec.changes) == {}
    assert [(t.tier, t.providers) for t in question.spec.tiers] == [
        (tier, None) for tier in ("on_demand", "spot", "committed_1y", "committed_3y", "owned")
    ]
    assert question.spec.api.model == "o1"


def test_what_is_set_beside_another_scenario_counts_in_any_order(tmp_path: Path) -> None:
    """A title, changes, tiers with their sellers that the user sets are kept, before or after the scenario."""
    files(tmp_path)
    own: dict[str, Any] = {
        "title": "mine",
        "changes.workload.answers_per_day": 7,
        "tiers": ({"tier": "owned", "providers": "acme"},),
    }
    mine = {"scenario": str(tmp_path / "small.yaml")}
    for sets in (own | mine, mine | own):
        spec = load_asked(BreakEvenFile, FOLDER, "o1-own-or-api", CATALOG, sets).spec
        assert spec.title == "mine"
        assert spec.changes == {"workload": {"answers_per_day": 7}}
        assert [(t.tier, t.providers) for t in spec.tiers] == [("owned", ("acme",))]


def test_the_same_scenario_set_again_changes_nothing() -> None:
    """Naming the scenario that the question already has is no other question."""
    plain = load_asked(BreakEvenFile, FOLDER, "o1-own-or-api", CATALOG).spec
    assert load_asked(BreakEvenFile, FOLDER, "o1-own-or-api", CATALOG, {"scenario": "o1-class"}).spec == plain


def test_a_scenario_of_ones_own_is_answered_on_its_own_day(tmp_path: Path) -> None:
    """The day and the sellers of one's own file count: its only price is acme's, seen after the shipped day."""
    catalog = files(tmp_path, gpu_hour=2.0)
    path = tmp_path / "small.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("2026-11-01", "latest"), encoding="utf-8")
    result = break_even(load_asked(BreakEvenFile, FOLDER, "o1-own-or-api", catalog, {"scenario": str(path)}), catalog)
    assert result.line("on_demand").texts["provider"] == "acme"
    assert "acme h100-sxm on-demand" in str(result.line("owned").texts["verdict"])

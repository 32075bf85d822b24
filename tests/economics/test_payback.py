"""Owning: method.md's worked case, published costs, identities of cash flows, what has no answer, the owned price."""

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.economics import finance
from planner.economics.page import QuestionResult, ResultLine
from planner.economics.payback import payback
from planner.economics.questions.asked import load_asked
from planner.economics.questions.owning import OwningFile
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, EXIT_OK, BadInputError
from planner.options.answer import answer
from planner.scenario.load import load_scenario
from planner.wording import large_money

CATALOG = Catalog()
CASES = "neocloud-2026-05"
MINE = """\
name: mine
as_of: 2026-11-01
cost_of_capital: 0.1
site: {pue: 1.25, usd_per_kwh: 0.1}
operations: {maintenance_share: 0.02, staff_usd_per_year: 50000, availability: 0.99}
options:
  - name: nodes
    system: hgx-h100
    systems: 4
    capex_usd_per_system: 300000
    life_years: 4
    residual_share: 0.2
    power_kw_per_system: 10
    load_share: 0.7
    network: {capex_usd: 100000, life_years: 8}
    building: {capex_usd: 400000, life_years: 16, residual_share: 0.5}
    rent_out: {usd_per_gpu_hour: 2.5, share: 0.9}
"""


def solved(name: str = CASES, **changes: Any) -> QuestionResult:
    """Return a shipped question's result with fields changed: dots as __, [0] as _0_."""
    sets = {path.replace("_0_", "[0]").replace("__", "."): value for path, value in changes.items()}
    return payback(load_asked(OwningFile, "scenarios/owning", name, CATALOG, sets), CATALOG)


def mine(folder: Path, text: str = MINE, **changes: Any) -> ResultLine:
    """Return the row of a file of one's own."""
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return solved(str(path), **changes).lines[0]


def test_the_worked_case_of_the_method() -> None:
    """method.md, section 6: 280,000 USD, 10.2 kW, 10 %, five years: by hand 1.58 USD per GPU-hour."""
    capex = 280_000 * 0.1 * 1.1**5 / (1.1**5 - 1)
    running = 10.2 * 184.06 * 12 + 10.2 * 0.8 * 8760 * 0.08 + 0.03 * 280_000
    found = solved().line("8xH100").value("usd_per_gpu_hour")
    assert found == pytest.approx((capex + running) / (8 * 8760), rel=1e-9)
    assert found == pytest.approx(1.58, abs=0.005)
    four = solved(options_0___life_years=4, horizon_years=4).line("8xH100").value("usd_per_gpu_hour")
    assert four == pytest.approx(1.78, abs=0.005)


@pytest.mark.parametrize(
    ("label", "ours", "published"),
    [("8xH100", 1.58, 1.69), ("8xB200", 2.49, 2.34), ("GB200 NVL72", 2.40, 2.75)],
)
def test_published_costs_of_a_large_neocloud(label: str, ours: float, published: float) -> None:
    """SemiAnalysis, 2026-05-07: within 15 % of its neocloud figures."""
    found = solved().line(label).value("usd_per_gpu_hour")
    assert found == pytest.approx(published, rel=0.15)
    assert found == pytest.approx(ours, abs=0.005)


def test_every_cost_by_hand(tmp_path: Path) -> None:
    """Three assets with lives of their own, PUE on the power, 32 GPUs at 99 % of which 90 % are sold."""
    line = mine(tmp_path)

    def yearly(price: float, life: int, residual: float = 0.0) -> float:
        return price * (1 - residual / 1.1**life) * 0.1 * 1.1**life / (1.1**life - 1)

    capital = yearly(1.2e6, 4, 0.2) + yearly(1e5, 8) + yearly(4e5, 16, 0.5)
    power = 40 * 0.7 * 1.25 * 8760 * 0.1
    service = 0.02 * 1.3e6
    assert line.value("capex_usd") == 1.7e6
    assert line.value("capex_usd_per_year") == pytest.approx(capital)
    assert line.value("electricity_usd_per_year") == pytest.approx(power)
    assert line.value("operating_usd_per_year") == pytest.approx(power + service + 50_000)
    hours = 32 * 8760 * 0.99 * 0.9
    assert line.value("usd_per_gpu_hour") == pytest.approx((capital + power + service + 50_000) / hours)


def test_the_cash_flow_by_hand(tmp_path: Path) -> None:
    """Four years: what is paid, what each year leaves, what network and building are still worth at the end."""
    line = mine(tmp_path)
    earned = 32 * 8760 * 0.99 * 0.9 * 2.5 - line.values["operating_usd_per_year"]

    def left(price: float, life: int, residual: float = 0.0) -> float:
        charge = price * (1 - residual / 1.1**life) * 0.1 * 1.1**life / (1.1**life - 1)
        return sum(charge / 1.1**t for t in range(1, life - 4 + 1)) + price * residual / 1.1 ** (life - 4)

    end = 0.2 * 1.2e6 + left(1e5, 8) + left(4e5, 16, 0.5)
    assert list(line.values["cash_flow_usd_by_year"]) == pytest.approx([-1.7e6, earned, earned, earned, earned + end])
    assert line.value("payback_years") == pytest.approx(1.7e6 / earned)


@pytest.mark.parametrize("horizon", [1, 3, 4, 8, 16, 20, 25])
def test_rented_out_at_cost_nothing_is_gained(tmp_path: Path, horizon: int) -> None:
    """At a rent of the cost per GPU-hour NPV is zero and IRR the cost of capital, whatever years are looked at."""
    cost = mine(tmp_path).values["usd_per_gpu_hour"]
    line = mine(tmp_path, options_0___rent_out__usd_per_gpu_hour=cost, horizon_years=horizon)
    assert line.values["npv_usd"] == pytest.approx(0, abs=1e-3)
    assert line.value("irr") == pytest.approx(0.1, abs=1e-6)
    assert line.value("break_even_usd_per_gpu_hour") == pytest.approx(cost, rel=1e-9)


@given(change=st.floats(-0.6, 1.0))
def test_the_break_even_price_breaks_even(change: float) -> None:
    """Whatever the price does afterwards, starting from the break-even price NPV is zero."""
    drift = {"options_0___rent_out__change_per_year": change}
    price = solved(**drift).lines[0].values["break_even_usd_per_gpu_hour"]
    line = solved(options_0___rent_out__usd_per_gpu_hour=price, **drift).lines[0]
    assert line.values["npv_usd"] == pytest.approx(0, abs=1e-4 * line.values["capex_usd"])


@given(one=st.floats(-0.6, 1.0), other=st.floats(-0.6, 1.0))
def test_rising_rents_are_worth_more(one: float, other: float) -> None:
    """NPV rises with the change of the price a year, of either sign; the break-even price falls."""
    low, high = (solved(options_0___rent_out__change_per_year=c).lines[0].values for c in sorted((one, other)))
    assert low["npv_usd"] <= high["npv_usd"] + 1e-6
    assert low["break_even_usd_per_gpu_hour"] >= high["break_even_usd_per_gpu_hour"] - 1e-9


@given(
    field=st.sampled_from(
        [
            "options[0].capex_usd_per_system",
            "options[0].power_kw_per_system",
            "site.usd_per_kwh",
            "site.colo_usd_per_kw_month",
            "operations.staff_usd_per_year",
        ]
    ),
    value=st.floats(0.01, 1e6),
    more=st.floats(1, 10),
)
def test_what_costs_more_never_makes_an_hour_cheaper(field: str, value: float, more: float) -> None:
    """Every price and every kilowatt raise the cost per GPU-hour and lower NPV."""
    less, dearer = (solved(**{field: v}).lines[0].values for v in (value, value * more))
    assert less["usd_per_gpu_hour"] <= dearer["usd_per_gpu_hour"] * (1 + 1e-12)
    assert less["npv_usd"] >= dearer["npv_usd"] - 1e-9 * abs(less["npv_usd"])


def test_prices_of_the_catalogue_are_those_of_the_day() -> None:
    """SemiAnalysis' one-year H100 contracts: 1.70 by October 2025, 2.65 by June 2026; dearer ones pay."""
    result = solved("neocloud-h100-1024")
    rents = {line.label: line.value("rent_usd_per_gpu_hour") for line in result.lines}
    assert rents["october-2025"] == 1.70
    assert rents["june-2026"] == 2.65
    npv = {line.label: line.values["npv_usd"] for line in result.lines}
    assert npv["october-2025"] < npv["june-2026-falling"] < npv["june-2026"] < npv["june-2026-rising"]
    assert result.line("june-2026").texts["rent_source"] == "semianalysis-survey committed-1y 2026-06-30"
    assert any(i.name == "options[1].rent_out.usd_per_gpu_hour" and "prices" in i.where for i in result.provenance)


def test_a_life_is_not_a_payback_time() -> None:
    """Half the money in buildings of 15 years, servers of 6: the money is back long before the building is used up."""
    line = solved("asset-lives").line("half long-lived")
    assert line.values["building.capex_usd"] == pytest.approx(line.values["capex_usd"] / 2)
    earned = 7200 * 8760 * 3.30 - line.values["operating_usd_per_year"]
    assert line.value("payback_years") == pytest.approx(1e9 / earned)
    assert line.value("payback_years") < 6 < line.values["building.life_years"] == 15
    assert line.value("lasting_payback_years") == pytest.approx((1e9 + 0.5e9) / earned)
    assert any("machines 6, network 6, building 15" in sentence for sentence in solved("asset-lives").verdict)


def test_a_loss_is_said_and_what_has_no_rate_of_return_has_none(call: Callable[..., Any], tmp_path: Path) -> None:
    """Rents below running costs: NPV below zero, no IRR and no payback as words and as empty cells."""
    path = tmp_path / "mine.yaml"
    path.write_text(MINE, encoding="utf-8")
    change = ("--set", "options[0].rent_out.usd_per_gpu_hour=0.1", "--set", "horizon_years=3")
    nothing = ("--set", "options[0].residual_share=0", "--set", "options[0].life_years=3")
    bare = ("--set", "options[0].network=null", "--set", "options[0].building=null")
    found = call("payback", path, *change, *nothing, *bare, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(found.out))
    assert float(row["npv_usd"]) < 0
    assert (row["irr"], row["payback_years"], row["discounted_payback_years"]) == ("", "", "")
    table = call("payback", path, *change, *nothing, *bare).out
    assert "loses money: NPV -$" in table
    assert "no IRR (no year earns more than it costs), not paid back within the horizon" in table
    for form in ("json", "markdown", "long-csv", "table"):
        assert not {"nan", "inf"} & set(call("payback", path, *change, "-f", form).out.lower().split())


def test_without_a_rent_the_cost_is_answered(tmp_path: Path, call: Callable[..., Any]) -> None:
    """No rent_out: cost and break-even price are there, what needs revenue is empty, and a warning says so."""
    assert mine(tmp_path).value("npv_usd") is not None
    found = call("payback", tmp_path / "mine.yaml", "--set", "options[0].rent_out=null", "-f", "json", "--notes")
    row = json.loads(found.out)["results"][0]
    assert row["usd_per_gpu_hour"] > 0
    assert row["break_even_usd_per_gpu_hour"] == pytest.approx(row["usd_per_gpu_hour"])
    assert (row["npv_usd"], row["irr"], row["payback_years"], row["rent_usd_per_gpu_hour"]) == (None,) * 4
    assert "no rent_out for nodes" in found.err


def test_renting_out_beside_own_use(tmp_path: Path) -> None:
    """32 GPUs: 80 % of the hours used at 3 USD against 90 % rented out at 2.50; the sentence says which is more."""
    text = MINE + "    own_use: {usd_per_gpu_hour: 3, share: 0.8}\n"
    line = mine(tmp_path, text)
    hours = 32 * 8760 * 0.99
    assert line.value("own_use_usd_per_year") == pytest.approx(hours * 0.8 * 3)
    assert line.value("rent_out_less_own_use_usd_per_year") == pytest.approx(hours * (0.9 * 2.5 - 0.8 * 3))
    assert any("more than renting out" in s for s in solved(str(tmp_path / "mine.yaml")).verdict)


def test_without_the_extra_costs_are_answered(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyxirr: cost per GPU-hour and payback, a line that says what to install, empty NPV and IRR."""
    monkeypatch.setattr(finance, "find_spec", lambda _: None)
    found = call("payback", CASES, "--format", "json", "--notes")
    assert found.code == EXIT_OK
    assert "need pyxirr: pip install 'inference-planner[economics]'" in found.err
    row = json.loads(found.out)["results"][1]
    assert row["usd_per_gpu_hour"] == pytest.approx(2.49, abs=0.005)
    assert (row["npv_usd"], row["irr"]) == (None, None)
    assert row["payback_years"] > 0


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (
            "options[0].system=hgx-h10",
            EXIT_DATA_MISSING,
            "options[0].system: unknown system 'hgx-h10'. Did you mean hgx",
        ),
        ("options[0].rent_out.provider=semianalysis-tc", EXIT_DATA_MISSING, "Did you mean semianalysis-tco"),
        ("options[0].rent_out.tier=spot", EXIT_DATA_MISSING, "has no spot price of h100-sxm by 2026-05-07; it has"),
        ("options[0].rent_out.tier=owned", EXIT_BAD_INPUT, "several: owned by a hyperscaler in any, owned by a large"),
        ("options[0].life_years=0", EXIT_BAD_INPUT, "0 is zero; expected a number of at least 1"),
        ("options[0].life_years=4.5", EXIT_BAD_INPUT, "4.5 years end inside a year of the horizon of 5"),
        ("cost_of_capital=10", EXIT_BAD_INPUT, "10 is too large; expected a number of at most 2"),
        ("options[0].rent_out.change_per_year=-1", EXIT_BAD_INPUT, "expected a number above -1"),
        ("site.pue=0.9", EXIT_BAD_INPUT, "expected a number of at least 1"),
        ("options[0].name=8xB200", EXIT_BAD_INPUT, "two options are called '8xB200'"),
        ("options[0].lifeyears=4", EXIT_BAD_INPUT, "Did you mean life_years"),
    ],
)
def test_bad_input_is_one_line(call: Callable[..., Any], change: str, code: int, words: str) -> None:
    """Where, what, what was expected, the nearest name."""
    found = call("payback", CASES, "--set", change)
    assert (found.code, len(found.errors)) == (code, 1)
    assert words in found.errors[0]
    assert found.out == ""


def test_a_machine_without_a_price_asks_for_it(call: Callable[..., Any]) -> None:
    """The catalogue has no price of a B200 node: data missing, with the field that gives it."""
    found = call("payback", CASES, "--set", "options[1].capex_usd_per_system=null")
    assert found.code == EXIT_DATA_MISSING
    assert "the catalogue has no price of hgx-b200; expected capex_usd_per_system" in found.errors[0]


def test_a_number_replaces_a_quoted_price_and_back() -> None:
    """--set of a number drops the provider; --set of a provider drops the number."""
    assert solved(options_0___rent_out__usd_per_gpu_hour=2.0).lines[0].value("rent_usd_per_gpu_hour") == 2.0
    back = {"options[0].rent_out.usd_per_gpu_hour": 2.0, "options[0].rent_out.provider": "semianalysis-tco"}
    assert solved(**back, options_0___rent_out__tier="committed_3y").lines[0].value("rent_usd_per_gpu_hour") == 1.30


def test_earning_less_than_money_costs_is_no_loss(call: Callable[..., Any]) -> None:
    """A positive rate of return below the cost of capital is said as that; a negative one loses money."""
    rows = call("payback", "neocloud-h100-1024").out.splitlines()
    june = next(r for r in rows if r.strip().startswith("june-2026:"))
    assert "returns less than its 12% cost of capital: NPV -$" in june
    assert "IRR 9" in june
    october = next(r for r in rows if r.strip().startswith("october-2025:"))
    assert "loses money: NPV -$" in october
    assert "IRR -" in october


def test_an_owned_machine_is_an_offer_of_estimate(call: Callable[..., Any], tmp_path: Path) -> None:
    """`--write-prices DIR`, then `estimate --catalog DIR --set prices.tiers=owned`: the same dollars per GPU-hour."""
    folder = tmp_path / "mine"
    found = call("payback", CASES, "--write-prices", folder, "--format", "json")
    assert found.code == EXIT_OK
    assert f"wrote {folder}/hardware/prices/{CASES}.yaml" in found.err
    costs = {row["gpu"]: row["usd_per_gpu_hour"] for row in json.loads(found.out)["results"]}
    assert call("validate", folder / f"hardware/prices/{CASES}.yaml").code == EXIT_OK
    catalog = Catalog([folder])
    asked = load_scenario("o1-class", catalog, changes={"prices.tiers": "owned"})
    rows = {row["gpu"]: row for row in answer(asked, catalog).results if row["provider"] == CASES}
    assert {gpu: row["usd_per_gpu_hour"] for gpu, row in rows.items()} == costs
    assert rows["h100-sxm"]["gpus"] % 8 == 0
    assert rows["gb200"]["gpus"] % 72 == 0
    assert call("estimate", "--catalog", folder, "--set", "prices.tiers=owned").code == EXIT_OK
    (quote, *_) = yaml.safe_load((folder / f"hardware/prices/{CASES}.yaml").read_text(encoding="utf-8"))["quotes"]
    assert (quote["tier"], quote["confidence"]) == ("owned", "low")
    assert "$280,000" in quote["note"]


def test_prices_that_cannot_be_written_say_why(call: Callable[..., Any], tmp_path: Path) -> None:
    """Names that are no file or belong to a seller, hours not sold, and questions that own nothing."""
    mine(tmp_path)
    for name, words in (("a/b", "'a/b' is not a file name"), ("aws", "aws is a provider of the shipped catalogue")):
        found = call("payback", tmp_path / "mine.yaml", "--set", f"name={name}", "--write-prices", tmp_path / "x")
        assert found.code == EXIT_BAD_INPUT
        assert words in found.err
    found = call("payback", tmp_path / "mine.yaml", "--write-prices", tmp_path / "x", "--notes")
    assert "estimate counts idle hours itself" in found.err
    assert "owns no machines" in call("payback", "sequoia-2024", "--write-prices", tmp_path / "x").err


def test_the_chain_shows_every_year(call: Callable[..., Any]) -> None:
    """`explain` ends in the file's numbers, and shows the cash flow year by year, in text and in JSON."""
    found = call("explain", CASES, "npv_usd", "--row", "8xB200")
    assert "present_value(0.1; [-460000, 5 times 149830]" in found.out
    steps = json.loads(call("explain", CASES, "cash_flow_usd_by_year", "--format", "json").out)["steps"]
    assert len(steps[0]["value"]) == 6
    assert steps[0]["value"][0] == -280000


def test_a_file_of_another_kind_says_who_answers_it(call: Callable[..., Any]) -> None:
    """One line, not a list of missing fields."""
    root = CATALOG.roots[-1]
    for name, right in (("plans/chatgpt-plus-2024-09", "quota"), ("o1-class", "estimate")):
        found = call("payback", root / f"scenarios/{name}.yaml")
        assert (found.code, len(found.errors)) == (EXIT_BAD_INPUT, 1)
        assert f"is a file for `planner {right}` (" in found.errors[0]


def test_what_is_old_or_counted_twice_warns(call: Callable[..., Any], tmp_path: Path) -> None:
    """A price of two years ago, and a building that is bought beside a colocation that is rented."""
    mine(tmp_path)
    change = ("--set", "as_of=2027-12-31", "--set", "site.colo_usd_per_kw_month=100")
    price = ("--set", "options[0].rent_out={provider: semianalysis-tco, tier: committed_3y}")
    found = call("payback", tmp_path / "mine.yaml", *change, *price, "--notes")
    assert "price older than 180 days: semianalysis-tco committed-3y 2026-05-07" in found.err
    assert "nodes: counts both a purchased building and colocation rent" in found.err


def test_a_price_that_was_replaced_does_not_count(tmp_path: Path) -> None:
    """1.70 held until March 2026, 2.35 until June: on 1 May 2026 it is 2.35."""
    price = {"provider": "semianalysis-survey", "tier": "committed_1y"}
    line = mine(tmp_path, as_of=dt.date(2026, 5, 1), options_0___rent_out=price)
    assert line.value("rent_usd_per_gpu_hour") == 2.35


def test_labels_of_people_do_not_break_a_table(call: Callable[..., Any]) -> None:
    """A bar in a name is escaped in the header of Markdown."""
    out = call("payback", CASES, "--set", "options[0].name=a|b", "-f", "markdown").out
    header = next(x for x in out.splitlines() if x.startswith("|"))
    assert header.replace("\\|", "").count("|") == 6


def test_the_cash_flow_by_year(call: Callable[..., Any]) -> None:
    """A row for each option and year; the sums in today's money are NPV, those of the years the running total."""
    found = call("payback", "asset-lives", "--by-year", "--format", "csv")
    rows = [r for r in csv.DictReader(io.StringIO(found.out)) if r["option"] == "half long-lived"]
    assert [r["year"] for r in rows] == [str(year) for year in range(16)]
    npv = solved("asset-lives").line("half long-lived").values["npv_usd"]
    assert sum(float(r["present_value_usd_by_year"]) for r in rows) == pytest.approx(npv)
    flows = [float(r["cash_flow_usd_by_year"]) for r in rows]
    assert float(rows[-1]["running_total_usd_by_year"]) == pytest.approx(sum(flows))
    assert [r["year"] for r in rows if float(r["bought_usd_by_year"])] == ["0", "6", "12"]
    assert "year" in call("payback", "asset-lives", "--by-year").out
    assert "has no cash flow by year" in call("payback", "sequoia-2024", "--by-year").err
    bare = call("payback", "neocloud-2026-05", "--by-year", "--set", "options[0].rent_out=null", "-f", "csv")
    assert next(csv.DictReader(io.StringIO(bare.out)))["cash_flow_usd_by_year"] == ""


def test_validate_looks_up_the_names(call: Callable[..., Any], tmp_path: Path) -> None:
    """A file with an unknown system is not ok."""
    path = tmp_path / "mine.yaml"
    path.write_text(MINE.replace("hgx-h100", "hgx-h1000"), encoding="utf-8")
    assert "Did you mean hgx-h100" in call("validate", path).err
    path.write_text(MINE, encoding="utf-8")
    assert call("validate", path).out == f"{path}: ok (owning)\n"


def test_two_options_need_two_names() -> None:
    """Rows are explained by name."""
    with pytest.raises(BadInputError, match="two options are called 'GB200 NVL72'"):
        solved(**{"options[1].name": "GB200 NVL72"})


def test_the_page_says_what_the_command_says() -> None:
    """The figures of docs/economics.md are today's."""
    page = (Path(__file__).parents[2] / "docs/economics.md").read_text(encoding="utf-8")
    for line in solved().lines:
        cost, npv = line.values["usd_per_gpu_hour"], large_money(line.values["npv_usd"])
        assert re.search(rf"^\| {line.label} \| {cost:.2f} \|.*\| {re.escape(npv)} at", page, re.MULTILINE)
    for label, line in {line.label: line for line in solved("neocloud-h100-1024").lines}.items():
        assert f"{line.values['npv_usd'] / 1e6:+.1f}".lstrip("+") in page, label
        assert f"{line.values['break_even_usd_per_gpu_hour']:.2f}" in page, label
    for line in solved("asset-lives").lines:
        assert f"after {line.values['payback_years']:.1f}" in page
        assert f"after {line.values['lasting_payback_years']:.1f}" in page

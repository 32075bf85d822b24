"""API prices: which held when, what a bill comes to, what refuses to be priced."""

import builtins
import csv
import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.economics.api import bill_usd, find_price
from planner.economics.api_price import ApiPrice, Rates
from planner.errors import BadInputError, DataMissingError

CATALOG = Catalog()
ARTICLE_DAY = dt.date(2024, 9, 14)
FILE = """\
provider: {provider}
name: Acme
sources: {{contract: {{title: "contract 4711", checked: 2026-11-24}}}}
source: contract
token_prices:
"""
LINE = """\
  - {{model: big, usd_per_mtok_input: {0}, usd_per_mtok_output: 8, valid_from: {1}, valid_to: {2}, confidence: high}}
"""


def price_of(fresh: float, cached: float, output: float, batch: Rates | None = None) -> ApiPrice:
    """Return a made-up price."""
    return ApiPrice("acme", "big", ARTICLE_DAY, "since", Rates(fresh, cached, output), batch, "test", "here")


def folder(tmp_path: Path, *lines: str, provider: str = "acme", header: str = "") -> Catalog:
    """Return a catalogue with a provider of one's own."""
    path = tmp_path / "hardware" / "api_prices"
    path.mkdir(parents=True, exist_ok=True)
    text = header + FILE.format(provider=provider) + "".join(lines)
    (path / f"{provider}.yaml").write_text(text, encoding="utf-8")
    return Catalog([tmp_path])


@pytest.mark.parametrize(
    ("model", "day", "expected"),
    [
        # LiteLLM's map of late 2024, and OpenAI's prompt caching page of 2024-10-01
        ("o1-preview", "2024-09-14", (15, 15, 60)),
        ("o1-mini", "2024-09-14", (3, 3, 12)),
        ("o1-mini", "2024-10-01", (3, 1.5, 12)),
        ("o1-preview", "2024-10-01", (15, 7.5, 60)),
        ("o1-mini", "2025-01-31", (1.1, 0.55, 4.4)),
        # OpenAI's notice: the name passes from the snapshot of May to that of August on 2024-10-02
        ("gpt-4o", "2024-10-01", (5, 5, 15)),
        ("gpt-4o", "2024-10-02", (2.5, 1.25, 10)),
        ("gpt-4o-2024-08-06", "2024-09-14", (2.5, 2.5, 10)),
        # OpenAI cut o3 by 80 % on 2025-06-10
        ("o3", "2025-06-09", (10, 10, 40)),
        ("o3", "2025-06-10", (2, 0.5, 8)),
        # DeepSeek's price page
        ("deepseek-r1", "2025-02-27", (0.55, 0.14, 2.19)),
        ("deepseek-reasoner", "2025-09-05", (0.55, 0.14, 2.19)),
        ("deepseek-reasoner", "2025-09-06", (0.56, 0.07, 1.68)),
        ("DeepSeek/DeepSeek-Reasoner", "2026-04-13", (0.28, 0.028, 0.42)),
    ],
)
def test_the_price_of_the_day(model: str, day: str, expected: tuple[float, float, float]) -> None:
    """Published prices by name, alias and provider, on the first and last days of their stretches."""
    found = find_price(CATALOG, model, dt.date.fromisoformat(day))
    rates = found.standard
    assert (rates.usd_per_mtok_input, rates.usd_per_mtok_cached_input, rates.usd_per_mtok_output) == expected
    assert found.source
    assert found.where.startswith("hardware/api_prices/")


def test_deepseeks_day() -> None:
    """608 B input tokens with 342 B cache hits and 168 B output at R1's price: $562,027 as published, within 0.1 %."""
    price = find_price(CATALOG, "deepseek-r1", dt.date(2025, 2, 27))
    revenue = float(bill_usd(price, 608e9, 342 / 608, 168e9))
    assert revenue == pytest.approx(342e3 * 0.14 + 266e3 * 0.55 + 168e3 * 2.19, rel=1e-12)
    assert revenue == pytest.approx(562_027, rel=1e-3)


def test_the_article_s_bills() -> None:
    """500 tokens in, 6632 characters out at 3.5 to a token: $0.1212 with o1-preview, 21 times gpt-4o-2024-08-06."""
    output = 6632 / 3.5
    preview = find_price(CATALOG, "o1-preview", ARTICLE_DAY)
    plain = find_price(CATALOG, "gpt-4o-2024-08-06", ARTICLE_DAY)
    assert float(bill_usd(preview, 500, 0, output)) == pytest.approx(0.1212, abs=5e-5)
    assert float(bill_usd(plain, 500, 0, output / 4.2)) == pytest.approx(0.00576, abs=5e-6)


def test_batch_rates_are_the_half_where_openai_publishes_them() -> None:
    """o1's batch costs half of $15 and $60; cached input keeps its price; o1-preview has no batch rates."""
    day = dt.date(2026, 10, 14)
    batch = find_price(CATALOG, "o1", day).rates(batch=True)
    assert (batch.usd_per_mtok_input, batch.usd_per_mtok_cached_input, batch.usd_per_mtok_output) == (7.5, 7.5, 30)
    with pytest.raises(DataMissingError, match="no batch price of o1-preview"):
        bill_usd(find_price(CATALOG, "o1-preview", ARTICLE_DAY), 1, 0, 1, batch=True)


def test_unknown_models_and_days_name_the_nearest() -> None:
    """A typo is answered with names, a day with the prices around it; the place of the question comes first."""
    with pytest.raises(DataMissingError, match=r"^mine.yaml:3:7: no API price of 'o1-prevew'. Did you mean o1-preview"):
        find_price(CATALOG, "o1-prevew", where="mine.yaml:3:7")
    gone = r"^o1-preview has no API price on 2026-11-25. Nearest: 2024-10-01 to 2025-07-27 \(\$15 in, \$60 out\)"
    with pytest.raises(DataMissingError, match=gone):
        find_price(CATALOG, "o1-preview", dt.date(2026, 11, 25))
    with pytest.raises(DataMissingError, match=r"Nearest: 2024-09-12 to 2024-09-30 .\$3 in, \$12 out"):
        find_price(CATALOG, "o1-mini", dt.date(2024, 9, 11))


def test_overlapping_prices_are_refused_with_both_places(tmp_path: Path) -> None:
    """Two prices on one day, of one name or alias, cannot both hold; days that touch may."""
    touching = folder(tmp_path, LINE.format(1, "2026-01-01", "2026-01-31"), LINE.format(2, "2026-02-01", "null"))
    assert find_price(touching, "big", dt.date(2026, 1, 31)).standard.usd_per_mtok_input == 1
    assert find_price(touching, "big", dt.date(2026, 2, 1)).standard.usd_per_mtok_input == 2
    both = folder(tmp_path, LINE.format(1, "2026-01-01", "null"), LINE.format(2, "2026-02-01", "null"))
    with pytest.raises(BadInputError, match=r"acme.yaml:7:5 token_prices\[1\]: big has a price since 2026-02-01, and"):
        find_price(both, "big")
    with pytest.raises(BadInputError, match=r"acme.yaml:6:5 has another since 2026-01-01"):
        find_price(both, "big")
    backwards = folder(tmp_path, LINE.format(1, "2026-02-01", "2026-01-01"))
    with pytest.raises(BadInputError, match=r"token_prices\[0\].valid_to: 2026-01-01 is before valid_from, 2026-02-01"):
        find_price(backwards, "big")


def test_only_dollars_are_read(tmp_path: Path) -> None:
    """A list in yuan is refused with what to do."""
    catalog = folder(tmp_path, LINE.format(1, "2026-01-01", "null"), header="currency: CNY\n")
    with pytest.raises(BadInputError, match=r"acme.yaml:1:11 currency: 'CNY' is not USD; expected prices converted"):
        find_price(catalog, "big")


def test_two_sellers_must_be_told_apart(tmp_path: Path) -> None:
    """A model that two providers sell needs the provider's name before it."""
    folder(tmp_path, LINE.format(1, "2026-01-01", "null"))
    catalog = folder(tmp_path, LINE.format(2, "2026-01-01", "null"), provider="other")
    with pytest.raises(BadInputError, match="sold by several providers; expected one of acme/big, other/big"):
        find_price(catalog, "big")
    assert find_price(catalog, "other/big").standard.usd_per_mtok_input == 2


RATE = st.floats(0.0, 100.0)
TOKENS = st.floats(1.0, 1e9)


@given(
    fresh=RATE, cached=RATE, output=RATE, cheaper=st.floats(0, 1), asked=TOKENS, written=TOKENS, share=st.floats(0, 1)
)
def test_a_cheaper_price_never_costs_more(
    fresh: float, cached: float, output: float, cheaper: float, asked: float, written: float, share: float
) -> None:
    """Any rate lowered lowers the bill or leaves it; the parts add up: what is cached is not also fresh."""
    full = float(bill_usd(price_of(fresh, cached, output), asked, share, written))
    for one in (
        (fresh * cheaper, cached, output),
        (fresh, cached * cheaper, output),
        (fresh, cached, output * cheaper),
    ):
        assert float(bill_usd(price_of(*one), asked, share, written)) <= full * (1 + 1e-12)
    same = float(bill_usd(price_of(fresh, fresh, output), asked, share, written))
    assert same == pytest.approx((asked * fresh + written * output) / 1e6, rel=1e-9, abs=1e-12)


@given(multiplier=st.floats(1.0, 100.0), asked=TOKENS, visible=TOKENS, share=st.floats(0, 1))
def test_thinking_multiplies_the_bill_by_less_than_the_tokens(
    multiplier: float, asked: float, visible: float, share: float
) -> None:
    """Input is billed once, so the bill grows by at most the token multiplier, and exactly by it without input."""
    price = price_of(2.5, 1.25, 10.0)
    grown = bill_usd(price, asked, share, visible * multiplier) / bill_usd(price, asked, share, visible)
    assert 1 - 1e-9 <= float(grown) <= multiplier * (1 + 1e-9)
    without_input = bill_usd(price, 0.0, share, visible * multiplier) / bill_usd(price, 0.0, share, visible)
    assert float(without_input) == pytest.approx(multiplier)


def test_bills_take_arrays() -> None:
    """An array of lengths is billed as each of them."""
    price, lengths = price_of(2.0, 0.5, 8.0), np.array([10.0, 1000.0, 1e6])
    each = [float(bill_usd(price, x, 0.5, 2 * x)) for x in lengths]
    assert np.allclose(bill_usd(price, lengths, 0.5, 2 * lengths), each, rtol=1e-15)


def test_genai_prices_answers_what_the_tables_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model without a table is priced by the package and says so; without the package, what to install."""
    genai = pytest.importorskip("genai_prices")
    found = find_price(CATALOG, "anthropic/claude-opus-4-1", dt.date(2026, 11, 1))
    usage = genai.Usage(input_tokens=3000, cache_read_tokens=1000, output_tokens=500)
    own = genai.calc_price(usage, model_ref="claude-opus-4-1", provider_id="anthropic").total_price
    assert float(bill_usd(found, 3000, 1 / 3, 500)) == pytest.approx(float(own))
    assert found.source.startswith("genai-prices 0.2.")
    assert "keeps little history" in found.notes[0]
    # the tables come first: the package says 1.10 and 4.40 for o1-mini of 2024-09
    assert find_price(CATALOG, "o1-mini", ARTICLE_DAY).standard.usd_per_mtok_input == 3
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("genai_prices"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataMissingError, match="no API price of 'anthropic/claude-opus-4-1'"):
        find_price(CATALOG, "anthropic/claude-opus-4-1")


def test_the_list_shows_every_price_with_its_days(call: Callable[..., Any]) -> None:
    """`planner list api-prices WORD` as a table and as CSV."""
    rows = list(csv.DictReader(io.StringIO(call("list", "api-prices", "o1-mini", "--format", "csv").out)))
    assert [(r["usd_per_mtok_input"], r["valid_from"], r["valid_to"]) for r in rows] == [
        ("3.0", "2024-09-12", "2024-09-30"),
        ("3.0", "2024-10-01", "2025-01-30"),
        ("1.1", "2025-01-31", "2025-10-26"),
    ]
    assert all(r["source"] for r in rows)
    assert "deepseek-reasoner" in call("list", "api-prices", "r1").out

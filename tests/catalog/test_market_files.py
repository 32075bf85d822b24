"""The market data that ships: prices, demand curves and grid factors, against what their sources print."""

import csv
import datetime as dt
from functools import cache
from pathlib import Path

import pytest

from planner.catalog.market import DemandCurve, PricesFile, Quote
from planner.documents.spec import FileSpec, Loaded, load
from planner.documents.yaml_reader import read_document

ROOT = Path(__file__).resolve().parents[2]
PRICES = sorted((ROOT / "hardware" / "prices").glob("*.yaml"))
CURVES = sorted((ROOT / "scenarios" / "demand").glob("*.yaml"))
MARKET = {"offer", "survey", "index"}


@cache
def prices(provider: str) -> Loaded[PricesFile]:
    """Return one provider's file."""
    return load(PricesFile, read_document(ROOT / "hardware" / "prices" / f"{provider}.yaml"))


@cache
def curve(name: str) -> DemandCurve:
    """Return one demand curve."""
    return load(DemandCurve, read_document(ROOT / "scenarios" / "demand" / f"{name}.yaml")).spec


@cache
def grid_sources() -> FileSpec:
    """Return the sources of the grid factors."""
    return load(FileSpec, read_document(ROOT / "hardware" / "grid_sources.yaml")).spec


@cache
def grids() -> tuple[dict[str, str], ...]:
    """Return the rows of grids.csv."""
    with (ROOT / "hardware" / "grids.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def all_quotes() -> list[tuple[str, Quote]]:
    """Return every quote with its provider."""
    return [(path.stem, quote) for path in PRICES for quote in prices(path.stem).spec.quotes]


def quotes(provider: str, gpu: str, tier: str) -> list[Quote]:
    """Return a provider's quotes for a GPU and a tier, oldest first."""
    found = [q for q in prices(provider).spec.quotes if (q.gpu, q.tier) == (gpu, tier)]
    return sorted(found, key=lambda q: q.as_of)


@pytest.mark.parametrize("path", PRICES, ids=lambda p: p.stem)
def test_every_price_file_loads_and_every_quote_names_its_source(path: Path) -> None:
    """A quote without a source or under another provider's name cannot ship."""
    loaded = prices(path.stem)
    assert loaded.spec.provider == path.stem
    for i, quote in enumerate(loaded.spec.quotes):
        source = loaded.source("quotes", i)
        assert source is not None, (path.stem, quote)
        assert source.checked >= quote.as_of or quote.as_of_is_bound, (path.stem, quote)


@pytest.mark.parametrize("path", PRICES, ids=lambda p: p.stem)
def test_no_source_is_declared_and_unused(path: Path) -> None:
    """Each declared source is named by a quote, so a removed quote takes its source along."""
    loaded = prices(path.stem)
    used = {loaded.document.source_name(("quotes", i)) for i in range(len(loaded.spec.quotes))}
    assert used == set(loaded.spec.sources)


def test_the_market_is_wide_enough() -> None:
    """At least 70 quotes of at least 15 providers are what somebody asked or paid, not estimates."""
    market = [(provider, quote) for provider, quote in all_quotes() if quote.kind in MARKET]
    assert len(market) >= 70
    assert len({provider for provider, _ in market}) >= 15


def test_no_quote_is_from_the_future() -> None:
    """A date after the last collection would be a slip of the pen."""
    assert max(quote.as_of for _, quote in all_quotes()) <= dt.date(2026, 11, 24)


def test_a_replaced_quote_ends_after_it_was_seen() -> None:
    """valid_until is never before as_of."""
    replaced = [quote for _, quote in all_quotes() if quote.valid_until is not None]
    assert replaced
    assert all(quote.valid_until is not None and quote.valid_until >= quote.as_of for quote in replaced)


def test_no_two_quotes_say_the_same() -> None:
    """One provider has one price per GPU, SKU, tier, region and day."""
    seen = [(p, q.gpu, q.sku, q.tier, q.region, q.as_of) for p, q in all_quotes()]
    assert sorted({*seen}, key=str) == sorted(seen, key=str)


def test_sold_by_and_instance_size_agree() -> None:
    """Single GPUs have no instance size above 1, and a node holds more than one."""
    for provider, quote in all_quotes():
        count = quote.gpus_per_instance
        expected = {"gpu": count == 1, "instance": True, "node": count > 1}
        assert expected[quote.sold_by], (provider, quote)


def test_owned_hardware_is_an_estimate() -> None:
    """What owning costs is always somebody's model, never an offer."""
    assert {quote.kind for _, quote in all_quotes() if quote.tier == "owned"} == {"estimate"}


def test_every_gpu_is_in_the_catalogue() -> None:
    """Each quote's GPU id is a file of hardware/gpus."""
    known = {path.stem for path in (ROOT / "hardware" / "gpus").glob("*.yaml")}
    assert {quote.gpu for _, quote in all_quotes()} - known == set()


@pytest.mark.parametrize(
    ("provider", "gpu", "sku", "tier", "as_of", "instance_usd", "count"),
    [
        ("aws", "h100-sxm", "p5.48xlarge", "on_demand", "2026-09-06", 55.04, 8),
        ("aws", "h100-sxm", "p5.48xlarge", "on_demand", "2025-05-31", 98.32, 8),
        ("aws", "a100-sxm-40gb", "p4d.24xlarge", "on_demand", "2026-09-06", 21.957642, 8),
        ("aws", "h200-sxm", "p5e.48xlarge", "capacity_block", "2024-12-31", 43.26, 8),
        ("azure", "h100-nvl", "NC40ads_H100_v5", "spot", "2026-05-17", 2.192418, 1),
        ("azure", "h100-nvl", "NC40ads_H100_v5", "spot", "2026-09-06", 1.289904, 1),
        ("azure", "a100-pcie-80gb", "NC24ads_A100_v4", "on_demand", "2026-09-06", 3.673, 1),
        ("azure", "a100-sxm-40gb", "ND96asr_v4", "on_demand", "2026-09-06", 27.197, 8),
        ("gcp", "h100-sxm", "a3-highgpu-8g", "on_demand", "2026-09-06", 84.4, 8),
        ("oci", "h100-sxm", "BM.GPU.H100.8", "on_demand", "2026-09-06", 80.0, 8),
        ("digitalocean", "h100-sxm", "gpu-h100x8-640gb", "on_demand", "2026-10-20", 23.92, 8),
        ("spheron", "gb200", "GB200 superchip", "on_demand", "2026-03-17", 9.08, 2),
    ],
)
def test_instance_prices_are_those_printed(
    provider: str,
    gpu: str,
    sku: str,
    tier: str,
    as_of: str,
    instance_usd: float,
    count: int,
) -> None:
    """A GPU-hour is the printed price of the machine over its GPUs."""
    found = [q for q in quotes(provider, gpu, tier) if q.sku == sku and q.as_of.isoformat() == as_of]
    assert found
    for quote in found:
        assert quote.gpus_per_instance == count
        assert quote.usd_per_gpu_hour == pytest.approx(instance_usd / count, rel=1e-4)


def test_aws_h100_is_six_dollars_eighty_eight() -> None:
    """55.04 over 8 GPUs is 6.88, after the cut of 44 % from 12.29 in June 2025."""
    old, *_, new = quotes("aws", "h100-sxm", "on_demand")
    assert new.usd_per_gpu_hour == pytest.approx(6.88)
    assert new.usd_per_gpu_hour / old.usd_per_gpu_hour == pytest.approx(0.56, abs=0.001)
    assert old.valid_until == dt.date(2025, 5, 31)


def test_contract_prices_rose() -> None:
    """SemiAnalysis: one-year H100 contracts went from 1.70 to 2.65, +56 %, so prices do not only fall."""
    first, _, last = quotes("semianalysis-survey", "h100-sxm", "committed_1y")
    assert (first.usd_per_gpu_hour, last.usd_per_gpu_hour) == (1.70, 2.65)
    assert last.usd_per_gpu_hour / first.usd_per_gpu_hour - 1 == pytest.approx(0.56, abs=0.005)
    assert last.valid_until is None


def test_deepseek_assumes_two_dollars() -> None:
    """The publisher's $2 per H800-hour is an assumption, which no search takes for an offer."""
    (quote,) = prices("deepseek").spec.quotes
    assert (quote.gpu, quote.usd_per_gpu_hour, quote.kind) == ("h800-sxm", 2.0, "assumption")


def test_a_scaled_price_is_an_estimate() -> None:
    """The Crusoe B200 rate, which its source calls estimated, is not an offer."""
    (quote,) = quotes("crusoe", "b200", "on_demand")
    assert (quote.kind, quote.confidence) == ("estimate", "low")


@pytest.mark.parametrize("path", CURVES, ids=lambda p: p.stem)
def test_every_curve_is_a_day_or_a_week_around_its_mean(path: Path) -> None:
    """A curve has 24 or 168 hours, mean 1, and a source."""
    loaded = load(DemandCurve, read_document(path))
    rates = loaded.spec.hourly_relative_rate
    assert loaded.spec.id == path.stem
    assert loaded.source("hourly_relative_rate") is not None
    assert len(rates) in {24, 168}
    assert abs(sum(rates) / len(rates) - 1) < 0.005


@pytest.mark.parametrize(
    ("name", "peak", "hours"),
    [
        ("azure-2024-conversation", 1.66, 168),
        ("azure-2024-coding", 3.02, 168),
        ("servegen-deepseek-r1", 2.19, 24),
        ("deepseek-2025-02-27", 1.32, 24),
    ],
)
def test_peak_over_mean_is_that_of_the_source(name: str, peak: float, hours: int) -> None:
    """The busiest hour over the mean agrees with the published ratio within the 3 % of the digitising."""
    rates = curve(name).hourly_relative_rate
    assert len(rates) == hours
    assert max(rates) == pytest.approx(peak, rel=0.03)


def test_azure_weekends_and_troughs() -> None:
    """Conversation falls to 1:3.6 and to 0.57 of a weekday at weekends; coding falls to 1:31."""
    chat = curve("azure-2024-conversation").hourly_relative_rate
    code = curve("azure-2024-coding").hourly_relative_rate
    weekend = (sum(chat[:24]) + sum(chat[144:])) / 48
    assert max(chat) / min(chat) == pytest.approx(3.57, rel=0.05)
    assert weekend / (sum(chat[24:144]) / 120) == pytest.approx(0.565, rel=0.05)
    assert max(code) / min(code) == pytest.approx(31, rel=0.05)


def test_only_measured_minutes_are_given() -> None:
    """The busiest minute over the busiest hour is 1.5 for chat and 4.2 for code, and unknown elsewhere."""
    given = {path.stem: curve(path.stem).peak_minute_over_peak_hour for path in CURVES}
    known = {name: value for name, value in given.items() if value is not None}
    assert known == {"azure-2024-conversation": 1.5, "azure-2024-coding": 4.2}


def test_grids_cover_the_world() -> None:
    """At least 200 zones, each row with a known source, one row per zone and source, all above zero."""
    rows = grids()
    assert list(rows[0]) == ["zone", "name", "gco2e_per_kwh", "year", "source"]
    assert len({row["zone"] for row in rows}) >= 200
    assert {row["source"] for row in rows} == set(grid_sources().sources)
    assert len({(row["zone"], row["source"]) for row in rows}) == len(rows)
    assert all(0 < float(row["gco2e_per_kwh"]) < 2000 for row in rows)
    assert all(row["name"] for row in rows)


@pytest.mark.parametrize(
    ("zone", "source", "printed"),
    [
        ("USA", "codecarbon", 369.473),
        ("USA", "ecologits", 384.4),
        ("USA", "ember", 384.4),
        ("CHN", "codecarbon", 582.317),
        ("CHN", "ecologits", 525.34),
        ("CHN", "ember", 528.3),
        ("FRA", "codecarbon", 56.039),
        ("FRA", "ecologits", 41.44),
        ("FRA", "ember", 41.2),
        ("WLD", "ember", 460.1),
    ],
)
def test_grid_factors_are_those_printed(zone: str, source: str, printed: float) -> None:
    """Three large zones carry the figure each of the three sources prints."""
    (row,) = [r for r in grids() if (r["zone"], r["source"]) == (zone, source)]
    assert float(row["gco2e_per_kwh"]) == printed

"""The ledger of docs/accuracy.md holds: the error on the measured runs has not grown by more than a tenth."""

import importlib.util
import sys
from pathlib import Path

import pytest

from planner.calibration.bench import METRICS, prepare
from planner.calibration.ledger import errors, in_sample, left_out
from planner.calibration.silicon import benchmark_rows, read_silicon
from planner.specs import Catalog
from planner.specs.hardware import EngineSpec

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
NAMES = {"TTFT": "ttft_mean_s", "TPOT": "tpot_mean_s", "output tokens/s/GPU": "output_tokens_per_s_per_gpu"}

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aiconfigurator_core") is None, reason="needs the validation extra"
)


def stated(title: str) -> dict[str, float]:
    """Return the median errors on the page, by metric."""
    rows = [[c.strip() for c in line.split("|")] for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return {NAMES[row[1]]: float(row[3].rstrip("%")) / 100 for row in rows if len(row) > 3 and row[2] == title}


def test_errors_have_not_grown() -> None:
    """Fitted on all, and each GPU by factors fitted without it: medians as on the page, give or take a tenth."""
    bench = prepare(benchmark_rows(read_silicon()), Catalog())
    assert len(bench.ids) == 2487
    for title, ledger in (("fitted on all", in_sample(bench)[0]), ("without its gpu", left_out(bench, "gpu"))):
        page = stated(title)
        assert set(page) == set(METRICS)
        for metric, median in page.items():
            assert errors(ledger, metric).median == pytest.approx(median, rel=0.1), (title, metric)


def test_what_ships_is_what_the_fit_finds() -> None:
    """The shipped factors are those of a fresh fit, to the three digits written down and the noise of the solver."""
    catalog = Catalog()
    _, fitted = in_sample(prepare(benchmark_rows(read_silicon()), catalog))
    for engine, values in fitted.values.items():
        shipped = catalog.get(EngineSpec, engine).spec.factors
        for name, value in values.items():
            assert getattr(shipped, name) == pytest.approx(value, rel=0.03), (engine, name)


def test_runs_of_two_pools_are_predicted_though_none_was_fitted() -> None:
    """The disaggregated runs that count their workers: the median error of TPOT is below 18 %."""
    path = PAGE.parents[1] / "benchmarks" / "published.py"
    spec = importlib.util.spec_from_file_location("published", path)
    assert spec is not None
    assert spec.loader is not None
    published = importlib.util.module_from_spec(spec)
    sys.modules["published"] = published
    spec.loader.exec_module(published)
    tpot = next(check for check in published.pools() if check.metric == "TPOT")
    assert tpot.known.size > 250
    assert tpot.median < 0.18

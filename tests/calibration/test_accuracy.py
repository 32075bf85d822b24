"""The ledger of docs/accuracy.md holds: the error on the measured runs has not grown by more than a tenth."""

import dataclasses
import importlib.util
from pathlib import Path

import accuracy
import numpy as np
import published
import pytest
import reasons
from silicon.read import benchmark_rows, read_silicon

from planner.calibration.bench import METRICS, prepare, shown_by
from planner.calibration.fit import Fitted, starts_of
from planner.calibration.ledger import Ledger, errors, in_sample, left_out
from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec

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
    tpot = next(check for check in published.pools() if check.metric == "TPOT")
    assert tpot.known.size > 250
    assert tpot.median < 0.18


def test_sections_of_missing_data_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the shared data the page keeps the sections that it has, and what is not there stays away."""
    monkeypatch.setattr(accuracy.published, "DATA", tmp_path / "none")
    page = "# Title\n\n## Published runs that were never fitted\n\n| a |\n\n## By group\n\ntext\n"
    assert accuracy.shared_sections(None, page) == ["\n## Published runs that were never fitted\n\n| a |"]
    whole = PAGE.read_text(encoding="utf-8")
    kept = accuracy.shared_sections(None, whole)
    assert len(kept) == 2
    assert all(section.strip() in whole for section in kept)


def test_a_reason_is_what_the_runs_say() -> None:
    """A run twice as slow as the same on another version says so; one alone says nothing."""
    rows = [r for r in read_silicon() if r.recommended and r.model.startswith("meta-llama") and r.mode == "agg"][:1]
    rows = [*rows, dataclasses.replace(rows[0], id="newer", engine_version="99", tpot_s=rows[0].tpot_s / 2)]
    bench = prepare(benchmark_rows(rows), Catalog())
    factors = Fitted(starts_of(Catalog(), bench.labels("engine")), {})
    shown = shown_by(bench, factors.columns(bench))
    predicted = {m: np.where(np.arange(2) == 0, 0.6 * bench.measured[m], shown[m]) for m in METRICS}
    known = reasons.Evidence(rows, Ledger(bench, ["", ""], predicted, {}))
    assert known.reason(0) == "the same on 99 is 2.0 × faster"
    alone = bench.part(np.asarray([True, False]))
    lone = Ledger(alone, [""], {m: v[:1] for m, v in predicted.items()}, {})
    assert reasons.Evidence(rows[:1], lone).reason(0) == "–"

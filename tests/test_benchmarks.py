"""What the benchmarks rely on, at a small size: an answer does not depend on the array it is part of."""

import dataclasses
import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from planner import Cases, Estimate
from planner.catalog.catalog import Catalog
from planner.fleet import estimate as conductor
from planner.fleet.estimate import estimate
from planner.loadtest.predict import predict

ROWS = 2000
FEW = 40


def load(name: str) -> ModuleType:
    """Import a benchmark by its path: they are not a package."""
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


arrays, sheets = load("arrays"), load("predict")


def three_classes(case: Cases) -> Cases:
    """Return a case whose workload is a mixture of short, usual and long requests."""
    sizes = np.array([0.3, 1.0, 2.5])
    columns = {f"workload__{name}": np.repeat(column, sizes.size) for name, column in case.workload.items()}
    columns["workload__share"] = np.array([0.5, 0.3, 0.2])
    for name in ("workload__input_tokens_mean", "workload__answer_tokens_mean"):
        columns[name] = columns[name] * sizes
    return case.replaced(**columns)


@pytest.fixture(scope="module", params=["one class", "three classes"])
def case(request: pytest.FixtureRequest) -> Cases:
    """Return the default question's best option, with one class of requests and with three."""
    found: Cases = arrays.default_case()
    return found if request.param == "one class" else three_classes(found)


def unequal(one: Estimate, other: Estimate) -> dict[str, int]:
    """Return how many rows of each field differ, even in the last bit."""
    pairs = {f.name: (getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(Estimate)}
    counts = {name: int(np.sum((a != b) & ~(np.isnan(a) & np.isnan(b)))) for name, (a, b) in pairs.items()}
    return {name: count for name, count in counts.items() if count}


def test_a_row_of_a_sweep_is_the_point(case: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 2,000 full ones, worked on in chunks, have the very bits of the same rows asked alone."""
    monkeypatch.setattr(conductor, "CHUNK_ROWS", 512)
    sweep = arrays.full_rows(case, ROWS)
    assert arrays.differing(sweep, estimate(sweep), arrays.cells(sweep.shape, FEW)) == []


def test_a_cell_of_a_grid_is_the_point(case: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of 40 rates x 50 multipliers have the very bits of the same cells asked alone."""
    monkeypatch.setattr(conductor, "CHUNK_ROWS", 512)
    grid = arrays.grid(case, 40, 50)
    assert grid.shape == (40, 50)
    assert arrays.differing(grid, estimate(grid), arrays.cells(grid.shape, FEW)) == []


def test_chunks_leave_no_trace(case: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    """All 2,000 rows are the same in one piece and in chunks that do not divide them."""
    sweep = arrays.full_rows(case, ROWS)
    whole = estimate(sweep)
    monkeypatch.setattr(conductor, "CHUNK_ROWS", 333)
    assert unequal(whole, estimate(sweep)) == {}


def test_a_constant_column_may_be_written_out(case: Cases) -> None:
    """A column that holds one number 2,000 times gives the bits of the number given once: no fast path shows."""
    sweep = arrays.full_rows(case, ROWS)
    varied = {
        "demand__answers_per_s": sweep.demand.answers_per_s,
        "workload__input_tokens_mean": sweep.workload.input_tokens_mean,
        "workload__answer_tokens_mean": sweep.workload.answer_tokens_mean,
        "workload__reasoning_multiplier": sweep.workload.reasoning_multiplier,
    }
    assert unequal(estimate(sweep), estimate(case.replaced(**varied))) == {}


def test_a_row_of_a_predicted_sheet_is_the_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that share look-ups and columns with 400 others have the very bits, or the error, of the same rows alone."""
    catalog = Catalog()
    rows = sheets.sheet(400, catalog)
    reads: Counter[tuple[type, str]] = Counter()
    find = Catalog.find

    def counted(self: Catalog, kind: Any, name: str, *, where: str = "") -> Any:
        reads[kind, name] += 1
        return find(self, kind, name, where=where)

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "find", counted)
        found = predict(rows, catalog)
    assert set(reads.values()) == {1}
    assert {bool(row["error"]) for row in found} == {True, False}
    wrong = [i for i, row in enumerate(found) if row["basis"] is None]
    assert len(wrong) > 1
    assert sheets.differing(rows, found, [*wrong[:2], *range(0, len(rows), len(rows) // FEW)], catalog) == []

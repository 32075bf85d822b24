"""Cases: groups of columns that broadcast, and parts of them."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from planner.fleet.estimate import Estimate, estimate
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.columns import Columns, PauseColumns

Build = Callable[..., Cases]


def grid(case: Build) -> Cases:
    """Return 3 rates down and 4 multipliers across, of two request classes."""
    return case(
        demand__answers_per_s=np.array([[1.0], [10.0], [100.0]]),
        workload__reasoning_multiplier=np.array([1.0, 2.0, 3.0, 4.0])[:, None] * np.ones(2),
        workload__share=np.array([0.25, 0.75]),
    )


def test_a_point_has_no_axes_and_a_grid_has_its_own(case: Build) -> None:
    """The shape is that all columns broadcast to, without the components of the workload."""
    assert case().shape == ()
    assert grid(case).shape == (3, 4)


def test_columns_are_replaced_by_group_and_name(case: Build) -> None:
    """The others are the same arrays; a name that is no column is refused."""
    one = case()
    two = one.replaced(gpu__memory_bytes=5.0, layout__tensor_parallel=2)
    assert (float(two.gpu.memory_bytes), float(two.layout.tensor_parallel)) == (5.0, 2.0)
    assert two.layout.tensor_parallel.dtype == np.float64
    assert two.model is one.model
    assert two.gpu.hbm_bytes_per_s is one.gpu.hbm_bytes_per_s
    with pytest.raises(TypeError, match="memory"):
        one.replaced(gpu__memory=5.0)


def test_rows_cut_what_varies_and_keep_what_does_not(case: Build) -> None:
    """Rows 1 and 2 of the rates: the multipliers across stay; one column of the multipliers: the rates stay."""
    whole = grid(case)
    below = whole.rows(slice(1, None))
    assert below.shape == (2, 4)
    assert below.demand.answers_per_s.ravel().tolist() == [10.0, 100.0]
    assert below.workload.reasoning_multiplier is whole.workload.reasoning_multiplier
    across = whole.rows(np.array([3]), axis=1)
    assert across.shape == (3, 1)
    assert across.workload.reasoning_multiplier.tolist() == [[4.0, 4.0]]
    assert across.workload.share is whole.workload.share


def test_an_axis_as_long_as_the_components_is_not_mistaken_for_them(case: Build) -> None:
    """Two rates and two request classes: a row keeps both classes."""
    two = case(demand__answers_per_s=np.array([1.0, 2.0]), workload__share=np.array([0.25, 0.75]))
    assert two.shape == (2,)
    assert two.rows(slice(0, 1)).workload.share.tolist() == [0.25, 0.75]


def test_a_grid_laid_flat_has_its_cells_in_order(case: Build) -> None:
    """Three rates by four multipliers become twelve rows, each column of full length; classes stay classes."""
    flat = grid(case).flat()
    assert flat.shape == (12,)
    assert flat.demand.answers_per_s.tolist() == [1.0] * 4 + [10.0] * 4 + [100.0] * 4
    assert flat.workload.reasoning_multiplier.tolist() == [[m, m] for m in (1.0, 2.0, 3.0, 4.0)] * 3
    assert flat.workload.share.shape == (12, 2)
    assert case().flat().shape == (1,)


def test_a_single_row_becomes_a_point(case: Build) -> None:
    """Rows of one lose their axis, classes keep theirs."""
    row = case(demand__answers_per_s=np.array([1.0, 7.0]), workload__share=np.array([[0.5, 0.5], [0.25, 0.75]]))
    point = row.rows(slice(1, 2)).rows_of_one()
    assert point.shape == ()
    assert float(point.demand.answers_per_s) == 7.0
    assert point.workload.share.tolist() == [0.25, 0.75]


def test_groups_that_are_not_there_are_left_out(case: Build) -> None:
    """Pauses and prefill layouts only where a case has some."""
    assert {name for name, _ in case().groups()} == {
        "model", "gpu", "engine", "layout", "workload", "demand", "slo", "fleet", "offer", "energy", "quality",
    }  # fmt: skip
    pauses = PauseColumns(pause_s=np.zeros(3), held_pause_s=np.zeros(3), held_tokens=np.zeros(3))
    paused = dataclasses.replace(case(), pauses=pauses)
    assert "pauses" in dict(paused.groups())
    assert paused.shape == (3,)
    assert paused.rows(slice(0, 2)).shape == (2,)


def test_a_group_is_changed_column_by_column(case: Build) -> None:
    """`map` keeps the group's kind; every field is listed once."""
    doubled = case().gpu.map(lambda column: 2 * column)
    assert {name: float(v) for name, v in doubled.items()} == {n: 2 * float(v) for n, v in case().gpu.items()}
    assert [name for name, _ in doubled.items()] == [field.name for field in dataclasses.fields(doubled)]
    assert isinstance(doubled, Columns)


def test_impossible_arithmetic_is_quiet_inside_and_loud_outside() -> None:
    """0/0 is NaN without a warning in the context, and a warning after it."""
    with ignoring_float_errors():
        assert np.isnan(np.zeros(1) / np.zeros(1)).all()
    with pytest.warns(RuntimeWarning):
        np.zeros(1) / np.zeros(1)


def test_a_cell_of_a_grid_has_the_bits_of_its_point(case: Build) -> None:
    """All results of each of the twelve cells, cut out and in the grid."""
    whole = grid(case).replaced(slo__ttft_p95_s=0.3, fleet__headroom=0.1)
    found = estimate(whole)
    for down in range(3):
        for across in range(4):
            row = whole.rows(slice(down, down + 1)).rows(slice(across, across + 1), axis=1)
            point = estimate(row)
            for field in dataclasses.fields(Estimate):
                many = np.broadcast_to(getattr(found, field.name), (3, 4))[down, across]
                assert np.array_equal([[many]], np.atleast_2d(getattr(point, field.name)), equal_nan=True), field.name

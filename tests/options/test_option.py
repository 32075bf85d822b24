"""An option is typed, and reads like a mapping of its results; its layout in words."""

from dataclasses import fields, replace

import pytest

from planner import Catalog, answer, load_scenario
from planner.fleet.estimate import Estimate
from planner.options.intervals import with_intervals
from planner.options.option import COLUMNS, INTERVAL_COLUMNS, Option
from planner.report.quantities import layout

CATALOG = Catalog()
FOUND = answer(load_scenario("o1-class", CATALOG, changes={"fleet.gpus": "h100-sxm"}), CATALOG)


def test_every_result_of_an_estimate_is_a_column_with_unit_and_meaning() -> None:
    """One field is enough: what `Estimate` holds as an array, `Option` holds as a value, under the same column."""
    assert {f.name for f in fields(Estimate)} <= COLUMNS.keys() <= {f.name for f in fields(Option)}
    assert all(column.meaning for column in COLUMNS.values())
    counts = {"fits", "meets_slo", "limit"}
    assert all(COLUMNS[f.name].unit for f in fields(Estimate) if f.name not in counts)


def test_columns_are_only_appended() -> None:
    """The contract's first and last columns of each release stay where they were."""
    names = list(COLUMNS)
    assert names[:3] == ["scenario", "model", "gpu"]
    assert names.index("scenario_hash") + 1 == names.index("prefill_tensor_parallel")


def test_an_option_reads_like_a_mapping() -> None:
    """Names, items and attributes agree; an interval's ends are there once they were asked for; no other name is."""
    best = FOUND.best
    assert list(best) == list(COLUMNS)
    assert dict(best) == best.row()
    assert best["gpus"] == best.gpus
    assert "gpus_p10" not in best
    sure = with_intervals(FOUND).best
    assert list(sure) == [*COLUMNS, *INTERVAL_COLUMNS]
    assert (sure["gpus_p10"], sure["gpus_p90"]) == sure.interval("gpus")
    with pytest.raises(KeyError, match="intervals"):
        best["intervals"]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((8, 1, 1, 8), "TP8+EP"), ((1, 1, 1, 1), "TP1"), ((8, 2, 1, 1), "TP8·PP2"), ((1, 1, 16, 16), "DP16+EP")],
)
def test_a_layout_in_words(sizes: tuple[int, ...], words: str) -> None:
    """Sizes above 1, and EP where experts are spread."""
    names = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")
    assert layout(replace(FOUND.best, **dict(zip(names, sizes, strict=True)))) == words

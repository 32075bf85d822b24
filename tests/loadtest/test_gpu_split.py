"""Splits: the workers of two pools that `predict` finds are those that trying all of them finds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.loadtest.layouts import whole_splits
from planner.loadtest.predict import predict

CATALOG = Catalog()
RUN = {
    "model": "llama-3.1-70b", "gpu": "h100-sxm", "engine": "vllm", "precision": "fp8", "tensor_parallel": "4",
    "prefill_tensor_parallel": "2", "gpus": "48", "input_tokens": "4000", "output_tokens": "300",
}  # fmt: skip


def tried(row: dict[str, str]) -> list[dict[str, Any]]:
    """Return the predictions of every split of a row that uses all its GPUs, judged at its concurrency or its most."""
    gpus, sizes = int(row["gpus"]), (int(row["prefill_tensor_parallel"]), int(row["tensor_parallel"]))
    splits = [(u * sizes[0], gpus - u * sizes[0]) for u in range(1, gpus) if gpus - u * sizes[0] > 0]
    whole = [(p, d) for p, d in splits if d % sizes[1] == 0]
    judged = {k: v for k, v in row.items() if k not in {"gpus", "request_rate"}}
    return predict([judged | {"prefill_gpus": str(p), "decode_gpus": str(d)} for p, d in whole], CATALOG)


@settings(max_examples=12, deadline=None)
@given(
    gpus=st.integers(5, 400).map(lambda n: 2 * n),
    sizes=st.sampled_from([("2", "4"), ("4", "2"), ("8", "8"), ("2", "8"), ("4", "8")]),
    lengths=st.sampled_from([("200", "2000"), ("4000", "300"), ("30000", "20"), ("1000", "1")]),
    load=st.sampled_from([{}, {"concurrency": "16"}, {"concurrency": "700"}, {"request_rate": "3"}]),
)
def test_the_split_is_the_best_of_all(
    gpus: int, sizes: tuple[str, str], lengths: tuple[str, str], load: dict[str, str]
) -> None:
    """No split of whole workers serves more requests per second than the one that was found."""
    row = RUN | {"gpus": str(gpus), "prefill_tensor_parallel": sizes[0], "tensor_parallel": sizes[1]}
    row |= {"input_tokens": lengths[0], "output_tokens": lengths[1]} | load
    every = tried(row)
    found = predict([row], CATALOG)[0]
    if not every:
        assert "cannot be split" in found["error"]
        return
    best = max(r["requests_per_s"] for r in every)
    used = [r for r in every if r["prefill_workers"] == found["prefill_workers"]]
    assert used[0]["requests_per_s"] == pytest.approx(best, rel=1e-9)
    assert found["prefill_workers"] * int(sizes[0]) + found["decode_workers"] * int(sizes[1]) == gpus
    if "request_rate" not in load:
        assert found["requests_per_s"] == pytest.approx(best, rel=1e-9)


def test_a_solved_row_is_the_row_with_its_split_given() -> None:
    """The split said in the row, given back, predicts the same."""
    solved = predict([RUN | {"concurrency": "64"}], CATALOG)[0]
    given_back = RUN | {"concurrency": "64", "gpus": ""}
    given_back |= {"prefill_gpus": str(2 * solved["prefill_workers"]), "decode_gpus": str(4 * solved["decode_workers"])}
    again = predict([given_back], CATALOG)[0]
    assert {k: v for k, v in again.items() if not k.endswith("gpus")} == {
        k: v for k, v in solved.items() if not k.endswith("gpus")
    }


def test_rows_of_a_sheet_are_split_each_by_itself() -> None:
    """Small and large rows together get what each gets alone; a row with one pool has no split."""
    rows = [RUN, RUN | {"gpus": "900"}, RUN | {"prefill_tensor_parallel": "", "gpus": ""}, RUN | {"input_tokens": "9"}]
    assert predict(rows, CATALOG) == [predict([row], CATALOG)[0] for row in rows]
    assert predict(rows, CATALOG)[2]["prefill_workers"] is None


def test_whole_splits_use_every_gpu() -> None:
    """All u with u prefill + v decode = gpus, found by trying each."""
    for gpus in range(1, 60):
        for prefill, decode in ((1, 1), (2, 4), (4, 2), (6, 4), (8, 3)):
            tried_all = [u for u in range(1, gpus) if (left := gpus - u * prefill) > 0 and left % decode == 0]
            assert list(whole_splits(gpus, prefill, decode)) == tried_all


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpus": ""}, "prefill_tensor_parallel is given without gpus; expected it, to solve the split"),
        ({"tensor_parallel": ""}, "given without tensor_parallel or data_parallel of a decode worker"),
        ({"gpus": "47"}, "gpus 47 cannot be split into prefill workers of 2 and decode workers of 4"),
        ({"gpus": "47"}, "of 4 GPUs; nearest: 46, 48"),
        ({"gpus": "4"}, "gpus 4 cannot be split into prefill workers of 2 and decode workers of 4 GPUs; nearest: 6"),
        ({"prefill_tensor_parallel": "3", "gpus": "7"}, "does not start: TP3 does not divide 64 attention heads"),
    ],
)
def test_what_cannot_be_split_says_why(changes: dict[str, str], message: str) -> None:
    """Each fault names the column, what was expected and the nearest that works."""
    assert message in predict([RUN | changes], CATALOG)[0]["error"]

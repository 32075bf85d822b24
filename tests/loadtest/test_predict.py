"""`predict`: Little's law in closed loop, the given rate in open loop, and rows that say why they fail."""

import math
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.errors import BadInputError
from planner.loadtest.layouts import whole_splits
from planner.loadtest.lookups import Names
from planner.loadtest.predict import OUTPUTS, check_header, predict
from planner.loadtest.run import NUMBERS, Run, cases_of, resolve
from planner.serving.closed_loop import _opening_s
from planner.serving.replica import build_replica
from planner.serving.steady_state import load_at

CATALOG = Catalog()
RUN = {"model": "llama-3.1-8b", "gpu": "h100-sxm", "precision": "fp8", "tensor_parallel": "1", "input_tokens": "1024",
       "output_tokens": "512"}  # fmt: skip


def run(**changes: str) -> dict[str, Any]:
    """Return the prediction of one row."""
    return predict([RUN | changes], CATALOG)[0]


@settings(max_examples=25, deadline=None)
@given(concurrency=st.integers(1, 300))
def test_closed_loop_obeys_littles_law(concurrency: int) -> None:
    """Requests in flight are rate x (TTFT + (output - 1) TPOT)."""
    row = run(concurrency=str(concurrency))
    cycle = row["ttft_mean_s"] + 511 * row["tpot_mean_s"]
    assert row["requests_per_s"] * cycle == pytest.approx(concurrency, rel=1e-6)
    assert row["running_batch"] <= concurrency


def test_a_closed_loop_opens_with_a_burst() -> None:
    """The waits are those of 10 C requests whose first C are read one after the other: mean, median, p99."""
    found = resolve(RUN | {"concurrency": "100", "input_tokens": "4000"}, Names(CATALOG))
    replica, concurrency = build_replica(cases_of([found], CATALOG)), np.asarray([100.0])
    load = load_at(replica, np.asarray([30.0]))
    prompt = float(load.prefill_work_s[0]) * 4000 + float(replica.prompt_overhead_s[0])
    waits = np.concatenate([np.zeros(900), np.arange(100) * prompt])
    mean, p50, p99 = (float(_opening_s(replica, load, concurrency, name)[0]) for name in ("mean", "p50", "p99"))
    assert mean == pytest.approx(waits.mean())
    assert p50 == np.quantile(waits, 0.5) == 0.0
    assert p99 == pytest.approx(np.quantile(waits, 0.99), rel=0.01)


def test_throughput_is_rate_times_tokens() -> None:
    """Tokens per second are requests per second times the lengths, over the GPUs."""
    row = run(concurrency="32", tensor_parallel="2")
    assert row["output_tokens_per_s"] == pytest.approx(row["requests_per_s"] * 512)
    assert row["output_tokens_per_s_per_gpu"] == pytest.approx(row["output_tokens_per_s"] / 2)
    assert row["total_tokens_per_s_per_gpu"] == pytest.approx(row["requests_per_s"] * (1024 + 512) / 2)


def test_open_loop_serves_the_rate_asked_for() -> None:
    """Below capacity the requests served are the requests sent."""
    assert run(request_rate="2.5")["requests_per_s"] == pytest.approx(2.5, rel=1e-9)


def test_maximum_load_is_not_below_any_closed_loop() -> None:
    """Neither a rate nor a concurrency means all the machine can do; a first token then waits without end."""
    most = run()
    assert most["output_tokens_per_s"] >= run(concurrency="256")["output_tokens_per_s"]
    assert most["ttft_mean_s"] is None


PREFILL = {"input_tokens": "8000", "output_tokens": "10"}
CACHE = {"input_tokens": "800", "output_tokens": "2000"}
SEQUENCES = {"input_tokens": "20", "output_tokens": "200", "gpu": "h200-sxm"}
FEW_PREFILL, FEW_DECODE = {"prefill_gpus": "1", "decode_gpus": "8"}, {"prefill_gpus": "8", "decode_gpus": "1"}
TTFTS = ("ttft_mean_s", "ttft_p50_s", "ttft_p99_s")
BOUND = pytest.mark.parametrize(
    ("changes", "limit"),
    [
        pytest.param(PREFILL, "prefill", id="one pool, prefill"),
        pytest.param(PREFILL | {"output_tokens": "1"}, "prefill", id="one pool, nothing but prefill"),
        pytest.param(CACHE, "kv_cache", id="one pool, cache"),
        pytest.param(SEQUENCES, "max_sequences", id="one pool, sequences"),
        pytest.param(PREFILL | FEW_PREFILL, "prefill", id="two pools, prefill"),
        pytest.param(CACHE | FEW_DECODE, "kv_cache", id="two pools, cache"),
        pytest.param(SEQUENCES | FEW_DECODE, "max_sequences", id="two pools, sequences"),
    ],
)


@BOUND
def test_at_maximum_load_a_first_token_waits_without_end(changes: dict[str, str], limit: str) -> None:
    """No TTFT is printed, whichever pool is full, and `limit` names what binds; the rate served is finite."""
    row = run(**changes)
    assert [row[name] for name in TTFTS] == [None, None, None]
    assert (row["limit"], row["error"], row["fits"]) == (limit, "", True)
    assert row["requests_per_s"] > 0


@BOUND
def test_a_rate_above_the_maximum_is_overload(changes: dict[str, str], limit: str) -> None:
    """From the maximum load on there is no TTFT and the maximum is served; below it, the rate asked for is."""
    most = run(**changes)["requests_per_s"]
    at, beyond, far = (run(**changes, request_rate=repr(most * times)) for times in (1.0, 1.001, 100.0))
    for row in (beyond, far):
        assert f"request_rate is more than it can serve, {most:.4g} requests/s at most" in row["error"]
        assert row["requests_per_s"] == pytest.approx(most, rel=1e-9)
    for row in (at, beyond, far):
        assert [row[name] for name in TTFTS] == [None, None, None]
        assert row["limit"] == limit
    below = run(**changes, request_rate=repr(most * 0.95))
    assert (below["limit"], below["error"]) == ("", "")
    assert below["requests_per_s"] == pytest.approx(most * 0.95, rel=1e-9)
    assert 0 < below["ttft_p50_s"] <= below["ttft_p99_s"]


@BOUND
@pytest.mark.parametrize("replicas", [1, 4])
def test_a_first_token_is_predicted_while_the_queue_settles_in_a_test(
    changes: dict[str, str], limit: str, replicas: int
) -> None:
    """Up to the maximum, either TTFT grows by no more than a test can show, or none is printed and `limit` says why.

    A mean wait of E settles in E/(1 - u) at the share u of the maximum: E <= (1 - u) x 600 s, or 1,000 requests.
    """
    gpus = {name: str(replicas * int(changes.get(name, "1"))) for name in ("prefill_gpus", "decode_gpus")}
    changes = changes | (gpus if "prefill_gpus" in changes else {"gpus": str(replicas)})
    most = run(**changes)["requests_per_s"]
    idle, found = run(**changes, request_rate=repr(most * 0.01))["ttft_mean_s"], []
    for free in (0.5, 0.2, 0.1, 0.05, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-9, 1e-12):
        row = run(**changes, request_rate=repr(most * (1 - free)))
        assert row["error"] == ""
        assert row["requests_per_s"] == pytest.approx(most * (1 - free), rel=1e-9)
        found.append(row["ttft_mean_s"])
        if row["ttft_mean_s"] is None:
            assert [row[name] for name in (*TTFTS, "limit")] == [None, None, None, limit]
            continue
        longest = free * max(600.0, 1000.0 / row["requests_per_s"]) * (1 + 1e-6)
        # Steps at high load are longer than idle ones: a few of them are no wait.
        assert row["ttft_mean_s"] - idle <= longest + 10 * (row["tpot_mean_s"] or 0.0) + idle
        assert row["ttft_p99_s"] <= 2 * math.log(100) * (longest + idle + 10 * (row["tpot_mean_s"] or 0.0))
        assert row["limit"] == ""
    assert None not in found[:4]
    assert set(found[6:]) == {None}
    shown = [value for value in found if value is not None]
    assert shown == sorted(shown)
    assert set(found[len(shown) :]) == {None}


def test_no_more_sequences_run_than_prompts_are_read_for() -> None:
    """Answers of one token leave nothing running, also at the maximum, where prompts fill every step."""
    assert run(**PREFILL | {"output_tokens": "1"})["running_batch"] < 0.01


def test_an_open_loop_of_two_pools_waits_for_a_place_to_write() -> None:
    """Near the most that the decode workers can hold, TTFT grows, though prefill is as fast as before."""
    most = run(**CACHE | FEW_DECODE)["requests_per_s"]
    easy, busy = (run(**CACHE | FEW_DECODE, request_rate=repr(most * share)) for share in (0.5, 0.99))
    assert busy["ttft_p99_s"] > 2 * easy["ttft_p99_s"]


def test_more_users_are_slower_each_and_faster_together() -> None:
    """TPOT and throughput grow with concurrency."""
    rows = [run(concurrency=str(c)) for c in (1, 4, 16, 64, 256)]
    assert all(a["tpot_mean_s"] < b["tpot_mean_s"] for a, b in pairwise(rows))
    assert all(a["output_tokens_per_s"] < b["output_tokens_per_s"] for a, b in pairwise(rows))


def test_one_token_at_a_time_streams_the_weights() -> None:
    """At concurrency 1 TPOT is 1 to 3 times weights over data-sheet bandwidth: 7.5e9 bytes / 3.35e12 = 2.2 ms."""
    row = run(concurrency="1")
    floor = 7.5e9 / 3.35e12
    assert floor < row["tpot_mean_s"] < 3 * floor


def test_without_a_layout_the_smallest_that_fits_is_taken() -> None:
    """Llama 70B in 16 bit (141 GB) needs two cards of 80 GB; in 8 bit one of 141 GB."""
    two = run(model="llama-3.1-70b", precision="bf16", tensor_parallel="", concurrency="1")
    one = run(model="llama-3.1-70b", precision="fp8", gpu="h200-sxm", tensor_parallel="", concurrency="1")
    assert two["output_tokens_per_s"] / two["output_tokens_per_s_per_gpu"] == pytest.approx(2)
    assert one["output_tokens_per_s"] / one["output_tokens_per_s_per_gpu"] == pytest.approx(1)


OPEN = {"model": "llama-3.1-70b", "precision": "bf16", "tensor_parallel": ""}
"""141 GB of weights: two GPUs of 80 GB at least."""


@pytest.mark.parametrize("load", [{"concurrency": "500"}, {"request_rate": "0.5"}])
@pytest.mark.parametrize("gpus", [2, 8, 10, 72])
def test_with_a_load_the_smallest_layout_that_fits_is_replicated(gpus: int, load: dict[str, str]) -> None:
    """All GPUs are used by replicas of two, as when the row says so; it says which were taken."""
    row = run(**OPEN, **load, gpus=str(gpus))
    assert (row["layout"], row["replicas"], row["error"]) == ("TP2", gpus / 2, "")
    said = run(**OPEN | {"tensor_parallel": "2"}, **load, gpus=str(gpus))
    assert row | {"tensor_parallel": "2"} == said


@pytest.mark.parametrize("gpus", [8, 10, 72])
def test_without_a_load_the_layout_with_the_highest_throughput_is_taken(gpus: int) -> None:
    """No tensor parallelism of a power of two that uses all GPUs serves more than the layout the row says."""
    row = run(**OPEN, gpus=str(gpus))
    sizes = [t for t in (1, 2, 4, 8, 16) if gpus % t == 0]
    every = {t: run(**OPEN | {"tensor_parallel": str(t)}, gpus=str(gpus))["requests_per_s"] or 0.0 for t in sizes}
    best = max(every, key=every.__getitem__)
    assert (row["layout"], row["replicas"]) == (f"TP{best}", gpus // best)
    assert row["requests_per_s"] == every[best]


def test_without_a_load_experts_may_be_spread() -> None:
    """DeepSeek on 64 GPUs serves more with data-parallel attention than with any tensor parallelism."""
    changes = {"model": "deepseek-r1", "gpu": "h200-sxm", "precision": "", "gpus": "64"}
    row = run(**changes, tensor_parallel="")
    assert row["layout"] == "DP8 EP8"
    said = run(**changes, tensor_parallel="1", data_parallel="8", expert_parallel="8")
    assert row["requests_per_s"] == said["requests_per_s"]
    assert row["requests_per_s"] > max(run(**changes, tensor_parallel=t)["requests_per_s"] for t in ("8", "16"))


def test_an_open_layout_keeps_the_columns_that_are_given() -> None:
    """Stages and experts that the row states are part of the layout that is taken, with and without `gpus`."""
    assert run(**OPEN, pipeline_parallel="2", concurrency="1")["layout"] == "PP2"
    assert run(**OPEN, pipeline_parallel="2", gpus="8")["layout"].endswith("PP2")
    experts = {"model": "deepseek-r1", "gpu": "h200-sxm", "precision": "", "tensor_parallel": ""}
    assert run(**experts, expert_parallel="8", gpus="16", concurrency="8")["layout"] == "TP8 EP8"


@pytest.mark.parametrize("load", [{"concurrency": "30"}, {}])
def test_two_pools_without_a_layout_take_one_too(load: dict[str, str]) -> None:
    """With a load the smallest worker that fits both pools' GPUs, without one that which serves most."""
    pools = OPEN | {"prefill_gpus": "12", "decode_gpus": "24"} | load
    row = run(**pools)
    every = {t: run(**pools | {"tensor_parallel": t}) for t in ("2", "4")}
    size = "2" if load else max(every, key=lambda t: every[t]["requests_per_s"])
    assert (row["error"], row["layout"]) == ("", f"prefill TP{size} + decode TP{size}")
    assert row["requests_per_s"] == every[size]["requests_per_s"]
    assert (row["prefill_workers"], row["decode_workers"]) == (12 / int(size), 24 / int(size))


def test_where_no_layout_uses_all_gpus_the_row_says_so() -> None:
    """Llama 405B in 16 bit needs more than two H100s, and ten GPUs divide into one, two, five or ten."""
    row = run(model="llama-3.1-405b", precision="bf16", tensor_parallel="", gpus="10")
    assert (row["fits"], row["limit"]) == (False, "memory")
    assert row["error"].endswith("in any layout that uses all GPUs")


def test_open_layouts_of_a_sheet_are_chosen_each_by_itself() -> None:
    """Rows together get what each gets alone."""
    rows = [RUN | OPEN | more for more in ({"gpus": "8"}, {"gpus": "8", "concurrency": "3"}, {"concurrency": "3"})]
    rows += [RUN | {"concurrency": "3"}, RUN | OPEN | {"prefill_gpus": "4", "decode_gpus": "4"}]
    assert predict(rows, CATALOG) == [predict([row], CATALOG)[0] for row in rows]


def test_replicas_share_the_load() -> None:
    """Eight GPUs at TP2 are four replicas: four times the requests of one at a quarter of the concurrency."""
    whole, part = run(gpus="8", tensor_parallel="2", concurrency="64"), run(tensor_parallel="2", concurrency="16")
    assert whole["requests_per_s"] == pytest.approx(4 * part["requests_per_s"])
    assert whole["tpot_mean_s"] == pytest.approx(part["tpot_mean_s"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpu": "h10"}, "unknown GPU 'h10'. Did you mean "),
        ({"model": "llama-3.1-8x"}, "unknown model 'llama-3.1-8x'. Did you mean llama-3.1-8b"),
        ({"engine": "vlm"}, "unknown engine 'vlm'. Did you mean vllm"),
        ({"input_tokens": "-5"}, "input_tokens -5 is out of range; expected at least 1"),
        ({"output_tokens": "many"}, "output_tokens 'many' is not a number"),
        ({"concurrency": "0"}, "concurrency is zero; expected a positive number"),
        ({"concurrency": "4", "request_rate": "1"}, "given together"),
        ({"cached_share": "1.5"}, "expected a share between 0 and 1"),
        ({"tensor_parallel": "8", "gpus": "4"}, "gpus 4 is less than TP x PP x DP = 8"),
        ({"speculative_tokens": "2", "acceptance": "1.2"}, "acceptance 1.2 is out of range; expected a share"),
        ({"prefill_gpus": "4"}, "decode_gpus is missing beside prefill_gpus"),
        ({"prefill_gpus": "4", "decode_gpus": "0"}, "decode_gpus 0 is out of range; expected at least 1"),
        ({"prefill_gpus": "0", "decode_gpus": "0"}, "prefill_gpus 0 is out of range; expected at least 1"),
        ({"prefill_gpus": "0", "decode_gpus": "4"}, "prefill_gpus 0 is out of range; expected at least 1"),
        ({"prefill_gpus": "-1", "decode_gpus": "4"}, "prefill_gpus -1 is out of range; expected at least 1"),
        ({"prefill_gpus": "2", "decode_gpus": "0.5"}, "decode_gpus 0.5 is out of range; expected at least 1"),
        ({"gpus": "0.5"}, "gpus 0.5 is out of range; expected at least 1"),
        ({"gpus": "1e-9", "tensor_parallel": ""}, "gpus 1e-09 is out of range; expected at least 1"),
        ({"gpus": "2.5"}, "gpus 2.5 is not a whole number; expected GPUs"),
        ({"gpus": "2", "pipeline_parallel": "4", "tensor_parallel": ""}, "gpus 2 is less than TP x PP x DP = 4"),
        ({"gpus": "6", "pipeline_parallel": "4", "tensor_parallel": ""}, "gpus 6 is not a multiple of TP x PP x DP"),
        ({"gpus": "10", "tensor_parallel": "8"}, "gpus 10 is not a multiple of TP x PP x DP = 8"),
        ({"expert_parallel": "3", "tensor_parallel": ""}, "expert_parallel 3 needs a tensor_parallel or data_parallel"),
        ({"speculative_tokens": "1.5"}, "speculative_tokens 1.5 is not a whole number; expected tokens"),
        ({"speculative_tokens": "101"}, "speculative_tokens 101 is out of range; expected at most 100"),
        (
            {"speculative_tokens": "2", "acceptance": "1"},
            "acceptance 1 is out of range; expected a share between 0 and",
        ),
        ({"input_tokens": "1e22"}, "input_tokens 1e+22 is out of range; expected at most 1e+21"),
        ({"request_rate": "1e-22"}, "request_rate 1e-22 is out of range; expected at least 1e-21"),
        ({"request_rate": "-1"}, "request_rate -1 is out of range; expected a positive number"),
        ({"data_parallel": "1e16"}, "data_parallel 1e+16 is out of range; expected at most 1e+15"),
        ({"input_tokens": "12:30"}, "input_tokens: 12:30 "),
        ({"input_tokens": "08"}, "input_tokens: 08 has a leading 0; expected a number without it"),
        ({"precision": "fp3"}, "unknown precision 'fp3'"),
    ],
)
def test_a_bad_row_says_why_and_stops_nobody(changes: dict[str, str], message: str) -> None:
    """The bad row carries the reason, its neighbour its prediction."""
    bad, good = predict([RUN | changes, RUN | {"concurrency": "1"}], CATALOG)
    assert message in bad["error"]
    assert bad["tpot_mean_s"] is None
    assert good["tpot_mean_s"] > 0
    assert good["error"] == ""


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["1e21", "1e15", "1e-21", "9" * 300, "0", "0.5", "-1"])
def test_absurd_numbers_are_answered_or_refused(name: str, value: str) -> None:
    """No number overflows (a warning is an error here), and a row without numbers says why."""
    loads: tuple[dict[str, str], ...] = ({}, {"concurrency": "8"}, {"prefill_gpus": "4", "decode_gpus": "4"})
    for row in predict([RUN | load | {name: value} for load in loads], CATALOG):
        assert (row["requests_per_s"] is None) == (row["error"] != "") or "more than it can serve" in row["error"]
        assert "bug" not in row["error"]


def test_a_bug_at_one_row_is_told_and_loses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a row raises, when it is read or solved, is in its `error` and is not passed off as bad input."""

    def broken_resolve(row: Any, names: Names) -> Run:
        return {}[row["id"]] if row["id"] == "at reading" else resolve(row, names)

    def broken_cases(runs: Sequence[Run], catalog: Catalog) -> Any:
        return cases_of([run for run in runs if run.numbers["concurrency"] != 13 or 1 // 0], catalog)

    rows = [RUN | {"id": str(i), "concurrency": str(i)} for i in range(10, 20)] + [RUN | {"id": "at reading"}]
    expected = predict(rows, CATALOG)
    monkeypatch.setattr("planner.loadtest.predict.resolve", broken_resolve)
    monkeypatch.setattr("planner.loadtest.predict.cases_of", broken_cases)
    found = predict(rows, CATALOG)
    start = "a bug of this program, please report it: "
    assert found[3]["error"].startswith(f"{start}ZeroDivisionError ")
    assert found[-1]["error"].startswith(f"{start}KeyError 'at reading' at test_predict.py:")
    assert found[3]["basis"] is found[-1]["basis"] is None
    assert [r["tpot_mean_s"] for r in found[:3] + found[4:-1]] == [
        r["tpot_mean_s"] for r in expected[:3] + expected[4:-1]
    ]


def test_a_split_is_found_without_trying_all_workers() -> None:
    """The same numbers of workers as by trying each, and workers of a million GPUs take no time."""
    for gpus, prefill, decode in product(range(1, 40), range(1, 9), range(1, 9)):
        tried = [u for u in range(1, gpus) if gpus > u * prefill and (gpus - u * prefill) % decode == 0]
        assert list(whole_splits(gpus, prefill, decode)) == tried
    assert len(whole_splits(10**15, 999_983, 1_000_003)) == pytest.approx(10**15 / (999_983 * 1_000_003), abs=1)


def test_what_does_not_fit_is_no_bad_input() -> None:
    """A 405B model on one 24 GB card: fits is false, the limit is memory, no number is given."""
    row = run(model="llama-3.1-405b", gpu="rtx-4090", concurrency="1")
    assert (row["fits"], row["limit"], row["tpot_mean_s"]) == (False, "memory", None)


def test_all_output_columns_are_there() -> None:
    """Each predicted row has every column of the contract."""
    assert set(OUTPUTS) <= set(run(concurrency="8"))


@pytest.mark.parametrize("name", ["H100 SXM", "h100_sxm", "NVIDIA H100 80GB", "H100"])
def test_spellings_of_a_gpu(name: str) -> None:
    """People's spellings mean the same card."""
    assert run(gpu=name, concurrency="8") | {"gpu": ""} == run(concurrency="8") | {"gpu": ""}


def test_a_sheet_without_a_required_column_is_refused() -> None:
    """The missing column is named, with the nearest one."""
    with pytest.raises(BadInputError, match=r"no column 'output_tokens'\. Did you mean output_token"):
        check_header(["model", "gpu", "input_tokens", "output_token"])


def test_drafts_that_are_kept_speed_up_decode() -> None:
    """One draft at a batch of one: (1 + a)/(1 + 1/layers) as fast, but for computing two tokens; a = 0 only costs."""
    run = RUN | {"concurrency": "1", "model": "llama-3.1-70b", "tensor_parallel": "4", "input_tokens": "100"}
    plain = predict([run], CATALOG)[0]["tpot_mean_s"]
    kept, lost = (
        predict([run | {"speculative_tokens": "1", "acceptance": a}], CATALOG)[0]["tpot_mean_s"] for a in ("0.8", "0")
    )
    assert plain / kept == pytest.approx(1.8 / (1 + 1 / 80), rel=0.05)
    assert 1 + 1 / 80 < lost / plain < 1.1
    none = predict([run | {"speculative_tokens": "0", "acceptance": "0.8"}], CATALOG)[0]["tpot_mean_s"]
    assert none == plain


def test_drafts_lose_their_worth_in_a_large_batch() -> None:
    """A batch that computes already pays for every drafted token: the gain of three drafts shrinks."""
    run = RUN | {"model": "llama-3.1-8b", "tensor_parallel": "1", "output_tokens": "400"}
    drafts = {"speculative_tokens": "3", "acceptance": "0.6"}
    gains = []
    for concurrency in ("1", "256"):
        alone, drafted = (
            predict([run | more | {"concurrency": concurrency}], CATALOG)[0]["tpot_mean_s"] for more in ({}, drafts)
        )
        gains.append(alone / drafted)
    assert gains[0] > 1.8 > gains[1]

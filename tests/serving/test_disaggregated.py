"""Two pools: prompts are read by workers of their own, answers written by others."""

from typing import Any

import numpy as np
import pytest

from planner.catalog.catalog import Catalog
from planner.loadtest.lookups import Names
from planner.loadtest.predict import predict
from planner.loadtest.run import cases_of, layouts, resolve
from planner.serving.replica import prompt_transfer_s

CATALOG = Catalog()
RUN = {
    "id": "1", "model": "llama-3.1-70b", "gpu": "h100-sxm", "engine": "vllm", "precision": "fp8",
    "kv_precision": "bf16", "tensor_parallel": "4", "prefill_gpus": "8", "decode_gpus": "16",
    "input_tokens": "1000", "output_tokens": "401", "concurrency": "64",
}  # fmt: skip


def shown(**changes: str) -> dict[str, Any]:
    """Return the prediction of the run with changes."""
    return predict([RUN | changes], CATALOG)[0]


def test_every_request_in_flight_is_somewhere() -> None:
    """Little's law over both pools: C = requests/s (TTFT + 400 TPOT)."""
    row = shown()
    assert row["requests_per_s"] * (row["ttft_mean_s"] + 400 * row["tpot_mean_s"]) == pytest.approx(64, rel=1e-6)
    assert row["running_batch"] == pytest.approx(row["requests_per_s"] * 400 * row["tpot_mean_s"], rel=1e-6)


def test_as_many_readers_as_requests_leave_nobody_waiting() -> None:
    """One request for each prefill worker: TTFT is what one request alone takes, whatever the writers do."""
    alone = shown(concurrency="1", prefill_gpus="4", decode_gpus="16")
    wide = shown(concurrency="16", prefill_gpus="64", decode_gpus="4")
    assert wide["ttft_mean_s"] == pytest.approx(alone["ttft_mean_s"], rel=0.01)


def test_writers_are_not_held_up_by_prompts() -> None:
    """Four decode workers write faster than four replicas that also read, at the same requests in flight."""
    both = predict([RUN | {"prefill_gpus": "", "decode_gpus": "", "gpus": "16"}], CATALOG)[0]
    assert shown()["tpot_mean_s"] < both["tpot_mean_s"]


def test_the_tighter_pool_sets_the_most_that_is_served() -> None:
    """Few readers bind: twice as many serve twice as much, more writers nothing; with many it is the writers."""
    few = {"concurrency": "", "prefill_gpus": "4", "decode_gpus": "64"}
    one, two = shown(**few), shown(**few | {"prefill_gpus": "8"})
    assert two["requests_per_s"] == pytest.approx(2 * one["requests_per_s"], rel=1e-6)
    assert shown(**few | {"decode_gpus": "128"})["requests_per_s"] == pytest.approx(one["requests_per_s"], rel=1e-6)
    many = {"concurrency": "", "prefill_gpus": "400", "output_tokens": "4001", "input_tokens": "100"}
    wide = shown(**many | {"decode_gpus": "32"})["requests_per_s"]
    assert wide == pytest.approx(2 * shown(**many)["requests_per_s"], rel=1e-6)


def test_a_rate_beyond_both_pools_says_so() -> None:
    """An open loop above what the readers read is an error of the row with the rate that is served."""
    row = shown(concurrency="", request_rate="1000")
    assert "more than it can serve" in row["error"]
    assert row["requests_per_s"] < 1000


def test_the_cache_travels_once() -> None:
    """1,000 tokens x 80 layers x 2 x 8 heads x 128 x 2 bytes over four adapters of 50 GB/s at the engine's share."""
    run = resolve(RUN, Names(CATALOG))
    cases = cases_of([run], CATALOG)
    reading = cases.replaced(layout__tensor_parallel=layouts([run], of_prefill=True).tensor_parallel)
    share = run.machine.engine.spec.factors.network_efficiency
    found = float(prompt_transfer_s(reading, cases, np.asarray([2.0]), np.asarray([4.0]))[0])
    assert found == pytest.approx(1000 * 80 * 2 * 8 * 128 * 2 / (4 * 50e9 * share))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decode_gpus": ""}, "decode_gpus is missing beside prefill_gpus"),
        ({"prefill_gpus": ""}, "prefill_gpus is missing beside decode_gpus"),
        ({"decode_gpus": "10"}, "decode_gpus 10 is not a multiple of a worker's 4 GPUs"),
        ({"prefill_gpus": "6"}, "prefill_gpus 6 is not a multiple of a worker's 4 GPUs"),
        ({"gpus": "8"}, "is not the sum of prefill_gpus and decode_gpus"),
        ({"prefill_tensor_parallel": "3"}, "prefill_gpus 8 is not a multiple of a worker's 3 GPUs"),
        ({"prefill_tensor_parallel": "3", "prefill_gpus": "6"}, "prefill_tensor_parallel 3 does not divide the 64"),
    ],
)
def test_what_cannot_be_two_pools_says_why(changes: dict[str, str], message: str) -> None:
    """Each fault names the column and what was expected."""
    assert message in shown(**changes)["error"]

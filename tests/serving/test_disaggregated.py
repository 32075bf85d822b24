"""Two pools: a prefill pool beside a decode pool."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.loadtest.lookups import Names
from planner.loadtest.predict import predict
from planner.loadtest.run import cases_of, layouts, resolve
from planner.serving.closed_loop import LoadTestResult, Traffic, run_load_test
from planner.serving.disaggregated import Deployment, decode_only, deployment_of, prefill_pool
from planner.serving.replica import build_replica, prompt_transfer_s
from planner.serving.steady_state import length_quantiles, load_at

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


def test_as_many_prefill_workers_as_requests_leave_nobody_waiting() -> None:
    """One request for each prefill worker: TTFT is what one request alone takes, whatever the others do."""
    alone = shown(concurrency="1", prefill_gpus="4", decode_gpus="16")
    wide = shown(concurrency="16", prefill_gpus="64", decode_gpus="4")
    assert wide["ttft_mean_s"] == pytest.approx(alone["ttft_mean_s"], rel=0.01)


def test_decode_is_not_held_up_by_prompts() -> None:
    """Four decode workers are faster than four replicas that do both, at the same requests in flight."""
    both = predict([RUN | {"prefill_gpus": "", "decode_gpus": "", "gpus": "16"}], CATALOG)[0]
    assert shown()["tpot_mean_s"] < both["tpot_mean_s"]


def test_the_tighter_pool_sets_the_most_that_is_served() -> None:
    """Few prefill workers bind: twice as many serve twice as much, more decode workers nothing; and the other way."""
    few = {"concurrency": "", "prefill_gpus": "4", "decode_gpus": "64"}
    one, two = shown(**few), shown(**few | {"prefill_gpus": "8"})
    assert two["requests_per_s"] == pytest.approx(2 * one["requests_per_s"], rel=1e-6)
    assert shown(**few | {"decode_gpus": "128"})["requests_per_s"] == pytest.approx(one["requests_per_s"], rel=1e-6)
    many = {"concurrency": "", "prefill_gpus": "400", "output_tokens": "4001", "input_tokens": "100"}
    wide = shown(**many | {"decode_gpus": "32"})["requests_per_s"]
    assert wide == pytest.approx(2 * shown(**many)["requests_per_s"], rel=1e-6)


def test_a_rate_beyond_both_pools_says_so() -> None:
    """An open loop above what the prefill workers take is an error of the row with the rate that is served."""
    row = shown(concurrency="", request_rate="1000")
    assert "more than it can serve" in row["error"]
    assert row["requests_per_s"] < 1000


def test_the_cache_travels_once() -> None:
    """1,000 tokens x 80 layers x 2 x 8 heads x 128 x 2 bytes over four adapters of 50 GB/s at the engine's share."""
    run = resolve(RUN, Names(CATALOG))
    cases = cases_of([run], CATALOG)
    prefill = cases.replaced(layout__tensor_parallel=layouts([run], of_prefill=True).tensor_parallel)
    share = run.machine.engine.spec.factors.network_efficiency
    found = float(prompt_transfer_s(prefill, cases, np.asarray([2.0]), np.asarray([4.0]))[0])
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
        (
            {"prefill_tensor_parallel": "3", "prefill_gpus": "6"},
            "does not start: TP3 does not divide 64 attention heads",
        ),
    ],
)
def test_what_cannot_be_two_pools_says_why(changes: dict[str, str], message: str) -> None:
    """Each fault names the column and what was expected."""
    assert message in shown(**changes)["error"]


def load_tests(changes: dict[str, str], replicas: int, concurrency: float, rate: float) -> tuple[LoadTestResult, ...]:
    """Return a load test of replicas that do both, and of as many with as many prefill replicas and a free link."""
    run = resolve(RUN | {"prefill_gpus": "", "decode_gpus": ""} | changes, Names(CATALOG))
    cases, count = cases_of([run], CATALOG), np.asarray([float(replicas)])
    replica, lengths, one = build_replica(cases), length_quantiles(cases), np.ones(1, dtype=bool)
    prefill = prefill_pool(replica, count, np.zeros(1))
    traffic = Traffic(np.asarray([concurrency]), np.asarray([rate]), np.zeros(1, dtype=bool))
    deployments = (Deployment(replica, count, None), Deployment(decode_only(replica), count, prefill))
    with np.errstate(all="ignore"):
        return tuple(run_load_test(each, lengths, one, traffic) for each in deployments)


@settings(max_examples=40, deadline=None)
@given(
    concurrency=st.floats(1.0, 2000.0),
    lengths=st.sampled_from([("8000", "20"), ("8000", "2"), ("1000", "400"), ("100", "4000"), ("30000", "300")]),
    tensor=st.sampled_from(["2", "4", "8"]),
    replicas=st.integers(1, 8),
)
def test_a_prefill_pool_like_the_decode_pool_with_a_free_link_is_no_worse(
    concurrency: float, lengths: tuple[str, str], tensor: str, replicas: int
) -> None:
    """As many prefill replicas beside replicas that did both: more requests per second and sooner tokens."""
    changes = {"input_tokens": lengths[0], "output_tokens": lengths[1], "tensor_parallel": tensor}
    both, two = load_tests(changes, replicas, concurrency, np.nan)
    assert two.requests_per_s[0] >= both.requests_per_s[0] * (1 - 1e-9)
    assert two.load.step_s[0] <= both.load.step_s[0] * (1 + 1e-9)


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.01, 0.99), lengths=st.sampled_from([("8000", "20"), ("1000", "400"), ("100", "4000")]))
def test_at_one_rate_a_prefill_pool_shortens_every_latency(share: float, lengths: tuple[str, str]) -> None:
    """At the rate that replicas serve which do both, TTFT and TPOT fall; a TTFT that never settles has no value."""
    changes = {"input_tokens": lengths[0], "output_tokens": lengths[1]}
    most = load_tests(changes, 2, np.nan, np.nan)[0].requests_per_s[0]
    both, two = load_tests(changes, 2, np.nan, float(most * share))
    assert two.requests_per_s[0] == pytest.approx(both.requests_per_s[0], rel=1e-9)
    for name in ("ttft_mean_s", "ttft_p50_s", "ttft_p99_s", "tpot_p99_s"):
        alone = getattr(both, name)[0]
        unsettled = np.isnan(alone) and share > 0.9 and name.startswith("ttft")
        assert unsettled or getattr(two, name)[0] <= alone * (1 + 1e-9), name


def test_a_prefill_replica_is_busy_all_the_time_at_its_most() -> None:
    """Prompts of 1,000 tokens one after the other: the rate is one over the engine time of 1,000 tokens."""
    cases = cases_of([resolve(RUN, Names(CATALOG))], CATALOG)
    deployment = deployment_of(dataclasses.replace(cases, prefill_layout=cases.layout))
    prefill = deployment.prefill
    assert prefill is not None
    work = load_at(prefill.replica, np.asarray([1e-15])).prefill_work_s
    assert prefill.most_answers_per_s[0] * 1000 * work[0] == pytest.approx(1.0)
    assert np.isnan(prefill.load(np.asarray([np.nan])).step_s[0])
    assert prefill.load(np.asarray([2.0])).answers_per_s[0] == 2.0

"""A closed loop against a simulation of its requests: one by one through a prefill queue, then decoding."""

import dataclasses
import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.loadtest.lookups import Names
from planner.loadtest.predict import predict
from planner.loadtest.run import cases_of, resolve
from planner.serving.closed_loop import OPENING_ROUNDS, TEST_S, LoadTestResult, Traffic, run_load_test, settles
from planner.serving.disaggregated import Deployment
from planner.serving.queueing import closed_wait_quantile_s, prefill_wait
from planner.serving.replica import Replica, build_replica
from planner.serving.steady_state import length_quantiles

CATALOG = Catalog()
RUN = {"model": "llama-3.1-8b", "gpu": "h200-sxm", "engine": "vllm", "precision": "fp8", "tensor_parallel": "1",
       "input_tokens": "8000", "gpu_memory_utilization": "0.9"}  # fmt: skip
REPEATS = 6


def closed(in_flight: int, output: int) -> tuple[Replica, LoadTestResult]:
    """Return a replica whose host takes no time for a prompt, and what a closed loop shows on it."""
    run = resolve(RUN | {"output_tokens": str(output), "concurrency": str(in_flight)}, Names(CATALOG))
    cases = cases_of([run], CATALOG)
    replica = dataclasses.replace(build_replica(cases), prompt_overhead_s=np.zeros(1))
    traffic = Traffic(np.asarray([float(in_flight)]), np.asarray([np.nan]), np.zeros(1, dtype=bool))
    with np.errstate(all="ignore"):
        deployment = Deployment(replica, np.ones(1), None)
        return replica, run_load_test(deployment, length_quantiles(cases), np.ones(1, dtype=bool), traffic)


def simulated_waits(in_flight: int, prompt_s: float, decode_s: float, seed: int) -> np.ndarray:
    """Return how long each request of a run waits for its prompt to be read.

    All requests in flight arrive at once. One prompt is read at a time, first come, first served; decodes, from half
    to one and a half times the mean, do not hold each other up. Whoever is done is followed by a new request.
    """
    draw = np.random.default_rng(seed)
    arrivals = [0.0] * in_flight
    left, free_at, found = int(OPENING_ROUNDS - 1) * in_flight, 0.0, []
    while arrivals:
        arrival = heapq.heappop(arrivals)
        start = max(arrival, free_at)
        found.append(start - arrival)
        free_at = start + prompt_s
        if left > 0:
            left -= 1
            heapq.heappush(arrivals, free_at + decode_s * draw.uniform(0.5, 1.5))
    return np.asarray(found)


@pytest.mark.parametrize("in_flight", [4, 32, 128])
@pytest.mark.parametrize("output", [1, 10, 40, 100, 200])
def test_a_closed_loop_waits_as_its_requests_do_one_by_one(in_flight: int, output: int) -> None:
    """Mean, median and 99th percentile, from a queue that holds all requests to one that is mostly empty."""
    replica, row = closed(in_flight, output)
    load, tokens = row.load, replica.tokens.prefill_tokens_mean
    prompt = float((tokens * load.prefill_work_s)[0])
    decode = (output - 1) * float(load.step_s[0])
    waits = np.concatenate([simulated_waits(in_flight, prompt, decode, seed) for seed in range(REPEATS)])
    steps = replica.scheduling_steps * load.step_s + load.step_alone_s
    ttft = waits + float((replica.request_overhead_s + steps)[0]) + prompt
    assert row.ttft_mean_s[0] == pytest.approx(ttft.mean(), rel=0.2)
    assert row.ttft_p50_s[0] == pytest.approx(np.quantile(ttft, 0.5), rel=0.2)
    assert row.ttft_p99_s[0] == pytest.approx(np.quantile(ttft, 0.99), rel=0.15)


POOLS = ({}, {"prefill_gpus": "1", "decode_gpus": "3"}, {"data_parallel": "2", "gpus": "2"})


@settings(max_examples=60, deadline=None)
@given(
    in_flight=st.integers(1, 5000),
    lengths=st.sampled_from([("8000", "1"), ("8000", "20"), ("8000", "400"), ("100", "1"), ("500", "2000")]),
    engine=st.sampled_from(["vllm", "sglang", "trtllm"]),
    pools=st.sampled_from(POOLS),
)
def test_no_request_waits_for_more_than_the_others_in_flight(
    in_flight: int, lengths: tuple[str, str], engine: str, pools: dict[str, str]
) -> None:
    """Before a request is read, at most the C - 1 others are: TTFT is within C/rate, the host and a few steps."""
    row = predict([RUN | pools | loop(in_flight, lengths, engine)], CATALOG)[0]
    host = 0.2
    allowed = in_flight / row["requests_per_s"] + host + 5 * (row["tpot_mean_s"] or 0.2)
    assert row["ttft_p50_s"] <= row["ttft_p99_s"] <= allowed
    assert row["ttft_mean_s"] <= row["ttft_p99_s"] * (1 + 1e-12)


def loop(in_flight: int, lengths: tuple[str, str], engine: str) -> dict[str, str]:
    """Return the columns of a closed loop."""
    return {"input_tokens": lengths[0], "output_tokens": lengths[1], "concurrency": str(in_flight), "engine": engine}


@pytest.mark.parametrize("pools", POOLS[:2])
@pytest.mark.parametrize("in_flight", [32, 500])
def test_a_queue_of_all_requests_hardly_varies(in_flight: int, pools: dict[str, str]) -> None:
    """Where prompts bind, everybody waits for nearly all others: median and 99th percentile are near the mean."""
    row = predict([RUN | pools | loop(in_flight, ("8000", "10"), "vllm")], CATALOG)[0]
    assert row["ttft_p50_s"] == pytest.approx(row["ttft_mean_s"], rel=0.1)
    assert row["ttft_mean_s"] <= row["ttft_p99_s"] < 1.4 * row["ttft_mean_s"]


def test_a_queue_that_is_mostly_empty_is_an_open_one() -> None:
    """Far from the bound a closed loop's tail is that of M/G/1 at its rate, met by the others in flight."""
    prompt, one = np.asarray([0.1]), np.ones(1)
    queue = prefill_wait(2.0 * one, prompt, np.square(prompt))
    found = closed_wait_quantile_s(queue, 0.99 * one, prompt, 99 * prompt, 0.99)
    assert found[0] == pytest.approx(0.99 * queue.quantile_s(0.99)[0])


def test_the_wait_of_a_closed_loop_ends_at_its_bound() -> None:
    """Two requests in flight: nobody waits for more than one prompt, however full the queue."""
    prompt, one = np.asarray([0.1]), np.ones(1)
    for busy in (0.2, 0.5, 0.6):
        queue = prefill_wait(busy / prompt, prompt, np.square(prompt))
        assert closed_wait_quantile_s(queue, 0.5 * one, prompt, prompt, 0.99)[0] <= prompt[0]


@pytest.mark.parametrize("busy", [0.92, 0.95])
def test_a_queue_settles_in_its_mean_wait_over_the_free_share(busy: float) -> None:
    """M/D/1 from an empty start: 1 - E[W(t)]/E[W] sums to the settling time that is compared with a test."""
    tests, draw = 20_000, np.random.default_rng(1)
    steady = busy / (2 * (1 - busy))  # prompts of 1 s (Pollaczek-Khinchine)
    waits, settling = np.zeros(tests), 0.0
    for _ in range(int(10 * steady / (1 - busy))):
        settling += (1 - waits.mean() / steady) / busy
        waits = np.maximum(waits + 1 - draw.exponential(1 / busy, tests), 0.0)  # Lindley's recursion
    for faster, expected in (
        (1.25, True),
        (0.75, False),
    ):  # the prompt time that settles this many times as fast as a test
        scale = TEST_S / settling / faster
        wait, rate = np.asarray(steady * scale), np.asarray(busy / scale)
        assert settles(wait, rate, rate / busy, np.asarray(1e9)) == expected

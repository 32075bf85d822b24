"""The highest load within limits: each limit reached by a case made for it, and capacity by scanning."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.fleet.estimate import estimate
from planner.serving.cases import Cases
from planner.serving.columns import SloColumns
from planner.serving.replica import build_replica
from planner.serving.slo import (
    LIMITS,
    Capacity,
    Limit,
    binding_limit,
    excess_of,
    has_limit,
    largest_running,
    running_limit,
    slo_capacity,
    slo_ratios,
    throughput_limit,
    without_unset_limits,
    worst_metric,
)
from planner.serving.steady_state import length_quantiles

Build = Callable[..., Cases]
pytestmark = pytest.mark.usefixtures("float_errors_ignored")
REACHED = {
    "memory": {"gpu__memory_bytes": 4e9},
    "context": {"model__max_context_tokens": 500.0},
    "kv_cache": {"gpu__memory_bytes": 1e10},
    "max_sequences": {"engine__max_running_sequences": 100.0},
    "prefill": {},
    "ttft": {"slo__ttft_p95_s": 0.2},
    "tpot": {"slo__tpot_p50_s": 0.02},
    "time_to_answer": {"slo__time_to_answer_p99_s": 3.0, "workload__reasoning_multiplier": 4.0},
    "e2e": {"slo__e2e_p50_s": 2.0},
    "max_gpus": {"fleet__max_gpus": 1.0, "demand__answers_per_s": 1e4},
    "price_missing": {"offer__usd_per_gpu_hour": math.nan},
}
"""What makes each limit bind: weights above the memory, a prompt above the context, a small cache, ..."""


def capacity(case: Build, **changes: Any) -> tuple[Capacity, str]:
    """Return the capacity of a case and the word of what binds."""
    cases = case(**changes)
    replica, lengths = build_replica(cases), length_quantiles(cases)
    found = slo_capacity(replica, lengths, cases.slo)
    return found, LIMITS[int(binding_limit(replica, lengths, cases.slo, found))]


def ratios(case: Build, running: float, **changes: Any) -> dict[str, float]:
    """Return latencies over their limits at a running batch."""
    cases = case(**changes)
    found = slo_ratios(build_replica(cases), length_quantiles(cases), cases.slo, np.array(running))
    return {metric: float(ratio) for metric, ratio in found.items()}


def test_every_limit_has_a_case() -> None:
    """No word of a result is out of reach; the empty one stands where nothing binds, the last is not the replica's."""
    assert {"", *REACHED, "does_not_start"} == set(LIMITS)


@pytest.mark.parametrize("word", REACHED)
def test_each_limit_is_reached(case: Build, word: str) -> None:
    """The case made for a limit names it, and does so in a row beside all others too."""
    assert LIMITS[int(estimate(case(**REACHED[word])).limit)] == word
    base = {path: np.array(float(_column(case(), path))) for changes in REACHED.values() for path in changes}
    rows = [{**base, **changes} for changes in REACHED.values()]
    stacked = {path: np.array([row[path] for row in rows]) for path in base}
    stacked["workload__reasoning_multiplier"] = stacked["workload__reasoning_multiplier"][:, None]
    found = estimate(case().replaced(**stacked)).limit
    assert LIMITS[int(found[list(REACHED).index(word)])] == word


def _column(cases: Cases, path: str) -> Any:
    group, _, name = path.partition("__")
    return np.ravel(getattr(getattr(cases, group), name))[0]


def test_words_and_numbers_of_limits_agree() -> None:
    """The word at the number of a limit is its name."""
    assert [LIMITS[limit] for limit in Limit if limit] == [limit.name.lower() for limit in Limit if limit]
    assert LIMITS[Limit.NONE] == ""


@pytest.mark.parametrize("metric", ["ttft", "tpot", "time_to_answer", "e2e"])
def test_capacity_is_where_a_latency_meets_its_limit(case: Build, metric: str) -> None:
    """The ratio is 1 there; a scan of 4,000 batches finds no larger one that meets the limit."""
    changes = REACHED[metric]
    found, word = capacity(case, **changes)
    assert word == metric
    assert bool(found.meets_slo)
    assert ratios(case, float(found.running), **changes)[metric] == pytest.approx(1.0, rel=1e-9)
    batches = np.geomspace(float(found.smallest_running), float(found.largest_running), 4000)
    cases = case(**changes)
    scanned = slo_ratios(build_replica(cases), length_quantiles(cases), cases.slo, batches)[metric]
    largest = batches[scanned <= 1.0].max()
    assert largest <= float(found.running) <= largest * (batches[1] / batches[0]) * (1 + 1e-9)


def test_without_limits_the_largest_batch_runs(case: Build) -> None:
    """8,000 tokens of budget over 10 prefill tokens a sequence: 800; with a smaller cache as many as it holds."""
    found, word = capacity(case)
    assert (float(found.running), word) == (pytest.approx(800.0), "prefill")
    small, word = capacity(case, gpu__memory_bytes=1e10)
    assert (float(small.running), word) == (pytest.approx((1e10 - 4.4e9) / (1050.5 * 2e4)), "kv_cache")


def test_a_limit_that_never_binds_leaves_throughput_to_bind(case: Build) -> None:
    """An hour for each token: the batch is the largest, and prefill is named."""
    found, word = capacity(case, slo__tpot_p99_s=3600.0)
    assert float(found.running) == pytest.approx(800.0, rel=1e-9)
    assert word == "prefill"


def test_a_limit_no_load_meets_is_named_and_leaves_no_batch(case: Build) -> None:
    """A millisecond a token is less than one pass over the weights."""
    found, word = capacity(case, slo__tpot_p50_s=1e-3)
    assert not bool(found.meets_slo)
    assert math.isnan(float(found.running))
    assert word == "tpot"
    assert float(found.smallest_running) == pytest.approx(800e-6)


def test_of_two_missed_limits_the_farther_one_is_named(case: Build) -> None:
    """The first token misses by a factor of about 5, a step by one of about 4."""
    _, word = capacity(case, slo__tpot_p50_s=1e-3, slo__ttft_p50_s=0.01)
    found = ratios(case, 800e-6, slo__tpot_p50_s=1e-3, slo__ttft_p50_s=0.01)
    assert found["ttft"] > found["tpot"] > 1.0
    assert word == "ttft"


def test_the_worst_percentile_of_a_metric_counts(case: Build) -> None:
    """p50 within 2 s and p99 within 0.5 s: the ratio is the larger of both; metrics without a limit have none."""
    both = ratios(case, 300.0, slo__ttft_p50_s=2.0, slo__ttft_p99_s=0.5)
    one, other = (ratios(case, 300.0, **{name: v}) for name, v in (("slo__ttft_p50_s", 2.0), ("slo__ttft_p99_s", 0.5)))
    assert both == {"ttft": max(one["ttft"], other["ttft"])}


@settings(max_examples=30)
@given(limit=st.floats(0.06, 2.0), tighter=st.floats(0.5, 1.0))
def test_a_tighter_limit_never_raises_the_load(case: Build, limit: float, tighter: float) -> None:
    """Nor does it turn a missed limit into one that is met."""
    loose, tight = (capacity(case, slo__ttft_p95_s=x)[0] for x in (limit, limit * tighter))
    assert bool(loose.meets_slo) or not bool(tight.meets_slo)
    if bool(tight.meets_slo):
        assert float(tight.running) <= float(loose.running) * (1 + 1e-9)


@settings(max_examples=30)
@given(k=st.floats(0.01, 100.0))
def test_a_machine_k_times_as_fast_meets_limits_k_times_as_short(case: Build, k: float) -> None:
    """All rates times k and the limit over k: the same batch."""
    one = case(slo__ttft_p95_s=0.2)
    fast = {f"gpu__{name}": k * float(v) for name, v in one.gpu.items() if name.endswith("_per_s")}
    scaled = capacity(case, **fast, slo__ttft_p95_s=0.2 / k)[0]
    assert float(scaled.running) == pytest.approx(float(capacity(case, slo__ttft_p95_s=0.2)[0].running), rel=1e-6)


def test_what_sets_the_largest_batch(case: Build) -> None:
    """Cache, the engine's own limit or steps full of prompts, whichever is smallest, on all ranks and stages."""
    for word in ("kv_cache", "max_sequences", "prefill"):
        replica = build_replica(case(**REACHED[word]))
        assert LIMITS[int(throughput_limit(replica))] == word
    replica = build_replica(case(layout__data_parallel=2.0, layout__pipeline_parallel=2.0))
    assert float(largest_running(replica)) == pytest.approx(4 * 800)
    assert LIMITS[int(running_limit(replica))] == "kv_cache"


def test_excess_is_zero_at_the_limit_and_bounded(case: Build) -> None:
    """1 - 1/r of the worst ratio: 0 at 1, 1/2 at twice the limit, 1 where a wait is infinite, a number at 0."""
    worst = {"ttft": np.array([1.0, 2.0, np.inf, 0.0]), "e2e": np.array([0.5, 0.1, 3.0, 0.0])}
    assert excess_of(worst).tolist() == pytest.approx([0.0, 0.5, 1.0, -1e30])
    assert has_limit(case(slo__e2e_p50_s=1.0).slo)
    assert not has_limit(case().slo)


def test_limits_nobody_has_are_carried_as_numbers(case: Build) -> None:
    """A column of NaN becomes one NaN; a column in which one case has a limit stays."""
    row = np.array([np.nan, 1.0, np.nan])
    slo = dataclasses.replace(case().slo, ttft_p50_s=row, tpot_p50_s=np.full(3, np.nan))
    small = without_unset_limits(slo)
    assert small.ttft_p50_s is row
    assert np.shape(small.tpot_p50_s) == ()
    assert all(np.isnan(column).all() for name, column in small.items() if name != "ttft_p50_s")
    assert isinstance(small, SloColumns)


def test_the_metric_nearest_its_limit_is_the_worst() -> None:
    """Per case, an infinite ratio is the farthest, and a metric without a limit counts as 0."""
    found = worst_metric({"tpot": np.array([0.9, 0.2]), "e2e": np.array([0.3, np.inf])}, ("ttft", "tpot", "e2e"))
    assert found.tolist() == [Limit.TPOT, Limit.E2E]


def test_a_row_of_limits_has_the_bits_of_each(case: Build) -> None:
    """300 limits at once, of which some cannot be met, and one by one."""
    limits = np.geomspace(0.03, 3.0, 300)
    row = capacity_row(case, limits)
    for i in range(0, 300, 10):
        alone, _ = capacity(case, slo__ttft_p95_s=limits[i])
        assert np.array_equal(row.running[i], alone.running, equal_nan=True)
        assert bool(row.meets_slo[i]) == bool(alone.meets_slo)
    assert 0 < np.count_nonzero(row.meets_slo) < 300


def capacity_row(case: Build, limits: np.ndarray) -> Capacity:
    """Return the capacities of cases that differ in their limit on the first token."""
    cases = case(slo__ttft_p95_s=limits)
    return slo_capacity(build_replica(cases), length_quantiles(cases), cases.slo)

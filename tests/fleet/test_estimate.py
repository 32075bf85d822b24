"""The conductor: limits, monotonicity, units, and the same bits for a point, a row and a grid cell."""

import dataclasses
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.fleet.estimate import Estimate, estimate
from planner.options.answer import answer
from planner.scenario.load import load_scenario
from planner.serving.cases import Cases

CATALOG = Catalog()


@cache
def case(name: str = "o1-class") -> Cases:
    """Return the case of the best option of a shipped scenario."""
    return answer(load_scenario(name, CATALOG), CATALOG).case()


def value(found: Estimate, field: str) -> float:
    """Return one number of a single estimate."""
    return float(getattr(found, field))


rates = st.floats(1e-3, 1e4)


@settings(max_examples=40, deadline=None)
@given(rate=rates, factor=st.floats(1.0, 50.0))
def test_more_traffic_never_costs_less(rate: float, factor: float) -> None:
    """Reserved dollars a month grow with the rate."""
    less, more = (estimate(case().replaced(demand__answers_per_s=r)) for r in (rate, rate * factor))
    assert value(less, "cost_usd_per_month") <= value(more, "cost_usd_per_month") * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(m=st.floats(1.0, 30.0), factor=st.floats(1.0, 5.0))
def test_more_thinking_never_takes_less_gpu_time(m: float, factor: float) -> None:
    """GPU-seconds of an answer grow with the reasoning multiplier, without a latency limit."""
    free = case().replaced(**{f"slo__{f.name}": np.nan for f in dataclasses.fields(case().slo)})
    one, two = (estimate(free.replaced(workload__reasoning_multiplier=np.array([x]))) for x in (m, m * factor))
    assert value(one, "gpu_seconds_per_answer") <= value(two, "gpu_seconds_per_answer") * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(k=st.floats(0.1, 10.0))
def test_bytes_have_no_scale_of_their_own(k: float) -> None:
    """Multiplying every byte quantity (widths, memory, bandwidths) by k changes no time and no dollar."""
    base = case()
    model, gpu, engine, layout = base.model, base.gpu, base.engine, base.layout
    scaled = base.replaced(
        model__attention_weight_bytes=model.attention_weight_bytes * k,
        model__ffn_weight_bytes=model.ffn_weight_bytes * k,
        model__expert_weight_bytes=model.expert_weight_bytes * k,
        model__embedding_weight_bytes=model.embedding_weight_bytes * k,
        model__state_bytes=model.state_bytes * k,
        layout__kv_bytes=layout.kv_bytes * k,
        gpu__memory_bytes=gpu.memory_bytes * k,
        gpu__memory_available_bytes=gpu.memory_available_bytes * k,
        gpu__hbm_bytes_per_s=gpu.hbm_bytes_per_s * k,
        engine__runtime_reserve_bytes=engine.runtime_reserve_bytes * k,
        engine__activation_bytes_factor=engine.activation_bytes_factor * k,
    )
    before, after = estimate(base), estimate(scaled)
    for name in ("gpu_seconds_per_answer", "tpot_p95_s", "ttft_p95_s", "cost_usd_per_month"):
        assert value(after, name) == pytest.approx(value(before, name), rel=1e-9)


def test_little_by_hand() -> None:
    """At the peak the running batch is rate x decode steps x step time, to 1e-9."""
    found = estimate(case())
    peak = float(case().demand.answers_per_s * case().demand.peak_to_mean * case().demand.burst)
    per_replica = peak / value(found, "replicas")
    steps = value(found, "generated_tokens_per_answer") - 1.0
    assert value(found, "concurrency_per_replica") == pytest.approx(
        per_replica * steps * value(found, "tpot_p50_s"), rel=1e-9
    )


def test_capacity_stands_at_its_limit() -> None:
    """Asked for exactly its capacity with no headroom, one replica meets its binding latency limit with equality."""
    base = case("chat-assistant")
    limits = {"ttft": base.slo.ttft_p95_s, "tpot": base.slo.tpot_p95_s}
    rate = float(base.layout.tensor_parallel) / value(estimate(base), "gpu_seconds_per_answer")
    alone = base.replaced(demand__answers_per_s=rate, demand__peak_to_mean=1.0, demand__burst=1.0, fleet__headroom=0.0)
    found = estimate(alone)
    assert value(found, "replicas") == 1.0
    ratios = [value(found, f"{m}_p95_s") / float(limit) for m, limit in limits.items()]
    assert max(ratios) == pytest.approx(1.0, rel=1e-6)


def test_a_tighter_limit_never_needs_fewer_gpus() -> None:
    """GPU-seconds of an answer fall as the TPOT limit is relaxed, and are empty where it cannot be met."""
    limits = np.geomspace(1e-4, 1.0, 25)
    found = estimate(case().replaced(slo__tpot_p95_s=limits))
    seconds = found.gpu_seconds_per_answer
    assert np.isnan(seconds[0])
    assert not found.meets_slo[0]
    assert np.all(np.diff(seconds[~np.isnan(seconds)]) <= 1e-12)


def test_what_does_not_fit_is_nan_with_a_reason() -> None:
    """A GPU with 1 GB holds nothing: no number but the sizes of the question, and `limit` says memory."""
    found = estimate(case().replaced(gpu__memory_bytes=1e9))
    assert not value(found, "fits")
    assert value(found, "limit") == 1.0
    for name in ("replicas", "gpus", "cost_usd_per_month", "tpot_p50_s", "gpu_seconds_per_answer", "power_kw"):
        assert math.isnan(value(found, name)), name


def test_thinking_costs_more_than_its_tokens_where_the_cache_binds() -> None:
    """On one H100 without latency limits, 11x the tokens take over 11x the GPU time: the cache shrinks the batch."""
    base = answer(
        load_scenario("chat-assistant", CATALOG, changes={"model": "llama-3.1-8b", "fleet.gpus": ("h100-sxm",)}),
        CATALOG,
    ).case()
    free = base.replaced(**{f"slo__{f.name}": np.nan for f in dataclasses.fields(base.slo)})
    thinking = free.replaced(
        workload__reasoning_multiplier=np.array([11.2]),
        workload__input_tokens_mean=np.array([250.0]),
        workload__answer_tokens_mean=np.array([632.0]),
        engine__max_running_sequences=4096.0,
    )
    found = estimate(thinking)
    assert value(found, "gpu_time_multiplier") > 1.2 * 11.2


def test_row_point_and_grid_agree_to_the_bit() -> None:
    """Row i of a sweep and cell (i, j) of a grid equal the point exactly."""
    rate, multiplier = np.geomspace(0.1, 100.0, 7), np.linspace(1.0, 12.0, 5)
    sweep = estimate(case().replaced(demand__answers_per_s=rate))
    grid = estimate(
        case().replaced(demand__answers_per_s=rate[:, None], workload__reasoning_multiplier=multiplier[None, :, None])
    )
    point = estimate(case().replaced(demand__answers_per_s=rate[3]))
    cell = estimate(case().replaced(demand__answers_per_s=rate[3], workload__reasoning_multiplier=multiplier[[2]]))
    for field in dataclasses.fields(Estimate):
        np.testing.assert_array_equal(getattr(sweep, field.name)[3], getattr(point, field.name), err_msg=field.name)
        np.testing.assert_array_equal(getattr(grid, field.name)[3, 2], getattr(cell, field.name), err_msg=field.name)


@pytest.mark.parametrize("shape", [(10,), (1, 10), (2, 9), (9, 2)])
def test_chunks_do_not_show(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Working in chunks of 3 cases along any axis gives the same bits as working on all at once."""
    rates = np.geomspace(0.1, 100.0, shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    multipliers = np.linspace(1.0, 9.0, shape[-1])[:, None]
    cases = case().replaced(demand__answers_per_s=rates, workload__reasoning_multiplier=multipliers)
    whole = estimate(cases)
    monkeypatch.setattr("planner.fleet.estimate.CHUNK_ROWS", 3)
    for field in dataclasses.fields(Estimate):
        np.testing.assert_array_equal(getattr(estimate(cases), field.name), getattr(whole, field.name))

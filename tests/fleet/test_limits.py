"""What binds: each limit is reached and named, with one pool and with two."""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest

from planner.catalog.catalog import Catalog
from planner.fleet.estimate import Estimate, estimate
from planner.options.answer import answer
from planner.scenario.load import load_scenario
from planner.serving.cases import Cases
from planner.serving.slo import Limit

CATALOG = Catalog()
POOLS = pytest.mark.parametrize("pools", ["one", "two"])


@cache
def asked(pools: str) -> Cases:
    """Return the best option of o1-class on H200 with one pool or two, without latency limits."""
    changes = {"fleet.gpus": ("h200-sxm",), "fleet.pools": pools}
    case = answer(load_scenario("o1-class", CATALOG, changes=changes), CATALOG).case()
    return case.replaced(**{f"slo__{f.name}": np.nan for f in dataclasses.fields(case.slo)})


def binds(found: Estimate) -> Limit:
    """Return the limit of one estimate."""
    return Limit(int(found.limit))


LONG_PROMPTS = {
    "input_tokens_mean": 2000.0, "answer_tokens_mean": 4.0, "reasoning_multiplier": 1.0, "cached_share": 0.0,
    "input_tokens_cv": 0.0, "generated_tokens_cv": 0.0, "answer_tokens_cv": 0.0, "thinking_tokens_cv": 0.0,
}  # fmt: skip


@POOLS
@pytest.mark.parametrize(
    ("limit", "changes", "fits", "meets"),
    [
        (Limit.MEMORY, {"gpu__memory_bytes": 1e9}, False, False),
        (Limit.CONTEXT, {"model__max_context_tokens": 100.0}, False, False),
        (Limit.KV_CACHE, {"engine__max_running_sequences": 1e9}, True, True),
        (Limit.MAX_SEQUENCES, {"engine__max_running_sequences": 4.0}, True, True),
        (Limit.MAX_GPUS, {"fleet__max_gpus": 1.0}, True, False),
        (Limit.PRICE_MISSING, {"offer__usd_per_gpu_hour": np.nan}, True, True),
    ],
)
def test_what_is_not_latency_binds(
    pools: str,
    limit: Limit,
    changes: dict[str, Any],
    fits: bool,  # noqa: FBT001 - expected value
    meets: bool,  # noqa: FBT001 - expected value
) -> None:
    """No room, too long a context, a full cache, the engine's limit, too few GPUs allowed, no price."""
    found = estimate(asked(pools).replaced(**changes))
    assert binds(found) is limit
    assert (bool(found.fits), bool(found.meets_slo)) == (fits, meets)
    assert np.isnan(found.gpus) == (not fits)


def test_prompts_fill_every_step() -> None:
    """One pool with long prompts and answers of four tokens: the step's token budget is full before the cache."""
    prompts = {f"workload__{name}": np.asarray([value]) for name, value in LONG_PROMPTS.items()}
    found = estimate(asked("one").replaced(**prompts, engine__max_running_sequences=1e9))
    assert binds(found) is Limit.PREFILL
    assert float(found.concurrency_per_replica) < float(found.max_concurrency_per_replica)


@POOLS
@pytest.mark.parametrize("metric", ["ttft", "tpot", "time_to_answer", "e2e"])
@pytest.mark.parametrize("percentile", ["p50", "p95", "p99"])
def test_a_latency_binds(pools: str, metric: str, percentile: str) -> None:
    """Half as much again as an idle replica takes binds and is met at the peak; half of it is out of reach."""
    field = f"{metric}_{percentile}_s"
    idle = float(getattr(estimate(asked(pools).replaced(**{f"slo__{field}": 1e-9})), field))
    within, beyond = (estimate(asked(pools).replaced(**{f"slo__{field}": idle * times})) for times in (1.5, 0.5))
    assert binds(within) is binds(beyond) is Limit[metric.upper()]
    assert bool(within.meets_slo)
    assert float(getattr(within, field)) <= 1.5 * idle * (1 + 1e-9)
    assert not bool(beyond.meets_slo)
    assert float(getattr(beyond, field)) == pytest.approx(idle, rel=1e-9)


@POOLS
def test_no_room_is_said_before_no_price_and_few_gpus(pools: str) -> None:
    """Of several reasons the first one counts: what does not fit has no fleet to be too large or without a price."""
    everything = {"gpu__memory_bytes": 1e9, "fleet__max_gpus": 1.0, "offer__usd_per_gpu_hour": np.nan}
    assert binds(estimate(asked(pools).replaced(**everything))) is Limit.MEMORY
    del everything["gpu__memory_bytes"]
    assert binds(estimate(asked(pools).replaced(**everything))) is Limit.MAX_GPUS


@POOLS
def test_a_prefill_pool_that_does_not_fit_is_named_too(pools: str) -> None:
    """Of two pools either must hold the weights: on one GPU neither TP1 prefill nor TP1 decode of DeepSeek does."""
    case = asked(pools)
    layout = "prefill_layout" if pools == "two" else "layout"
    single = {f"{layout}__{n}_parallel": 1.0 for n in ("tensor", "pipeline", "data", "expert")}
    found = estimate(case.replaced(**single))
    assert binds(found) is Limit.MEMORY
    assert not bool(found.fits)

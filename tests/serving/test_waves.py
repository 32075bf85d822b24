"""Waves: equal prompts read before any decode goes on; request by request, by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.loadtest.lookups import Names
from planner.loadtest.predict import predict
from planner.loadtest.run import cases_of, resolve
from planner.serving.replica import build_replica
from planner.serving.steady_state import load_at

CATALOG = Catalog()
INPUT, OUTPUT, IN_FLIGHT = 4000, 256, 48
RUN = {"model": "llama-3.1-8b", "gpu": "h100-sxm", "precision": "fp8", "tensor_parallel": "1", "engine": "sglang",
       "input_tokens": str(INPUT), "output_tokens": str(OUTPUT), "concurrency": str(IN_FLIGHT)}  # fmt: skip
WAVES = RUN | {"length_spread": "0"}
SHOWN = ("ttft_mean_s", "ttft_p50_s", "ttft_p99_s", "tpot_mean_s", "tpot_p99_s", "output_tokens_per_s")


def predicted(row: dict[str, str]) -> dict[str, Any]:
    """Return the prediction of one row."""
    return predict([row], CATALOG)[0]


def wave(row: dict[str, str], in_flight: int = IN_FLIGHT) -> tuple[np.ndarray, np.ndarray]:
    """Return TTFT and TPOT of each request of a wave: they queue, are read one by one, and decode and end as one.

    TTFT leaves out the steps between arrival and first token, which are of the mean length.
    """
    replica = build_replica(cases_of([resolve(row, Names(CATALOG))], CATALOG))
    load = load_at(replica, np.asarray([float(in_flight)]))
    reads, step = INPUT * float(load.prefill_work_s[0]), float(load.step_alone_s[0])
    host = float(replica.request_overhead_s[0] + replica.prompt_overhead_s[0])
    read_at = reads * np.arange(1, in_flight + 1)
    ends_at = reads * in_flight + (OUTPUT - 1) * step
    return host + step + read_at, (ends_at - read_at) / (OUTPUT - 1)


def test_a_wave_is_what_its_requests_are_one_by_one() -> None:
    """Means and quantiles of 48 requests listed by hand; three steps of the mean length stand before a first token."""
    row, (ttft, tpot) = predicted(WAVES), wave(WAVES)
    waits = 3.0 * row["tpot_mean_s"]  # scheduling_steps of sglang's file
    assert row["tpot_mean_s"] == pytest.approx(tpot.mean(), rel=1e-9)
    assert row["ttft_mean_s"] == pytest.approx(waits + ttft.mean(), rel=1e-9)
    for name, q in (("ttft_p50_s", 0.5), ("ttft_p99_s", 0.99)):
        assert row[name] == pytest.approx(waits + np.quantile(ttft, q), rel=1e-9)
    assert row["tpot_p99_s"] == pytest.approx(np.quantile(tpot, 0.99), rel=1e-9)


def test_total_time_is_conserved() -> None:
    """TTFT and decode of a wave are the burst read once and decodes with nothing in between, whoever waited where."""
    row, (ttft, tpot) = predicted(WAVES), wave(WAVES)
    burst = ttft[-1]  # the last prompt's is the whole burst
    decode = (OUTPUT - 1) * tpot[-1]  # and then waits for nobody
    total = row["ttft_mean_s"] + (OUTPUT - 1) * row["tpot_mean_s"]
    assert total == pytest.approx(3.0 * row["tpot_mean_s"] + burst + decode, rel=1e-9)


@settings(max_examples=25)
@given(concurrency=st.integers(1, 6000))
def test_waves_obey_littles_law(concurrency: int) -> None:
    """Requests in flight are rate x (TTFT + decode), also where more are in flight than find room."""
    row = predicted(WAVES | {"concurrency": str(concurrency)})
    total = row["ttft_mean_s"] + (OUTPUT - 1) * row["tpot_mean_s"]
    assert row["requests_per_s"] * total == pytest.approx(concurrency, rel=1e-6)
    assert row["running_batch"] <= concurrency


def test_one_request_in_flight_waits_for_nobody() -> None:
    """A wave of one: its own prompt, then pure decodes."""
    row, (ttft, tpot) = predicted(WAVES | {"concurrency": "1"}), wave(WAVES, 1)
    assert row["tpot_mean_s"] == row["tpot_p99_s"] == pytest.approx(tpot[0], rel=1e-9)
    assert row["ttft_mean_s"] == pytest.approx(3.0 * tpot[0] + ttft[0], rel=1e-9)


def test_lengths_that_spread_have_no_waves() -> None:
    """Not stated and stated as spread are the same, and not the wave."""
    unknown, spread, equal = (predicted(RUN | {"length_spread": x}) for x in ("", "0.2", "0"))
    assert {n: unknown[n] for n in SHOWN} == {n: spread[n] for n in SHOWN}
    assert all(unknown[n] != equal[n] for n in SHOWN)
    assert unknown == predicted(RUN) | {"length_spread": ""}


@pytest.mark.parametrize("engine", ["vllm", "trtllm"])
def test_an_engine_that_mixes_prompts_and_decodes_has_no_waves(engine: str) -> None:
    """Equal lengths change nothing there."""
    equal, spread = predicted(WAVES | {"engine": engine}), predicted(RUN | {"engine": engine, "length_spread": "0.2"})
    assert {n: equal[n] for n in SHOWN} == {n: spread[n] for n in SHOWN}


@pytest.mark.parametrize("load", [{"request_rate": "1"}, {}])
def test_an_open_loop_has_no_waves(load: dict[str, str]) -> None:
    """Arrivals at a rate, or as many as it can do, come back in no burst."""
    row = {k: v for k, v in RUN.items() if k != "concurrency"} | load
    equal, spread = predicted(row | {"length_spread": "0"}), predicted(row | {"length_spread": "0.2"})
    assert {n: equal[n] for n in SHOWN} == {n: spread[n] for n in SHOWN}


def test_ranks_read_their_own_bursts() -> None:
    """Two data-parallel ranks with 48 requests each wait as one with 48."""
    one, two = predicted(WAVES), predicted(WAVES | {"data_parallel": "2", "concurrency": str(2 * IN_FLIGHT)})
    assert two["ttft_p99_s"] == pytest.approx(one["ttft_p99_s"], rel=0.05)
    assert two["running_batch"] == 2 * IN_FLIGHT

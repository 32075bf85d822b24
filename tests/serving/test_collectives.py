"""Communication: published ring arithmetic, counting by hand, and what no GPU has to send."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.serving.cases import Cases
from planner.serving.collectives import (
    Collectives,
    all_gather_s_per_byte,
    all_reduce_s_per_byte,
    all_to_all_s_per_byte,
    collectives,
    others_reached,
)

Build = Callable[..., Cases]
PAYLOAD = 1000 * 2
"""Bytes of a token: 1,000 channels in 16 bits."""


def step(case: Build, **changes: float) -> Collectives:
    """Return the collectives of a case: 10 layers, 8 GPUs a domain, links of 1e11 and a network of 1e10 bytes/s."""
    c = case(**changes)
    return collectives(c.model, c.layout, c.gpu, c.engine)


def test_ring_all_reduce_of_eight_gpus() -> None:
    """A ring moves 2 (g - 1)/g of the payload over each link: 1.75/450e9 s per byte on 8 H100."""
    eight, one = np.array(8.0), np.array(1.0)
    assert float(all_reduce_s_per_byte(eight, eight, np.array(450e9), np.array(50e9))) == pytest.approx(1.75 / 450e9)
    assert float(all_reduce_s_per_byte(one, eight, np.array(450e9), np.array(50e9))) == 0.0


def test_two_nodes_pay_the_network_for_an_eighth() -> None:
    """Sixteen GPUs in two nodes: the ring inside, then one half-and-half exchange of 1/8 of the payload."""
    found = float(all_reduce_s_per_byte(np.array(16.0), np.array(8.0), np.array(450e9), np.array(50e9)))
    assert found == pytest.approx(1.75 / 450e9 + 1.0 / (8 * 50e9))


def test_all_gather_splits_traffic_by_distance() -> None:
    """Of 15 peers 7 are on the link and 8 on the network."""
    found = float(all_gather_s_per_byte(np.array(16.0), np.array(8.0), np.array(450e9), np.array(50e9)))
    assert found == pytest.approx(7 / 15 / 450e9 + 8 / 15 / 50e9)


def test_all_to_all_sends_a_token_once_per_gpu_and_domain() -> None:
    """Two experts on 16 GPUs in two domains: 15 (1 - (15/16)^2) GPUs, and in 3 cases of 4 the other domain."""
    sixteen, eight, two = np.array(16.0), np.array(8.0), np.array(2.0)
    found = float(all_to_all_s_per_byte(sixteen, eight, two, np.array(450e9), np.array(50e9)))
    # 31/256 = 1 - (15/16)^2; of two domains the other one is reached by at least one of two draws in 3 cases of 4.
    assert found == pytest.approx(15 * 31 / 256 / 450e9 + 0.75 / 50e9)
    alone = float(all_to_all_s_per_byte(np.array(1.0), eight, two, np.array(450e9), np.array(50e9)))
    assert alone == 0.0


@pytest.mark.parametrize(("places", "draws"), [(2, 3), (3, 2), (4, 4)])
def test_others_reached_by_listing_all_draws(places: int, draws: int) -> None:
    """All places^draws outcomes, counted: how many places other than 0 were drawn."""
    outcomes = itertools.product(range(places), repeat=draws)
    expected = np.mean([len(set(outcome) - {0}) for outcome in outcomes])
    assert float(others_reached(np.array(float(places)), np.array(float(draws)))) == pytest.approx(expected)


def test_a_single_gpu_sends_nothing(case: Build) -> None:
    """No group, no time, whatever the latencies."""
    alone = step(case, engine__collective_latency_s=1.0, engine__network_latency_s=1.0, model__moe_layers=10.0)
    assert float(alone.start_s) == float(alone.s_per_token) == 0.0


def test_tensor_parallel_reduces_twice_a_layer(case: Build) -> None:
    """TP 4: 20 all-reduces of 2,000 bytes, each 2 x 3/4 of it over a link; 20 start-ups."""
    found = step(case, layout__tensor_parallel=4.0, engine__collective_latency_s=5e-6)
    assert float(found.s_per_token) == pytest.approx(20 * PAYLOAD * 1.5 / 1e11)
    assert float(found.start_s) == pytest.approx(20 * 5e-6)


def test_engines_reach_a_share_of_each_rate(case: Build) -> None:
    """TP 16 over two domains at half the links' rate and a quarter of the network's."""
    found = step(case, layout__tensor_parallel=16.0, engine__link_efficiency=0.5, engine__network_efficiency=0.25)
    inside, between = 2 * 7 / 8 / 0.5e11, 2 * 1 / 2 / (8 * 0.25e10)
    assert float(found.s_per_token) == pytest.approx(20 * PAYLOAD * (inside + between))


def test_tensor_parallel_beyond_the_domain_starts_with_the_networks_latency(case: Build) -> None:
    """TP 16 over domains of 8."""
    latency = {"engine__collective_latency_s": 5e-6, "engine__network_latency_s": 20e-6}
    assert float(step(case, layout__tensor_parallel=16.0, **latency).start_s) == pytest.approx(20 * 20e-6)
    assert float(step(case, layout__tensor_parallel=8.0, **latency).start_s) == pytest.approx(20 * 5e-6)


def test_experts_exchange_twice_a_layer_that_has_them(case: Build) -> None:
    """DP 4 with EP in 6 of 10 layers, 2 experts a token: 12 all-to-alls to 3 (1 - (3/4)^2) other GPUs."""
    changes = {"layout__data_parallel": 4.0, "model__moe_layers": 6.0, "model__experts_per_token": 2.0}
    spread = step(case, layout__expert_parallel=4.0, **changes)
    assert float(spread.s_per_token) == pytest.approx(12 * PAYLOAD * 3 * (1 - 0.75**2) / 1e11)
    # Sliced experts: every one of the 3 other ranks' tokens is needed everywhere.
    sliced = step(case, **changes)
    assert float(sliced.s_per_token) == pytest.approx(12 * PAYLOAD * 3 / 1e11)


def test_pipeline_hands_over_between_its_stages(case: Build) -> None:
    """PP 3 with TP 2: two hand-overs of half a payload on each rank, over links where all six GPUs share a domain."""
    near = step(case, layout__pipeline_parallel=3.0, layout__tensor_parallel=2.0)
    reduces = 20 * PAYLOAD * 1.0 / 1e11
    assert float(near.s_per_token) == pytest.approx(reduces + 2 * PAYLOAD / 2 / 1e11)
    far = step(case, layout__pipeline_parallel=5.0, layout__tensor_parallel=2.0)
    assert float(far.s_per_token) == pytest.approx(reduces + 4 * PAYLOAD / 2 / 1e10)


@given(
    tp=st.sampled_from([1.0, 2.0, 8.0, 16.0]), dp=st.sampled_from([1.0, 4.0]), pp=st.sampled_from([1.0, 2.0]),
    spread=st.sampled_from([0.0, 1.0]), k=st.floats(0.1, 10.0),
)  # fmt: skip
def test_bytes_and_rates_times_k_change_no_time(
    case: Build,
    tp: float,
    dp: float,
    pp: float,
    spread: float,
    k: float,
) -> None:
    """Twice the bytes over twice the rates take the same time."""
    layout = {"layout__tensor_parallel": tp, "layout__data_parallel": dp, "layout__pipeline_parallel": pp}
    layout |= {"layout__expert_parallel": tp * dp if spread else 1.0, "model__moe_layers": 10.0}
    one = step(case, **layout)
    scaled = step(
        case, **layout, model__hidden_size=1000.0 * k, gpu__link_bytes_per_s=1e11 * k, gpu__network_bytes_per_s=1e10 * k
    )
    assert float(scaled.s_per_token) == pytest.approx(float(one.s_per_token), rel=1e-12)

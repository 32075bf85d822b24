"""The step formula: limits, published arithmetic, communication."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.serving.collectives import all_gather_s_per_byte, all_reduce_s_per_byte, all_to_all_s_per_byte
from planner.serving.memory import kv_split, running_limit
from planner.serving.step import overlapped, touched_share


@given(a=st.floats(0, 1e3), b=st.floats(0, 1e3), p=st.floats(1, 8))
def test_overlap_lies_between_the_larger_and_the_sum(a: float, b: float, p: float) -> None:
    """max(a, b) <= overlap <= a + b, with equality at p = 1."""
    value = float(overlapped(np.array(a), np.array(b), np.array(p)))
    assert max(a, b) * (1 - 1e-12) <= value <= (a + b) * (1 + 1e-12) + 1e-300
    assert float(overlapped(np.array(a), np.array(b), np.array(1.0))) == pytest.approx(a + b)


def test_touched_experts_by_hand() -> None:
    """8 of 256 experts and 10 tokens touch 1 - (1 - 1/32)^10 of them; 10,000 tokens touch all."""
    miss = np.log1p(np.array(-8 / 256))
    assert float(touched_share(miss, np.array(10.0))) == pytest.approx(1 - (31 / 32) ** 10)
    assert float(touched_share(miss, np.array(1e4))) == pytest.approx(1.0)


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
    assert found == pytest.approx(15 * 31 / 256 / 450e9 + 0.75 / 50e9)
    alone = float(all_to_all_s_per_byte(np.array(1.0), eight, two, np.array(450e9), np.array(50e9)))
    assert alone == 0.0


def test_kv_cache_is_not_split_beyond_its_heads() -> None:
    """TP 8 with 2 KV heads halves the cache, no more."""
    assert float(kv_split(np.array(8.0), np.array(2.0))) == 2.0


@given(k=st.floats(1e6, 1e12), mu=st.floats(1e3, 1e9), sd=st.floats(0, 1e9), z=st.floats(0, 4))
def test_running_limit_solves_its_equation(k: float, mu: float, sd: float, z: float) -> None:
    """B mu + z sqrt(B) sd = K at the limit; without spread it is K / mu."""
    b = float(running_limit(np.array(k), np.array(mu), np.array(sd), np.array(z)))
    assert b * mu + z * b**0.5 * sd == pytest.approx(k, rel=1e-6)
    assert float(running_limit(np.array(k), np.array(mu), np.array(0.0), np.array(z))) == pytest.approx(k / mu)

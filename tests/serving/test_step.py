"""The step formula: its limits, its terms by hand, and averages over steps with and without prompts."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.serving.cases import Cases
from planner.serving.lengths import token_demand
from planner.serving.replica import step_costs
from planner.serving.step import (
    StepCosts,
    StepTerms,
    accepted_tokens,
    mean_step_s,
    mean_step_terms,
    overlapped,
    step_terms,
    step_time_s,
    touched_share,
)

Build = Callable[..., Cases]
SECONDS = ("dense_s", "experts_s", "decode_attention_s", "prefill_attention_s", "collectives_s", "overhead_s")
COSTS = {
    "dense_memory_s": 4.0, "tokens_per_sequence": 1.0, "dense_compute_s_per_token": 0.3,
    "head_compute_s_per_sequence": 0.1, "expert_memory_s": 8.0, "expert_compute_s_per_token": 0.2,
    "expert_miss_log_per_token": np.log(0.75), "decode_attention_s_per_sequence": 0.5,
    "decode_memory_s_per_sequence": 0.4, "decode_products_s_per_sequence": 0.1, "prefill_attention_s_per_token": 0.05,
    "prefill_memory_s_per_token": 0.02, "prefill_products_s_per_token": 0.03, "collective_s": 0.6,
    "collective_s_per_token": 0.01, "overhead_s": 1.0, "overhead_s_per_sequence": 0.02, "overlap_exponent": 1.0,
}  # fmt: skip


def costs(**changes: float) -> StepCosts:
    """Return made-up coefficients of a step."""
    return StepCosts(**{name: np.array(v) for name, v in (COSTS | changes).items()})


def of(found: StepTerms, names: tuple[str, ...] = SECONDS) -> list[float]:
    """Return some terms as numbers."""
    return [float(getattr(found, name)) for name in names]


@given(a=st.floats(0, 1e3), b=st.floats(0, 1e3), p=st.floats(1, 8))
def test_overlap_lies_between_the_larger_and_the_sum(a: float, b: float, p: float) -> None:
    """max(a, b) <= overlap <= a + b, with equality at p = 1."""
    value = float(overlapped(np.array(a), np.array(b), np.array(p)))
    assert max(a, b) * (1 - 1e-12) <= value <= (a + b) * (1 + 1e-12) + 1e-300
    assert float(overlapped(np.array(a), np.array(b), np.array(1.0))) == pytest.approx(a + b)


def test_overlap_is_pythagoras_at_two_and_the_larger_at_infinity() -> None:
    """5 s and 12 s: 13 s at p = 2; 12 s where they overlap fully. Powers of microseconds do not underflow."""
    found = [float(overlapped(np.array(5e-6), np.array(12e-6), np.array(p))) for p in (2.0, 1e4)]
    assert found == pytest.approx([13e-6, 12e-6])


def test_touched_experts_by_hand() -> None:
    """8 of 256 experts and 10 tokens touch 1 - (1 - 1/32)^10 of them; 10,000 tokens touch all."""
    miss = np.log1p(np.array(-8 / 256))
    assert float(touched_share(miss, np.array(10.0))) == pytest.approx(1 - (31 / 32) ** 10)
    assert float(touched_share(miss, np.array(1e4))) == pytest.approx(1.0)


def test_touched_experts_by_drawing() -> None:
    """3,000 steps of 20 tokens that pick 2 of 16 experts each."""
    draw = np.random.default_rng(6)
    picks = np.argsort(draw.random((3000, 20, 16)), axis=-1)[..., :2].reshape(3000, 40)
    drawn = np.mean([len(set(step)) / 16 for step in picks.tolist()])
    assert float(touched_share(np.log(np.array(14 / 16)), np.array(20.0))) == pytest.approx(drawn, rel=0.01)


@pytest.mark.parametrize(("drafted", "acceptance"), [(0.0, 0.7), (1.0, 0.7), (3.0, 0.8), (7.0, 0.25), (2.0, 0.0)])
def test_accepted_tokens_by_adding_up(drafted: float, acceptance: float) -> None:
    """One token, and each draft with the probability that all up to it are kept: 1 + a + a^2 + ..."""
    expected = sum(acceptance**k for k in range(int(drafted) + 1))
    assert float(accepted_tokens(np.array(drafted), np.array(acceptance))) == pytest.approx(expected)


def test_drafts_that_are_always_kept_all_count() -> None:
    """Acceptance 1 is the limit s + 1, not 0/0."""
    assert float(accepted_tokens(np.array(4.0), np.array(1.0))) == pytest.approx(5.0)


def test_the_published_speedup_of_speculative_decoding() -> None:
    """Leviathan et al., table 1: acceptance 0.8 with 5 drafts yields 3.69 tokens, 0.6 with 2 drafts 1.96."""
    found = [float(accepted_tokens(np.array(s), np.array(a))) for s, a in ((5.0, 0.8), (2.0, 0.6))]
    assert found == pytest.approx([3.69, 1.96], abs=0.005)


def test_the_terms_of_a_step_by_hand() -> None:
    """Two sequences and three prefill tokens: five tokens in all."""
    found = step_terms(costs(), np.array(2.0), np.array(3.0))
    touched = 1 - 0.75**5
    dense, experts = 4.0 + 5 * 0.3 + 2 * 0.1, 8.0 * touched + 5 * 0.2
    assert of(found) == pytest.approx([dense, experts, 2 * 0.5, 3 * 0.05, 0.6 + 5 * 0.01, 1.0 + 2 * 0.02])
    total = dense + experts + 1.0 + 0.15 + 0.65 + 1.04
    assert float(found.total_s) == pytest.approx(total)
    assert float(found.memory_share) == pytest.approx((4.0 + 8.0 * touched + 2 * 0.4 + 3 * 0.02) / total)
    assert float(found.compute_share) == pytest.approx((5 * 0.3 + 2 * 0.1 + 5 * 0.2 + 2 * 0.1 + 3 * 0.03) / total)


def test_drafts_are_computed_but_read_no_cache_of_their_own() -> None:
    """Two sequences with three drafts each compute eight tokens; the head and the attention count per sequence."""
    found = step_terms(costs(tokens_per_sequence=4.0), np.array(2.0), np.array(0.0))
    assert float(found.dense_s) == pytest.approx(4.0 + 8 * 0.3 + 2 * 0.1)
    assert float(found.decode_attention_s) == pytest.approx(2 * 0.5)


@given(b=st.floats(0, 500), prefill=st.floats(0, 5000), p=st.floats(1, 6), more=st.floats(0, 100))
def test_a_step_that_carries_more_takes_longer(b: float, prefill: float, p: float, more: float) -> None:
    """The time alone is the sum of the terms; more sequences or prompts never shorten it; shares are at most 1."""
    c = costs(overlap_exponent=p)
    terms, time = step_terms(c, np.array(b), np.array(prefill)), float(step_time_s(c, np.array(b), np.array(prefill)))
    assert time == pytest.approx(float(terms.total_s), rel=1e-12)
    assert float(step_time_s(c, np.array(b + more), np.array(prefill))) >= time * (1 - 1e-12)
    assert float(step_time_s(c, np.array(b), np.array(prefill + more))) >= time * (1 - 1e-12)
    assert 0.0 <= float(terms.memory_share) <= 1.0
    assert 0.0 <= float(terms.compute_share) <= 1.0


def test_the_mean_step_by_listing_its_steps() -> None:
    """Pieces of 40 tokens at 10 a step on average: one step in four carries a piece, three carry none."""
    c, b = costs(overlap_exponent=2.0), np.array(6.0)
    steps = [step_terms(c, b, np.array(tokens)) for tokens in (40.0, 0.0, 0.0, 0.0)]
    found = mean_step_terms(c, b, np.array(10.0), np.array(40.0))
    assert of(found) == pytest.approx(np.mean([of(step) for step in steps], axis=0))
    for name in ("memory_share", "compute_share"):
        busy = sum(float(getattr(step, name)) * float(step.total_s) for step in steps)
        assert float(getattr(found, name)) == pytest.approx(busy / sum(float(step.total_s) for step in steps))
    mean, alone = mean_step_s(c, b, np.array(10.0), np.array(40.0))
    assert float(mean) == pytest.approx(float(found.total_s))
    assert float(alone) == float(steps[1].total_s)


def test_a_step_full_of_prompts_is_one_piece() -> None:
    """More prefill than the piece: every step carries it all."""
    c, b, prefill = costs(), np.array(6.0), np.array(50.0)
    assert float(mean_step_s(c, b, prefill, np.array(40.0))[0]) == pytest.approx(float(step_time_s(c, b, prefill)))


def test_a_row_of_steps_has_the_bits_of_each() -> None:
    """200 batches at once and one by one."""
    c, b = costs(overlap_exponent=1.7), np.geomspace(1e-3, 1e3, 200)
    row = mean_step_s(c, b, b * 3.0, np.array(40.0))[0]
    assert row.tolist() == [float(mean_step_s(c, x, x * 3.0, np.array(40.0))[0]) for x in b]


def test_the_costs_of_a_dense_model_by_hand(case: Build) -> None:
    """4.2 GB of weights at 1 TB/s; 2 FLOP for each of 1e9 weights at 1e14/s and 2e9 at 2e14/s; head 1e8 at 1e14/s."""
    c = case()
    found = step_costs(c, token_demand(c.workload))
    assert float(found.dense_memory_s) == pytest.approx((1e9 * 2 + 2e9 * 1 + 1e8 * 2) / 1e12)
    assert float(found.dense_compute_s_per_token) == pytest.approx(2 * (1e9 / 1e14 + 2e9 / 2e14))
    assert float(found.head_compute_s_per_sequence) == pytest.approx(2 * 1e8 / 1e14)
    # A running sequence holds 1,000 tokens and on average half of 101; 20 kB and 1e5 multiply-adds each.
    assert float(found.decode_memory_s_per_sequence) == pytest.approx(1050.5 * 2e4 / 1e12)
    assert float(found.decode_products_s_per_sequence) == pytest.approx(2 * 1e5 * 1050.5 / 1e14)
    assert float(found.expert_memory_s) == 0.0
    assert float(found.overhead_s) == float(found.collective_s) == 0.0


def test_tensor_parallel_shares_all_that_streams_and_multiplies(case: Build) -> None:
    """On four ranks, as many as KV heads, every side of every operation takes a quarter; host time does not."""
    changes = {"model__expert_parameters": 8e9, "engine__layer_overhead_s": 1e-5, "engine__sequence_overhead_s": 1e-6}
    one, four = (
        step_costs(c, token_demand(c.workload)) for c in (case(**changes), case(**changes, layout__tensor_parallel=4.0))
    )
    shared = [name for name in COSTS if "_memory_s" in name or "_compute_s" in name or "_products_s" in name]
    assert len(shared) == 9
    for name in shared:
        assert float(getattr(four, name)) == pytest.approx(float(getattr(one, name)) / 4, rel=1e-12), name
    assert float(four.overhead_s) == float(one.overhead_s) > 0
    assert float(four.overhead_s_per_sequence) == float(one.overhead_s_per_sequence) > 0


def test_the_costs_of_experts_by_hand(case: Build) -> None:
    """8e9 weights in 16 experts of 1,000 channels, 2 a token, over TP 2 x DP 4 with and without expert parallelism."""
    changes = {"expert_parameters": 8e9, "experts": 16.0, "experts_per_token": 2.0, "expert_width": 1000.0}
    engine = {"engine__expert_half_width": 250.0, "engine__expert_imbalance": 1.3}
    layout = {"layout__tensor_parallel": 2.0, "layout__data_parallel": 4.0}

    def of_layout(expert_parallel: float) -> StepCosts:
        model = {f"model__{name}": v for name, v in changes.items()}
        c = case(**model, **engine, **layout, layout__expert_parallel=expert_parallel)
        return step_costs(c, token_demand(c.workload))

    sliced, spread = of_layout(1.0), of_layout(8.0)
    assert float(sliced.expert_memory_s) == pytest.approx(8e9 / 8 / 1e12)
    assert float(sliced.expert_miss_log_per_token) == pytest.approx(4 * np.log(14 / 16))
    # A slice of 125 channels takes 1 + 250/125 times as long as a dense product; a whole expert 1 + 250/1000 times.
    each = 2 * 8e9 * 2 / 16 / 2 / 2e14
    assert float(sliced.expert_compute_s_per_token) == pytest.approx(each * (1 + 250 / 125))
    assert float(spread.expert_compute_s_per_token) == pytest.approx(each * (1 + 250 / 1000) * 1.3)


def test_overheads_count_equivalents_of_layers(case: Build) -> None:
    """13 plain layers' worth of launches, and once a step."""
    engine = {"layer_equivalents": 13.0, "layer_overhead_s": 2e-5, "step_overhead_s": 1e-3}
    c = case(**{f"engine__{name}": v for name, v in engine.items()})
    assert float(step_costs(c, token_demand(c.workload)).overhead_s) == pytest.approx(13 * 2e-5 + 1e-3)


@settings(max_examples=40)
@given(k=st.floats(1e-3, 1e3), tp=st.sampled_from([1.0, 4.0, 16.0]), sequences=st.floats(0.1, 1000.0))
def test_bytes_or_flop_in_another_unit_change_no_time(case: Build, k: float, tp: float, sequences: float) -> None:
    """All bytes and bandwidths times k, or all FLOP rates and inverse efficiencies: the same step."""
    base = {"layout__tensor_parallel": tp, "model__state_bytes": 1e7, "engine__overlap_exponent": 2.0}
    one = case(**base)
    names = ("attention_weight_bytes", "ffn_weight_bytes", "expert_weight_bytes", "embedding_weight_bytes")
    scaled = {f"model__{name}": k * float(getattr(one.model, name)) for name in names}
    rates = ("hbm_bytes_per_s", "link_bytes_per_s", "network_bytes_per_s")
    scaled |= {f"gpu__{name}": k * float(getattr(one.gpu, name)) for name in rates}
    scaled |= {"model__state_bytes": k * 1e7, "layout__kv_bytes": 2.0 * k, "model__hidden_size": 1000.0 * k}
    flops = ("attention_flop_per_s", "ffn_flop_per_s", "expert_flop_per_s", "kv_flop_per_s")
    faster = {f"gpu__{name}": k * float(getattr(one.gpu, name)) for name in flops}
    faster |= {"engine__compute_efficiency": 1 / k, "engine__attention_compute_efficiency": 1 / k}

    def time(cases: Cases) -> float:
        c = step_costs(cases, token_demand(cases.workload))
        return float(mean_step_s(c, np.array(sequences), np.array(10 * sequences), np.array(1000.0))[0])

    assert time(case(**base | scaled)) == pytest.approx(time(one), rel=1e-9)
    assert time(case(**base | faster)) == pytest.approx(time(one), rel=1e-9)


def test_every_cost_is_a_time_that_halves_on_a_machine_twice_as_fast(case: Build) -> None:
    """All rates doubled and all latencies halved: every coefficient in seconds is half of what it was."""
    layout = {"layout__tensor_parallel": 4.0, "layout__data_parallel": 4.0, "model__moe_layers": 8.0}
    engine = {
        "collective_latency_s": 1e-5,
        "network_latency_s": 4e-5,
        "layer_overhead_s": 1e-5,
        "step_overhead_s": 1e-4,
    }
    engine |= {"sequence_overhead_s": 1e-6}
    slow = case(**layout, **{f"engine__{name}": v for name, v in engine.items()})
    fast = {f"engine__{name}": v / 2 for name, v in engine.items()}
    fast |= {f"gpu__{name}": 2 * float(v) for name, v in slow.gpu.items() if name.endswith("_per_s")}
    one, two = (step_costs(c, token_demand(c.workload)) for c in (slow, slow.replaced(**fast)))
    for field in dataclasses.fields(StepCosts):
        factor = 0.5 if "_s" in field.name and "log" not in field.name and field.name != "tokens_per_sequence" else 1.0
        before, after = float(getattr(one, field.name)), float(getattr(two, field.name))
        assert after == pytest.approx(factor * before, rel=1e-12), field.name

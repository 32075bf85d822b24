"""Memory: published cache sizes, shards by hand, and how many sequences fit."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.serving.cases import Cases
from planner.serving.kv_cache import cache_bytes, held_bytes, kv_split, longest_context_tokens, startup_bytes
from planner.serving.lengths import token_demand
from planner.serving.memory import Memory, build_memory, running_limit, weight_bytes_per_gpu

Build = Callable[..., Cases]


def memory(case: Build, **changes: float) -> Memory:
    """Return the memory of a case with some columns changed."""
    c = case(**changes)
    return build_memory(c, token_demand(c.workload))


def cache(case: Build, tokens: float, **changes: float) -> float:
    """Return the cache of some tokens in all layers, on one GPU."""
    return float(cache_bytes(case(**changes), *(np.array(tokens),) * 3))


def test_published_cache_sizes(case: Build) -> None:
    """LLaMA-2-13B's 8,192 tokens take 6,710,886,400 bytes; a token of three models as DeepSeek's paper lists them.

    "Insights into DeepSeek-V3" (arXiv 2505.09343), table 1: DeepSeek-V3 70.272 KB (MLA), Qwen-2.5 72B 327.680 KB (GQA),
    LLaMA-3.1 405B 516.096 KB (GQA), each in 16 bits.
    """
    assert cache(case, 8192.0, model__kv_full_elements=40 * 2 * 40 * 128) == 6_710_886_400
    assert cache(case, 1.0, model__kv_full_elements=0.0, model__latent_full_elements=61 * (512 + 64)) == 70_272
    assert cache(case, 1.0, model__kv_full_elements=80 * 2 * 8 * 128) == 327_680
    assert cache(case, 1.0, model__kv_full_elements=126 * 2 * 8 * 128) == 516_096


def test_gqa_is_split_over_its_heads_and_a_latent_is_not(case: Build) -> None:
    """TP 8 with 2 KV heads halves the cache, no more; an MLA latent stands on every rank whole."""
    assert float(kv_split(np.array(8.0), np.array(2.0))) == 2.0
    assert cache(case, 1.0, layout__tensor_parallel=8.0, model__kv_heads=2.0) == 1e4 * 2 / 2
    latent = {"model__kv_full_elements": 0.0, "model__latent_full_elements": 500.0, "model__index_elements": 100.0}
    assert cache(case, 1.0, layout__tensor_parallel=8.0, **latent) == cache(case, 1.0, **latent) == 600 * 2


def test_each_kind_of_layer_holds_its_own_tokens(case: Build) -> None:
    """Full layers 1,000 tokens, windowed ones 128, sparse ones 64, in bytes of 2."""
    elements = {"full": 10.0, "window": 7.0, "sparse": 3.0}
    changes = {f"model__kv_{kind}_elements": n for kind, n in elements.items()}
    changes |= {"model__latent_full_elements": 2.0, "model__latent_sparse_elements": 5.0}
    found = cache_bytes(case(**changes), np.array(1000.0), np.array(128.0), np.array(64.0))
    assert float(found) == 2 * (10 * 1000 + 7 * 128 + 3 * 64 + 2 * 1000 + 5 * 64)


def test_a_window_holds_no_more_than_itself(case: Build) -> None:
    """What is held of 1,000 tokens with a window of 128, and a state split over two heads."""
    changes = {"model__kv_full_elements": 10.0, "model__kv_window_elements": 7.0, "model__window_tokens": 128.0}
    state = {"model__state_bytes": 600.0, "model__state_heads": 2.0}
    split = held_bytes(case(**changes, **state, layout__tensor_parallel=4.0), np.array(1000.0))
    assert float(split) == 2 * (10 * 1000 + 7 * 128) / 4 + 600 / 2


def test_weights_of_gpt2(case: Build) -> None:
    """124,439,808 parameters in 16 bits, the head being the embedding: 248,879,616 bytes."""
    embedding = (50_257 + 1024) * 768
    model = {"attention_parameters": 0, "ffn_parameters": 124_439_808 - embedding, "embedding_parameters": embedding}
    model |= {"head_parameters": 50_257 * 768, "head_is_tied": 1, "ffn_weight_bytes": 2}
    c = case(**{f"model__{name}": float(v) for name, v in model.items()})
    assert float(weight_bytes_per_gpu(c.model, c.layout)) == 248_879_616


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        # Attention 2e9 bytes, dense 2e9, embedding and head 4e8, experts 8e9.
        ({}, 4.4e9 + 8e9),
        ({"tensor_parallel": 4.0}, (4.4e9 + 8e9) / 4),
        # Attention ranks copy all but the experts, which are spread over all eight GPUs, whole or sliced.
        ({"tensor_parallel": 2.0, "data_parallel": 4.0}, 4.4e9 / 2 + 8e9 / 8),
        ({"tensor_parallel": 2.0, "data_parallel": 4.0, "expert_parallel": 8.0}, 4.4e9 / 2 + 8e9 / 8),
        # Embedding and head stand on different stages.
        ({"pipeline_parallel": 2.0}, (4e9 + 8e9) / 2 + 2e8),
        ({"pipeline_parallel": 4.0, "tensor_parallel": 2.0}, (4e9 + 8e9) / 8 + 1e8),
    ],
)
def test_weights_by_hand(case: Build, layout: dict[str, float], expected: float) -> None:
    """Each component over the GPUs it is spread on."""
    c = case(model__expert_parameters=8e9, **{f"layout__{name}": v for name, v in layout.items()})
    assert float(weight_bytes_per_gpu(c.model, c.layout)) == pytest.approx(expected)


def test_what_is_left_for_the_cache(case: Build) -> None:
    """90 % of 80 GB less 4.4 GB of weights, 1 GB of runtime and three layers of activations of 8,000 tokens."""
    engine = {"memory_utilization": 0.9, "runtime_reserve_bytes": 1e9, "activation_bytes_factor": 3.0}
    found = memory(case, **{f"engine__{name}": v for name, v in engine.items()})
    assert float(found.weight_bytes) == pytest.approx(4.4e9)
    assert float(found.activation_bytes) == pytest.approx(3 * 8000 * 1000 * 2)
    assert float(found.other_bytes) == pytest.approx(1e9)
    assert float(found.kv_capacity_bytes) == pytest.approx(72e9 - 4.4e9 - 1e9 - 48e6)


@pytest.mark.parametrize(
    ("changes", "activations", "others"),
    [
        ({"model__block_width": 30000.0}, 8000 * 30000 * 2, 0.0),
        ({"model__block_width": 30000.0, "layout__tensor_parallel": 2.0}, 8000 * 15000 * 2, 0.0),
        # Sampling of 1,000 sequences over 1e5 entries outweighs the step, and every rank holds all of it.
        ({"engine__sampler_bytes_per_logit": 15.0, "engine__max_running_sequences": 1000.0}, 1.5e9, 0.0),
        ({"engine__sampler_bytes_per_logit": 15.0, "engine__max_batched_tokens": 10.0}, 15 * 10 * 1e5, 0.0),
        ({"engine__collective_bytes": 2e9}, 0.0, 0.0),
        ({"engine__collective_bytes": 2e9, "layout__tensor_parallel": 2.0}, 0.0, 2e9),
        ({"engine__encoder_reserve_bytes": 1e9}, 0.0, 0.0),
        ({"engine__encoder_reserve_bytes": 1e9, "model__encoder_parameters": 4e8}, 0.0, 1e9),
    ],
)
def test_activations_and_the_rest_by_hand(
    case: Build, changes: dict[str, float], activations: float, others: float
) -> None:
    """The larger of a full step and of sampling; collectives with TP alone; room for encoders where there is one."""
    found = memory(case, **changes)
    assert float(found.activation_bytes) == pytest.approx(activations)
    assert float(found.other_bytes) == pytest.approx(others)


@pytest.mark.parametrize(
    ("shares", "left"),
    [
        # 90 % of the device, of what is free at the start, of what weights and activations leave.
        ((1.0, 1.0, 1.0), 0.9 * 80e9 - 4.4e9 - 48e6 - 1e9),
        ((1.0, 0.0, 0.9), 0.9 * (80e9 - 1e9) - 4.4e9),
        ((0.9, 0.9, 0.9), 0.9 * (80e9 - 1e9 - 4.4e9 - 48e6)),
    ],
)
def test_what_the_share_of_memory_is_of(case: Build, shares: tuple[float, ...], left: float) -> None:
    """Engines differ in what their share of the memory is of."""
    names = ("weight_memory_share", "activation_memory_share", "other_memory_share")
    engine = {"memory_utilization": 0.9, "runtime_reserve_bytes": 1e9, "activation_bytes_factor": 3.0}
    engine |= dict(zip(names, shares, strict=True))
    found = memory(case, **{f"engine__{name}": v for name, v in engine.items()})
    assert float(found.kv_capacity_bytes) == pytest.approx(left)


def test_memory_left_free_and_memory_shared_with_the_cpu(case: Build) -> None:
    """2 GB, 1 MB for each of 8,000 tokens and 1 GB for each of two GPUs stay free; the CPU leaves 60 GB."""
    engine = {"left_free_bytes": 2e9, "left_free_bytes_per_batched_token": 1e6, "left_free_bytes_per_gpu": 1e9}
    changes = {f"engine__{name}": v for name, v in engine.items()} | {"layout__tensor_parallel": 2.0}
    assert float(memory(case, **changes).kv_capacity_bytes) == pytest.approx(80e9 - 12e9 - 2.2e9)
    shared = memory(case, gpu__memory_available_bytes=6e10)
    assert float(shared.kv_capacity_bytes) == pytest.approx(6e10 - 4.4e9)


def test_what_every_rank_copies(case: Build) -> None:
    """Of 8 ranks each holds latents and routers whole, two share a KV head; experts are padded."""
    changes = {"replicated_parameters": 1e8, "kv_parameters": 2e8, "expert_parameters": 8e9, "expert_padding": 1.25}
    changes |= {"encoder_parameters": 4e8}
    c = case(layout__tensor_parallel=8.0, **{f"model__{name}": v for name, v in changes.items()})
    attention = 2 * (7e8 / 8 + 2e8 / 4 + 1e8)
    rest = (2e9 + 4e8 + 2 * 4e8 + 8e9 * 1.25) / 8
    assert float(weight_bytes_per_gpu(c.model, c.layout)) == pytest.approx(attention + rest)


def test_sequences_that_fit_by_division(case: Build) -> None:
    """75.6 GB over 1,050.5 tokens of 20 kB each; two stages hold half the layers each, of two batches in flight."""
    found = memory(case)
    assert float(found.kv_bytes_per_sequence) == pytest.approx(1050.5 * 2e4)
    assert float(found.sequences_that_fit) == pytest.approx(75.6e9 / (1050.5 * 2e4))
    assert float(found.kv_bytes_longest_request) == pytest.approx(1101 * 2e4)
    staged = memory(case, layout__pipeline_parallel=2.0)
    assert float(staged.sequences_that_fit) == pytest.approx((80e9 - 2.2e9) / (1050.5 * 1e4))
    assert float(staged.kv_bytes_longest_request) == pytest.approx(1101 * 1e4)
    ranks = memory(case, layout__data_parallel=2.0)
    assert float(ranks.sequences_that_fit) == pytest.approx(2 * float(found.sequences_that_fit))


def test_a_shared_prompt_leaves_room_for_more(case: Build) -> None:
    """10,000 of 12,000 prompt tokens shared: they take their room once, each sequence its own 2,000 and its output."""
    workload = {"workload__input_tokens_mean": 12_000.0, "workload__shared_tokens": 10_000.0}
    found, weights = memory(case, **workload), 4.4e9
    token = 1e4 * 2
    assert float(found.common_bytes) == 10_000 * token
    expected = (80e9 - weights - 10_000 * token) / ((2000 + 101 / 2) * token)
    assert float(found.sequences_that_fit) == pytest.approx(expected)
    assert float(found.kv_bytes_longest_request) == pytest.approx((12_000 + 101) * token)


def test_blocks_of_a_common_pool(case: Build) -> None:
    """A request takes 500 tokens' room beside its context, each of 2 x 8,000 tokens in flight that of 3 tokens."""
    pool = {"model__pool_tokens_per_request": 500.0, "model__pool_tokens_in_flight": 3.0, "model__state_bytes": 1e9}
    found, token = memory(case, **pool, engine__steps_in_flight=2.0), 1e4 * 2
    assert float(found.common_bytes) == 3 * 16_000 * token
    assert float(found.kv_bytes_per_sequence) == pytest.approx((1000 + 101 / 2 + 500) * token)
    c = case(**pool, engine__steps_in_flight=2.0)
    assert float(startup_bytes(c)) == (1e5 + 500 + 3 * 16_000) * token
    assert float(longest_context_tokens(c, startup_bytes(c))) == 1e5
    assert float(longest_context_tokens(c, startup_bytes(c) - 999 * token)) == 1e5 - 999
    elsewhere = memory(case, **pool)  # an engine whose layers have caches of their own
    assert float(elsewhere.common_bytes) == 0.0
    assert float(elsewhere.kv_bytes_per_sequence) == pytest.approx((1000 + 101 / 2) * token + 1e9)


def test_scales_and_indexer_keys(case: Build) -> None:
    """An 8-bit cache has scales beside its elements; keys of the indexer have 8 bits whatever the cache has."""
    changes = {"model__kv_full_elements": 0.0, "model__latent_sparse_elements": 576.0, "model__index_bytes": 132.0}
    changes |= {"model__scaled_sparse_bytes": 80.0, "layout__tensor_parallel": 8.0}
    assert cache(case, 1.0, **changes, layout__kv_bytes=1.0) == 788
    assert cache(case, 1.0, **changes, layout__kv_bytes=2.0) == 576 * 2 + 132


def test_the_spread_of_constant_lengths_is_that_of_their_age(case: Build) -> None:
    """A context that grows evenly over 101 tokens has a standard deviation of 101/sqrt(12), at 20 kB each."""
    assert float(memory(case).kv_bytes_per_sequence_sd) == pytest.approx(101 / 12**0.5 * 2e4, rel=1e-6)


def test_the_engines_own_limit_counts_each_batch_in_flight(case: Build) -> None:
    """256 sequences on each of 2 ranks x 3 stages, where the cache would hold more."""
    found = memory(case, engine__max_running_sequences=256.0, layout__data_parallel=2.0, layout__pipeline_parallel=3.0)
    assert float(found.max_running_sequences) == 256 * 6
    assert found.sequences_that_fit > found.max_running_sequences


def test_weights_that_do_not_fit_leave_no_sequence(case: Build) -> None:
    """Negative room and no batch, not a NaN."""
    found = memory(case, gpu__memory_bytes=4e9)
    assert float(found.kv_capacity_bytes) == pytest.approx(-0.4e9)
    assert float(found.sequences_that_fit) == 0.0


@given(k=st.floats(1e6, 1e12), mu=st.floats(1e3, 1e9), sd=st.floats(0, 1e9), z=st.floats(0, 4))
def test_running_limit_solves_its_equation(k: float, mu: float, sd: float, z: float) -> None:
    """B mu + z sqrt(B) sd = K at the limit; without spread it is K / mu."""
    b = float(running_limit(np.array(k), np.array(mu), np.array(sd), np.array(z)))
    assert b * mu + z * b**0.5 * sd == pytest.approx(k, rel=1e-6)
    assert float(running_limit(np.array(k), np.array(mu), np.array(0.0), np.array(z))) == pytest.approx(k / mu)


def test_the_batch_overflows_as_often_as_was_asked() -> None:
    """20,000 drawn batches of lognormal caches overflow in 5 of 100 cases where z is the 95 % quantile."""
    z, mean, cv, room = NormalDist().inv_cdf(0.95), 1.0, 0.8, 400.0
    batch = int(running_limit(*(np.array(x) for x in (room, mean, mean * cv, z))))
    sigma = np.sqrt(np.log(1 + cv**2))
    draws = np.random.default_rng(8).lognormal(-(sigma**2) / 2, sigma, (20_000, batch))
    assert np.mean(draws.sum(axis=1) > room) == pytest.approx(0.05, abs=0.015)


@settings(max_examples=30)
@given(
    cache_elements=st.floats(1e3, 1e5), more=st.floats(1.0, 5.0), cv=st.floats(0.0, 2.0), z=st.floats(0.0, 3.0),
    window=st.sampled_from([100.0, 1500.0, np.inf]),
)  # fmt: skip
def test_more_cache_a_token_never_fits_more(
    case: Build, cache_elements: float, more: float, cv: float, z: float, window: float
) -> None:
    """Nor do a wider spread or a surer fit."""
    changes = {"engine__kv_overflow_z": z, "model__kv_window_elements": cache_elements, "model__window_tokens": window}

    def fitting(elements: float, spread: float, **surer: float) -> float:
        lengths = {"workload__generated_tokens_cv": spread, "workload__input_tokens_cv": spread}
        found = memory(case, **changes | {"model__kv_full_elements": elements} | lengths | surer)
        return float(found.sequences_that_fit)

    base = fitting(cache_elements, cv)
    assert fitting(cache_elements * more, cv) <= base * (1 + 1e-12)
    assert fitting(cache_elements, cv, engine__kv_overflow_z=z + 1.0) <= base * (1 + 1e-12)


@given(k=st.floats(1e-3, 1e3))
def test_all_bytes_times_k_fit_as_many(case: Build, k: float) -> None:
    """Weights, cache, state, reserve and memory in another unit: the same batch."""
    base = {"model__state_bytes": 1e6, "engine__kv_overflow_z": 2.0, "workload__generated_tokens_cv": 1.0}
    names = ("attention_weight_bytes", "ffn_weight_bytes", "expert_weight_bytes", "embedding_weight_bytes")
    c = case()
    scaled = {f"model__{name}": k * float(getattr(c.model, name)) for name in names}
    scaled |= {"model__state_bytes": k * 1e6, "layout__kv_bytes": k * 2.0}
    scaled |= {"gpu__memory_bytes": k * 8e10, "gpu__memory_available_bytes": k * 8e10}
    one, other = memory(case, **base), memory(case, **base | scaled)
    assert float(other.sequences_that_fit) == pytest.approx(float(one.sequences_that_fit), rel=1e-9)
    assert float(other.kv_bytes_per_sequence_sd) == pytest.approx(k * float(one.kv_bytes_per_sequence_sd), rel=1e-9)

"""What layers cache beside plain elements, against published layouts and start-up logs."""

import numpy as np
import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.model import AttentionGroup, ModelSpec
from planner.loadtest.memory_plan import plan_rows
from planner.options.cache_bytes import index_bytes, index_elements, pool_tokens, scaled_bytes
from planner.options.lowering_model import kv_elements

CATALOG = Catalog()
GIB = 2**30


def groups_of(name: str) -> tuple[AttentionGroup, ...]:
    """Return the attention layers of a shipped model."""
    return CATALOG.get(ModelSpec, name).spec.attention


def test_sparse_mla_takes_788_bytes_a_layer() -> None:
    """656 bytes of latent, scales and positions, and 132 of the indexer's key (vLLM, `fp8_ds_mla`)."""
    (group,) = groups_of("deepseek-v3.2")
    assert (kv_elements(group) + scaled_bytes(group)) / group.layers == 656
    assert index_bytes(group) / group.layers == 132
    assert index_elements(group) == 0


def test_plain_mla_has_no_scales_of_its_own() -> None:
    """A cache of DeepSeek-V3 in 8 bits has 576 bytes a layer: one scale holds for the whole tensor."""
    (group,) = groups_of("deepseek-v3")
    assert scaled_bytes(group) == index_bytes(group) == 0


def test_an_entry_of_deepseek_v4_takes_584_bytes() -> None:
    """448 bytes, 64 positions in 16 bits, and scales padded to 8 bytes, for 4 or 128 tokens."""
    for group in groups_of("deepseek-v4-flash"):
        per_entry = (kv_elements(group) + scaled_bytes(group)) * group.compression / group.layers
        assert per_entry == 584


def test_blocks_of_deepseek_v4() -> None:
    """A request's windows and states take 26 blocks of 256 tokens: 2 x 3, 3 and 17; a token in flight 13/32 of one.

    Blocks hold 64 tokens of a window of 128, 4 of the 8 tokens that the fine compressor keeps, 8 of the 128 that the
    coarse one keeps.
    """
    for name in ("deepseek-v4-flash", "deepseek-v4-pro"):
        in_flight, per_request = pool_tokens(groups_of(name))
        assert per_request == 256 * (2 * 3 + 3 + 17)
        assert in_flight == 256 * (2 / 64 + 1 / 4 + 1 / 8)
    assert pool_tokens(groups_of("deepseek-v3.2")) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("max_model_len", "steps", "gib"),
    [
        # https://github.com/vllm-project/vllm/issues/44376: two steps in flight, "6.66 GiB KV cache is needed"
        (30_000, 2, 6.66),
        # https://github.com/vllm-project/vllm/pull/51041: 7.01 GiB are 1,009,661 tokens, with one step in flight
        (912_128, 1, 7.01 * 912_128 / 1_009_661),
    ],
)
def test_memory_of_one_request_of_deepseek_v4(max_model_len: int, steps: int, gib: float) -> None:
    """What vLLM counts for a request of the longest length, which padded blocks make a little larger."""
    groups = groups_of("deepseek-v4-flash")
    token = sum(kv_elements(g) + scaled_bytes(g) + index_bytes(g) for g in groups if not g.window)
    in_flight, per_request = pool_tokens(groups)
    needed = token * (max_model_len + per_request + in_flight * steps * 8192)
    assert needed / GIB == pytest.approx(gib, rel=0.07)


def test_a_request_of_deepseek_v4_in_a_plan() -> None:
    """A plan for the machine of the first report counts the same for a request of the longest length."""
    row = {"model": "deepseek-v4-flash", "gpu": "gh200-96gb", "tensor_parallel": "2", "kv_precision": "fp8"}
    row |= {"gpu_memory_utilization": "0.95", "max_model_len": "30000", "engine_version": "0.22"}
    (plan,) = plan_rows([row | {"max_num_batched_tokens": "8192"}], CATALOG)
    needed = float(plan["cache_bytes_per_gpu"]) / float(plan["max_concurrency_at_max_model_len"])
    assert needed / GIB == pytest.approx(6.66, rel=0.07)
    assert np.isfinite(plan["cache_tokens"])

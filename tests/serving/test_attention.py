"""Attention: what a token reads and multiplies, counted position by position."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.serving.attention import decode_attention_s, prefill_attention_s, prefill_chunk
from planner.serving.cases import Cases
from planner.serving.lengths import token_demand

Build = Callable[..., Cases]


def attention(build: Callable[..., tuple], case: Build, **changes: float) -> list[float]:
    """Return (memory, compute) seconds of a case with some columns changed."""
    c = case(**changes)
    return [float(side) for side in build(c, token_demand(c.workload))]


def test_a_decode_reads_the_context_it_has_on_average(case: Build) -> None:
    """Of 101 tokens the one after j stands behind 1,000 + j: 20 kB and 1e5 multiply-adds each, averaged over j."""
    context = 1000 + np.arange(101) + 0.5
    read, products = attention(decode_attention_s, case)
    assert read == pytest.approx(np.mean(context * 2e4) / 1e12)
    assert products == pytest.approx(np.mean(context * 2 * 1e5) / 1e14)


def test_a_prompt_reads_what_stands_before_it_once_a_piece(case: Build) -> None:
    """1,000 tokens in pieces of 1,000: each multiplies by all before it; the cache is read once for all of them."""
    context = np.arange(1000) + 0.5
    read, products = attention(prefill_attention_s, case)
    assert products == pytest.approx(np.mean(context * 2 * 1e5) / 1e14)
    assert read == pytest.approx(np.mean(context * 2e4) / 1000 / 1e12)


def test_pieces_are_prompts_within_the_budget(case: Build) -> None:
    """A prompt of 1,000, of which 900 are cached; one of 50,000 against a budget of 8,000; an empty one counts as 1."""
    pieces = [
        float(prefill_chunk(c, token_demand(c.workload)))
        for c in (case(), case(workload__cached_share=0.9), case(workload__input_tokens_mean=5e4),
                  case(workload__cached_share=1.0))
    ]  # fmt: skip
    assert pieces == pytest.approx([1000.0, 100.0, 8000.0, 1.0])


@pytest.mark.parametrize("kind", ["window", "sparse"])
def test_capped_layers_see_no_more_than_their_cap(case: Build, kind: str) -> None:
    """Layers with a window or a top k of 200, all of the context being longer: 200 tokens of cache and products."""
    cap = {"window": "window_tokens", "sparse": "sparse_top_k"}[kind]
    model = {"kv_full_elements": 0.0, f"kv_{kind}_elements": 1e4, "decode_macs_full": 0.0, f"decode_macs_{kind}": 1e5}
    changes = {f"model__{name}": v for name, v in model.items()} | {f"model__{cap}": 200.0}
    read, products = attention(decode_attention_s, case, **changes)
    # The context is taken as a lognormal of its two moments; within 3 % of its mean all of it is above the cap.
    assert read == pytest.approx(200 * 2e4 / 1e12, rel=1e-9)
    assert products == pytest.approx(200 * 2 * 1e5 / 1e14, rel=1e-9)


def test_an_indexer_reads_everything_to_choose_a_few(case: Build) -> None:
    """Keys and products of the indexer count for the whole context, the chosen tokens for the top k."""
    model = {"index_elements": 100.0, "decode_macs_index": 7.0, "sparse_top_k": 10.0}
    read, products = attention(decode_attention_s, case, **{f"model__{name}": v for name, v in model.items()})
    plain_read, plain_products = attention(decode_attention_s, case)
    assert read - plain_read == pytest.approx(1050.5 * 100 * 2 / 1e12)
    assert products - plain_products == pytest.approx(2 * 7 * 1050.5 / 1e14)


def test_a_state_is_read_and_written_by_decodes_alone(case: Build) -> None:
    """1 MB of recurrent state over two of four ranks: 1 MB moved a step; a prompt keeps it on the chip."""
    state = {"model__state_bytes": 1e6, "model__state_heads": 2.0, "layout__tensor_parallel": 4.0}
    without = {"layout__tensor_parallel": 4.0}
    moved = attention(decode_attention_s, case, **state)[0] - attention(decode_attention_s, case, **without)[0]
    assert moved == pytest.approx(2 * 1e6 / 2 / 1e12, rel=1e-6)
    assert attention(prefill_attention_s, case, **state) == attention(prefill_attention_s, case, **without)


def test_the_engines_shares_slow_their_own_side(case: Build) -> None:
    """Half the bandwidth doubles the reading, a quarter of the products' rate takes four times as long."""
    engine = {"engine__cache_memory_efficiency": 0.5, "engine__attention_compute_efficiency": 0.25}
    for side in (decode_attention_s, prefill_attention_s):
        read, products = attention(side, case)
        assert attention(side, case, **engine) == pytest.approx([2 * read, 4 * products])


@given(tokens=st.floats(10.0, 1e5), more=st.floats(1.0, 10.0), window=st.sampled_from([100.0, 5000.0, np.inf]))
def test_longer_prompts_never_make_a_decode_cheaper(case: Build, tokens: float, more: float, window: float) -> None:
    """Reading and products grow with the context, windows or not."""
    model = {"model__kv_window_elements": 1e4, "model__decode_macs_window": 1e5, "model__window_tokens": window}
    short, long = (
        attention(decode_attention_s, case, workload__input_tokens_mean=n, **model) for n in (tokens, tokens * more)
    )
    assert all(b >= a * (1 - 1e-9) for a, b in zip(short, long, strict=True))

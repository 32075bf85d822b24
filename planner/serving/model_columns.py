"""The columns of a language model; names as in `planner.serving.columns`."""

from __future__ import annotations

from dataclasses import dataclass

from planner.serving.columns import Columns
from planner.serving.normal import Array


@dataclass(frozen=True, eq=False)
class ModelColumns(Columns):
    """A language model, lowered to what the formulas need."""

    hidden_size: Array
    """Elements of an activation."""
    layers: Array
    moe_layers: Array
    """Layers with routed experts."""
    attention_parameters: Array
    """Weights of token mixers, routers, norms: read by every step, sharded by TP."""
    ffn_parameters: Array
    """Weights of dense feed-forward blocks and shared experts."""
    expert_parameters: Array
    """Weights of all routed experts."""
    embedding_parameters: Array
    """Token embedding (read one row a token)."""
    head_parameters: Array
    """Output head; zero bytes of its own where tied, but the same products."""
    head_is_tied: Array
    """1 where the head shares the embedding's memory, else 0."""
    experts: Array
    """Routed experts of one MoE layer; 1 in dense models."""
    experts_per_token: Array
    """Routed experts a token goes to in a layer."""
    expert_width: Array
    """Intermediate width of a routed expert; 1 in dense models."""
    attention_weight_bytes: Array
    """Bytes per weight, scales included."""
    ffn_weight_bytes: Array
    expert_weight_bytes: Array
    embedding_weight_bytes: Array
    """Of embedding and head."""
    vocab_size: Array
    kv_parameters: Array
    """Those of attention_parameters that project keys and values: ranks beyond the KV heads hold copies."""
    replicated_parameters: Array
    """Those of attention_parameters that every TP rank holds whole: projections to latents, routers, norms."""
    encoder_parameters: Array
    """Weights of vision and audio encoders, in 16 bits; no part of any other count."""
    expert_padding: Array
    """Size of the routed experts in memory over that of their weights, where kernels pad their widths."""
    block_width: Array
    """Activations that a token needs at once in its widest feed-forward block, over all experts it goes to."""
    kv_heads: Array
    """KV heads of the full-attention layers: the KV cache is split over at most this many TP ranks."""
    kv_full_elements: Array
    """KV cache elements one token adds over all full GQA layers."""
    kv_window_elements: Array
    """The same over all layers with a window."""
    kv_sparse_elements: Array
    """The same over all layers that attend to a top k."""
    latent_full_elements: Array
    """The same for MLA latents, which every TP rank keeps whole."""
    latent_sparse_elements: Array
    """MLA latents of layers that attend to a top k."""
    index_elements: Array
    """Indexer keys of sparse layers that have the cache's format, per token."""
    index_bytes: Array
    """Indexer keys that have 8 bits and a scale whatever the cache's format, per token."""
    scaled_full_bytes: Array
    """What a token adds to the cache of full layers where it has 8 bits: scales, and positions that keep 16 bits."""
    scaled_window_bytes: Array
    """The same in layers with a window."""
    scaled_sparse_bytes: Array
    """The same in layers that attend to a top k."""
    pool_tokens_in_flight: Array
    """Tokens of context that take the room of one token in flight, where layers of all kinds draw blocks from one
    pool."""
    pool_tokens_per_request: Array
    """Tokens of context that take the room of windows and states of a request, in such a pool; 0 without one."""
    window_tokens: Array
    """Window of those layers; infinite where there is none."""
    sparse_top_k: Array
    """Tokens a sparse layer attends to; infinite where there is none."""
    state_heads: Array
    """Heads of the linear layers: their state is split over at most this many TP ranks."""
    state_bytes: Array
    """Recurrent state of one sequence over all linear layers."""
    decode_macs_full: Array
    """Multiply-adds of attention per query token and token of context, full layers."""
    decode_macs_window: Array
    decode_macs_sparse: Array
    decode_macs_index: Array
    """Products of the indexer, for decode and prefill."""
    prefill_macs_full: Array
    """The same for a prefill token: MLA multiplies by whole heads there, by its latent in decode."""
    prefill_macs_window: Array
    prefill_macs_sparse: Array
    max_context_tokens: Array

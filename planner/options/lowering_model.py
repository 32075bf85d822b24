"""From the spec of a model to its columns: sums over its groups of layers."""

import math
from collections.abc import Sequence

import numpy as np

from planner.catalog.hardware import FormatSpec
from planner.catalog.model import AttentionGroup, FfnGroup, ModelSpec
from planner.catalog.parameters import ParameterCounts, count_parameters, indexer_parameters
from planner.options import cache_bytes
from planner.options.candidates import Precision
from planner.serving.model_columns import ModelColumns


def lower_model(model: ModelSpec, precisions: Sequence[Precision]) -> ModelColumns:
    """Return the model's columns; only the bytes per weight depend on the candidates' precisions."""
    counts = count_parameters(model)
    mixers = [g for g in model.attention if g.kind != "linear"]
    gqa = [g for g in mixers if g.kind == "gqa"]
    mla = [g for g in mixers if g.kind == "mla"]
    moe = [g for g in model.ffn if g.experts]
    windows = [g.window for g in mixers if g.window]
    top_k = [g.sparse_top_k for g in mixers if g.sparse_top_k]
    bytes_per_weight = np.asarray(
        [
            [p.attention.weight_bytes, p.ffn.weight_bytes, p.experts.weight_bytes, p.embedding.weight_bytes]
            for p in precisions
        ]
    ).T
    scalars = {
        "hidden_size": model.hidden_size,
        "layers": model.layers,
        "moe_layers": sum(g.layers for g in moe),
        "attention_parameters": counts.attention
        + counts.linear_attention
        + counts.router
        + counts.norms
        + counts.other,
        "ffn_parameters": counts.dense_ffn + counts.shared_experts,
        "expert_parameters": counts.routed_experts,
        "embedding_parameters": counts.embedding + counts.unread,
        "head_parameters": counts.embedding if model.tied_embeddings else counts.output_head,
        "head_is_tied": float(model.tied_embeddings),
        "experts": max((g.experts or 1 for g in moe), default=1),
        "experts_per_token": max((g.experts_per_token or 1 for g in moe), default=1),
        "expert_width": max((g.intermediate_size for g in moe), default=1),
        "kv_heads": max((g.kv_heads for g in gqa), default=max(g.heads for g in model.attention)),
        "kv_full_elements": sum(kv_elements(g) for g in gqa if not g.window and not g.sparse_top_k),
        "kv_window_elements": sum(kv_elements(g) for g in gqa if g.window),
        "kv_sparse_elements": sum(kv_elements(g) for g in gqa if g.sparse_top_k and not g.window),
        "latent_full_elements": sum(kv_elements(g) for g in mla if not g.sparse_top_k),
        "latent_sparse_elements": sum(kv_elements(g) for g in mla if g.sparse_top_k),
        "index_elements": sum(cache_bytes.index_elements(g) for g in mixers),
        "index_bytes": sum(cache_bytes.index_bytes(g) for g in mixers),
        "scaled_full_bytes": sum(cache_bytes.scaled_bytes(g) for g in mixers if not g.window and not g.sparse_top_k),
        "scaled_window_bytes": sum(cache_bytes.scaled_bytes(g) for g in mixers if g.window),
        "scaled_sparse_bytes": sum(cache_bytes.scaled_bytes(g) for g in mixers if g.sparse_top_k and not g.window),
        "window_tokens": max(windows, default=np.inf),
        "sparse_top_k": max(top_k, default=np.inf),
        "state_heads": max((g.heads for g in model.attention if g.kind == "linear"), default=1),
        "state_bytes": model.state_bytes_per_request,
        "decode_macs_full": sum(decode_macs(g) for g in mixers if not g.window and not g.sparse_top_k),
        "decode_macs_window": sum(decode_macs(g) for g in mixers if g.window),
        "decode_macs_sparse": sum(decode_macs(g) for g in mixers if g.sparse_top_k and not g.window),
        "decode_macs_index": sum(index_macs(g) for g in mixers),
        "prefill_macs_full": sum(prefill_macs(g) for g in mixers if not g.window and not g.sparse_top_k),
        "prefill_macs_window": sum(prefill_macs(g) for g in mixers if g.window),
        "prefill_macs_sparse": sum(prefill_macs(g) for g in mixers if g.sparse_top_k and not g.window),
        "max_context_tokens": model.max_context_tokens,
    }
    scalars |= _memory_scalars(model, counts)
    columns = {name: np.asarray(float(value)) for name, value in scalars.items()}
    names = ("attention_weight_bytes", "ffn_weight_bytes", "expert_weight_bytes", "embedding_weight_bytes")
    columns["expert_padding"] = np.asarray([_padding(model.hidden_size, p.experts) for p in precisions])
    return ModelColumns(**columns, **dict(zip(names, bytes_per_weight, strict=True)))


def _memory_scalars(model: ModelSpec, counts: ParameterCounts) -> dict[str, float]:
    """Return what only the memory of a GPU needs."""
    h = model.hidden_size
    gqa = [group for group in model.attention if group.kind == "gqa"]
    mla = [group for group in model.attention if group.kind == "mla"]
    latents = sum(group.layers * _latent_parameters(group, h) for group in mla)
    in_flight, per_request = cache_bytes.pool_tokens(model.attention)
    return {
        "pool_tokens_in_flight": in_flight,
        "pool_tokens_per_request": per_request,
        "vocab_size": model.vocab_size,
        "kv_parameters": sum(group.layers * _key_value_parameters(group, h) for group in gqa),
        "replicated_parameters": counts.router + counts.norms + latents,
        "encoder_parameters": model.encoder_parameters,
        "block_width": max((block_width(group, h) for group in model.ffn), default=0.0),
    }


def block_width(group: FfnGroup, hidden_size: int) -> float:
    """Return the activations that a token needs at once in a feed-forward block, over all GPUs that share it.

    A gated block of width I holds both projections and their product, 3 I. An expert's projections and outputs take
    turns in one buffer beside the product: k (max(2 I, h) + I) for k experts.
    """
    projections = 2.0 if group.gated else 1.0
    if not group.experts:
        return (projections + 1.0) * group.intermediate_size
    wider = max(projections * group.intermediate_size, group.latent_size or hidden_size)
    return float(group.experts_per_token or 1) * (wider + group.intermediate_size)


def _padding(hidden_size: int, fmt: FormatSpec) -> float:
    """Return the size of experts in memory over that of their weights: kernels of some formats pad the hidden width."""
    multiple = fmt.hidden_size_multiple
    return math.ceil(hidden_size / multiple) * multiple / hidden_size


def _key_value_parameters(group: AttentionGroup, hidden_size: int) -> float:
    return float(hidden_size * group.kv_heads * (group.head_dim + (group.v_head_dim or group.head_dim)))


def _latent_parameters(group: AttentionGroup, hidden_size: int) -> float:
    """Return the weights of a layer that project to the latents of queries, keys and values, and of the indexer."""
    latents = (group.q_lora_rank or 0) + (group.kv_lora_rank or 0) + (group.qk_rope_head_dim or 0)
    return float(hidden_size * latents + indexer_parameters(group, hidden_size))


def kv_elements(group: AttentionGroup) -> float:
    """Return the KV-cache elements per token over a group's layers: K and V of each KV head, or one MLA latent.

    Layers that read the cache of an earlier layer add none.
    """
    if group.shares_cache:
        return 0.0
    if group.kind == "mla":
        return group.layers * ((group.kv_lora_rank or 0) + (group.qk_rope_head_dim or 0)) / group.compression
    value = 0 if group.shared_kv else group.v_head_dim or group.head_dim
    return group.layers * group.kv_heads * (group.head_dim + value) / group.compression


def prefill_macs(group: AttentionGroup) -> float:
    """Return multiply-adds per query token and token of context: scores and weighted values."""
    return group.layers * group.heads * (group.head_dim + (group.v_head_dim or group.head_dim)) / group.compression


def decode_macs(group: AttentionGroup) -> float:
    """Return multiply-adds per decoded token and token of context; MLA works on the latent (absorbed projections)."""
    if group.kind == "mla":
        latent, rope = group.kv_lora_rank or 0, group.qk_rope_head_dim or 0
        return group.layers * group.heads * (2 * latent + rope) / group.compression
    return prefill_macs(group)


def index_macs(group: AttentionGroup) -> float:
    """Return multiply-adds of the indexer per query token and token of context."""
    return group.layers * (group.index_heads or 0) * (group.index_head_dim or 0) / group.compression

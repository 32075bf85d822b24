"""Parameter counts of a model from the widths of its layers."""

from dataclasses import dataclass, fields

from planner.catalog.model import AttentionGroup, FfnGroup, ModelSpec

_GATED_MATRICES = 3
_PLAIN_MATRICES = 2


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters of a whole model by component; `total` is their sum."""

    attention: float
    """Projections of GQA and MLA layers, indexers included."""
    linear_attention: float
    """Layers with a recurrent state."""
    dense_ffn: float
    routed_experts: float
    shared_experts: float
    """Experts every token uses, and the projections into and out of the latent space of routed experts."""
    router: float
    embedding: float
    output_head: float
    """Zero where the head is the embedding."""
    norms: float
    other: float
    """Biases, gates and learned positions."""
    unread: float
    """Tables of per-layer embeddings, and what only images and speech use: in memory, not read by a step of text."""
    active_routed_experts: float
    """The part of `routed_experts` that one token uses."""

    @property
    def total(self) -> float:
        """All parameters."""
        parts = (getattr(self, f.name) for f in fields(self) if f.name != "active_routed_experts")
        return float(sum(parts))

    @property
    def active(self) -> float:
        """Parameters one token uses: of the routed experts only its top k.

        Notes
        -----
        The token embedding is counted although a token reads one row of it; publishers differ in this.
        """
        return self.total - self.unread - self.routed_experts + self.active_routed_experts


def count_parameters(model: ModelSpec) -> ParameterCounts:
    """Return the parameters of a model by component.

    Parameters
    ----------
    model : the model; multi-token-prediction layers and vision towers are no part of it.

    Returns
    -------
    Counts over all layers.

    Notes
    -----
    With hidden width h, vocabulary V, L mixers and F feed-forward blocks:

        total = sum of mixers + sum of blocks + V h (2 V h where the head is untied) + (L + F + 1) h + other

    where (L + F + 1) h are the norms before each mixer and block and the last one; MLA has two more, on
    its latents. The published totals of plain models come out exactly.

    References
    ----------
    Kaplan et al., "Scaling Laws for Neural Language Models", 2020, table 1 (dense blocks).
    DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1 (multi-head latent attention).

    Examples
    --------
    A Llama of one layer: attention 2 h h + 2 h kv, block 3 h f, embeddings 2 V h, norms 3 h.

    >>> from planner.catalog.model import WeightFormats
    >>> llama = ModelSpec(id="tiny", name="Tiny", family="llama", hidden_size=8, vocab_size=10, max_context_tokens=64,
    ...     attention=(AttentionGroup(kind="gqa", layers=1, heads=2, kv_heads=1, head_dim=4),),
    ...     ffn=(FfnGroup(layers=1, intermediate_size=16),), weights=WeightFormats(attention="bf16", ffn="bf16"))
    >>> count_parameters(llama).total == 2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16 + 2 * 10 * 8 + 3 * 8
    True
    """
    h = model.hidden_size
    softmax = [g for g in model.attention if g.kind != "linear"]
    linear = [g for g in model.attention if g.kind == "linear"]
    dense = [g for g in model.ffn if not g.experts]
    moe = [g for g in model.ffn if g.experts]
    blocks = sum(g.layers for g in model.attention) + sum(g.layers for g in model.ffn)
    latent_norms = sum(g.layers * ((g.q_lora_rank or 0) + (g.kv_lora_rank or 0)) for g in softmax)
    embedding = float(model.vocab_size * h)
    return ParameterCounts(
        attention=sum(g.layers * mixer_parameters(g, h) for g in softmax),
        linear_attention=sum(g.layers * mixer_parameters(g, h) for g in linear),
        dense_ffn=sum(g.layers * _matrices(g, h, g.intermediate_size) for g in dense),
        routed_experts=sum(g.layers * (g.experts or 0) * _expert(g, h) for g in moe),
        shared_experts=sum(g.layers * _every_token(g, h) for g in moe),
        router=float(sum(g.layers * h * (g.experts or 0) for g in moe)),
        embedding=embedding,
        output_head=0.0 if model.tied_embeddings else embedding,
        norms=float((blocks + 1) * h + latent_norms),
        other=model.other_parameters + model.learned_positions * h,
        unread=model.per_layer_embedding_parameters + model.unread_parameters,
        active_routed_experts=sum(g.layers * (g.experts_per_token or 0) * _expert(g, h) for g in moe),
    )


def mixer_parameters(group: AttentionGroup, hidden_size: int) -> float:
    """Return the weights of one layer's token mixer, without norms and biases.

    Parameters
    ----------
    group : the layer's widths.
    hidden_size : h, width of the residual stream.

    Notes
    -----
    GQA with H query heads, G KV heads, key width d and value width v:
    `h H d + h G (d + v) + H v h`.
    MLA with query rank a, latent rank r, rope width p, and d = nope + p:
    `h a + a H d + h (r + p) + r H (nope + v) + H v h`; without a query rank the first two are `h H d`.
    An indexer with I heads of width i reads the query latent (or h): `a I i + h i + h I`.
    `parameters_per_layer` stands for all of this where it is given.
    """
    if group.parameters_per_layer is not None:
        return group.parameters_per_layer
    h, heads = hidden_size, group.heads
    value = group.v_head_dim or group.head_dim
    query = _query(group, h, heads * group.head_dim)
    if group.kind == "mla":
        rank, rope = group.kv_lora_rank or 0, group.qk_rope_head_dim or 0
        keys_values = h * (rank + rope) + rank * heads * (group.head_dim - rope + value)
    else:
        keys_values = h * group.kv_heads * (group.head_dim + value)
    return float(query + keys_values + heads * value * h + indexer_parameters(group, h))


def _query(group: AttentionGroup, h: int, width: int) -> int:
    rank = group.q_lora_rank
    return h * rank + rank * width if rank else h * width


def indexer_parameters(group: AttentionGroup, h: int) -> int:
    """Return the weights of a sparse layer's indexer; zero where a layer has none."""
    heads, width = group.index_heads or 0, group.index_head_dim or 0
    return (group.q_lora_rank or h) * heads * width + h * (width + heads)


def _matrices(group: FfnGroup, width: int, intermediate: int) -> float:
    """Return the weights of one feed-forward block that works on `width`: two or three matrices, and biases."""
    matrices = _GATED_MATRICES if group.gated else _PLAIN_MATRICES
    biases = (matrices - 1) * intermediate + width if group.bias else 0
    return float(matrices * width * intermediate + biases)


def _expert(group: FfnGroup, h: int) -> float:
    return _matrices(group, group.latent_size or h, group.intermediate_size)


def _every_token(group: FfnGroup, h: int) -> float:
    shared = group.shared_experts * _matrices(group, h, group.shared_intermediate_size or group.intermediate_size)
    return shared + 2.0 * h * (group.latent_size or 0)

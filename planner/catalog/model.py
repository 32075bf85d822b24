"""Spec of a language model, as groups of equal layers: a hybrid model is several groups."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.documents.length import AnyLength
from planner.documents.spec import Confidence, Count, FileSpec, Positive, Spec

Reasoning = Literal["none", "hybrid", "always"]
"""Whether the model thinks before it answers: never, on request, always."""


class AttentionGroup(Spec):
    """Layers with the same token mixer."""

    kind: Literal["gqa", "mla", "linear"]
    """gqa covers MHA and MQA; linear is any recurrent mixer with a constant state (DeltaNet, Mamba-2, KDA)."""
    layers: Count
    heads: Count
    """Query heads (value heads of a linear mixer)."""
    kv_heads: Count = 1
    """KV heads of gqa; MLA keeps one latent for all heads. Key heads (DeltaNet) or groups (Mamba-2) of a linear mixer,
    one where they are as many as `heads`."""
    head_dim: Count
    """Width of one query/key head (MLA: qk_nope + qk_rope)."""
    v_head_dim: Count | None = None
    """Width of one value head where it differs from head_dim."""
    window: Count | None = None
    """Sliding-window or chunked attention: tokens of context that a layer sees and caches."""
    q_lora_rank: Count | None = None
    kv_lora_rank: Count | None = None
    qk_rope_head_dim: Annotated[int, Field(ge=0)] | None = None
    sparse_top_k: Count | None = None
    """Sparse attention: tokens of context that the indexer selects; the cache still holds all tokens."""
    index_heads: Count | None = None
    index_head_dim: Count | None = None
    """Width of the indexer's key, cached per token; absent where a layer reuses the selection of another layer."""
    compression: Count = 1
    """Tokens of context that share one cache entry (compressed attention), the indexer's key included."""
    compressor_tokens: Count | None = None
    """Tokens whose uncompressed states (32-bit keys and scores) wait for their entry: `compression`, twice that where
    entries overlap."""
    local_window: Count | None = None
    """Tokens of plain context that a compressed layer caches beside its entries; part of `state_elements`."""
    sinks: bool = False
    """Whether every head has a learned sink logit (gpt-oss), which not every attention kernel takes."""
    shared_kv: bool = False
    """Whether one cached vector is both key and value."""
    shares_cache: bool = False
    """Whether these layers read the cache of an earlier layer and add nothing to it (Gemma 3n, Gemma 4)."""
    state_elements: Count | None = None
    """State of one sequence in one layer, independent of its length: recurrent state and convolution inputs."""
    state_bytes_per_element: Positive = 2.0
    parameters_per_layer: Positive | None = None
    """Weights of one layer with its indexer, where the widths do not determine them (linear mixers, gates)."""

    @model_validator(mode="after")
    def _complete(self) -> "AttentionGroup":
        if self.kind == "mla" and (self.kv_lora_rank is None or self.qk_rope_head_dim is None):
            raise ValueError("an mla group needs kv_lora_rank and qk_rope_head_dim")
        if self.kind == "linear" and (self.state_elements is None or self.parameters_per_layer is None):
            raise ValueError("a linear group needs state_elements and parameters_per_layer")
        return self


class FfnGroup(Spec):
    """Layers with the same feed-forward block; dense where `experts` is absent."""

    layers: Count
    intermediate_size: Count
    """Width of a dense block, or of one expert."""
    gated: bool = True
    """Three matrices (as in SwiGLU) instead of two."""
    bias: bool = False
    """Whether every matrix has a bias vector."""
    experts: Count | None = None
    experts_per_token: Count | None = None
    shared_experts: Annotated[int, Field(ge=0)] = 0
    shared_intermediate_size: Count | None = None
    """Width of one shared expert where it differs."""
    latent_size: Count | None = None
    """Width the routed experts work in where it is below hidden_size (latent MoE)."""

    @model_validator(mode="after")
    def _complete(self) -> "FfnGroup":
        if (self.experts is None) != (self.experts_per_token is None):
            raise ValueError("experts and experts_per_token must be given together")
        if self.experts is not None and self.experts_per_token is not None and self.experts_per_token > self.experts:
            raise ValueError("experts_per_token is larger than experts")
        return self


class WeightFormats(Spec):
    """Number format of the published weights, by component (names of hardware/formats.yaml)."""

    attention: str
    ffn: str
    """Dense feed-forward blocks and shared experts."""
    experts: str | None = None
    """Routed experts; the format of `ffn` where absent."""
    embedding: str = "bf16"
    """Token embedding and output head."""


class ModelSpec(FileSpec):
    """One language model (text, decoder only)."""

    id: str
    name: str
    hf_id: str | None = None
    aliases: tuple[str, ...] = ()
    family: str
    reasoning: Reasoning = "none"
    released: str | None = None
    """Year or year-month."""
    hidden_size: Count
    vocab_size: Count
    max_context_tokens: Count
    attention: Annotated[tuple[AttentionGroup, ...], Field(min_length=1)]
    ffn: tuple[FfnGroup, ...] = ()
    tied_embeddings: bool = False
    learned_positions: Annotated[int, Field(ge=0)] = 0
    """Learned position vectors (GPT-2)."""
    other_parameters: Annotated[float, Field(ge=0)] = 0.0
    """Weights read in every step that no other field counts (biases, gates), over all layers."""
    per_layer_embedding_parameters: Annotated[float, Field(ge=0)] = 0.0
    """Table of per-layer embeddings (Gemma 3n, Gemma 4): a token reads one row; some engines keep it in host memory."""
    unread_parameters: Annotated[float, Field(ge=0)] = 0.0
    """Weights that text tokens never use (experts for images, adapters for images and speech): held in memory."""
    encoder_parameters: Annotated[float, Field(ge=0)] = 0.0
    """Weights of vision and audio encoders and their projectors, held in memory beside the language model."""
    weights: WeightFormats
    kv_cache_format: str | None = None
    """Format of the KV cache that the checkpoint asks for (names of hardware/formats.yaml), which engines then use."""
    parameters_total: Positive | None = None
    """Published total, for comparison only."""
    parameters_active: Positive | None = None
    """Published parameters active per token, for comparison only."""
    effort_multipliers: dict[str, float] = Field(default_factory=dict)
    """Measured reasoning multiplier by effort level; the file names the source of each level."""
    effort_generated_tokens: dict[str, AnyLength] = Field(default_factory=dict)
    """Generated tokens by effort level, reasoning and answer together, where only this total was measured."""
    confidence: Confidence = "high"
    notes: str | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> "ModelSpec":
        if twice := self.effort_multipliers.keys() & self.effort_generated_tokens.keys():
            raise ValueError(f"effort {min(twice)} has a multiplier and generated tokens; expected one of them")
        return self

    @property
    def cache_format(self) -> str:
        """Format of the KV cache where the user names none: the checkpoint's own, else 16 bit."""
        return self.kv_cache_format or "bf16"

    @property
    def architecture(self) -> str:
        """Its kinds of layers, e.g. dense, moe, moe+mla+sparse. Models with equal architecture behave alike."""
        parts = {
            "mla": any(g.kind == "mla" for g in self.attention),
            "sparse": any(g.sparse_top_k for g in self.attention),
            "linear": any(g.kind == "linear" for g in self.attention),
            "window": any(g.window for g in self.attention),
        }
        blocks = "moe" if any(g.experts for g in self.ffn) else "dense"
        return "+".join([blocks, *(name for name, has in parts.items() if has)])

    @property
    def state_bytes_per_request(self) -> float:
        """Recurrent state and convolution inputs of one request over all layers [bytes], whatever its length."""
        return float(sum(g.layers * (g.state_elements or 0) * g.state_bytes_per_element for g in self.attention))

    @property
    def layers(self) -> int:
        """Depth: the larger of mixer and feed-forward layers (hybrids interleave them)."""
        return max(sum(g.layers for g in self.attention), sum(g.layers for g in self.ffn))

"""Parameter counts and cache sizes against published figures and arithmetic by hand."""

from pathlib import Path

import pytest

from planner.catalog.model import AttentionGroup, FfnGroup, ModelSpec, WeightFormats
from planner.catalog.parameters import ParameterCounts, count_parameters, mixer_parameters
from planner.documents.spec import load
from planner.documents.yaml_reader import read_document
from planner.options.lowering_model import index_macs, kv_elements

MODELS = Path(__file__).resolve().parents[2] / "scenarios" / "models"
GIB = 2**30


def shipped(name: str) -> ModelSpec:
    """Return a model of the catalogue."""
    return load(ModelSpec, read_document(MODELS / f"{name}.yaml")).spec


def counts(name: str) -> ParameterCounts:
    """Return the counts of a model of the catalogue."""
    return count_parameters(shipped(name))


def small(attention: AttentionGroup, *ffn: FfnGroup, tied: bool = False) -> ModelSpec:
    """Return a model of hidden width 8 and 10 words."""
    return ModelSpec(
        id="small",
        name="Small",
        family="test",
        hidden_size=8,
        vocab_size=10,
        max_context_tokens=64,
        attention=(attention,),
        ffn=ffn,
        tied_embeddings=tied,
        weights=WeightFormats(attention="bf16", ffn="bf16"),
    )


GQA = AttentionGroup(kind="gqa", layers=1, heads=2, kv_heads=1, head_dim=4)


def test_gpt2_has_124439808_parameters() -> None:
    """GPT-2's published count, biases and learned positions included; 124,337,664 without biases."""
    found = counts("gpt2")
    biases = 12 * (3 * 768 + 768 + 4 * 768 + 768) + 25 * 768
    assert found.total == 124_439_808
    assert found.total - biases == 124_337_664


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("llama-3.1-405b", 405_853_388_800),
        ("llama-2-13b", 13_015_864_320),
        ("gpt-j-6b", 6_050_882_784),
        ("mistral-7b", 7_248_023_552),
        ("mixtral-8x7b", 46_702_792_704),
        ("qwen3-30b-a3b", 30_532_122_624),
        ("deepseek-v3", 671_026_419_200),
        ("falcon-180b", 179_522_565_120),
    ],
)
def test_totals_are_exact(name: str, published: int) -> None:
    """The counts are those of the published safetensors files, to the last parameter."""
    assert counts(name).total == published


@pytest.mark.parametrize(
    ("name", "billions", "tolerance"),
    [("deepseek-v3", 37, 0.02), ("mixtral-8x7b", 12.9, 0.01), ("qwen3-30b-a3b", 3.3, 0.02), ("kimi-k2", 32, 0.03)],
)
def test_active_parameters(name: str, billions: float, tolerance: float) -> None:
    """Of the routed experts only the top k count: the published active parameters come out."""
    assert counts(name).active / 1e9 == pytest.approx(billions, rel=tolerance)


def test_gpt_oss_counts_active_parameters_without_the_embedding() -> None:
    """The model card's 5.13 B (120b) and 3.61 B (20b) leave out the embedding table."""
    for name, billions in (("gpt-oss-120b", 5.13), ("gpt-oss-20b", 3.61)):
        found = counts(name)
        assert (found.active - found.embedding) / 1e9 == pytest.approx(billions, rel=0.005)


def test_dense_models_are_all_active() -> None:
    """Without experts every parameter is active."""
    found = counts("llama-3.1-8b")
    assert found.active == found.total


def test_total_is_the_sum_of_the_parts() -> None:
    """Nothing is counted twice: the ten components add up."""
    c = counts("qwen3.5-397b-a17b")
    parts = (c.attention, c.linear_attention, c.dense_ffn, c.routed_experts, c.shared_experts, c.router, c.embedding)
    assert c.total == sum((*parts, c.output_head, c.norms, c.other))
    assert all(part > 0 for part in (c.attention, c.linear_attention, c.routed_experts, c.shared_experts, c.router))


def test_a_tied_head_is_counted_once() -> None:
    """An untied model is larger by vocabulary times width."""
    ffn = FfnGroup(layers=1, intermediate_size=16)
    untied, tied = count_parameters(small(GQA, ffn)), count_parameters(small(GQA, ffn, tied=True))
    assert untied.total - tied.total == 10 * 8
    assert tied.output_head == 0


def test_norms_precede_each_mixer_and_block() -> None:
    """Two norms a layer and the last one: 3 x 8 in a model of one layer."""
    assert count_parameters(small(GQA, FfnGroup(layers=1, intermediate_size=16))).norms == 3 * 8


def test_mla_by_hand() -> None:
    """DeepSeek-V3: 187,105,280 weights of attention in a layer (DeepSeek-V2 paper, section 2.1, with its sizes)."""
    (group,) = shipped("deepseek-v3").attention
    query = 7168 * 1536 + 1536 * 128 * 192
    keys_values = 7168 * (512 + 64) + 512 * 128 * (128 + 128)
    assert mixer_parameters(group, 7168) == query + keys_values + 128 * 128 * 7168 == 187_105_280


def test_mla_without_a_query_rank() -> None:
    """DeepSeek-V2-Lite projects queries from the hidden state."""
    (group,) = shipped("deepseek-v2-lite").attention
    assert group.q_lora_rank is None
    assert mixer_parameters(group, 2048) == 2048 * 16 * 192 + 2048 * 576 + 512 * 16 * 256 + 16 * 128 * 2048


def test_the_indexer_is_counted() -> None:
    """DeepSeek-V3.2 adds an indexer to V3: 1,536 x 64 x 128 + 7,168 x 128 + 7,168 x 64 weights in each of 61 layers."""
    extra = counts("deepseek-v3.2").attention - counts("deepseek-v3").attention
    assert extra == 61 * (1536 * 64 * 128 + 7168 * 128 + 7168 * 64)


def test_given_weights_of_a_layer_replace_the_formula() -> None:
    """parameters_per_layer stands for the whole mixer."""
    group = GQA.model_copy(update={"parameters_per_layer": 1000.0})
    assert count_parameters(small(group)).attention == 1000


def test_latent_experts_work_on_a_narrower_width() -> None:
    """Latent MoE: experts on 4 instead of 8, the router and the shared expert on 8, and a projection down and up."""
    moe = FfnGroup(layers=1, intermediate_size=6, experts=5, experts_per_token=2, shared_experts=1, latent_size=4)
    found = count_parameters(small(GQA, moe))
    assert found.routed_experts == 5 * 3 * 4 * 6
    assert found.active_routed_experts == 2 * 3 * 4 * 6
    assert found.shared_experts == 3 * 8 * 6 + 2 * 8 * 4
    assert found.router == 8 * 5


def test_plain_blocks_have_two_matrices_and_biases_where_they_say_so() -> None:
    """GPT-2's block: 2 x 8 x 32 weights, 32 + 8 biases."""
    block = FfnGroup(layers=1, intermediate_size=32, gated=False, bias=True)
    assert count_parameters(small(GQA, block)).dense_ffn == 2 * 8 * 32 + 32 + 8


def test_llama2_13b_cache_of_8192_tokens() -> None:
    """40 layers x 40 heads x 128 x (K and V) x 8,192 tokens x 2 bytes = 6,710,886,400 bytes."""
    (group,) = shipped("llama-2-13b").attention
    assert kv_elements(group) * 8192 * 2 == 6_710_886_400


def test_deepseek_caches_one_latent() -> None:
    """61 layers x (512 + 64) = 35,136 elements a token, 70,272 bytes in bf16 (DeepSeek-V3 open-source week)."""
    (group,) = shipped("deepseek-v3").attention
    assert kv_elements(group) == 35_136


def test_deepseek_v4_cache_of_a_million_tokens() -> None:
    """The vLLM blog of 2026-04-24 gives 9.62 GiB in bf16 for 1,048,576 tokens of DeepSeek-V4-Pro."""
    groups = shipped("deepseek-v4-pro").attention
    index = sum(g.layers * (g.index_head_dim or 0) / g.compression for g in groups)
    elements = sum(kv_elements(g) for g in groups) + index
    assert elements * 2 * 1_048_576 / GIB == pytest.approx(9.62, abs=0.005)


def test_compression_divides_the_indexers_work() -> None:
    """An indexer that sees one key per 4 tokens does a quarter of the multiply-adds per token."""
    group = AttentionGroup(
        kind="gqa", layers=2, heads=8, head_dim=64, index_heads=4, index_head_dim=16, sparse_top_k=64
    )
    assert index_macs(group) == 2 * 4 * 16
    assert index_macs(group.model_copy(update={"compression": 4})) == 2 * 4 * 16 / 4


def test_windows_and_states_keep_hybrids_small() -> None:
    """Only 12 of gpt-oss-20b's 24 layers and 10 of Qwen3.5-35B's 40 grow with the context."""
    oss = [g for g in shipped("gpt-oss-20b").attention if g.window is None]
    qwen = [g for g in shipped("qwen3.5-35b-a3b").attention if g.kind == "gqa"]
    assert [g.layers for g in oss] == [12]
    assert [g.layers for g in qwen] == [10]


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.yaml")), ids=lambda p: p.stem)
def test_active_is_never_more_than_total(path: Path) -> None:
    """Every shipped model has positive counts, and no more active parameters than it has."""
    found = counts(path.stem)
    assert 0 < found.active <= found.total
    assert found.active_routed_experts <= found.routed_experts

"""Hugging Face configs: real ones give the published sizes, bad ones one clear sentence."""

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.huggingface.config import checkpoint_name, model_from_config, read_config
from planner.catalog.model import ModelSpec
from planner.catalog.parameters import count_parameters
from planner.documents.spec import load
from planner.documents.yaml_reader import Document, read_document
from planner.errors import BadInputError

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "tests" / "data" / "hf"
MODELS = sorted((ROOT / "scenarios" / "models").glob("*.yaml"))
NOT_AT_HAND = "aiconfigurator-core is not installed; pip install 'inference-planner[validation]'"

PUBLISHED = {
    # config: billions of parameters, where they are published
    "meta-llama--Meta-Llama-3.1-8B": (8.03, "Hugging Face, safetensors"),
    "meta-llama--Meta-Llama-3.1-70B": (70.6, "Hugging Face, safetensors"),
    "meta-llama--Meta-Llama-3.1-405B": (405.9, "Hugging Face, safetensors"),
    "nvidia--Llama-3.1-70B-Instruct-FP8": (70.6, "Hugging Face, safetensors of the original"),
    "meta-llama--Llama-4-Maverick-17B-128E-Instruct": (400, "Meta, Llama 4 model card"),
    "Qwen--Qwen3-0.6B": (0.6, "Qwen3 model card"),
    "Qwen--Qwen3-8B": (8.2, "Qwen3 model card"),
    "Qwen--Qwen3-14B": (14.8, "Qwen3 model card"),
    "Qwen--Qwen3-32B": (32.8, "Qwen3 model card"),
    "Qwen--Qwen3-32B-FP8": (32.8, "Qwen3 model card"),
    "Qwen--Qwen3-30B-A3B": (30.5, "Qwen3 model card"),
    "Qwen--Qwen3-235B-A22B": (235, "Qwen3 model card"),
    "Qwen--Qwen3-Coder-480B-A35B-Instruct": (480, "Qwen3-Coder model card"),
    "Qwen--Qwen3-Next-80B-A3B-Instruct": (80, "Qwen3-Next model card"),
    "Qwen--Qwen3.5-27B": (27, "Qwen3.5 model card"),
    "Qwen--Qwen3.5-122B-A10B": (122, "Qwen3.5 model card"),
    "Qwen--Qwen3.5-397B-A17B": (397, "Qwen3.5 model card"),
    "Qwen--QwQ-32B": (32.8, "QwQ model card"),
    "deepseek-ai--DeepSeek-V3": (671, "DeepSeek-V3 report, arXiv:2412.19437"),
    "deepseek-ai--DeepSeek-R1": (671, "DeepSeek-R1 model card"),
    "deepseek-ai--DeepSeek-V2-Lite": (15.7, "DeepSeek-V2-Lite model card"),
    "moonshotai--Kimi-K2-Instruct": (1026, "Hugging Face, safetensors"),
    "moonshotai--Kimi-K2.5": (1026, "Hugging Face, safetensors, text part"),
    "moonshotai--Kimi-K3": (2800, "vLLM blog of 2026-07-22"),
    "openai--gpt-oss-20b": (20.91, "gpt-oss model card, arXiv:2508.10925, table 1"),
    "openai--gpt-oss-120b": (116.83, "gpt-oss model card, arXiv:2508.10925, table 1"),
    "zai-org--GLM-4.5": (355, "GLM-4.5 report, arXiv:2508.06471"),
    "zai-org--GLM-4.5-Air": (106, "GLM-4.5 report, arXiv:2508.06471"),
    "zai-org--GLM-5": (744, "GLM-5 model card"),
    "MiniMaxAI--MiniMax-M2.5": (230, "MiniMax-M2 model card"),
    "mistralai--Mixtral-8x7B-v0.1": (46.7, "Mixtral report, arXiv:2401.04088"),
    "mistralai--Mixtral-8x22B-v0.1": (140.6, "Hugging Face, safetensors"),
    "mistralai--Mistral-7B-v0.3": (7.25, "Hugging Face, safetensors"),
    "mistralai--Mistral-Small-24B-Instruct-2501": (23.6, "Hugging Face, safetensors"),
    "mistralai--Mistral-Large-Instruct-2407": (123, "Mistral Large 2 announcement"),
    "google--gemma-2-9b-it": (9.24, "Hugging Face, safetensors"),
    "google--gemma-3-12b-it": (11.8, "Gemma 3 report, text part"),
    "microsoft--phi-4": (14.7, "Hugging Face, safetensors"),
    "meta-llama--Llama-2-7b-hf": (6.74, "Hugging Face, safetensors"),
    "meta-llama--Llama-2-13b-hf": (13.02, "Hugging Face, safetensors"),
    "meta-llama--Llama-2-70b-chat-hf": (68.98, "Hugging Face, safetensors"),
    "EleutherAI--gpt-j-6b": (6.05, "GPT-J model card"),
    "tiiuae--falcon-180B": (179.5, "Hugging Face, safetensors"),
    "tiiuae--falcon-7b": (7.22, "Hugging Face, safetensors"),
    "openai-community--gpt2": (0.124, "Hugging Face, safetensors"),
    "nvidia--NVIDIA-Nemotron-Nano-9B-v2": (8.9, "Nemotron Nano 2 report, arXiv:2508.14444"),
    "nvidia--NVIDIA-Nemotron-Nano-12B-v2": (12.3, "Nemotron Nano 2 report, arXiv:2508.14444"),
    "nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": (31.6, "Nemotron 3 Nano model card"),
    "nvidia--NVIDIA-Nemotron-3-Super-120B-A12B-FP8": (120, "Nemotron 3 Super model card"),
    "nvidia--Llama-3_3-Nemotron-Super-49B-v1": (49.9, "Hugging Face, safetensors"),
    "Qwen--Qwen3.8-27B": (26.895998464, "text tensors of the checkpoint"),
    "deepseek-ai--DeepSeek-OCR": (2.93473408, "tensors of its language model"),
    "stepfun-ai--Step-3.5-Flash": (196, "Step-3.5-Flash model card"),
    "XiaomiMiMo--MiMo-V2-Flash": (309, "MiMo-V2-Flash model card"),
}

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 100,
    "max_position_embeddings": 512,
}


@cache
def folders() -> tuple[Path, ...]:
    """Return the folders with real configs: ours, and that of aiconfigurator-core where it is installed."""
    spec = find_spec("aiconfigurator_core")
    own = Path(str(spec.origin)).parent / "model_configs" if spec else None
    return (OWN, own) if own and own.is_dir() else (OWN,)


def config_path(name: str) -> Path | None:
    """Return a real config by its stem, or None where it is not at hand."""
    return next((p for f in folders() if (p := f / f"{name}_config.json").is_file()), None)


def spec_of(config: dict[str, Any], **more: Any) -> ModelSpec:
    """Return the model of a config given as a mapping."""
    data = model_from_config(config, name="owner/Model", **more)
    return load(ModelSpec, Document(data, "config.json", source_names={(): "config"})).spec


def refused(tmp_path: Path, content: str) -> str:
    """Return the message for a config.json with this content, with the file's own path shortened."""
    path = tmp_path / "config.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        read_config(path)
    return str(caught.value).replace(str(path), "config.json")


def llama(**changes: Any) -> str:
    """Return a small Llama config with changes; None takes a field out."""
    return json.dumps({k: v for k, v in {**LLAMA, **changes}.items() if v is not None}, indent=2)


def test_the_configs_of_aiconfigurator_read() -> None:
    """At least 85 real configs become models; one that cannot be read says why in a sentence, without a traceback."""
    pytest.importorskip("aiconfigurator_core", reason=NOT_AT_HAND)
    read, refusals = 0, []
    for path in sorted(folders()[1].glob("*_config.json")):
        if "hf_quant" in path.name:
            continue
        try:
            spec = read_config(path).spec
        except BadInputError as error:
            refusals.append(str(error))
        else:
            read += 1
            assert count_parameters(spec).total > 1e8, path.name
    assert read >= 85
    assert all(re.search(r": .+; expected ", line) for line in refusals)


@pytest.mark.parametrize("name", PUBLISHED)
def test_totals_are_within_one_percent_of_the_published_ones(name: str) -> None:
    """The sizes of a config add up to the parameters its publisher counts."""
    path = config_path(name)
    if path is None:
        pytest.skip(NOT_AT_HAND)
    total = count_parameters(read_config(path).spec).total
    assert total / 1e9 == pytest.approx(PUBLISHED[name][0], rel=0.01)


def test_enough_totals_are_checked() -> None:
    """At least 25 plain models stand in the table."""
    assert len(PUBLISHED) >= 25


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_shipped_files_agree_with_the_config_read_afresh(path: Path) -> None:
    """A model of the catalogue has the counts of the config.json its source names."""
    loaded = load(ModelSpec, read_document(path))
    found = re.match(r"config\.json of (\S+) on Hugging Face", loaded.spec.sources["config"].title)
    assert found
    config = config_path(found[1].replace("/", "--"))
    if config is None:
        pytest.skip(NOT_AT_HAND)
    fresh = read_config(config).spec
    assert count_parameters(loaded.spec) == count_parameters(fresh)
    assert loaded.spec.attention == fresh.attention
    assert loaded.spec.ffn == fresh.ffn


def test_a_config_says_where_its_numbers_come_from() -> None:
    """The one source is the file, its date that of the reader's check, so the same file gives the same output."""
    loaded = read_config(OWN / "openai-community--gpt2_config.json")
    source = loaded.source("hidden_size")
    assert source is not None
    assert source.title.startswith("Hugging Face config.json ")
    assert source == read_config(OWN / "openai-community--gpt2_config.json").source("vocab_size")


@pytest.mark.parametrize(
    ("path", "config", "expected"),
    [
        ("Qwen--Qwen3-8B_config.json", {}, "Qwen/Qwen3-8B"),
        ("models/Qwen3-8B/config.json", {}, "Qwen3-8B"),
        ("config.json", {"_name_or_path": "meta-llama/Llama-3.1-8B"}, "meta-llama/Llama-3.1-8B"),
        ("Qwen3-8B/config.json", {"_name_or_path": "/checkpoints/last"}, "Qwen3-8B"),
        ("mine.json", {}, "mine"),
    ],
)
def test_names(path: str, config: dict[str, Any], expected: str) -> None:
    """A checkpoint is named by its file, by itself, or by its folder."""
    assert checkpoint_name(Path(path), config) == expected


def test_gpt2_spellings() -> None:
    """n_embd, n_layer, n_head and a missing n_inner: 12 layers of 12 heads and 4 x 768, learned positions, tied."""
    spec = read_config(OWN / "openai-community--gpt2_config.json").spec
    assert (spec.hidden_size, spec.layers, spec.learned_positions, spec.tied_embeddings) == (768, 12, 1024, True)
    assert spec.attention[0].kv_heads == spec.attention[0].heads == 12
    assert (spec.ffn[0].intermediate_size, spec.ffn[0].gated) == (3072, False)


def test_falcon_generations() -> None:
    """Falcon-7B is multi-query; Falcon-180B, of the new decoder architecture, has 8 KV heads."""
    old = read_config(OWN / "tiiuae--falcon-7b_config.json").spec.attention[0]
    new = read_config(OWN / "tiiuae--falcon-180B_config.json").spec.attention[0]
    assert (old.heads, old.kv_heads, new.heads, new.kv_heads) == (71, 1, 232, 8)


@pytest.mark.parametrize(
    ("name", "windowed", "full", "window"),
    [
        ("google--gemma-3-27b-it", 52, 10, 1024),
        ("google--gemma-3-12b-it", 40, 8, 1024),
        ("google--gemma-2-9b-it", 21, 21, 4096),
        ("openai--gpt-oss-120b", 18, 18, 128),
        ("meta-llama--Llama-4-Scout-17B-16E-Instruct", 36, 12, 8192),
        ("XiaomiMiMo--MiMo-V2-Flash", 39, 9, 128),
    ],
)
def test_sliding_and_chunked_layers(name: str, windowed: int, full: int, window: int) -> None:
    """Patterns by model class, by layer_types and by 0/1 lists give the published mix of local and global layers."""
    path = config_path(name)
    if path is None:
        pytest.skip(NOT_AT_HAND)
    groups = read_config(path).spec.attention
    assert sum(g.layers for g in groups if g.window == window) == windowed
    assert sum(g.layers for g in groups if g.window is None) == full


def test_a_window_that_is_off_is_no_window() -> None:
    """QwQ's config carries sliding_window 32,768 with use_sliding_window false; Mistral's alone is on."""
    (group,) = read_config(OWN / "Qwen--QwQ-32B_config.json").spec.attention
    assert group.window is None
    (group,) = spec_of({**LLAMA, "model_type": "mistral", "sliding_window": 128}).attention
    assert group.window == 128
    (group,) = spec_of({**LLAMA, "model_type": "mistral", "sliding_window": 512}).attention
    assert group.window is None


def test_hybrids_by_pattern() -> None:
    """Nemotron Nano 9B v2: 27 Mamba-2 layers, 4 of attention, 25 plain blocks; Qwen3-Next: 36 linear, 12 full."""
    nano = read_config(OWN / "nvidia--NVIDIA-Nemotron-Nano-9B-v2_config.json").spec
    assert [(g.kind, g.layers) for g in nano.attention] == [("linear", 27), ("gqa", 4)]
    assert [(g.layers, g.gated) for g in nano.ffn] == [(25, False)]
    qwen = read_config(OWN / "Qwen--Qwen3-Next-80B-A3B-Instruct_config.json").spec
    assert [(g.kind, g.layers) for g in qwen.attention] == [("linear", 36), ("gqa", 12)]
    state = 32 * 128 * 128 + (2 * 16 * 128 + 32 * 128) * 3
    assert qwen.attention[0].state_elements == state


def test_dense_layers_before_experts() -> None:
    """GLM-4.5 has 3 dense layers before 89 with 160 experts and a shared one; DeepSeek-V2-Lite two shared ones."""
    glm = read_config(OWN / "zai-org--GLM-4.5_config.json").spec
    assert [(g.layers, g.experts, g.shared_experts) for g in glm.ffn] == [(3, None, 0), (89, 160, 1)]
    lite = read_config(OWN / "deepseek-ai--DeepSeek-V2-Lite_config.json").spec
    assert [(g.layers, g.experts, g.shared_experts) for g in lite.ffn] == [(1, None, 0), (26, 64, 2)]


@pytest.mark.parametrize(
    ("fields", "moe_layers"),
    [
        ({"mlp_only_layers": [1], "decoder_sparse_step": 1}, 3),
        ({"decoder_sparse_step": 2}, 2),
        ({"interleave_moe_layer_step": 4}, 1),
        ({"moe_layer_freq": [0, 1, 1, 0]}, 2),
        ({"moe_layer_freq": 2, "first_k_dense_replace": 1}, 1),
        ({"mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}, 3),
        ({"moe_layers_enum": "2,3"}, 2),
    ],
)
def test_which_layers_have_experts(fields: dict[str, Any], moe_layers: int) -> None:
    """Each of the ways configs name the layers with experts."""
    experts = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "num_hidden_layers": 4}
    spec = spec_of({**LLAMA, **experts, **fields})
    assert sum(g.layers for g in spec.ffn if g.experts) == moe_layers
    assert sum(g.layers for g in spec.ffn) == 4


def test_experts_with_a_list_per_layer() -> None:
    """Hunyuan-A13B lists the width, the choices and the shared experts of each layer: none are experts for images."""
    experts = {"num_experts": 8, "moe_topk": [2, 2], "moe_intermediate_size": [32, 48], "num_shared_expert": [1, 1]}
    spec = spec_of({**LLAMA, **experts})
    assert [(g.layers, g.intermediate_size, g.shared_experts) for g in spec.ffn] == [(1, 32, 1), (1, 48, 1)]
    assert spec.unread_parameters == 0


def test_layers_for_images_are_held_but_not_read() -> None:
    """Llama-3.2-11B-Vision: 9.78e9 parameters of text, 8 of 40 layers attend to images alone and cache no text."""
    config = {"model_type": "mllama", "architectures": ["MllamaForConditionalGeneration"], "text_config": {}}
    text = {"model_type": "mllama_text_model", "num_hidden_layers": 40, "vocab_size": 128256}
    spec = spec_of({**config, "text_config": text})
    total = count_parameters(spec).total
    # A layer: queries and output 4096^2 each, keys and values 4096 x 1024 each, three matrices of 4096 x 14336.
    layer = 2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336
    assert sum(group.layers for group in spec.attention) == 32
    assert spec.unread_parameters == pytest.approx(8 * layer, rel=1e-3)
    assert total == pytest.approx(40 * layer + 2 * 128256 * 4096, rel=1e-3)


def test_experts_for_images_count_as_their_class_counts_them() -> None:
    """ERNIE-4.5-VL-28B-A3B: transformers builds 28,624,635,776 parameters of text, and 0.77e9 of vision beside them."""
    config = {
        "model_type": "ernie4_5_moe_vl",
        "architectures": ["Ernie4_5_VLMoeForConditionalGeneration"],
        "hidden_size": 2560,
        "intermediate_size": 12288,
        "moe_intermediate_size": [1536, 512],
        "num_hidden_layers": 28,
        "num_attention_heads": 20,
        "num_key_value_heads": 4,
        "vocab_size": 103424,
        "moe_k": 6,
        "moe_num_experts": [64, 64],
        "moe_num_shared_experts": 2,
        "moe_layer_start_index": [1, 1],
        "moe_layer_end_index": [29, 28],
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
    }
    assert count_parameters(spec_of(config)).total == pytest.approx(28_624_635_776, rel=1e-5)


def test_towers_and_adapters_of_phi_4() -> None:
    """Phi-4-multimodal: 3.84e9 of text, the adapters of two ranks, and 907,982,272 of towers: 5.574e9 as published."""
    config = {
        "model_type": "phi4mm",
        "architectures": ["Phi4MMForCausalLM"],
        "hidden_size": 3072,
        "vocab_size": 200064,
        "intermediate_size": 8192,
        "num_hidden_layers": 32,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
        "vision_lora": {"r": 256},
        "speech_lora": {"r": 320},
    }
    assert count_parameters(spec_of(config)).total == pytest.approx(5.574e9, rel=1e-3)


def test_rwkv_and_mlstm_keep_a_state_and_no_cache() -> None:
    """RWKV 4: three numbers per channel and two inputs; mLSTM: a matrix, a vector and a number per head."""
    rwkv = spec_of({"model_type": "rwkv", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100})
    assert [(g.kind, g.layers, g.state_elements) for g in rwkv.attention] == [("linear", 2, 5 * 64)]
    config = {"model_type": "xlstm", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "num_heads": 4}
    mlstm = spec_of(config)
    keys, values = 64 // 2 // 4, 64 // 4
    assert [(g.kind, g.layers, g.state_elements) for g in mlstm.attention] == [
        ("linear", 2, 4 * (keys * values + keys + 1))
    ]
    assert mlstm.ffn[0].intermediate_size == 192  # 64 x 2.667 = 170, up to a multiple of 64


def test_lightning_attention_by_number() -> None:
    """MiniMax-01 lists 0 for lightning and 1 for softmax attention: one layer caches, one keeps heads x width^2."""
    spec = spec_of({**LLAMA, "attn_type_list": [0, 1]})
    assert [(g.kind, g.layers, g.state_elements) for g in spec.attention] == [
        ("linear", 1, 4 * 16 * 16),
        ("gqa", 1, None),
    ]


def test_a_field_nobody_asks_for_is_named() -> None:
    """A key that may change sizes is named; one known to change nothing is not."""
    assert spec_of({**LLAMA, "widen_by": 2, "rope_theta": 1e6}).notes == "ignored: widen_by."


def test_a_field_inside_a_part_that_nobody_asks_for_is_named() -> None:
    """A nested mapping is followed like the config itself."""
    linear = {"full_attn_layers": [2], "num_heads": 4, "head_dim": 16, "short_conv_kernel_size": 4, "widen_by": 2}
    assert spec_of({**LLAMA, "linear_attn_config": linear}).notes == "ignored: linear_attn_config.widen_by."


def test_a_field_around_the_text_part_that_nobody_asks_for_is_named() -> None:
    """What stands beside the text part of a larger model is followed, too: a part nobody reads has weights."""
    outer = {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": LLAMA}
    assert spec_of(outer).notes is None
    assert spec_of({**outer, "qformer_config": {"hidden_size": 768}}).notes == "ignored: qformer_config."


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 131072, "max_window_layers": 1},
        {"sliding_window": 32, "layer_types": ["full_attention"] * 2},
        {"n_embd": 64},
        {"conv_dim": 64},
        {"num_experts": 1, "num_experts_per_tok": 1, "moe_intermediate_size": 96},
        {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 32, "sliding_window_pattern": 2},
    ],
)
def test_a_field_that_cannot_matter_is_not_named(fields: dict[str, Any]) -> None:
    """What is switched off, said twice, or belongs to kinds of layers that the model lacks changes nothing."""
    assert spec_of({**LLAMA, **fields}).notes is None


@pytest.mark.parametrize(
    "fields",
    [
        {"n_embd": 128},
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 96, "experts_per_token": 3},
        {"index_kpool": 4},
        {"block_width": 96},
    ],
)
def test_a_field_that_contradicts_or_may_matter_is_named(fields: dict[str, Any]) -> None:
    """Of two spellings with two values one is used: the other is named, as is a size that nobody knows."""
    assert spec_of({**LLAMA, **fields}).notes == f"ignored: {list(fields)[-1]}."


def test_heads_of_the_layers_of_another_kind() -> None:
    """Step 3.5: 96 query heads where attention is local, 64 where it is global, and a gate for each head."""
    config = json.loads((OWN / "stepfun-ai--Step-3.5-Flash_config.json").read_text(encoding="utf-8"))
    spec = spec_of(config)
    assert [(g.layers, g.heads, g.kv_heads, g.window) for g in spec.attention] == [(12, 64, 8, None), (33, 96, 8, 512)]
    gates, biases, norms = 4096 * (12 * 64 + 33 * 96), 42 * 288, 45 * 2 * 128
    assert spec.other_parameters == gates + biases + norms
    assert spec.notes is None


def test_minimax_m3_caches_one_indexer_key_a_sparse_layer() -> None:
    """Four KV heads of 128 in 60 layers and a key of 128 in 57: two GPUs, each with its own keys, hold 152,064 bytes.

    A public start-up log of two GPUs has 16.81 GiB of cache each for 237,312 tokens: 76,058 bytes, within its digits
    and a block of 128 tokens.
    """
    path = config_path("nvidia--MiniMax-M3-NVFP4")
    if path is None:
        pytest.skip(NOT_AT_HAND)
    attention = read_config(path).spec.attention
    heads = sum(2 * g.layers * g.kv_heads * g.head_dim for g in attention)
    keys = sum(g.layers * (g.index_head_dim or 0) for g in attention)
    assert (2 * heads, 2 * keys) == (122_880, 57 * 256)
    per_gpu = 2 * heads / 2 + 2 * keys
    assert 2 * per_gpu == 152_064
    assert pytest.approx(per_gpu, rel=0.005 / 16.81 + 128 / 237_312) == 16.81 * 2**30 / 237_312


def test_sizes_taken_from_the_class_are_said() -> None:
    """GLM-4.5's class has 8 of 128 experts of width 1408 and one shared; Llama's has nothing to add here."""
    config = {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}
    spec = spec_of({**config, "model_type": "glm4_moe", "num_key_value_heads": 2, "num_hidden_layers": 3})
    moe = next(group for group in spec.ffn if group.experts)
    assert (moe.layers, moe.experts, moe.experts_per_token, moe.intermediate_size, moe.shared_experts) == (
        *(2, 128, 8),
        *(1408, 1),
    )
    assert "n_routed_experts 128" in (spec.notes or "")
    assert spec_of(LLAMA).notes is None


def test_a_null_is_an_answer() -> None:
    """Mistral's class has a window of 4,096 tokens; a config that says null has none, one that is silent has it."""
    mistral = {**LLAMA, "model_type": "mistral", "max_position_embeddings": 32768}
    assert [g.window for g in spec_of({**mistral, "sliding_window": None}).attention] == [None]
    assert [g.window for g in spec_of(mistral).attention] == [4096]


def test_a_kind_of_model_that_was_not_checked_is_called_so() -> None:
    """Its sizes are read by their names; a class of transformers that was counted has no such note."""
    assert spec_of({**LLAMA, "model_type": "zzz"}).notes == (
        "model_type 'zzz' is none of those checked: read by its fields alone."
    )
    assert spec_of(LLAMA).notes is None


def test_shared_indexers_are_not_cached_twice() -> None:
    """GLM-5.2 has an indexer in every fourth layer: the others reuse its choice and cache no keys for it."""
    path = config_path("zai-org--GLM-5.2")
    if path is None:
        pytest.skip(NOT_AT_HAND)
    groups = read_config(path).spec.attention
    assert all(g.sparse_top_k == 2048 for g in groups)
    assert {g.index_head_dim for g in groups} == {128, None}
    assert sum(g.layers for g in groups) == 78


@pytest.mark.parametrize(
    ("vision", "hidden_size", "expected"),
    [
        # built on the meta device by transformers 5.24: encoder and projector of the class's defaults
        (
            {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "patch_size": 16, "spatial_merge_size": 2,
             "temporal_patch_size": 2, "deepstack_visual_indexes": [8, 16, 24], "model_type": "qwen3_vl"},
            3584,
            567e6,
        ),
        (
            {"num_hidden_layers": 24, "hidden_size": 1024, "intermediate_size": 4096, "patch_size": 14,
             "model_type": "clip_vision_model"},
            4096,
            324e6,
        ),
    ],
)  # fmt: skip
def test_vision_encoders_count_in_memory(vision: dict[str, Any], hidden_size: int, expected: float) -> None:
    """A vision transformer's weights follow from its sizes; without them the config says nothing."""
    text = {**LLAMA, "hidden_size": hidden_size}
    spec = spec_of({"model_type": "llava", "text_config": text, "vision_config": vision})
    assert spec.encoder_parameters == pytest.approx(expected, rel=0.1)
    assert "counts in memory alone" in str(spec.notes)
    bare = spec_of({"model_type": "llava", "text_config": text, "vision_config": {"model_type": "siglip"}})
    assert bare.encoder_parameters == 0.0


def test_the_text_part_of_a_multimodal_config() -> None:
    """Gemma 3's vision tower is left out, and the notes say so."""
    spec = read_config(OWN / "google--gemma-3-12b-it_config.json").spec
    assert spec.notes == "The vision tower is left out: text part only."
    assert (spec.layers, spec.vocab_size, spec.attention[0].head_dim) == (48, 262_208, 256)


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        (None, ("bf16", "bf16")),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, ("fp8-block", "fp8-block")),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, ("int4", "int4")),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, ("int4-g32", "int4-g32")),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, ("w8a16", "w8a16")),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, ("nf4", "nf4")),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}, ("nvfp4", "nvfp4")),
        (
            {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["model.layers.*.self_attn*"]},
            ("bf16", "nvfp4"),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float"}}},
                "ignore": ["re:.*self_attn.*"],
            },
            ("bf16", "fp8"),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {"targets": ["re:.*self_attn.*_proj$"], "weights": {"num_bits": 8, "type": "float"}},
                    "group_1": {
                        "targets": ["re:.*mlp.*"],
                        "weights": {"num_bits": 4, "type": "float", "group_size": 16},
                    },
                },
            },
            ("fp8", "nvfp4"),
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {
                        "targets": ["Linear"],
                        "weights": {"num_bits": 8, "type": "int"},
                        "input_activations": {"num_bits": 8, "type": "int"},
                    }
                },
            },
            ("int8", "int8"),
        ),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4_AWQ"}, ("nvfp4", "nvfp4")),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"-:.*self_attn.*": {}}},
            ("bf16", "int4"),
        ),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"+:.*mlp.*": {"bits": 8}}},
            ("int4", "w8a16"),
        ),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {r"+:.*layers\.0\..*": {"bits": 8}}},
            ("int4", "int4"),
        ),
        (
            {
                "quant_method": "auto-round",
                "bits": 4,
                "group_size": 32,
                "extra_config": {"self_attn.q_proj": {"bits": 16}},
            },
            ("bf16", "int4-g32"),
        ),
        (
            {
                "quant_method": "quark",
                "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}},
                "exclude": ["lm_head", "*self_attn*"],
            },
            ("bf16", "mxfp4"),
        ),
        (
            {
                "quant_method": "quark",
                "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}},
                "layer_quant_config": {"*mlp*": {"weight": {"dtype": "fp4", "group_size": 32}}},
            },
            ("fp8", "mxfp4"),
        ),
        ({"quant_method": "torchao", "quant_type": "int8_weight_only"}, ("w8a16", "w8a16")),
        (
            {
                "quant_method": "torchao",
                "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 64}}},
            },
            ("int4-g64", "int4-g64"),
        ),
        (
            {
                "quant_method": "torchao",
                "quant_type": {
                    "default": {
                        "_type": "ModuleFqnToConfig",
                        "_data": {
                            "module_fqn_to_config": {
                                "_default": {"_type": "Float8DynamicActivationFloat8WeightConfig", "_data": {}},
                                r"re:.*mlp.*": {"_type": "Int8DynamicActivationInt4WeightConfig", "_data": {}},
                            }
                        },
                    }
                },
            },
            ("fp8", "int4"),
        ),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
            ("int4-g64", "int4-g64"),
        ),
        (
            {
                "quant_method": "hqq",
                "quant_config": {
                    "self_attn.q_proj": {"weight_quant_params": {"nbits": 8, "group_size": 64}},
                    "mlp.down_proj": {"weight_quant_params": {"nbits": 3, "group_size": 64}},
                },
            },
            ("w8a16", "int3"),
        ),
    ],
)
def test_formats_of_quantised_checkpoints(quantization: dict[str, Any] | None, expected: tuple[str, str]) -> None:
    """Each way checkpoints name their number format, with what they exclude."""
    weights = spec_of({**LLAMA, "quantization_config": quantization}).weights
    assert (weights.attention, weights.ffn) == expected
    assert weights.embedding == "bf16"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"bits": 4, "group_size": 64}, ("int4-g32", "int4-g32")),
        ({"bits": 4, "group_size": 64, "model.layers.0.mlp.down_proj": {"bits": 8}}, ("int4-g32", "int4-g32")),
        ({"bits": 6, "group_size": 64, "model.embed_tokens": False}, ("int6", "bf16")),
        ({"bits": 4, "group_size": 32, "mode": "mxfp4"}, ("mxfp4", "mxfp4")),
    ],
)
def test_formats_of_mlx(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    """MLX names no method, quantises the embedding too, and gives a scale and a bias of 16 bit per group."""
    three = {**LLAMA, "num_hidden_layers": 3}
    for key in ("quantization", "quantization_config"):
        weights = spec_of({**three, key: fields}).weights
        assert (weights.attention, weights.ffn, weights.embedding) == (expected[0], *expected)


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": None}, None),
        ({"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8, "type": "float", "dynamic": False}}, "fp8"),
        ({"quant_method": "fp8", "kv_cache_scheme": "static"}, "fp8"),
        ({"quant_method": "fp8"}, None),
        (
            {
                "quant_method": "quark",
                "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}},
                "kv_cache_quant_config": {"*k_proj": {"output_tensors": {"dtype": "fp8_e4m3"}}},
            },
            "fp8",
        ),
    ],
)
def test_the_cache_format_of_a_checkpoint(quantization: dict[str, Any], expected: str | None) -> None:
    """What the checkpoint asks for is the format of its KV cache, and bf16 where it asks for nothing."""
    model = spec_of({**LLAMA, "quantization_config": quantization})
    assert model.kv_cache_format == expected
    assert model.cache_format == (expected or "bf16")


@pytest.mark.parametrize(
    ("name", "attention", "ffn", "experts"),
    [
        ("deepseek-ai--DeepSeek-R1", "fp8-block", "fp8-block", "fp8-block"),
        ("deepseek-ai--DeepSeek-V4-Pro", "fp8-block", "fp8-block", "mxfp4"),
        ("nvidia--DeepSeek-V4-Pro-NVFP4", "fp8-block", "fp8-block", "nvfp4"),
        ("nvidia--DeepSeek-V3.1-NVFP4", "bf16", "nvfp4", "nvfp4"),
        ("nvidia--Gemma-4-26B-A4B-NVFP4", "bf16", "bf16", "nvfp4"),
        ("nvidia--Qwen3.5-397B-A17B-NVFP4", "bf16", "bf16", "nvfp4"),
        ("nvidia--Qwen3.6-35B-A3B-NVFP4", "fp8", "nvfp4", "nvfp4"),
        ("nvidia--NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4", "fp8", "nvfp4", "nvfp4"),
        ("moonshotai--Kimi-K2.5", "bf16", "bf16", "int4-g32"),
        ("moonshotai--Kimi-K3", "bf16", "bf16", "mxfp4"),
        ("openai--gpt-oss-20b", "bf16", "bf16", "mxfp4"),
    ],
)
def test_formats_of_real_checkpoints(name: str, attention: str, ffn: str, experts: str) -> None:
    """quantization_config, hf_quant_config.json beside it and lists of matrices give the formats by component."""
    path = config_path(name)
    if path is None:
        pytest.skip(NOT_AT_HAND)
    weights = read_config(path).spec.weights
    assert (weights.attention, weights.ffn, weights.experts) == (attention, ffn, experts)


def test_every_format_is_in_the_catalogue() -> None:
    """What the reader can name, the catalogue can price in bytes."""
    catalog = Catalog()
    for path in (p for folder in folders() for p in folder.glob("*_config.json") if "hf_quant" not in p.name):
        weights = read_config(path).spec.weights
        for name in (weights.attention, weights.ffn, weights.experts, weights.embedding):
            if name is not None:
                assert catalog.format(name)[1].weight_bytes > 0.0, (path, name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "config.json: is empty; expected a Hugging Face config.json"),
        ("[1, 2]", "config.json: holds a list; expected a JSON object, a Hugging Face config.json"),
        ("7", "config.json: holds a single value; expected a JSON object, a Hugging Face config.json"),
        (
            '{\n "hidden_size": 64,,\n}',
            (
                "config.json:2:20: is not valid JSON: Expecting property name enclosed in double quotes; "
                "expected a Hugging Face config.json"
            ),
        ),
        ('{"vocab_size": NaN}', "config.json: holds NaN; expected finite numbers"),
        ('{"a": 1, "a": 2}', "config.json: the key 'a' is repeated; expected it once"),
        ("[" * 100_000, "config.json: is nested too deeply"),
    ],
)
def test_bad_json(tmp_path: Path, content: str, message: str) -> None:
    """What is not a JSON object is refused with its line and column where JSON gives them."""
    assert refused(tmp_path, content) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": None}, "config.json: vocab_size is missing; expected a whole number of at least 1"),
        (
            {"hidden_size": None},
            (
                "config.json: hidden_size (or n_embd, d_model, model_dim, block_dim, embed_dim, embedding_dim) is "
                "missing; expected a whole number of at least 1"
            ),
        ),
        ({"hidden_size": -64}, "config.json:6:3: hidden_size: -64 is negative; expected at least 1"),
        ({"num_attention_heads": 0}, "config.json:8:3: num_attention_heads: 0 is zero; expected at least 1"),
        (
            {"vocab_size": "100"},
            "config.json:11:3: vocab_size: '100' is not a whole number; expected one of at least 1",
        ),
        (
            {"num_hidden_layers": 10**9},
            (
                "config.json:7:3: num_hidden_layers: 1,000,000,000 is more than any real model "
                "has; expected at most 10,000"
            ),
        ),
        (
            {"vocab_size": 10**15},
            (
                "config.json:11:3: vocab_size: 1000000000000000 is larger than any real size; "
                "expected at most 1,000,000,000,000"
            ),
        ),
        (
            {"num_key_value_heads": 3},
            "config.json:9:3: num_key_value_heads: 3 does not divide the 4 attention heads; expected a divisor",
        ),
        (
            {"num_attention_heads": 6},
            (
                "config.json:8:3: num_attention_heads: 6 does not divide the hidden size 64; "
                "expected head_dim or a divisor"
            ),
        ),
        (
            {"layer_types": ["full_attention"]},
            "config.json:13:3: layer_types: has 1 entries for 2 layers; expected one per layer",
        ),
        (
            {"layer_types": ["full_attention", "fall_attention"]},
            (
                "config.json:13:3: layer_types: unknown kind of layer 'fall_attention'. "
                "Did you mean full_attention, attention, linear_attention?"
            ),
        ),
        (
            {"num_experts": 4, "num_experts_per_tok": 8},
            "config.json:14:3: num_experts_per_tok: 8 is more than the 4 experts; expected at most that",
        ),
        (
            {"torch_dtype": "int3"},
            "config.json:13:3: torch_dtype: unknown number format 'int3'. Known: bfloat16, float16, float32.",
        ),
        (
            {"quantization_config": {"quant_method": "fancy"}},
            (
                "config.json:14:5: quant_method: unknown quantization method 'fancy'. Known: fp8, "
                "fbgemm_fp8, mxfp4, awq, gptq, auto-round, bitsandbytes, hqq, quark, torchao, "
                "compressed-tensors, modelopt."
            ),
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {}}},
            ("config.json:15:5: config_groups: is empty or missing; expected the format of each group of matrices"),
        ),
        (
            {"quantization_config": {"quant_method": "fp8", "weight_block_size": [0, 0]}},
            (
                "config.json:15:5: weight_block_size: [0, 0] is not valid here; expected the two sides of a block, as "
                "[128, 128]"
            ),
        ),
        (
            {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128]}},
            (
                "config.json:15:5: weight_block_size: [128] is not valid here; expected the two sides of a block, as "
                "[128, 128]"
            ),
        ),
        (
            {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 0}},
            "config.json:16:5: group_size: 0 is not valid here; expected a whole number, or -1 for whole rows",
        ),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": "x"}},
            "config.json:13:3: rope_scaling: factor 'x' is not valid here; expected a number above 0",
        ),
        (
            {"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 0}}},
            "config.json:13:3: rope_parameters: factor 0 is not valid here; expected a number above 0",
        ),
        ({"rope_theta": "x"}, "config.json:13:3: rope_theta: 'x' is not valid here; expected a number above 0"),
        (
            {"num_local_experts": 0, "num_experts_per_tok": 2},
            (
                "config.json:13:3: num_local_experts: 0 experts, of which num_experts_per_tok takes 2; expected at "
                "least as many, or both 0"
            ),
        ),
        (
            {"first_k_dense_replace": 5},
            "config.json:13:3: first_k_dense_replace: 5 is more than the 2 layers; expected at most that",
        ),
        (
            {"per_layer_config": {"2": {"head_dim": 8}}},
            "config.json:13:3: per_layer_config: names the layer '2'; expected 0 to 1",
        ),
        ({"vision_config": 5}, "config.json: vision_config: 5 is not valid here; expected a JSON object"),
        (
            {"architectures": "LlamaForCausalLM"},
            "config.json: architectures: 'LlamaForCausalLM' is not valid here; expected a list of class names",
        ),
        (
            {"model_type": "zzz", "widen_by": 2},
            (
                "config.json:5:3: model_type: 'zzz' is unknown, and so is what widen_by means for it; expected one "
                "that this version knows, or a model file of your own"
            ),
        ),
        (
            {"tie_word_embeddings": "yes"},
            "config.json:13:3: tie_word_embeddings: 'yes' is not valid here; expected true or false",
        ),
    ],
)
def test_bad_fields(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """A missing, negative, zero or contradictory field is named with its place, its value and what was expected."""
    assert refused(tmp_path, llama(**changes)) == message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert"}, "model_type 'bert' is an encoder; expected a decoder-only language model"),
        ({"model_type": "t5"}, "model_type 't5' is an encoder-decoder; expected a decoder-only language model"),
        ({"model_type": "clip"}, "model_type 'clip' is a vision model; expected a decoder-only language model"),
        ({"model_type": "wav2vec2"}, "model_type 'wav2vec2' is a speech model; expected a decoder-only language model"),
        (
            {"model_type": "blt"},
            (
                "model_type 'blt' is a model of bytes in patches of any length, which is not supported; expected a "
                "decoder-only language model"
            ),
        ),
        (
            {"model_type": "mine", "is_encoder_decoder": True},
            "is_encoder_decoder is true; expected a decoder-only language model",
        ),
        (
            {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30.0"},
            "is part of a diffusion pipeline; expected a decoder-only language model",
        ),
        (
            {**LLAMA, "architectures": ["LlamaForSequenceClassification"]},
            (
                "architectures LlamaForSequenceClassification does not generate text; expected a "
                "decoder-only language model"
            ),
        ),
        (
            {**LLAMA, "architectures": ["MistralModel"]},
            "architectures MistralModel does not generate text; expected a decoder-only language model",
        ),
    ],
)
def test_other_kinds_of_model_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    """Encoders, encoder-decoders, vision, speech, diffusion and embedding models are named as what they are."""
    found = refused(tmp_path, json.dumps(config))
    assert re.sub(r"^config\.json(:\d+:\d+)?: ", "", found) == message


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there, a folder and a file that is not text are refused by name."""
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    cases = ((tmp_path / "none.json", "no such file"), (tmp_path, "is a directory"), (binary, "is not UTF-8 text"))
    for path, message in cases:
        with pytest.raises(BadInputError, match=message) as caught:
            read_config(path)
        assert "YAML" not in str(caught.value)


WRONG: tuple[Any, ...] = (None, -1, 0, "x", [], {}, 1.5, True, [None], {"a": 1}, 10**30, [{}], 3)


def places(config: dict[str, Any], depth: int = 3) -> list[tuple[str, ...]]:
    """Return the path of every field, those of nested parts too."""
    return [
        path
        for name, value in config.items()
        for path in [
            (name,),
            *((name, *more) for more in (places(value, depth - 1) if isinstance(value, dict) else ())),
        ]
        if depth
    ]


def damaged(config: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a config with another value in one place."""
    own = value if len(path) == 1 else damaged(config[path[0]], path[1:], value)
    return {**config, path[0]: own}


QUANTISED = {"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": ["lm_head"]}
ROPE = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}


@pytest.mark.parametrize("path", sorted(OWN.glob("*_config.json")), ids=lambda p: p.stem)
def test_a_damaged_config_never_ends_in_a_traceback(path: Path) -> None:
    """Each field of a real config, nested ones too, replaced by each wrong value is read or refused, nothing else."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"quantization_config": QUANTISED, "rope_scaling": ROPE}
    refusals = []
    for place in places(config):
        for value in WRONG:
            try:
                count_parameters(spec_of(damaged(config, place, value)))
            except BadInputError as error:
                refusals.append(str(error))
    assert len(refusals) > len(config)
    assert [m for m in refusals if not re.search("expected|Known|Did you mean", m)] == []

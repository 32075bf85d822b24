"""What a Hugging Face config holds and the reader does not use: named, but for keys known not to matter."""

import re
from functools import cache
from typing import Any

from planner.catalog.huggingface.fields import Fields, class_defaults, field_name, spellings
from planner.catalog.huggingface.kinds import CONV, DENSE, FULL, MOE, WINDOW

_ONLY_FOR: dict[str, tuple[str, ...]] = {
    WINDOW: (
        "sliding_window",
        "sliding_window_pattern",
        "max_window_layers",
        "swa_head_dim",
        "swa_v_head_dim",
        "swa_num_attention_heads",
        "swa_num_key_value_heads",
        "no_rope_layer_interval",
        "global_attn_every_n_layers",
    ),
    MOE: (
        "num_experts",
        "num_experts_per_tok",
        "moe_intermediate_size",
        "shared_intermediate_size",
        "num_shared_experts",
        "moe_latent_size",
        "moe_layer_freq",
        "first_k_dense_replace",
        "decoder_sparse_step",
        "mlp_only_layers",
        "moe_layers",
        "moe_layer_start_index",
        "moe_layer_end_index",
        "expert_layer_offset",
    ),
    DENSE: ("dense_intermediate_size", "intermediate_size"),
    CONV: ("conv_L_cache",),
    FULL: ("global_head_dim", "num_global_key_value_heads"),
}
"""Fields that matter to one kind of layer alone."""
_REPLACED = {
    ("layer_types", "layers_block_type", "hybrid_override_pattern", "hybrid_layer_pattern"): (
        "full_attention_interval",
        "full_attention_layers",
        "sliding_window_pattern",
        "global_attn_every_n_layers",
        "no_rope_layer_interval",
        "no_rope_layers",
        "attn_layer_period",
        "attn_layer_offset",
        "max_window_layers",
    ),
    ("mlp_layer_types", "moe_layers", "mlp_only_layers", "hybrid_override_pattern"): (
        "first_k_dense_replace",
        "moe_layer_freq",
        "decoder_sparse_step",
    ),
    ("sparse_attention_config",): ("index_topk_blocks", "index_block_size", "index_n_heads", "index_head_dim"),
    ("indexer_types",): ("index_topk_freq", "index_skip_topk_offset"),
    ("linear_attn_config",): ("linear_num_heads", "linear_head_dim", "linear_conv_kernel_dim"),
    ("new_decoder_architecture",): ("multi_query",),
}
"""Fields that say the same as a list of layers or a mapping, and less exactly."""


_NOTHING: tuple[Any, ...] = (False, 0, [], {}, "")


def settle(f: Fields, kinds: set[str]) -> None:
    """Say what cannot matter: fields of kinds of layers the model lacks, and rules that a list of layers replaces."""
    for kind, names in _ONLY_FOR.items():
        if kind not in kinds:
            f.settle(*names)
    if not kinds & {FULL, WINDOW}:
        f.settle("num_attention_heads", "num_key_value_heads", "head_dim")
    if not kinds & {DENSE, MOE}:
        f.settle("hidden_act")
    if not f.optional("hidden_size_per_layer_input"):
        f.settle("vocab_size_per_layer_input")
    for better, names in _REPLACED.items():
        if f.has(*better):
            f.settle(*names)


def ignored_note(f: Fields) -> str:
    """Return one sentence with the fields that nothing used and that may change sizes; empty without any."""
    used = f.seen | f.settled
    width = f.optional("hidden_size")  # a width equal to the model's own says nothing new
    unused = [name for name, value in f.data.items() if name not in used and value not in (*_NOTHING, width)]
    unused += [name for name, value in f.around.items() if value is not None and value not in (*_NOTHING, width)]
    named = [name for name in unused if not _is_irrelevant(name)]
    for part, seen in f.parts.items():
        if not _is_irrelevant(part):
            own = f.data[part].items()
            named += [
                f"{part}.{name}"
                for name, value in own
                if name not in seen and value not in (None, *_NOTHING) and not _is_irrelevant(name)
            ]
    return f"ignored: {', '.join(sorted(named))}." if named else ""


def assumed_note(f: Fields) -> str:
    """Return one sentence with the sizes that the config leaves to its class and the reader used; empty without any."""
    used = [
        f"{name} {'true' if value is True else value}"
        for name, value in sorted(f.assumed.items())
        if name in f.seen - f.settled and value is not False and not isinstance(value, str)
    ]
    return f"Not in the config, taken from its class: {', '.join(used)}." if used else ""


def _is_irrelevant(name: str) -> bool:
    """Return whether a key changes neither size nor cache; one of several spellings of a size does."""
    return len(spellings((field_name(name),))) == 1 and bool(_irrelevant().fullmatch(name))


@cache
def _irrelevant() -> re.Pattern[str]:
    """Return the pattern of keys that change neither size nor cache."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in class_defaults()["irrelevant"]))

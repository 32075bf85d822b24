"""Counts parameters and KV cache of every decoder class of the installed transformers, without weights.

Each class is built from its default configuration on the meta device, so nothing is allocated. Parameters are those
of the text model with its head; encoders of images and sound are left out. The cache is counted from the widths of
the key and value projections of the modules themselves, or of the latent they share.

    pip install torch transformers
    python benchmarks/transformers_counts.py tests/data/transformers_counts.json.gz

A model that its defaults cannot build is kept with the error; a cache of unknown layout has no figure.
"""

import gzip
import json
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

MAPPINGS = (
    modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
)
_NOT_TEXT = re.compile(
    r"(^|\.)(vision(?!_moe)|visual|audio|image|video|speech|multi_modal|multimodal|embed_vision|embed_audio|mm_|aligner"
    r"|projector|connector|perception|word_timestamp|acoustic|semantic|talker|token2wav|code2wav|vqmodel|qformer|resampler|perceiver|sam_|encoder\.)"
)
_NO_KV = re.compile(r"(?i)deltanet|deltaattention|linearattention|lightning|mamba|conv|indexer|compress|cross")


def classes() -> dict[str, str]:
    """Return model_type -> name of the class that generates text."""
    found: dict[str, str] = {}
    for mapping in MAPPINGS:
        found |= {kind: name if isinstance(name, str) else name[0] for kind, name in mapping.items()}
    return dict(sorted(found.items()))


def counted(kind: str, name: str) -> dict[str, Any]:
    """Return configuration and counts of one class; `error` where it cannot be built from its defaults."""
    try:
        model_class = getattr(transformers, name)
        config = CONFIG_MAPPING[kind]()
        if model_class.config_class is not None and not isinstance(config, model_class.config_class):
            config = model_class.config_class()
        with torch.device("meta"):
            model = model_class(config)
    except Exception as error:  # noqa: BLE001 - any class may need what its defaults lack; the reason is kept
        return {"class": name, "error": f"{type(error).__name__}: {error}"[:160]}
    shapes = {n: p.numel() for n, p in model.named_parameters() if not _NOT_TEXT.search(n)}
    plain = json.loads(json.dumps(config.to_dict(), default=str).replace("Infinity", "1e30"))
    text = {k: v for k, v in plain.items() if not re.search("vision_config|audio_config|id2label|label2id", k)}
    return {
        "class": name,
        "config": {**text, "architectures": [name]},
        "parameters": sum(shapes.values()),
        "cache_elements_per_token": sum(cached(model)) or None,
    }


def cached(model: Any) -> Iterator[int]:  # noqa: ANN401 - torch is no dependency
    """Yield the elements of keys and values that each attention layer of the text model adds for a token."""
    for name, module in model.named_modules():
        kind = type(module).__name__
        if (
            _NOT_TEXT.search(name)
            or "compress" in name
            or _NO_KV.search(kind.replace("KimiLinear", ""))
            or "encoder_attn" in name
        ):
            continue
        widths = {n: m.weight.shape for n, m in module.named_children() if getattr(m, "weight", None) is not None}
        if getattr(module, "is_kv_shared_layer", False):
            continue
        if "kv_a_proj_with_mqa" in widths:
            yield widths["kv_a_proj_with_mqa"][0]
        elif {"k_proj", "v_proj"} <= widths.keys():
            yield widths["k_proj"][0] + widths["v_proj"][0]
        elif {"k_proj", "q_proj"} <= widths.keys():
            yield 2 * widths["k_proj"][0]
        elif "kv_proj" in widths:
            yield widths["kv_proj"][0]
        elif fused := next((n for n in ("qkv_proj", "query_key_value", "Wqkv") if n in widths), None):
            out = next(widths[n][1] for n in ("o_proj", "out_proj", "dense", "Wo") if n in widths)
            yield widths[fused][0] - out


def main() -> None:
    """Write the counts of all classes, or of those named."""
    warnings.filterwarnings("ignore")
    only = sys.argv[2:]
    rows = {kind: counted(kind, name) for kind, name in classes().items() if not only or kind in only}
    data = {"transformers": transformers.__version__, "classes": rows}
    with gzip.open(Path(sys.argv[1]), "wt", encoding="utf-8") as file:
        json.dump(data, file, separators=(",", ":"))
    print(f"{len(rows)} classes, {sum('error' in row for row in rows.values())} not built from their defaults")


main()

"""Writes what the configuration classes of the installed transformers take for sizes that a config.json leaves out.

Whole numbers, switches and activations of each class that generates text, as declared, by model_type, and the
model_type of its text part; only names that the reader knows. What a class derives from other fields is no default.

    pip install torch transformers
    python benchmarks/transformers_defaults.py planner/catalog/huggingface/class_sizes.json
"""

import dataclasses
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

READER = Path(__file__).resolve().parents[1] / "planner" / "catalog" / "huggingface"
_MAPPINGS = (
    modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)
_PARTS = ("thinker_config", "text_config", "llm_config", "language_config")
_NO_SIZE = re.compile(
    r".*(token|eps|init|dropout|use_cache|output_|return_|image|video|audio|vision|chunk_size_feed|pretraining|rope|"
    r"_id$|is_encoder|is_decoder|cross_att|loss|coef|norm_topk|scal).*"
)
_OFF_COUNTS = ("use_sliding_window", "enable_moe_block", "is_moe", "multi_query", "tie_word_embeddings")
"""Switches whose `false` differs from a config that does not have them."""


def known_names() -> set[str]:
    """Return every word of the reader's code and tables, the names of fields among them."""
    files = (*READER.glob("*.py"), *READER.glob("*.yaml"))
    return {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}


def sizes(config_class: Any, known: set[str]) -> dict[str, Any]:  # noqa: ANN401 - transformers is no dependency
    """Return the declared defaults of one class that may be sizes, and its text part's model_type."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config_class):
        value = field.default
        switched_off = value is False and field.name not in _OFF_COUNTS
        if not isinstance(value, bool | int | str) or switched_off or (value == 0 and value is not False):
            continue
        if isinstance(value, str) and "act" not in field.name:
            continue
        if field.name in known and not _NO_SIZE.fullmatch(field.name):
            found[field.name] = value
    for part in _PARTS:
        kind = getattr((config_class.sub_configs or {}).get(part), "model_type", "")
        if kind:
            found[part] = kind
    return found


def main() -> None:
    """Write the defaults of all classes and of their text parts."""
    warnings.filterwarnings("ignore")
    known = known_names()
    waiting = [CONFIG_MAPPING[kind] for names in _MAPPINGS for kind in names]
    rows: dict[str, dict[str, Any]] = {}
    while waiting:
        config_class = waiting.pop()
        kind = getattr(config_class, "model_type", "")
        if not kind or kind in rows or not dataclasses.is_dataclass(config_class):
            continue
        rows[kind] = sizes(config_class, known)
        waiting += [own for part, own in (config_class.sub_configs or {}).items() if part in _PARTS]
    lines = ",\n".join(f"  {json.dumps(kind)}: {json.dumps(row)}" for kind, row in sorted(rows.items()) if row)
    head = f'"transformers": {json.dumps(transformers.__version__)}'
    Path(sys.argv[1]).write_text(f'{{{head}, "classes": {{\n{lines}\n}}}}\n', encoding="utf-8")


main()

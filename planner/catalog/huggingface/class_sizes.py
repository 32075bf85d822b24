"""What the configuration classes of transformers take for sizes that a config.json leaves out.

The table is made by benchmarks/transformers_defaults.py and names its version.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from planner.catalog.huggingface.fields import field_name

_TABLE = Path(__file__).with_name("class_sizes.json")
_STATED = ("hidden_size", "num_hidden_layers", "vocab_size")
"""What every config of its own states. A part of a larger config may leave out whatever equals its class's default."""
_LISTS_OF_LAYERS = ("layer_types", "layers_block_type", "hybrid_override_pattern", "block_configs")


@cache
def _classes() -> dict[str, dict[str, Any]]:
    classes: dict[str, dict[str, Any]] = json.loads(_TABLE.read_text(encoding="utf-8"))["classes"]
    return classes


def part_type(kind: str, part: str) -> str | None:
    """Return the model_type of a part of a class (`text_config` of gemma3), where the class says it."""
    return _classes().get(kind, {}).get(part)


def assumed_sizes(kind: str, given: Mapping[str, Any], *, part: bool) -> dict[str, Any]:
    """Return the sizes that a class takes where a config is silent.

    Parameters
    ----------
    kind : the model_type.
    given : the fields that the config states, nulls included: a null is an answer.
    part : whether this is a part of a larger config.
    """
    said = {field_name(name) for name in given}
    if not part:
        said.update(_STATED)
    if not said.isdisjoint(_LISTS_OF_LAYERS):
        said.add("num_hidden_layers")
    return {
        name: value
        for name, value in _classes().get(kind, {}).items()
        if field_name(name) not in said and not name.endswith("_config")
    }

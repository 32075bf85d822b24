"""Every decoder class of transformers, from its default config: read with its own counts, or refused with a reason.

The counts are made by benchmarks/transformers_counts.py, from models built without weights, and name their version.
"""

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.huggingface.class_sizes import assumed_sizes
from planner.catalog.huggingface.config import model_from_config
from planner.catalog.model import ModelSpec
from planner.catalog.parameters import count_parameters
from planner.documents.spec import load
from planner.documents.yaml_reader import Document
from planner.errors import BadInputError
from planner.options.lowering_model import kv_elements

COUNTS = Path(__file__).resolve().parents[1] / "data" / "transformers_counts.json.gz"
PUBLISHED = {"longcat_flash": 560e9}
"""LongCat's class allocates projections for 256 experts that compute nothing; the published model has none."""
HEAD_HELD_TWICE = {"falcon"}
"""The class ties the head to the embedding; the published checkpoint holds both."""
REFUSED = {
    *("dory", "hrm_text", "inkling2_loop", "inkling2_loop_text"),  # run their layers several times
    *("blt", "cpmant", "evolla", "idefics", "jetmoe", "pi0"),
    "deepseek_v2",  # its class does not say how many experts a token takes
}
PARTS = ("thinker_config", "text_config", "llm_config", "language_config")
NO_DECODER = re.compile(
    r"is an encoder|is an encoder-decoder|is_encoder_decoder|is a speech model|is a vision model|GitForCausalLM"
)


@cache
def classes() -> dict[str, dict[str, Any]]:
    """Return model_type -> class, config and counts of every class that its defaults can build."""
    with gzip.open(COUNTS, "rt", encoding="utf-8") as file:
        rows = json.load(file)["classes"]
    return {kind: row for kind, row in rows.items() if "error" not in row}


def read(row: dict[str, Any]) -> ModelSpec:
    """Return the model of a class's default config."""
    data = model_from_config(row["config"], name="owner/Model")
    return load(ModelSpec, Document(data, "config.json", source_names={(): "config"})).spec


@pytest.mark.parametrize("kind", classes())
def test_read_right_or_refused(kind: str) -> None:
    """Parameters are within 1 % of the class's own and the cache is exact, or a sentence says why it is not read."""
    row = classes()[kind]
    try:
        spec = read(row)
    except BadInputError as error:
        reason = str(error)
    else:
        reason = ""
    if reason:
        assert re.search(r"expected|Known|Did you mean", reason)
        return
    assert "none of those checked" not in (spec.notes or "")
    assert count_parameters(spec).total == pytest.approx(PUBLISHED.get(kind, row["parameters"]), rel=0.01)
    cached = sum(kv_elements(g) * g.compression for g in spec.attention if g.kind != "linear")
    if row["cache_elements_per_token"] is not None:
        assert cached == row["cache_elements_per_token"]


@pytest.mark.parametrize("kind", [kind for kind, row in classes().items() if assumed_sizes(kind, {}, part=False)])
def test_a_config_without_its_defaults_is_the_same_model(kind: str) -> None:
    """Fields that a config leaves out take the value of its class: the counts of transformers stay."""
    row = classes()[kind]
    silent = {name: value for name, value in row["config"].items() if name not in assumed_sizes(kind, {}, part=False)}
    try:
        read(row)
    except BadInputError:
        return
    if kind in HEAD_HELD_TWICE or any(isinstance(value, dict) for name, value in silent.items() if name in PARTS):
        return
    spec = read({**row, "config": silent})
    assert count_parameters(spec).total == pytest.approx(PUBLISHED.get(kind, row["parameters"]), rel=0.01)


def test_latents_of_another_layer_are_refused() -> None:
    """What a layer of latent attention leaves out when it reads another layer's cache is not known here."""
    row = classes()["mistral_large4"]
    text = row["config"]["text_config"]
    config = {**row["config"], "text_config": {**text, "kv_source_layers": [0] * text["num_hidden_layers"]}}
    with pytest.raises(BadInputError, match="kv_source_layers: a layer of latent attention reads another's cache"):
        read({**row, "config": config})


def test_few_decoders_are_refused() -> None:
    """Only decoders that the planner cannot describe are refused; encoders, speech and vision models do not count."""
    found, refused = 0, set()
    for kind, row in classes().items():
        try:
            read(row)
        except BadInputError as error:
            refused |= set() if NO_DECODER.search(str(error)) else {kind}
        else:
            found += 1
    assert found >= 220
    assert refused == REFUSED

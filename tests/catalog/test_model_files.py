"""The models that ship: sources, formats, published totals, and the names people call them."""

import csv
import os
import re
from collections import defaultdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from planner.catalog.catalog import Catalog, normal
from planner.catalog.model import ModelSpec
from planner.catalog.parameters import count_parameters
from planner.documents.spec import Loaded
from planner.documents.yaml_reader import read_document
from planner.errors import DataMissingError

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "scenarios" / "models").glob("*.yaml"))
MEASUREMENTS = Path(os.environ.get("PLANNER_SHARED_DATA", ROOT.parent / "shared"))
INCLUDES_MORE = {
    "gemma-3-27b": "vision tower",
    "gemma-4-26b-a4b": "vision tower",
    "llama-4-scout": "vision tower",
    "qwen3-1.7b": "one digit published",
}
"""Published totals that cannot be met within 1 %, and why."""
NO_MODEL = {"20+ models incl Llama-3.1 8B/70B/405B", "dozens of LLMs 1.8B-72B", "in-house", "kimi (undisclosed)"}


@cache
def catalog() -> Catalog:
    """Return the shipped catalogue."""
    return Catalog()


def model(name: str) -> Loaded[ModelSpec]:
    """Return a model by any name."""
    return catalog().get(ModelSpec, name)


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of measurements; skips where the folder is not at hand."""
    path = next((p for p in (MEASUREMENTS / "data" / name, MEASUREMENTS / name) if p.is_file()), None)
    if path is None:
        pytest.skip(f"{name} is not at hand; set PLANNER_SHARED_DATA to its folder")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_catalogue_is_wide_enough() -> None:
    """At least 62 models ship."""
    assert len(FILES) >= 62


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_file_loads_under_its_own_name(path: Path) -> None:
    """The id is the file's name, and every value is covered by a source with a link."""
    loaded = catalog().read(ModelSpec, path)
    assert loaded.spec.id == path.stem
    for field in ("hidden_size", "vocab_size", "attention", "ffn", "weights", "max_context_tokens"):
        source = loaded.source(field)
        assert source is not None
        assert source.url is not None


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_no_source_is_declared_and_unused(path: Path) -> None:
    """Each declared source is named somewhere."""
    document = read_document(path)
    assert set(document.source_names.values()) == set(document.data["sources"])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_published_figures_have_a_source_of_their_own(path: Path) -> None:
    """Totals and multipliers are not read from a config.json."""
    loaded = catalog().read(ModelSpec, path)
    for field in ("parameters_total", "parameters_active"):
        if getattr(loaded.spec, field) is not None:
            assert loaded.document.source_name((field,)) == "published"
    for level in loaded.spec.effort_multipliers:
        assert loaded.document.source_name(("effort_multipliers", level)) not in {None, "config", "published"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_format_is_known(path: Path) -> None:
    """The weights' formats are names of hardware/formats.yaml, and experts have one where there are any."""
    spec = catalog().read(ModelSpec, path).spec
    for name in (spec.weights.attention, spec.weights.ffn, spec.weights.experts, spec.weights.embedding):
        if name is not None:
            catalog().format(name)
    assert (spec.weights.experts is not None) == any(group.experts for group in spec.ffn)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_counts_are_within_one_percent_of_the_published_total(path: Path) -> None:
    """The sizes of a file add up to the total its publisher gives."""
    spec = catalog().read(ModelSpec, path).spec
    if spec.parameters_total is not None:
        tolerance = 0.03 if spec.id in INCLUDES_MORE else 0.01
        assert count_parameters(spec).total == pytest.approx(spec.parameters_total, rel=tolerance)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_active_counts_are_near_the_published_ones(path: Path) -> None:
    """Publishers count embeddings or not, and round: between both counts, give or take 3 % and half a billion."""
    spec = catalog().read(ModelSpec, path).spec
    if spec.parameters_active is not None:
        counts = count_parameters(spec)
        low, high = counts.active - counts.embedding - counts.output_head, counts.active
        assert low * 0.97 - 0.5e9 <= spec.parameters_active <= high * 1.03 + 0.5e9


def test_no_two_models_share_a_name() -> None:
    """A spelling means one model: ids, names, Hugging Face ids and aliases of two files never coincide."""
    claims: dict[str, set[str]] = defaultdict(set)
    for loaded in catalog().all(ModelSpec):
        spec = loaded.spec
        for text in (spec.id, spec.name, spec.hf_id or "", *spec.aliases):
            claims[normal(text)].add(spec.id)
            claims[normal(text.rsplit("/", maxsplit=1)[-1])].add(spec.id)
    assert {name: ids for name, ids in claims.items() if len(ids) > 1} == {}


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("zhipuai/GLM-5", "glm-5"),
        ("nvidia/DeepSeek-R1-NVFP4", "deepseek-r1"),
        ("nvidia/DeepSeek-V3.1-NVFP4", "deepseek-v3.1"),
        ("nvidia/Qwen3-32B-NVFP4", "qwen3-32b"),
        ("llama-3.1-405b-instruct-fp8", "llama-3.1-405b"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("meta-llama/Meta-Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b"),
        ("Llama 3.3 70B", "llama-3.3-70b"),
        ("llama2-70b-99", "llama-2-70b"),
        ("Llama-2-13b-chat-hf", "llama-2-13b"),
        ("llama-4-maverick-17b-128e-instruct-fp8", "llama-4-maverick"),
        ("Qwen/Qwen3-235B-A22B-FP8", "qwen3-235b-a22b"),
        ("qwen3-235b-a22b-instruct-2507-fp8", "qwen3-235b-a22b-instruct-2507"),
        ("Qwen/Qwen3-235B-A22B-Thinking-2507-FP8", "qwen3-235b-a22b-thinking-2507"),
        ("qwen3-coder-30b-a3b-instruct", "qwen3-coder-30b-a3b"),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "qwen3-coder-480b-a35b"),
        ("DeepSeek R1", "deepseek-r1"),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek-r1-0528"),
        ("deepseek-v3/r1", "deepseek-r1"),
        ("GPT_OSS_120B", "gpt-oss-120b"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"),
        ("moonshotai/Kimi-K2-Instruct-0905", "kimi-k2"),
        ("MiniMaxAI/MiniMax-M2.5", "minimax-m2.5"),
        ("google/gemma-3-27b-it", "gemma-3-27b"),
        ("nvidia-nemotron-nano-9b-v2", "nemotron-nano-9b-v2"),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4", "nemotron-3-super-120b-a12b"),
        ("EleutherAI/gpt-j-6B", "gpt-j-6b"),
        ("Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("microsoft/phi-4", "phi-4-14b"),
    ],
)
def test_spellings_people_use(spelling: str, expected: str) -> None:
    """Owners, case, punctuation and suffixes of number format or tuning do not matter."""
    assert model(spelling).spec.id == expected


def test_an_unknown_model_is_not_guessed() -> None:
    """A name nobody has is refused with the nearest ones."""
    with pytest.raises(DataMissingError, match=r"unknown model 'llama-9-8b'\. Did you mean "):
        model("llama-9-8b")


@pytest.mark.parametrize(
    ("name", "reasoning"),
    [
        ("qwen3-235b-a22b-thinking-2507", "always"),
        ("qwen3-235b-a22b-instruct-2507", "none"),
        ("qwen3-30b-a3b-thinking-2507", "always"),
        ("qwen3-30b-a3b-instruct-2507", "none"),
        ("qwen3-32b", "hybrid"),
        ("deepseek-r1", "always"),
        ("deepseek-v3", "none"),
        ("deepseek-v3.1", "hybrid"),
        ("gpt-oss-120b", "always"),
        ("llama-3.3-70b", "none"),
    ],
)
def test_reasoning_modes(name: str, reasoning: str) -> None:
    """Whether a model thinks is that of its release, also where two releases share their sizes."""
    assert model(name).spec.reasoning == reasoning


@pytest.mark.parametrize(
    ("name", "attention", "ffn", "experts", "embedding"),
    [
        ("deepseek-r1", "fp8-block", "fp8-block", "fp8-block", "bf16"),
        ("gpt-oss-120b", "bf16", "bf16", "mxfp4", "bf16"),
        ("kimi-k2.5", "bf16", "bf16", "int4-g32", "bf16"),
        ("kimi-k2", "fp8-block", "fp8-block", "fp8-block", "bf16"),
        ("llama-3.1-8b", "bf16", "bf16", None, "bf16"),
        ("deepseek-v4-pro", "fp8-block", "fp8-block", "mxfp4", "bf16"),
    ],
)
def test_weights_are_those_of_the_published_checkpoint(
    name: str, attention: str, ffn: str, experts: str | None, embedding: str
) -> None:
    """Formats are by component: MXFP4 and INT4 only hold the routed experts."""
    weights = model(name).spec.weights
    assert (weights.attention, weights.ffn, weights.experts, weights.embedding) == (attention, ffn, experts, embedding)


def test_r1_thinks_three_quarters_of_its_tokens() -> None:
    """ServeGen: 74.3 % of DeepSeek-R1's generated tokens are thinking, so all are 1/(1 - 0.743) of the visible ones."""
    assert model("deepseek-r1").spec.effort_multipliers == {"default": pytest.approx(1 / (1 - 0.743), rel=0.001)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_files_name_public_sources_only(path: Path) -> None:
    """No file points at a folder of a machine."""
    assert re.search(r"/work|/tmp|/home|\bshared/|models\.csv", path.read_text(encoding="utf-8")) is None


def test_every_measured_model_resolves() -> None:
    """Each model of the published measurements is in the catalogue."""
    names = {row["model"] for row in rows("measured.csv")} - NO_MODEL
    assert len(names) > 30
    for name in names:
        model(name)


def test_models_of_public_benchmarks_resolve() -> None:
    """The catalogue has the models of public benchmark runs, but for those whose sizes are not public."""
    unknown_sizes = {"LiquidAI/LFM2.5-2.6B", "stepfun-ai/Step-3.5-Flash"}
    towers = {"deepseek-ai/DeepSeek-OCR", "deepseek-ai/DeepSeek-OCR-2"}
    for name in {row["model"] for row in rows("measured_field.csv")} - unknown_sizes - towers:
        model(name)


def test_every_listed_model_resolves_and_agrees() -> None:
    """Ids, Hugging Face ids, totals and context of the collected list agree with the files."""
    for row in rows("models.csv"):
        spec = model(row["model"]).spec
        assert model(row["hf_id"]).spec.id == spec.id, row["model"]
        assert spec.hidden_size == int(row["hidden"]), row["model"]
        assert spec.vocab_size == int(row["vocab"]), row["model"]
        assert spec.max_context_tokens == int(row["ctx"]), row["model"]


def test_every_silicon_model_resolves() -> None:
    """Each model of the end-to-end points that aiconfigurator-core ships is in the catalogue."""
    if find_spec("aiconfigurator_core") is None:
        pytest.skip("aiconfigurator-core is not installed; pip install 'inference-planner[validation]'")
    module = __import__("aiconfigurator_core")
    path = Path(str(module.__file__)).parent / "systems" / "silicon_sample.csv"
    with path.open(encoding="utf-8", newline="") as file:
        names = {row["model_path"] for row in csv.DictReader(file)}
    assert len(names) == 15
    for name in names:
        model(name)

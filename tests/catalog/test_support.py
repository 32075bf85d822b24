"""Support tables: every GPU, format and kind of attention has an outcome; releases are found as people write them."""

from itertools import pairwise, product
from typing import get_args

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import AttentionGroup
from planner.catalog.support import Attention, Part, Rule, SupportSpec, attention_kinds
from planner.errors import DataMissingError

CATALOG = Catalog()
TABLES = {table.spec.id: table.spec for table in CATALOG.all(SupportSpec)}


def architectures(engine: str) -> list[str]:
    """Return the architectures of the GPUs that an engine runs on."""
    vendors = CATALOG.get(EngineSpec, engine).spec.vendors
    found = {str(gpu.spec.architecture) for gpu in CATALOG.all(GpuSpec) if gpu.spec.vendor in vendors}
    return sorted(found)


def outcome(engine: str, fmt: str, part: Part, architecture: str, version: str | None = None) -> str:
    """Return how an engine runs a format; the newest release by default."""
    table = TABLES[engine]
    rule = table.for_weights(fmt, part, architecture, version or table.newest)
    assert rule is not None
    return rule.outcome


def test_every_gpu_states_its_architecture() -> None:
    """NVIDIA's by compute capability, every other by the name of its generation."""
    for gpu in CATALOG.all(GpuSpec):
        assert gpu.spec.architecture, gpu.spec.id
        assert gpu.spec.architecture.startswith("sm_") == (gpu.spec.vendor == "nvidia"), gpu.spec.id


@pytest.mark.parametrize("engine", TABLES)
def test_every_case_has_an_outcome_in_every_release(engine: str) -> None:
    """Architecture x format x part, and architecture x attention: a rule decides each, and a refusal says why."""
    table = TABLES[engine]
    for release, architecture in product(table.versions, architectures(engine)):
        rules: list[Rule | None] = [
            table.for_weights(fmt, part, architecture, release.version)
            for fmt, part in product(CATALOG.formats.spec.formats, get_args(Part))
        ]
        rules += [table.for_attention(kind, architecture, release.version) for kind in get_args(Attention)]
        for rule in rules:
            assert rule is not None, (release.version, architecture)
            assert rule.why or rule.outcome == "native"


@pytest.mark.parametrize("engine", TABLES)
def test_every_rule_has_a_source_and_known_names(engine: str) -> None:
    """Sources carry a page and a day; formats, patterns and releases are known ones."""
    loaded = CATALOG.get(SupportSpec, engine)
    known, releases = set(CATALOG.formats.spec.formats), {one.version for one in loaded.spec.versions}
    everywhere = {str(gpu.spec.architecture) for gpu in CATALOG.all(GpuSpec)}
    for group in ("weights", "attention"):
        for index, rule in enumerate(getattr(loaded.spec, group)):
            source = loaded.source(group, index)
            assert source is not None
            assert source.url
            assert source.confidence
            assert set(rule.formats or ()) <= known
            assert {rule.since, rule.before} - {None} <= releases
            for pattern in rule.architectures or ():
                probe = Rule(architectures=(pattern,), outcome="native")
                assert any(probe.holds(a, loaded.spec.newest) for a in everywhere), pattern


@pytest.mark.parametrize("engine", TABLES)
def test_releases_come_in_the_order_of_their_numbers(engine: str) -> None:
    """Release days rise with the numbers, but for patches of an older line; no release stands twice."""
    versions = [one.version for one in TABLES[engine].versions]
    assert len(set(versions)) == len(versions)
    days = [one.released for one in TABLES[engine].versions]
    assert sum(after < before for before, after in pairwise(days)) <= 1


def test_what_an_engine_runs_depends_on_its_release() -> None:
    """Marlin brought FP8 experts to Ampere in vLLM 0.9 and NVFP4 to Turing in 0.15 (pull requests 18026 and 33076)."""
    assert outcome("vllm", "fp8-block", "experts", "sm_80", "0.8.5") == "refused"
    assert outcome("vllm", "fp8-block", "experts", "sm_80", "0.9.0") == "weight-only"
    assert outcome("vllm", "nvfp4", "dense", "sm_75", "0.14.1") == "refused"
    assert outcome("vllm", "nvfp4", "dense", "sm_75", "0.15.0") == "weight-only"


def test_a_format_runs_natively_where_the_tensor_cores_have_it() -> None:
    """FP8 from Ada on, NVFP4 on Blackwell alone; INT4 is widened everywhere."""
    for engine in TABLES:
        assert outcome(engine, "fp8", "dense", "sm_90") == "native"
        assert outcome(engine, "nvfp4", "dense", "sm_100") == "native"
        assert outcome(engine, "nvfp4", "dense", "sm_90") != "native"
        assert {outcome(engine, "int4", "dense", a) for a in architectures(engine)} <= {"weight-only", "refused"}


@pytest.mark.parametrize(
    ("text", "release"),
    [("0.19.0", "0.19.0"), ("v0.19.0", "0.19.0"), ("0.19", "0.19.1"), ("0", "0.33.0")],
)
def test_a_release_is_found_by_its_beginning(text: str, release: str) -> None:
    """The whole name, with a v before it, or its beginning: then the newest of these."""
    assert TABLES["vllm"].release(text) == release


@pytest.mark.parametrize("text", ["0.2", "0.99.0", "new", ""])
def test_an_unknown_release_is_refused_with_the_nearest_names(text: str) -> None:
    """One line with the releases that are known."""
    with pytest.raises(DataMissingError, match=r"unknown release of vLLM .*0\.5\.0 to 0\.33\.0") as error:
        TABLES["vllm"].release(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("0.26.1rc1.dev608+g99a10304d", "0.26.0"),
        ("0.8.5.post1", "0.8.5"),
        ("0.11", "0.11.2"),
        ("0.11+", "0.11.2"),
        ("nightly", "0.33.0"),
        ("2024", "0.33.0"),
    ],
)
def test_a_benchmark_may_run_between_two_releases(text: str, release: str) -> None:
    """Candidates and builds count as the last release before them; a text without a release is the newest."""
    assert TABLES["vllm"].nearest(text) == release


def test_a_release_beyond_the_table_is_refused() -> None:
    """Neither an age before the first nor one after the last is guessed."""
    for text in ("0.99.1", "0.1.0"):
        with pytest.raises(DataMissingError, match="unknown release"):
            TABLES["vllm"].nearest(text)


def test_kinds_of_attention_follow_from_the_layers() -> None:
    """A shared vector for keys and values is a latent; an indexer makes it sparse; sinks are named beside."""
    plain: dict[str, object] = {"layers": 1, "heads": 8, "head_dim": 64}
    latent = plain | {"kind": "mla", "kv_lora_rank": 512, "qk_rope_head_dim": 64}
    cases = {
        ("gqa",): plain | {"kind": "gqa"},
        ("gqa", "sinks"): plain | {"kind": "gqa", "sinks": True},
        ("mla",): latent,
        ("sparse-mla",): latent | {"sparse_top_k": 2048},
        ("sparse-gqa",): plain | {"kind": "gqa", "sparse_top_k": 16},
        ("linear",): plain | {"kind": "linear", "state_elements": 8, "parameters_per_layer": 8.0},
    }
    for kinds, fields in cases.items():
        assert tuple(attention_kinds([AttentionGroup.model_validate(fields)])) == kinds
    shared = plain | {"kind": "gqa", "shared_kv": True, "sparse_top_k": 2048}
    assert attention_kinds([AttentionGroup.model_validate(shared)]) == ["sparse-mla"]

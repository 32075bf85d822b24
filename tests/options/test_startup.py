"""What an engine starts: public reports, the rules of layouts one by one, and how answers and load tests say it."""

import csv
import json
from pathlib import Path

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.loadtest.predict import predict
from planner.options.answer import answer
from planner.options.candidates import Layout, Machine, named_precision
from planner.options.lowering import flop_rate
from planner.options.startup import as_run, support_of, why_not
from planner.scenario.load import load_scenario
from tests.conftest import Call

CATALOG = Catalog()
DATA = Path(__file__).parents[1] / "data"
WRONG = {
    "next-fp8-ampere-tp4",  # a matrix that the published FP8 checkpoint, a few days later, left in 16 bit
    "minimax21-nvfp4-pro6000-ep2",  # a kernel that failed with expert parallelism alone
    "r1-mi300x-tp4",  # AMD's MLA kernel took 16 or 128 heads
    "gemma3-t4",  # 16 bit means FP16 before compute capability 8.0, which Gemma 3 does not take
    "m3-nvfp4-gb10",  # no kernel for its activation
    "gemma4-26b-xpu",  # likewise
    "maverick-rowwise-trt",  # a scale per row; with one per tensor it runs
    "mimo2-ampere",  # keys wider than values, with sinks
}
"""Reports the tables get wrong, and what they do not know."""


def reports(name: str) -> list[dict[str, str]]:
    """Return the reports of a file."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def machine(gpu: str, engine: str, version: str = "") -> Machine:
    """Return a GPU with a release of an engine, the newest by default."""
    found = CATALOG.get(EngineSpec, engine)
    table = support_of(found.spec, CATALOG)
    assert table is not None
    return Machine(CATALOG.get(GpuSpec, gpu), None, found, table, table.release(version) if version else table.newest)


def reason(model: str, on: Machine, precision: str, layout: Layout) -> str:
    """Return why an engine does not start a model; empty where it starts."""
    spec = CATALOG.get(ModelSpec, model).spec
    return why_not(spec, on, named_precision(precision, CATALOG, spec), layout)


@pytest.mark.parametrize("name", ["layouts_refused.csv", "layouts_reported.csv"])
def test_what_people_report_is_what_the_rules_say(name: str) -> None:
    """Each report of a layout that starts or is refused comes out as stated."""
    wrong = set()
    for row in reports(name):
        sizes = [int(row[f"{degree}_parallel"]) for degree in ("tensor", "data", "expert")]
        on = machine(row["gpu"], row["engine"], row.get("engine_version", ""))
        why = reason(row["model"], on, row["precision"], Layout(sizes[0], data=sizes[1], expert=sizes[2]))
        if (not why) != (row["starts"] == "yes"):
            wrong.add(row["id"])
    assert wrong == WRONG & {row["id"] for row in reports(name)}


def test_half_of_the_reports_were_kept_out_of_the_rules() -> None:
    """Thirty and more of our own, half of them not used while the rules were written; each names its source."""
    rows = reports("layouts_reported.csv")
    unused = [row for row in rows if row["used"] in {"no", "held-out"}]
    assert len(rows) >= 30
    assert len(unused) >= len(rows) / 2
    assert all("#" in row["source"] or row["source"].startswith("https://") for row in rows)


@pytest.mark.parametrize(
    ("model", "precision", "layout", "words"),
    [
        ("llama-3.1-8b", "bf16", Layout(3), "TP3 does not divide 32 attention heads"),
        ("phi-4-14b", "bf16", Layout(8), "10 KV heads and TP8: neither divides the other"),
        ("phi-4-14b", "bf16", Layout(20), ""),  # copies of the KV heads: 20 is a multiple of 10
        ("qwen3-30b-a3b", "fp8-block", Layout(4), "expert width 768/4 = 192 is not a multiple of fp8-block's block"),
        ("qwen3-30b-a3b", "fp8-block", Layout(1, data=4), "expert width 768/4"),  # all ranks slice the experts
        ("qwen3-30b-a3b", "fp8-block", Layout(1, data=4, expert=4), ""),
        ("qwen3-30b-a3b", "int4", Layout(4), "expert width 768/4 = 192 is not a multiple of int4's group of 128"),
        ("qwen3-30b-a3b", "bf16", Layout(32), ""),  # 16 bit has neither blocks nor groups
        ("gpt-oss-120b", "mxfp4", Layout(8), ""),  # 2880/8 = 360 is padded to 384
        ("qwen3-next-80b-a3b", "fp8-block", Layout(8, expert=8), "shared experts' width 512/8 = 64"),
        ("deepseek-r1", "fp8-block", Layout(32), "feed-forward width 18432/32 = 576"),
        ("kimi-k2.5", "native", Layout(16), ""),  # 2048/16 = 128 holds four groups of 32
    ],
)
def test_layouts_divide_the_model(model: str, precision: str, layout: Layout, words: str) -> None:
    """Heads, blocks and groups, with experts sliced over all ranks that do not keep them whole."""
    why = reason(model, machine("h100-sxm", "vllm"), precision, layout)
    assert why.startswith(words) if words else not why


def test_two_ranks_share_an_expert_where_the_engine_spreads_them_over_some() -> None:
    """768/2 = 384 holds three blocks of 128; vLLM spreads experts over all ranks or none."""
    layout = Layout(4, expert=2)
    assert not reason("qwen3-30b-a3b", machine("h100-sxm", "sglang"), "fp8-block", layout)
    assert "EP2 is neither 1 nor TP x DP = 4" in reason("qwen3-30b-a3b", machine("h100-sxm", "vllm"), "bf16", layout)


@pytest.mark.parametrize(
    ("model", "layout", "words"),
    [
        ("qwen3-30b-a3b", Layout(2, expert=4), "EP4 does not divide TP x DP = 2"),
        ("qwen3-30b-a3b", Layout(4, expert=3), "EP3 does not divide TP x DP = 4"),
        ("qwen3-30b-a3b", Layout(1, expert=10**6), "EP1000000 does not divide"),
        ("llama-3.1-8b", Layout(2, expert=2), "EP2 needs experts, and llama-3.1-8b has none"),
        ("llama-3.1-8b", Layout(1, pipeline=64), "PP64 is more than the 32 layers"),
        ("llama-3.1-8b", Layout(1, pipeline=32), ""),
    ],
)
def test_degrees_go_together(model: str, layout: Layout, words: str) -> None:
    """Expert parallelism divides the ranks and the experts; a pipeline stage has a layer."""
    for engine in ("sglang", "vllm"):
        why = reason(model, machine("h100-sxm", engine), "bf16", layout)
        assert why.startswith(words) if words else not why


def test_ranks_hold_different_numbers_of_experts_where_the_engine_says_so() -> None:
    """Six ranks of vLLM hold 22 or 21 of 128 experts, which others refuse; all refuse more ranks than experts."""
    six = Layout(2, data=3, expert=6)
    assert not reason("qwen3-30b-a3b", machine("h100-sxm", "vllm"), "bf16", six)
    for engine in ("sglang", "trtllm"):
        why = reason("qwen3-30b-a3b", machine("h100-sxm", engine), "bf16", six)
        assert why == "EP6 does not divide 128 experts"
    assert "256 experts" in reason("deepseek-v4-flash", machine("h200-sxm", "vllm"), "native", Layout(1, 1, 3, 3))
    assert "128 experts" in reason("qwen3-30b-a3b", machine("h100-sxm", "vllm"), "bf16", Layout(1, 1, 256, 256))


@pytest.mark.parametrize(
    ("model", "tensor", "words"),
    [
        ("nemotron-3-ultra-550b-a55b", 8, ""),
        ("nemotron-3-ultra-550b-a55b", 16, "TP16 does not divide 8 groups"),  # of 256 heads
        ("qwen3-next-80b-a3b", 16, ""),
        ("qwen3.5-397b-a17b", 32, "TP32 does not divide 16 groups"),  # key heads, of 64 value heads
        ("kimi-linear-48b-a3b", 32, ""),  # as many key heads as value heads
    ],
)
def test_groups_of_linear_mixers_divide(model: str, tensor: int, words: str) -> None:
    """Groups of Mamba-2 and key heads of DeltaNet are sliced like heads, and are fewer."""
    why = reason(model, machine("h100-sxm", "vllm"), "bf16", Layout(tensor))
    assert why.startswith(words) if words else not why


def test_experts_without_a_gate_have_kernels_of_their_own() -> None:
    """NVFP4 on Blackwell: Nemotron's experts come later than Qwen's, and on SGLang not to compute capability 12."""
    for model, old in (("nemotron-3-nano-30b-a3b", "without a gate before 0.16"), ("qwen3-30b-a3b", "")):
        assert old in reason(model, machine("rtx-5090", "vllm", "0.15.1"), "nvfp4", Layout(1))
        assert bool(old) == bool(reason(model, machine("rtx-5090", "vllm", "0.15.1"), "nvfp4", Layout(1)))
        assert not reason(model, machine("rtx-5090", "vllm"), "nvfp4", Layout(1))
        assert bool(old) == bool(reason(model, machine("gb10", "sglang"), "nvfp4", Layout(1)))
        assert not reason(model, machine("b200", "sglang"), "nvfp4", Layout(1))
        assert bool(old) == bool(reason(model, machine("a100-sxm-80gb", "sglang", "0.5.12"), "nvfp4", Layout(1)))
        assert not reason(model, machine("a100-sxm-80gb", "sglang", "0.5.13"), "nvfp4", Layout(1))


def test_merged_outputs_need_no_whole_blocks_in_newer_releases() -> None:
    """MiMo-V2-Flash has four key heads of 192: TP4 slices a block of 128; vLLM loads it from 0.14 on, not inputs."""
    assert "key width 768/4 = 192" in reason(
        "mimo-v2-flash", machine("h200-sxm", "vllm", "0.13.0"), "native", Layout(4)
    )
    assert not reason("mimo-v2-flash", machine("h200-sxm", "vllm", "0.14.0"), "native", Layout(4))
    assert "feed-forward width 18432/32" in reason("deepseek-r1", machine("h100-sxm", "vllm"), "native", Layout(32))


def test_a_cache_has_a_format_that_the_engine_keeps() -> None:
    """Formats of weights alone are refused for the cache, in a load test, a search and a plan."""
    row = {"model": "llama-3.1-8b", "gpu": "h100-sxm", "input_tokens": 100, "output_tokens": 10, "concurrency": 1}
    for fmt in ("int3", "nf4", "fp8-block"):
        (found,) = predict([row | {"kv_precision": fmt, "tensor_parallel": 1}], CATALOG)
        assert f"vLLM keeps no KV cache in {fmt}; it takes bf16, fp8" in str(found["error"])
    assert not predict([row | {"kv_precision": "fp8", "tensor_parallel": 1}], CATALOG)[0]["error"]
    asked = answer(
        load_scenario("o1-class", CATALOG, changes={"fleet.kv_precision": "nf4", "engine": "sglang"}), CATALOG
    )
    assert "SGLang keeps no KV cache in nf4" in str(asked.best["why"])


def test_a_step_has_a_token_for_each_sequence_of_vllm() -> None:
    """A batch larger than the budget does not start; a default batch shrinks to a budget that is given alone."""
    row = {"model": "llama-3.1-8b", "gpu": "h100-sxm", "input_tokens": 100, "output_tokens": 10, "tensor_parallel": 1}
    (found,) = predict([row | {"max_num_batched_tokens": 256, "max_num_seqs": 512}], CATALOG)
    assert "max_num_seqs 512 is more than max_num_batched_tokens 256" in str(found["error"])
    (shrunk,) = predict([row | {"max_num_batched_tokens": 64}], CATALOG)
    assert not shrunk["error"]
    assert shrunk["running_batch"] <= 64
    (other,) = predict([row | {"engine": "sglang", "max_num_batched_tokens": 256, "max_num_seqs": 512}], CATALOG)
    assert not other["error"]


def test_a_kernel_takes_whole_tiles() -> None:
    """Marlin takes 64 channels of both halves of a gated block: 2 x 10944/4 = 5472 is none, 2 x 10944/2 is."""
    ampere = machine("a100-sxm-80gb", "vllm")
    assert "64 channels" in reason("glm-4.5-air", ampere, "fp8", Layout(4))
    assert not reason("glm-4.5-air", ampere, "fp8", Layout(2))
    assert not reason("glm-4.5-air", machine("h100-sxm", "vllm"), "fp8", Layout(4))
    old = reason("qwen2.5-72b", machine("a100-sxm-80gb", "vllm", "0.6.6"), "w8a16", Layout(4))
    assert old.startswith("feed-forward width 29568/4 = 7392 is not a multiple of the 128 channels")
    assert not reason("qwen2.5-72b", ampere, "w8a16", Layout(4))


@pytest.mark.parametrize(
    ("gpu", "engine", "precision", "wide"),
    [
        ("a100-sxm-80gb", "vllm", "fp8", True),
        ("h100-sxm", "vllm", "fp8", False),
        ("h100-sxm", "vllm", "nvfp4", True),
        ("b200", "vllm", "nvfp4", False),
        ("l40s", "sglang", "int4", True),
    ],
)
def test_weight_only_formats_are_stored_small_and_multiplied_in_16_bit(
    gpu: str, engine: str, precision: str, *, wide: bool
) -> None:
    """The bytes of a weight stay, the rate is that of 16 bit, and activations are not quantised."""
    on, spec = machine(gpu, engine), CATALOG.get(ModelSpec, "llama-3.1-8b").spec
    stored = named_precision(precision, CATALOG, spec)
    run, rates = as_run(stored, on).ffn, on.gpu.spec.dense_flop_per_s
    assert run.weight_bytes == stored.ffn.weight_bytes
    assert (flop_rate(on.gpu.spec, run) == rates.fp16) == wide
    assert (run.activation_scales == "tensor") or not wide


def test_an_engine_without_a_table_runs_everything() -> None:
    """An engine of one's own is checked for heads alone; a copy keeps its table."""
    shipped = CATALOG.get(EngineSpec, "vllm").spec
    copied = shipped.model_copy(update={"id": "vllm-tuned"})
    table = support_of(copied, CATALOG)
    assert table is not None
    assert table.id == "vllm"
    unknown = shipped.model_copy(update={"id": "own", "name": "Own", "aliases": ()})
    assert support_of(unknown, CATALOG) is None
    assert support_of(unknown.model_copy(update={"support": "sglang"}), CATALOG).id == "sglang"  # type: ignore[union-attr]
    bare = Machine(CATALOG.get(GpuSpec, "a100-sxm-80gb"), None, CATALOG.get(EngineSpec, "trtllm"))
    assert not reason("glm-5.1", bare, "fp8", Layout(8, expert=8))


def test_an_answer_holds_only_what_starts() -> None:
    """MiniMax-M2.5 on eight H100s has whole experts; where nothing starts, the options stand last with the reason."""
    changes = {"model": "minimax-m2.5", "engine": ("vllm",), "fleet.gpus": ("h100-sxm",)}
    found = answer(load_scenario("o1-class", CATALOG, changes=changes), CATALOG)
    assert found.best.meets_slo
    for option, candidate in zip(found.results, found.options, strict=True):
        assert not candidate.why_not
        assert not (option.tensor_parallel == 8 and option.expert_parallel == 1)
    both = {"model": "minimax-m2.5", "engine": ("vllm", "sglang"), "fleet.gpus": ("a100-sxm-80gb",)}
    results = answer(load_scenario("o1-class", CATALOG, changes=both), CATALOG).results
    refused = [option for option in results if option.why]
    assert {option.engine for option in refused} == {"sglang"}
    assert all("FP8 experts do not run" in str(option.why) for option in refused)
    assert {(o.fits, o.meets_slo, o.limit, o.gpus, o.cost_usd_per_month) for o in refused} == {
        (False, False, "does_not_start", None, None)
    }
    assert results[-len(refused) :] == refused


def test_nothing_that_starts_is_an_alarm_with_the_reasons(call: Call) -> None:
    """The table names the reason beside the GPUs, JSON in every row and as a warning; it is a miss."""
    arguments = ("estimate", "--model", "minimax-m2.5", "--gpu", "a100-sxm-80gb", "--set", "engine=sglang")
    outcome = call(*arguments, "--max", "gpus=1000")
    assert outcome.code == 1
    assert "does not start: FP8 experts do not run" in outcome.out
    assert "no option starts: FP8 experts do not run" in outcome.out
    document = json.loads(call(*arguments, "--format", "json").out)
    assert {row["limit"] for row in document["results"]} == {"does_not_start"}
    assert any("no option starts" in text for text in document["warnings"])


RUN = {"model": "minimax-m2.5", "gpu": "h100-sxm", "input_tokens": "1000", "output_tokens": "500", "concurrency": "16"}


def test_predict_says_what_does_not_start() -> None:
    """A stated layout is refused with the reason, an open one takes the first that starts."""
    refused, whole, chosen = predict(
        [RUN | {"tensor_parallel": "8"}, RUN | {"tensor_parallel": "8", "expert_parallel": "8"}, RUN], CATALOG
    )
    assert (refused["fits"], refused["limit"], refused["tpot_mean_s"]) == (False, "does_not_start", None)
    assert refused["error"].startswith("does not start: expert width 1536/8 = 192")
    assert whole["error"] == ""
    assert whole["tpot_mean_s"] > 0.0
    assert (chosen["layout"], chosen["error"]) == ("TP4", "")


def test_the_release_of_a_run_decides() -> None:
    """FP8 experts on an A100: not in vLLM 0.8, weight-only from 0.9 on."""
    a100 = RUN | {"gpu": "a100-sxm-80gb", "tensor_parallel": "4"}
    old, new = predict([a100 | {"engine_version": "0.8.5"}, a100 | {"engine_version": "0.9.1"}], CATALOG)
    assert old["error"].startswith("does not start: ")
    assert "before 0.9" in old["error"]
    assert new["error"] == ""


def test_settings_of_a_run_bound_batch_memory_and_length() -> None:
    """max_num_seqs caps the batch, less memory shortens the longest request, max_model_len refuses."""
    run = {"model": "llama-3.1-8b", "gpu": "l4", "engine": "vllm", "precision": "fp8", "tensor_parallel": "1",
           "input_tokens": "1000", "output_tokens": "500", "concurrency": "64"}  # fmt: skip
    rows = [
        run,
        run | {"max_num_seqs": "8"},
        run | {"gpu_memory_utilization": "0.7"},
        run | {"max_model_len": "1499"},
        run | {"max_model_len": "1e6"},
        run | {"max_num_seqs": "0"},
        run | {"gpu_memory_utilization": "1.2"},
    ]
    plain, few, small, short, long, none, much = predict(rows, CATALOG)
    assert plain["running_batch"] > 8.0
    assert few["running_batch"] == pytest.approx(8.0)
    assert 0 < small["longest_context_tokens"] < plain["longest_context_tokens"]
    assert short["limit"] == "context"
    assert "max_model_len 1,000,000 is more than llama-3.1-8b's 131,072 tokens" in long["error"]
    assert "max_num_seqs 0 is out of range; expected at least 1" in none["error"]
    assert "gpu_memory_utilization 1.2 is out of range; expected a share" in much["error"]


def test_settings_of_a_scenario_reach_the_option(call: Call) -> None:
    """The same by --set; the release and the longest request stand in the results, a short cache is warned of."""
    arguments = ("estimate", "--model", "llama-3.1-8b", "--gpu", "rtx-5090", "--set", "slo={}",
                 "--set", "fleet.precisions=bf16", "--set", "fleet.tensor_parallel=1", "--format", "json")  # fmt: skip
    document = json.loads(call(*arguments, "--set", "engine_version=0.11.0").out)
    best = document["results"][0]
    assert best["engine_version"] == "0.11.0"
    assert best["longest_context_tokens"] < 131072
    assert any("needs engine_settings.max_model_len" in text for text in document["warnings"])
    few = json.loads(call(*arguments, "--set", "engine_settings.max_num_seqs=4").out)["results"][0]
    assert few["max_concurrency_per_replica"] == 4
    assert few["engine_version"] == "0.33.0"
    short = json.loads(call(*arguments, "--set", "engine_settings.max_model_len=8192").out)
    assert short["results"][0]["longest_context_tokens"] == 8192
    assert not any("max_model_len" in text for text in short["warnings"])


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (["engine_settings.max_num_seq=64"], 2, "unknown field. Did you mean max_num_seqs"),
        (["engine_settings.max_num_seqs=0"], 2, "is zero; expected a number of at least 1"),
        (["engine_settings.gpu_memory_utilization=1.5"], 2, "is too large; expected a number of at most 1"),
        (["engine_settings.max_model_len=1.5"], 2, "expected a whole number"),
        (["engine_settings.max_model_len=1000000"], 2, "is more than deepseek-r1's 163,840 tokens"),
        (["engine_settings.kv_cache_dtype=fp8"], 2, "kv_cache_dtype is fleet.kv_precision in a scenario"),
        (["engine=vllm", "engine_version=0.99.0"], 3, "unknown release of vLLM '0.99.0'; known are 0.5.0 to 0.33.0."),
        (["engine=vllm", "engine_version=0.2"], 3, 'Did you mean "0.20" (in quotes in YAML)?'),
        (["engine=vllm", "engine_version=true"], 2, "expected text"),
        (["engine=any", "engine_version=0.33.0"], 2, "engine_version is given without one engine"),
    ],
)
def test_bad_settings_are_one_line(call: Call, changes: list[str], code: int, words: str) -> None:
    """Place, fault and what was expected, with the nearest name; 2 for a bad value, 3 for an unknown release."""
    sets = [part for change in changes for part in ("--set", change)]
    outcome = call("estimate", *sets)
    assert outcome.code == code
    assert len(outcome.errors) == 1
    assert words in outcome.errors[0]

"""Intervals: wider with all that is unseen, around every value, empty where nothing is on record or no fleet works."""

import dataclasses
import math
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineErrors, EngineSpec, ErrorRanges, GpuSpec
from planner.catalog.model import ModelSpec
from planner.loadtest.predict import ERRORS_OF, predict
from planner.options.answer import Answer, answer
from planner.options.candidates import Layout
from planner.options.confidence import METRICS, error_bounds, unseen
from planner.options.intervals import request_lengths, with_intervals
from planner.options.option import COLUMNS
from planner.options.ranking import machine_basis
from planner.options.router import by_model
from planner.scenario.load import load_scenario, open_scenario

CATALOG = Catalog()
VLLM = CATALOG.get(EngineSpec, "vllm").spec
KINDS = tuple(kind for kind in EngineErrors.model_fields if kind != "known")
SEEN = ("qwen3-32b", "h100-sxm")


def ranges(low: float, high: float) -> ErrorRanges:
    """Return the same range for each metric."""
    return ErrorRanges(ttft=(low, high), tpot=(low, high), throughput=(low, high))


def with_errors(known: tuple[float, float], **kinds: tuple[float, float]) -> EngineSpec:
    """Return vLLM with other errors."""
    found = EngineErrors(known=ranges(*known), **{name: ranges(*both) for name, both in kinds.items()})
    return VLLM.model_copy(update={"errors": found})


def bounds(engine: EngineSpec, *kinds: str) -> tuple[float, float]:
    """Return the bounds of a metric."""
    found = error_bounds(engine, kinds)
    assert found is not None
    assert set(found) == set(METRICS)
    return found["tpot"]


def ask(name: str = "chat-assistant", override: str | None = None, **changes: Any) -> Answer:
    """Return the answer to a shipped question with intervals (dots are written as __)."""
    paths = {k.replace("__", "."): v for k, v in changes.items()}
    *_, scenario = by_model(load_scenario(name, CATALOG, override=override, changes=paths))
    return with_intervals(answer(scenario, CATALOG))


ONE = {"fleet__gpus": ("h100-sxm",), "fleet__tensor_parallel": (1,), "fleet__precisions": ("fp8",),
       "prices__providers": ("aws",), "model": "qwen3-32b", "engine": "vllm"}  # fmt: skip


# What is unseen, and how far off the like of it was.


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_a_case_seen_in_every_way_has_the_known_ranges(engine: str) -> None:
    """Qwen3-32B on H100 was fitted: exactly the ranges the file has under `known`."""
    spec = CATALOG.get(EngineSpec, engine).spec
    model, gpu = CATALOG.get(ModelSpec, SEEN[0]).spec, CATALOG.get(GpuSpec, SEEN[1]).spec
    kinds = unseen(spec, model, gpu, (1024, 512))
    assert kinds == ()
    assert spec.errors is not None
    assert error_bounds(spec, kinds) == {name: getattr(spec.errors.known, name) for name in METRICS}


@pytest.mark.parametrize(
    ("model", "gpu", "lengths", "kinds", "basis"),
    [
        ("qwen3-32b", "h100-sxm", (922, 100), (), "calibrated"),
        ("qwen3-32b", "h100-sxm", (921, 100), ("lengths",), "calibrated"),
        ("qwen3-32b", "h100-sxm", (8000, 7373), ("lengths",), "calibrated"),
        ("qwen3-14b", "h100-sxm", None, ("model",), "calibrated"),
        ("qwen3-32b", "a100-sxm-80gb", None, ("gpu",), "datasheet"),
        ("qwen3-32b", "mi300x", None, ("maker",), "datasheet"),
        ("gemma-3-27b", "b200", None, ("architecture",), "datasheet"),
        ("qwen3-14b", "mi300x", (1, 1), ("model", "maker", "lengths"), "datasheet"),
    ],
)
def test_what_is_unseen_and_the_basis_that_follows(
    model: str, gpu: str, lengths: tuple[float, float] | None, kinds: tuple[str, ...], basis: str
) -> None:
    """Calibrated only where the GPU, its maker and the model's architecture were fitted; else datasheet."""
    m, g = CATALOG.get(ModelSpec, model).spec, CATALOG.get(GpuSpec, gpu).spec
    assert unseen(VLLM, m, g, lengths) == kinds
    assert machine_basis(VLLM, m, g) == basis


def test_a_gpu_that_was_fitted_is_known_whoever_made_it() -> None:
    """Own measurements of an MI300X make it known; what an assumed engine says stays assumed."""
    assert VLLM.fitted_on is not None
    own = VLLM.model_copy(update={"fitted_on": VLLM.fitted_on.model_copy(update={"gpus": ("mi300x",)})})
    m, g = CATALOG.get(ModelSpec, SEEN[0]).spec, CATALOG.get(GpuSpec, "mi300x").spec
    assert unseen(own, m, g) == ()
    assert machine_basis(own, m, g) == "calibrated"
    assert machine_basis(own.model_copy(update={"basis": "assumed"}), m, g) == "assumed"


def test_ranks_and_large_replicas_are_unseen() -> None:
    """Data-parallel ranks were hardly measured, replicas of over 8 GPUs never: both rest on data sheets."""
    m, g = CATALOG.get(ModelSpec, SEEN[0]).spec, CATALOG.get(GpuSpec, SEEN[1]).spec
    for layout, kinds in ((Layout(8), ()), (Layout(4, data=2), ("layout",)), (Layout(8, pipeline=2), ("layout",))):
        assert unseen(VLLM, m, g, layout=layout) == kinds
        assert machine_basis(VLLM, m, g, layout=layout) == ("datasheet" if kinds else "calibrated")


def test_squares_of_logarithms_add_up() -> None:
    """Known 1 step of 1.25, model 2 steps, GPU 3: 1 + (4 - 1) + (9 - 1) = 12, the root of 12 steps either way."""
    engine = with_errors((1 / 1.25, 1.25), model=(1 / 1.25**2, 1.25**2), gpu=(1 / 1.25**3, 1.25**3))
    assert bounds(engine, "model") == pytest.approx((0.64, 1.5625))
    assert bounds(engine, "model", "gpu") == pytest.approx((1.25 ** -math.sqrt(12), 1.25 ** math.sqrt(12)))
    assert bounds(engine, "gpu", "model") == bounds(engine, "model", "gpu")


def test_a_kind_that_was_not_measured_or_was_less_off_adds_nothing() -> None:
    """No range for the maker, a narrower one for the lengths: the known ones."""
    engine = with_errors((0.8, 1.25), lengths=(0.9, 1.1))
    assert bounds(engine, "maker", "lengths") == pytest.approx((0.8, 1.25))


def test_a_side_at_or_beyond_1_is_widened_to_its_own_side() -> None:
    """A known range that starts at 1, or above it, still reaches down where the unseen kind does."""
    assert bounds(with_errors((1.0, 1.2), model=(0.5, 1.2)), "model") == pytest.approx((0.5, 1.2))
    assert bounds(with_errors((0.8, 1.0), model=(0.8, 2.0)), "model") == pytest.approx((0.8, 2.0))
    # 1.1 is 1 step up, 1/1.1**2 two steps down: -1 + (4 + 1) = 4, two steps down
    assert bounds(with_errors((1.1, 1.3), model=(1.1**-2, 1.3)), "model") == pytest.approx((1.1**-2, 1.3))


PAIR = st.tuples(st.floats(0.05, 20), st.floats(0.05, 20)).map(lambda pair: (min(pair), max(pair)))


@given(PAIR, st.dictionaries(st.sampled_from(KINDS), PAIR), st.lists(st.sampled_from(KINDS), unique=True))
def test_what_is_unseen_never_narrows(
    known: tuple[float, float], errors: dict[str, tuple[float, float]], kinds: list[str]
) -> None:
    """Each further kind leaves the bounds where they are or moves them out, whatever the ranges."""
    engine = with_errors(known, **errors)
    before = bounds(engine)
    for size in range(1, len(kinds) + 1):
        low, high = bounds(engine, *kinds[:size])
        assert low <= before[0] * (1 + 1e-9)
        assert high >= before[1] * (1 - 1e-9)
        if kinds[size - 1] in errors:
            own = errors[kinds[size - 1]]
            assert low <= own[0] * (1 + 1e-9)
            assert high >= own[1] * (1 - 1e-9)
        before = low, high


# Of results.


@cache
def questions() -> tuple[tuple[str, str | None], ...]:
    """Return every shipped scenario with None and each of its overrides."""
    names = CATALOG.files("scenarios")
    return tuple((n, o) for n in names for o in (None, *(open_scenario(n, CATALOG)[0].data.get("overrides") or {})))


@pytest.mark.parametrize("question", questions(), ids=lambda q: "/".join(filter(None, q)))
def test_every_value_lies_in_its_interval(question: tuple[str, str | None]) -> None:
    """p10 <= value <= p90 for each interval field of each option; what does not fit has none."""
    found = ask(*question)
    names = [name for name, column in COLUMNS.items() if column.interval]
    for row in found.results:
        for name in names:
            low, value, high = row[f"{name}_p10"], row[name], row[f"{name}_p90"]
            if not row["fits"] or found.scenario.spec.measured_rates is not None:
                assert low is high is None, name
            if value is not None:
                assert low is None or low <= value, (name, row["gpu"])
                assert high is None or high >= value, (name, row["gpu"])


def test_latencies_are_those_shown_times_the_errors() -> None:
    """A seen model on a seen GPU: TTFT by TTFT's known errors, the rest by TPOT's."""
    best = ask(**ONE).best
    assert VLLM.errors is not None
    known = VLLM.errors.known
    for name, errors in (("ttft_p99_s", known.ttft), ("tpot_p50_s", known.tpot), ("e2e_p95_s", known.tpot)):
        both = best[f"{name}_p10"], best[f"{name}_p90"]
        assert both == pytest.approx([best[name] * e for e in errors], rel=1e-9)


def test_without_limits_throughput_moves_by_its_errors() -> None:
    """Nothing binds but the machine: tokens per second times the known errors, GPU-seconds over them."""
    best = ask("offline-batch", **ONE).best
    assert best["limit"] not in {"ttft", "tpot", "e2e"}
    assert VLLM.errors is not None
    low, high = VLLM.errors.known.throughput
    rate, seconds = best["output_tokens_per_s_per_gpu"], best["gpu_seconds_per_answer"]
    rates = [best[f"output_tokens_per_s_per_gpu_{p}"] for p in ("p10", "p90")]
    assert rates == pytest.approx([rate * low, rate * high], rel=1e-6)
    times = [best[f"gpu_seconds_per_answer_{p}"] for p in ("p10", "p90")]
    assert times == pytest.approx([seconds / high, seconds / low], rel=1e-6)


def test_a_slow_machine_that_meets_nothing_leaves_its_side_empty() -> None:
    """A limit 5 % above the best attainable: 1.45 times slower (known p90 of TTFT) no fleet meets it."""
    idle = ask(**ONE, slo={"ttft_p95_s": 1e-6}).best["ttft_p95_s"]
    best = ask(**ONE, slo={"ttft_p95_s": 1.05 * idle}).best
    assert best["meets_slo"]
    assert best["limit"] == "ttft"
    for name in ("gpus", "cost_usd_per_month", "gpu_seconds_per_answer"):
        assert best[f"{name}_p10"] <= best[name]
        assert best[f"{name}_p90"] is None
    assert best["output_tokens_per_s_per_gpu_p10"] is None
    assert best["output_tokens_per_s_per_gpu_p90"] >= best["output_tokens_per_s_per_gpu"]


def test_what_binds_counts_also_where_the_price_is_missing() -> None:
    """The same machine without a price has the same GPUs at both sides: TTFT binds it all the same."""
    idle = ask(**ONE, slo={"ttft_p95_s": 1e-6}).best["ttft_p95_s"]
    priced = ask(**ONE, slo={"ttft_p95_s": 1.6 * idle}, workload__users={"count": 1e6, "answers_per_day": 4})
    assert priced.best["limit"] == "ttft"
    rows = [dataclasses.replace(option, limit="price_missing") for option in priced.results]
    cases = priced.cases.replaced(offer__usd_per_gpu_hour=math.nan)
    unpriced = with_intervals(dataclasses.replace(priced, results=rows, cases=cases)).best
    assert priced.best["gpus_p90"] > priced.best["gpus_p10"]
    assert [unpriced[f"gpus_{p}"] for p in ("p10", "p90")] == [priced.best[f"gpus_{p}"] for p in ("p10", "p90")]


def test_lengths_are_those_of_a_request_and_of_a_sequence() -> None:
    """Ten turns of 4,000 and 200 tokens, three samples: requests and sequences of lengths that were fitted."""
    found = ask(**ONE, workload__input_tokens=4000, workload__turns_per_answer=10, workload__samples_per_answer=3,
                workload__answer_tokens=200)  # fmt: skip
    assert found.best["input_tokens_per_answer"] == pytest.approx(40_000)
    assert request_lengths(found) == pytest.approx((4000, 200))
    assert VLLM.errors is not None
    low, high = VLLM.errors.known.tpot
    assert found.best["tpot_p95_s_p90"] / found.best["tpot_p95_s_p10"] == pytest.approx(high / low, rel=1e-9)


# Of `predict`.


def runs() -> list[dict[str, str]]:
    """Return a handful of rows: seen, unseen, open and closed loop, maximum load, and two that cannot be predicted."""
    row = {"model": "llama-3.1-8b", "gpu": "h100-sxm", "input_tokens": "1024", "output_tokens": "512"}
    more = [{"concurrency": "64"}, {"request_rate": "2"}, {"gpu": "mi300x", "concurrency": "4"},
            {"model": "gemma-3-27b", "gpu": "a100-sxm-80gb"}, {"model": "llama-3.1-405b", "tensor_parallel": "1"},
            {"gpu": "h10"}]  # fmt: skip
    return [row | changes for changes in more]


def test_predictions_lie_in_their_intervals() -> None:
    """Each number that is there has both sides around it; what is missing has none."""
    rows = predict(runs(), CATALOG)
    assert sum(row["tpot_mean_s"] is not None for row in rows) == 4
    for row in rows:
        for name in ERRORS_OF:
            low, value, high = row[f"{name}_p10"], row[name], row[f"{name}_p90"]
            assert (low is None) == (value is None) == (high is None), name
            assert value is None or low <= value <= high, name


def test_a_prediction_of_a_seen_run_has_the_known_errors() -> None:
    """TTFT, TPOT and rates times the ranges of the file."""
    row = predict([runs()[0] | {"model": SEEN[0], "input_tokens": "1000"}], CATALOG)[0]
    assert VLLM.errors is not None
    for name, metric in ERRORS_OF.items():
        both = [row[name] * side for side in getattr(VLLM.errors.known, metric)]
        assert [row[f"{name}_p10"], row[f"{name}_p90"]] == pytest.approx(both), name

"""Written engine files: what they were fitted on, how far off they were, and where each of it comes from."""

import dataclasses
import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from planner.calibration.bench import METRICS, Bench, prepare
from planner.calibration.fit import Fitted, starts_of
from planner.calibration.ledger import Ledger
from planner.calibration.overlay import FEWEST_RUNS, Evidence, engine_file
from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec
from planner.documents.spec import Loaded, load
from planner.documents.yaml_reader import parse_document
from planner.options.confidence import error_bounds

CATALOG = Catalog()
VLLM = Path(__file__).resolve().parents[2] / "hardware" / "engines" / "vllm.yaml"
DAY = dt.date(2026, 11, 24)
RATIOS = np.linspace(0.5, 1.5, 21)
"""Measured over predicted: the third of 21 is the 10th percentile, 0.6, the third from the end the 90th, 1.4."""


def engine(**changes: Any) -> Loaded[EngineSpec]:
    """Return vLLM's shipped file with other top-level fields; None leaves one out."""
    text = VLLM.read_text(encoding="utf-8")
    data = {k: v for k, v in (yaml.safe_load(text) | changes).items() if v is not None}
    return load(EngineSpec, parse_document(yaml.safe_dump(data, sort_keys=False), "vllm.yaml"))


@cache
def bench() -> Bench:
    """Return 21 runs of two models on an MI300X and an H100, with 300 to 2,300 tokens in and 200 out."""
    rows = [
        {"id": str(i), "model": ("llama-3.1-8b", "qwen3-14b")[i % 2], "gpu": ("mi300x", "h100-sxm")[i % 2],
         "engine": "vllm", "tensor_parallel": "1", "input_tokens": str(300 + 100 * i), "output_tokens": "200",
         "concurrency": "4", "measured_tpot_mean_s": "0.01"}
        for i in range(len(RATIOS))
    ]  # fmt: skip
    return prepare(rows, CATALOG)


def ledger(ratios: Any = RATIOS) -> Ledger:
    """Return the ledger of runs that were measured at some ratios to what is predicted."""
    count = len(ratios)
    measured = {metric: np.full(count, 2.0) * ratios for metric in METRICS}
    part = dataclasses.replace(bench().part(np.arange(len(RATIOS)) < count), measured=measured)
    flat = {metric: np.full(count, 2.0) for metric in METRICS}
    return Ledger(part, [""] * count, flat, {m: {"p10": v, "p90": v} for m, v in flat.items()})


def written(of: Loaded[EngineSpec], whole: Ledger, **left_out: Ledger) -> Loaded[EngineSpec]:
    """Return the file that is written, read again: it loads, or this fails."""
    fitted = Fitted({"vllm": dict(starts_of(CATALOG, ["vllm"])["vllm"])}, {"vllm": ()})
    text = engine_file(of, fitted, Evidence("runs.csv", DAY, whole, left_out))
    return load(EngineSpec, parse_document(text, "written.yaml"))


def test_errors_are_the_quantiles_of_the_runs() -> None:
    """p10 and p90 of measured over predicted by hand; what was left out has its own; other kinds stay."""
    before = engine()
    assert before.spec.errors is not None
    after = written(before, ledger(), model=ledger(RATIOS * 2)).spec.errors
    assert after is not None
    for metric in ("ttft", "tpot", "throughput"):
        assert getattr(after.known, metric) == pytest.approx((0.6, 1.4))
        assert after.model is not None
        assert getattr(after.model, metric) == pytest.approx((1.2, 2.8))
    assert (after.gpu, after.lengths, after.maker) == (before.spec.errors.gpu, before.spec.errors.lengths,
                                                      before.spec.errors.maker)  # fmt: skip


def test_fewer_than_twenty_runs_keep_the_earlier_errors() -> None:
    """Nineteen runs say little of a 10th percentile: the engine keeps what it had, and still names its new runs."""
    few = ledger(RATIOS[: FEWEST_RUNS - 1])
    before, after = engine(), written(engine(), few, model=few)
    assert FEWEST_RUNS == 20
    assert after.spec.errors == before.spec.errors
    assert after.spec.fitted_on is not None
    assert "mi300x" in after.spec.fitted_on.gpus


def test_too_few_runs_for_an_engine_without_errors_write_none() -> None:
    """The file has no errors then, and is a valid one: there is no interval."""
    after = written(engine(errors=None), ledger(RATIOS[:5]))
    assert after.spec.errors is None
    assert error_bounds(after.spec, ()) is None


def test_runs_without_a_first_token_leave_the_earlier_errors() -> None:
    """A range needs all three metrics; runs that measured no TTFT do not give one."""
    found = ledger()
    no_ttft = {**found.bench.measured, "ttft_mean_s": np.full(len(RATIOS), np.nan)}
    silent = dataclasses.replace(found, bench=dataclasses.replace(found.bench, measured=no_ttft))
    assert written(engine(), silent).spec.errors == engine().spec.errors


def test_fitted_on_is_the_union_with_what_the_engine_had() -> None:
    """Lists are joined, ranges are widened, nothing is forgotten."""
    had = {"gpus": ["b200"], "models": ["deepseek-v3"], "architectures": ["moe+mla"], "input_tokens": [1000.0, 9000.0],
           "output_tokens": [250.0, 260.0], "replica_gpus": 4}  # fmt: skip
    found = written(engine(fitted_on=had), ledger()).spec.fitted_on
    assert found is not None
    assert found.gpus == ("b200", "h100-sxm", "mi300x")
    assert found.models == ("deepseek-v3", "llama-3.1-8b", "qwen3-14b")
    assert found.architectures == ("dense", "moe+mla")
    assert found.replica_gpus == 4
    assert (found.input_tokens, found.output_tokens) == ((300.0, 9000.0), (200.0, 260.0))


def test_an_engine_that_was_never_fitted_is_fitted_on_the_runs_alone() -> None:
    """GPUs, models, architectures and lengths of the 21 runs, by hand."""
    found = written(engine(fitted_on=None, errors=None), ledger()).spec
    assert found.fitted_on is not None
    assert found.fitted_on.model_dump() == {
        "gpus": ("h100-sxm", "mi300x"),
        "models": ("llama-3.1-8b", "qwen3-14b"),
        "architectures": ("dense",),
        "replica_gpus": 1,
        "input_tokens": (300.0, 2300.0),
        "output_tokens": (200.0, 200.0),
    }
    assert found.errors is not None
    assert found.errors.model is None


def test_errors_that_stay_keep_their_source() -> None:
    """What MLPerf says of other makers is still MLPerf's after a fit to one's own runs; new ones are the fit's."""
    document = written(engine(), ledger()).document
    assert document.source_name(("errors", "maker", "ttft")) == "makers"
    assert document.source_name(("errors", "known", "ttft")) == "fitted"

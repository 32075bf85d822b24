"""Effort levels of the catalogue's models: the measured ones, and what an estimate makes of them."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from planner.catalog.benchmark_points import BenchmarkFile
from planner.catalog.catalog import Catalog
from planner.catalog.model import ModelSpec
from planner.errors import EXIT_BAD_INPUT

CATALOG = Catalog()
Call = Callable[..., Any]


def rows(call: Call, *arguments: str) -> list[dict[str, str]]:
    """Return a command's CSV as rows."""
    return list(csv.DictReader(io.StringIO(call(*arguments, "--format", "csv").out)))


def test_efforts_of_the_catalogue_are_the_measured_ones() -> None:
    """Multipliers are ratios of the benchmark's means; whole lengths are its means."""
    puzzles, gpqa = (CATALOG.get(BenchmarkFile, n).spec.points for n in ("logic-puzzles", "gpqa-diamond"))
    compared = 0
    for model in CATALOG.all(ModelSpec):
        for effort, length in model.spec.effort_generated_tokens.items():
            (point,) = (p for p in gpqa if p.model == model.spec.id and (p.effort or "default") == effort)
            assert point.generated_tokens is not None
            assert length.mean == point.generated_tokens.mean
            compared += 1
        for effort, multiplier in model.spec.effort_multipliers.items():
            source = model.document.source_name(("effort_multipliers", effort))
            if source == "lrm":
                (point,) = (p for p in puzzles if p.model == model.spec.id and (p.effort or "default") == effort)
                assert point.generated_tokens is not None
                assert point.reasoning_tokens is not None
                mean = point.generated_tokens.mean
                assert multiplier == pytest.approx(mean / (mean - point.reasoning_tokens), rel=1e-3)
                compared += 1
    assert compared == 14


def test_an_effort_of_whole_lengths_is_an_estimate_with_those_tokens(call: Call) -> None:
    """gpt-oss-120b at medium: 1,715.3 tokens in all whatever the visible answer is, and never fewer than it."""
    common = ("estimate", "o1-class", "--model", "gpt-oss-120b", "--set", "workload.effort=medium")
    row = rows(call, *common)[0]
    assert float(row["generated_tokens_per_answer"]) == pytest.approx(1715.3, rel=1e-3)
    assert float(row["reasoning_multiplier"]) == pytest.approx(1715.3 / 392, rel=1e-3)
    short = call(*common, "--set", "workload.answer_tokens=4000")
    assert short.code == EXIT_BAD_INPUT
    assert "generates 1,715 tokens at effort 'medium', thinking included, fewer than the 4,000" in short.errors[0]
    assert "medium" in call(*common[:4], "--set", "workload.effort=high").errors[0]
    shown = json.loads(call(*common, "--format", "json").out)["provenance"]
    assert [i["value"]["mean"] for i in shown if i["name"] == "model.effort_generated_tokens.medium"] == [1715.3]

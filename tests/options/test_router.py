"""A router: classes that several models answer become a question each, and a row of all of them together."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.documents.yaml_reader import parse_document
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, EXIT_GATE_FAILED, EXIT_OK, BadInputError, DataMissingError
from planner.options.answer import Answer, answer
from planner.options.router import ALL, by_model, together
from planner.scenario.load import build_scenario, load_scenario

CATALOG = Catalog()
ROUTER = """\
name: router
model: llama-3.1-8b
engine: vllm
workload:
  answers_per_day: 1e6
  input_tokens: 500
  answer_tokens: 200
  classes:
    - {name: easy, share: 0.5}
    - {name: usual, share: 0.3}
    - {name: hard, share: 0.2, model: llama-3.1-70b, reasoning_multiplier: 4}
demand: {peak_to_mean: 1.5}
fleet: {gpus: [h100-sxm], precisions: [native]}
prices: {providers: PROVIDER}
"""


def parts(provider: str = "jarvislabs", changes: dict[str, Any] | None = None) -> list[Answer]:
    """Return the answers of the router's models."""
    document = parse_document(ROUTER.replace("PROVIDER", provider), "router.yaml")
    scenario = build_scenario(document, CATALOG.roots[-1], changes=changes)
    return [answer(part, CATALOG) for part in by_model(scenario)]


def test_each_model_gets_its_classes_and_its_share_of_the_rate() -> None:
    """0.5 and 0.3 of a million answers stay with the scenario's model as 5/8 and 3/8, 0.2 goes to the other."""
    small, large = (a.scenario for a in parts())
    assert (small.spec.model, large.spec.model) == ("llama-3.1-8b", "llama-3.1-70b")
    assert [c.share for c in small.spec.workload.classes] == pytest.approx([5 / 8, 3 / 8])
    assert small.spec.workload.answers_per_day == pytest.approx(8e5)
    assert large.spec.workload.answers_per_day == pytest.approx(2e5)
    assert [(s.label, s.router) for s in (small, large)] == [
        ("router", "router"),
        ("router", "router"),
    ]


def test_a_workload_of_one_model_stays_as_it_is() -> None:
    """Without a model of their own classes are one question."""
    scenario = load_scenario("o1-class", CATALOG)
    assert by_model(scenario) == [scenario]


def test_classes_with_rates_of_their_own_keep_them() -> None:
    """A class's own rate is its model's rate."""
    text = ROUTER.replace("  answers_per_day: 1e6\n", "").replace("PROVIDER", "jarvislabs")
    for share, rate in (("0.5", "100"), ("0.3", "60"), ("0.2", "40")):
        text = text.replace(f"share: {share}", f"answers_per_day: {rate}")
    scenario = build_scenario(parse_document(text, "r.yaml"), CATALOG.roots[-1])
    rates = [sum(c.answers_per_day or 0 for c in part.spec.workload.classes) for part in by_model(scenario)]
    assert rates == [160, 40]


def test_all_models_together_is_the_sum() -> None:
    """GPUs, dollars, energy add up; dollars an answer are over all answers."""
    found = parts()
    row = together(found, "router", shared=False)
    best = [a.best for a in found]
    for field in ("gpus", "cost_usd_per_month", "energy_kwh_per_month", "answers_per_month"):
        assert row[field] == pytest.approx(sum(b[field] for b in best))
    assert row["cost_usd_per_answer"] == pytest.approx(row["cost_usd_per_month"] / (1e6 / 24 * 730))
    tokens = 0.8 * best[0]["generated_tokens_per_answer"] + 0.2 * best[1]["generated_tokens_per_answer"]
    assert row["generated_tokens_per_answer"] == pytest.approx(tokens)
    assert (row["model"], row["ttft_p95_s"], row["meets_slo"]) == (ALL, None, True)


def test_shared_nodes_are_filled_by_both_models() -> None:
    """Where whole nodes of 8 are sold, replicas of both models stand side by side: the nodes are counted once."""
    found = parts("aws", {"workload.answers_per_day": 2e5, "fleet.availability": 0.5})
    alone, shared = (together(found, "router", shared=s) for s in (False, True))
    used = sum((a.best["replicas"] + a.best["spare_replicas"]) * a.best["gpus_per_replica"] for a in found)
    assert all(a.best["gpus"] % 8 == 0 and a.best["gpus_per_replica"] < 8 for a in found)
    assert shared["gpus"] == -(-used // 8) * 8
    assert shared["gpus"] < alone["gpus"]
    price = found[0].best["usd_per_gpu_hour"]
    assert shared["cost_usd_per_month"] == pytest.approx(shared["gpus"] * price * 730)


def test_a_router_on_the_command_line(call: Callable[..., Any], tmp_path: Path) -> None:
    """The row of all models ends the CSV and the table, and is what a gate judges."""
    path = tmp_path / "router.yaml"
    path.write_text(ROUTER.replace("PROVIDER", "jarvislabs"), encoding="utf-8")
    found = call("estimate", path, "--format", "csv")
    assert found.code == EXIT_OK
    last = list(csv.DictReader(io.StringIO(found.out)))[-1]
    assert (last["scenario"], last["model"], last["ttft_p95_s"]) == ("router", ALL, "")
    cost = float(last["cost_usd_per_month"])
    table = call("estimate", path)
    together = f"router, all models together: {last['gpus']} × h100-sxm from jarvislabs on-demand, ${cost:,.0f} a month"
    assert together in table.out
    assert call("estimate", path, "--max", f"cost_usd_per_month={cost * 1.01}").code == EXIT_OK
    refused = call("estimate", path, "--max", f"cost_usd_per_month={cost * 0.99}")
    assert refused.code == EXIT_GATE_FAILED
    assert refused.errors[0].startswith("router: gate failed")
    compared = json.loads(call("compare", path, "--format", "json").out)["results"]
    assert [r["model"] for r in compared] == ["llama-3.1-8b", "llama-3.1-70b", ALL]
    assert call("validate", path).code == EXIT_OK


def test_what_takes_one_model_names_the_class_or_the_row(call: Callable[..., Any], tmp_path: Path) -> None:
    """`answer` refuses a router with the place of the class; `explain` and `thinking` take the model as --row."""
    path = tmp_path / "router.yaml"
    path.write_text(ROUTER.replace("PROVIDER", "jarvislabs"), encoding="utf-8")
    with pytest.raises(BadInputError, match="sends its classes to several models") as caught:
        answer(load_scenario(path, CATALOG), CATALOG)
    assert ":11:" in str(caught.value)
    assert call("explain", path, "gpus", "--row", "llama-3.1-70b").out.startswith("router: gpus")
    assert "as asked: 4.0×" in call("thinking", path, "--row", "llama-3.1-70b").out
    given = call("explain", path, "workload.classes[2].reasoning_multiplier").out
    assert 'workload.classes[2].reasoning_multiplier = {"mean": 4.0}' in given
    for command in ("explain", "thinking"):
        unnamed = call(command, path)
        assert unnamed.code == EXIT_BAD_INPUT
        assert "expected --row with one of llama-3.1-8b, llama-3.1-70b" in unnamed.errors[0]
    wrong = call("explain", path, "gpus", "--row", "llama-3.1-7b")
    assert wrong.code == EXIT_DATA_MISSING
    assert "Did you mean llama-3.1-70b" in wrong.errors[0]


def test_a_model_without_a_share_is_left_out_and_an_unknown_one_is_placed() -> None:
    """A share of 0 asks nothing of its model; a name nobody knows stands at its class, not at the scenario's model."""
    text = (
        ROUTER.replace("PROVIDER", "jarvislabs").replace("share: 0.5", "share: 0.7").replace("share: 0.2", "share: 0")
    )
    scenario = build_scenario(parse_document(text, "router.yaml"), CATALOG.roots[-1])
    assert [part.spec.model for part in by_model(scenario)] == ["llama-3.1-8b"]
    text = ROUTER.replace("PROVIDER", "jarvislabs").replace("llama-3.1-70b", "llama-9")
    *_, part = by_model(build_scenario(parse_document(text, "router.yaml"), CATALOG.roots[-1]))
    with pytest.raises(DataMissingError, match=r"router.yaml:11:\d+.*unknown model 'llama-9'"):
        answer(part, CATALOG)

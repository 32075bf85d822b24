"""A router: classes of one workload that different models answer, each from its own fleet or all from shared nodes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from planner import units
from planner.documents.spec import load
from planner.documents.yaml_reader import Document, Key
from planner.options.answer import Answer
from planner.options.ranking import RESULT_FIELDS, Row, number
from planner.scenario.load import Scenario, changed
from planner.scenario.scenario import ScenarioSpec
from planner.scenario.workload import RATE_FIELDS

ALL = "all"
"""The model of the row that stands for every model of a router together."""
_SUMMED = (
    "gpus",
    "gpu_hours_per_month_reserved",
    "gpu_hours_per_month_used",
    "cost_usd_per_month",
    "power_kw",
    "energy_kwh_per_month",
    "co2e_kg_per_month",
    "answers_per_month",
)


def by_model(scenario: Scenario) -> list[Scenario]:
    """Return a question per model that answers some class of the workload; the question itself where that is one.

    A model's question holds its classes, their shares scaled to 1, and its share of the rate.
    """
    classes = scenario.spec.workload.classes
    models = [c.model or scenario.spec.model for c in classes]
    if not any(c.model for c in classes):
        return [scenario]
    asked = {m for m, c in zip(models, classes, strict=True) if c.share is None or c.share > 0.0}
    members = {model: [i for i, m in enumerate(models) if m == model] for model in models if model in asked}
    return [_part(scenario, model, of) for model, of in members.items()]


def _part(scenario: Scenario, model: str, members: Sequence[int]) -> Scenario:
    document, workload = scenario.loaded.document, scenario.spec.workload
    share = sum(workload.classes[i].share or 0.0 for i in members) or 1.0
    given = [dict(document.data["workload"]["classes"][i]) for i in members]
    for fields in given:
        fields.pop("model", None)
        if fields.get("share") is not None:
            fields["share"] = fields["share"] / share
    changes: dict[tuple[str, ...], Any] = {
        ("model",): model,
        ("workload", "classes"): tuple(given),
    }
    for name in RATE_FIELDS:
        if getattr(workload, name) is not None:
            changes["workload", name] = getattr(workload, name) * share
    if workload.users is not None:
        changes["workload", "users", "count"] = workload.users.count * share
    named = next((i for i in members if workload.classes[i].model), None)
    places: dict[tuple[str, ...], str] = {}
    if named is not None:
        places["model",] = document.place(("workload", "classes", named, "model"))
    for key, value in changes.items():
        document = changed(document, key, value, places.get(key, document.place(key)), document.source_name(key))
    document = replace(document, origins=document.origins | _places_of_classes(scenario.loaded.document, members))
    return replace(scenario, loaded=load(ScenarioSpec, document), router=scenario.label)


def _places_of_classes(document: Document, members: Sequence[int]) -> dict[Key, str]:
    """Return the places of what stands in some classes of a document, numbered as the part of their model has them."""
    classes = ("workload", "classes")
    return {
        (*classes, new, *key[3:]): document.place(key)
        for new, old in enumerate(members)
        for key in (*document.positions, *document.origins)
        if key[:3] == (*classes, old)
    }


def together(parts: Sequence[Answer], name: str, *, shared: bool) -> Row:
    """Return the row of all models of a router together: sums over their best options, or over shared nodes.

    Shared: all run on one GPU from one offer, the cheapest that every model can use, and nodes that are sold whole
    are filled with replicas of every model. A field that has no sum is None.
    """
    chosen = _on_shared_nodes(parts) if shared else [part.best for part in parts]
    row: Row = dict.fromkeys(RESULT_FIELDS)
    row |= {"scenario": name, "model": ALL}
    if chosen is None:
        return row | {"fits": True, "meets_slo": False}
    for field in _SUMMED:
        values = [each[field] for each in chosen]
        row[field] = None if any(v is None for v in values) else sum(values)
    row |= {k: chosen[0][k] for k in _SAME if len({each[k] for each in chosen}) == 1}
    row["fits"], row["meets_slo"] = (all(each[k] for each in chosen) for k in ("fits", "meets_slo"))
    if shared:
        _fill_nodes(row, chosen, parts)
    row |= _per_answer(row, chosen)
    return {k: number(k, v) if isinstance(v, float) else v for k, v in row.items()}


def _per_answer(row: Row, chosen: Sequence[Row]) -> Row:
    """Return what an answer costs on average over the models, by their shares of the answers."""
    answers, reserved = row["answers_per_month"], row["gpu_hours_per_month_reserved"]
    if answers is None or reserved is None:
        return {}
    found: Row = {"utilization": row["gpu_hours_per_month_used"] / reserved}
    found["energy_wh_per_answer"] = row["energy_kwh_per_month"] * units.WATTS_PER_KW / answers
    if row["cost_usd_per_month"] is not None:
        found["cost_usd_per_answer"] = row["cost_usd_per_month"] / answers
    for field in _MEANS:
        values = [each[field] for each in chosen]
        if all(v is not None for v in values):
            weighted = (v * each["answers_per_month"] for v, each in zip(values, chosen, strict=True))
            found[field] = sum(weighted) / answers
    return found


_MEANS = (
    "input_tokens_per_answer",
    "answer_tokens_per_answer",
    "generated_tokens_per_answer",
    "cost_usd_per_answer_used",
    "accuracy",
)


_SAME = ("gpu", "system", "engine", "precision", "provider", "price_tier", "region", "usd_per_gpu_hour", "prices_as_of")
_OFFER = ("gpu", "provider", "price_tier", "region", "usd_per_gpu_hour")


def _on_shared_nodes(parts: Sequence[Answer]) -> list[Row] | None:
    """Return each model's option on the GPU and offer that is cheapest for all together; None where there is none."""
    tables: list[dict[tuple[Any, ...], Row]] = []
    for part in parts:
        table: dict[tuple[Any, ...], Row] = {}
        for row in part.results:
            if row["meets_slo"] and row["cost_usd_per_month"] is not None:
                table.setdefault(tuple(row[k] for k in _OFFER), row)  # best first
        tables.append(table)
    common = [key for key in tables[0] if all(key in table for table in tables)]
    choices = [[table[key] for table in tables] for key in common]
    return min(choices, key=lambda rows: sum(r["cost_usd_per_month"] for r in rows), default=None)


def _fill_nodes(row: Row, chosen: Sequence[Row], parts: Sequence[Answer]) -> None:
    """Count nodes that are sold whole once for all models: small replicas stand side by side in them."""
    units_of = [_gpus_per_unit(part, each) for part, each in zip(parts, chosen, strict=True)]
    unit = units_of[0]
    if unit is None:
        return
    sizes = [(each["replicas"] + each["spare_replicas"], each["gpus_per_replica"]) for each in chosen]
    small = sum(count * gpus for count, gpus in sizes if gpus < unit)
    nodes = -(-small // unit) + sum(count * -(-gpus // unit) for count, gpus in sizes if gpus >= unit)
    saved = nodes * unit / row["gpus"]
    row |= {"nodes": nodes, "gpus": nodes * unit}
    for field in ("gpu_hours_per_month_reserved", "cost_usd_per_month", "power_kw", "energy_kwh_per_month"):
        row[field] *= saved
    row["co2e_kg_per_month"] *= saved


def _gpus_per_unit(part: Answer, row: Row) -> int | None:
    """Return the GPUs of the node or machine an option is sold by; None where single GPUs are sold."""
    offer = part.options[part.results.index(row)].offer
    return None if offer is None or offer.quote.sold_by == "gpu" else offer.quote.gpus_per_instance


def totals(answers: Sequence[Answer]) -> list[Row]:
    """Return the row of all models together for each router among some answers, in their order."""
    routers = dict.fromkeys(a.scenario.router for a in answers if a.scenario.router)
    found = []
    for name in routers:
        parts = [a for a in answers if a.scenario.router == name]
        found.append(together(parts, str(name), shared=parts[0].scenario.spec.routing.fleet == "shared"))
    return found

"""A router: classes of one workload that different models answer, each from its own fleet or all from shared nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from planner import units
from planner.documents.spec import load
from planner.documents.yaml_reader import Document, Key
from planner.options.answer import Answer
from planner.options.option import COLUMNS, Option, number
from planner.scenario.load import Scenario, changed
from planner.scenario.scenario import ScenarioSpec
from planner.scenario.workload import RATE_FIELDS

ALL = "all"
"""The model of the row that stands for every model of a router together."""


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


def together(parts: Sequence[Answer], router: str, *, shared: bool) -> Option:
    """Return all models of a router as one option: sums over their best options, or over shared nodes.

    Shared: all run on one GPU from one offer, the cheapest that every model can use, and nodes that are sold whole
    are filled with replicas of every model. A field that has no sum is None.
    """
    chosen = _on_shared_nodes(parts) if shared else [part.best for part in parts]
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    found |= {"scenario": router, "model": ALL, "fits": True, "meets_slo": False}
    if chosen is None:
        return Option(**found)
    for field in _combined("sum"):
        values = [option[field] for option in chosen]
        found[field] = None if any(v is None for v in values) else sum(values)
    found |= {field: chosen[0][field] for field in _combined("same") if len({option[field] for option in chosen}) == 1}
    found["fits"], found["meets_slo"] = all(o.fits for o in chosen), all(o.meets_slo for o in chosen)
    if shared:
        _fill_nodes(found, chosen, parts)
    found |= _per_answer(found, chosen)
    rounded: dict[str, Any] = {
        k: number(v, whole=COLUMNS[k].whole) if isinstance(v, float) else v for k, v in found.items()
    }
    return Option(**rounded)


def _combined(how: str) -> list[str]:
    """Return the result fields that are combined over models in a way (`Column.models`)."""
    return [name for name, column in COLUMNS.items() if column.models == how]


def _per_answer(sums: Mapping[str, Any], chosen: Sequence[Option]) -> dict[str, Any]:
    """Return what an answer costs on average over the models, by their shares of the answers."""
    answers, reserved = sums["answers_per_month"], sums["gpu_hours_per_month_reserved"]
    if answers is None or reserved is None:
        return {}
    found: dict[str, Any] = {"utilization": sums["gpu_hours_per_month_used"] / reserved}
    found["energy_wh_per_answer"] = sums["energy_kwh_per_month"] * units.WATTS_PER_KW / answers
    if sums["cost_usd_per_month"] is not None:
        found["cost_usd_per_answer"] = sums["cost_usd_per_month"] / answers
    for field in _combined("mean"):
        values = [option[field] for option in chosen]
        if all(v is not None for v in values):
            weighted = (v * option.answers_per_month for v, option in zip(values, chosen, strict=True))
            found[field] = sum(weighted) / answers
    return found


_OFFER = ("gpu", "provider", "price_tier", "region", "usd_per_gpu_hour")


def _on_shared_nodes(parts: Sequence[Answer]) -> list[Option] | None:
    """Return each model's option on the GPU and offer that is cheapest for all together; None where there is none."""
    tables: list[dict[tuple[Any, ...], Option]] = []
    for part in parts:
        table: dict[tuple[Any, ...], Option] = {}
        for option in part.results:
            if option.meets_slo and option.cost_usd_per_month is not None:
                table.setdefault(tuple(option[name] for name in _OFFER), option)  # best first
        tables.append(table)
    common = [key for key in tables[0] if all(key in table for table in tables)]
    choices = [[table[key] for table in tables] for key in common]
    return min(choices, key=lambda options: sum(o.cost_usd_per_month or 0.0 for o in options), default=None)


def _fill_nodes(sums: dict[str, Any], chosen: Sequence[Option], parts: Sequence[Answer]) -> None:
    """Count nodes that are sold whole once for all models: small replicas stand side by side in them."""
    unit = _gpus_per_unit(parts[0], chosen[0])
    if unit is None:
        return
    sizes = [(option["replicas"] + option["spare_replicas"], option["gpus_per_replica"]) for option in chosen]
    small = sum(count * gpus for count, gpus in sizes if gpus < unit)
    nodes = -(-small // unit) + sum(count * -(-gpus // unit) for count, gpus in sizes if gpus >= unit)
    saved = nodes * unit / sums["gpus"]
    sums |= {"nodes": nodes, "gpus": nodes * unit}
    for field in _OF_NODES:
        sums[field] *= saved


_OF_NODES = (
    "gpu_hours_per_month_reserved",
    "cost_usd_per_month",
    "power_kw",
    "energy_kwh_per_month",
    "co2e_kg_per_month",
)
"""What grows with the nodes that are paid for."""


def _gpus_per_unit(part: Answer, option: Option) -> int | None:
    """Return the GPUs of the node or machine an option is sold by; None where single GPUs are sold."""
    offer = part.options[part.results.index(option)].offer
    return None if offer is None or offer.quote.sold_by == "gpu" else offer.quote.gpus_per_instance


def totals(answers: Sequence[Answer]) -> list[Option]:
    """Return all models together as one option for each router among some answers, in their order."""
    routers = dict.fromkeys(a.scenario.router for a in answers if a.scenario.router)
    found = []
    for name in routers:
        parts = [a for a in answers if a.scenario.router == name]
        found.append(together(parts, str(name), shared=parts[0].scenario.spec.routing.fleet == "shared"))
    return found

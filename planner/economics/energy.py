"""Energy and carbon of an answer, from the GPUs to the meter, by grid and source."""

import math
from collections.abc import Sequence

from planner import units
from planner.catalog.catalog import Catalog, GridFactor
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.fleet.estimate import solve
from planner.options.answer import Answer
from planner.options.provenance import grid_input, inputs
from planner.options.router import ALL
from planner.wording import significant

PAGE = "economics/energy.csv"


def energy(
    parts: Sequence[Answer], catalog: Catalog, zones: Sequence[str] = (), *, embodied: bool = False
) -> QuestionResult:
    """Return the energy and carbon of a question's best option, a row for each source of each grid zone.

    Parameters
    ----------
    parts : the answer; of a router one for each model, which are also summed.
    zones : codes or names of the catalogue; the scenario's where empty.
    embodied : whether the total counts the making of GPUs and servers.

    Raises DataMissingError for an unknown zone.
    """
    scenario = parts[0].scenario
    wanted = [(z, "--grid") for z in zones]
    wanted = wanted or [(scenario.spec.energy.grid, scenario.loaded.document.place(("energy", "grid")))]
    grids = {(g.zone, g.source_name): g for zone, where in wanted for g in catalog.grids(zone, where=where)}.values()
    by_model = {part.model.spec.id: _of_option(part, catalog) for part in parts}
    if len(parts) > 1:
        by_model[ALL] = _sum_of_models(list(by_model.values()))
    lines = [
        _line(scenario.label, model if len(parts) > 1 else None, grid, values | {"counts_embodied": float(embodied)})
        for model, values in by_model.items()
        for grid in grids
    ]
    sources = [i for part in parts for i in inputs(part.scenario, catalog, part.options[0], part.model)]
    cited = [i for i in sources if i.name != "grid.gco2e_per_kwh"] + [grid_input(grid) for grid in grids]
    failed = [] if all(part.meets for part in parts) else [f"{scenario.label}: no option meets the limits"]
    verdict = _verdict(lines[-len(grids) :])
    return QuestionResult(
        "energy",
        scenario.loaded,
        page_formulas(PAGE),
        lines,
        verdict=verdict,
        warnings=_warnings(parts),
        provenance=cited,
        failed=failed,
    )


def _warnings(parts: Sequence[Answer]) -> list[str]:
    warnings = [warning for part in parts for warning in part.warnings]
    if len(parts) > 1 and parts[0].scenario.spec.routing.fleet == "shared":
        warnings.append("nodes that the models share are counted for each of them; `planner estimate` counts them once")
    return list(dict.fromkeys(warnings))


def _sum_of_models(models: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return what the page reads of all models of a router: sums, and means weighted by GPUs or GPU-seconds."""

    def total(*names: str) -> float:
        return math.fsum(math.prod(model[name] for name in names) for model in models)

    gpus, answers = total("billed_gpus"), total("answers_per_month")
    gpu_seconds = total("answers_per_month", "gpu_seconds_per_answer")
    return models[0] | {
        "billed_gpus": gpus,
        "gpu_power_w": total("billed_gpus", "gpu_power_w") / gpus,
        "gpu_seconds_per_answer": gpu_seconds / answers,
        "busy_gpu_power_w": total("answers_per_month", "gpu_seconds_per_answer", "busy_gpu_power_w") / gpu_seconds,
        "answers_per_hour": total("answers_per_hour"),
        "answers_per_month": answers,
    }


def _of_option(part: Answer, catalog: Catalog) -> dict[str, float]:
    """Return what the page reads of the best option."""
    cases, assumptions = part.case(), catalog.assumptions.spec
    estimate, work = solve(cases)
    answers_per_s = float(cases.demand.answers_per_s)
    return flat("assumptions", assumptions) | {
        "billed_gpus": float(work.fleet_cost.money.gpu_hours_per_month_reserved / units.HOURS_PER_MONTH),
        "gpu_power_w": float(work.energy.gpu_power_w),
        "busy_gpu_power_w": float(work.busy_power_w),
        "gpu_seconds_per_answer": float(estimate.gpu_seconds_per_answer),
        "energy.pue": float(cases.energy.pue),
        "answers_per_hour": answers_per_s * units.SECONDS_PER_HOUR,
        "answers_per_month": answers_per_s * units.SECONDS_PER_MONTH,
    }


def _line(label: str, model: str | None, grid: GridFactor, inputs: dict[str, float]) -> ResultLine:
    """Return a row; `model` only where a router has several."""
    texts = {
        "scenario": label,
        "model": model,
        "grid": grid.zone,
        "year": grid.year or None,
        "source": grid.source_name,
    }
    values = inputs | {"grid.gco2e_per_kwh": grid.gco2e_per_kwh}
    name = f"{model} {grid.zone} {grid.source_name}" if model else f"{grid.zone} {grid.source_name}"
    return solve_line(name, texts, values, page_formulas(PAGE))


def _verdict(lines: Sequence[ResultLine]) -> list[str]:
    first = lines[0].values
    if math.isnan(first["energy_wh_per_answer"]):
        return ["no fleet, so no energy: no option meets the limits"]
    wh = [significant(first[n]) for n in ("gpu_wh_per_answer", "node_wh_per_answer", "energy_wh_per_answer")]
    grams = [line.values["total_g_per_answer"] for line in lines]
    spread = significant(min(grams)) if len(lines) == 1 else f"{significant(min(grams))} to {significant(max(grams))}"
    used = f"{significant(first['used_wh_per_answer'])} Wh of it generates the answer"
    return [
        f"{wh[2]} Wh per answer at the meter ({wh[0]} at the GPUs, {wh[1]} at the nodes)",
        f"{used}, {first['waiting_share']:.0%} is idle capacity for the peak and failures",
        f"{spread} gCO2e per answer, by grid and source",
    ]

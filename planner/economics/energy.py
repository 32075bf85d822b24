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
    known = {part.model.spec.id: _of_option(part, catalog) for part in parts}
    if len(parts) > 1:
        known[ALL] = _together(list(known.values()))
    lines = [
        _line(scenario.label, model if len(parts) > 1 else None, grid, values | {"counts_embodied": float(embodied)})
        for model, values in known.items()
        for grid in grids
    ]
    read = [i for part in parts for i in inputs(part.scenario, catalog, part.options[0], part.model)]
    cited = [i for i in read if i.name != "grid.gco2e_per_kwh"] + [grid_input(grid) for grid in grids]
    failed = [] if all(part.meets for part in parts) else [f"{scenario.label}: {_NOTHING}"]
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


_NOTHING = "no option meets the limits"


def _warnings(parts: Sequence[Answer]) -> list[str]:
    found = [warning for part in parts for warning in part.warnings]
    if len(parts) > 1 and parts[0].scenario.spec.routing.fleet == "shared":
        found.append("nodes that the models share are counted for each of them; `planner estimate` counts them once")
    return list(dict.fromkeys(found))


def _together(each: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return what the page reads of all models of a router: sums, and means by what each draws or is asked."""
    gpus, answers = (sum(one[name] for one in each) for name in ("billed_gpus", "answers_per_month"))

    def per_answer(name: str, weight: str = "") -> float:
        return sum(one["answers_per_month"] * one[name] * (one[weight] if weight else 1.0) for one in each) / answers

    seconds = per_answer("gpu_seconds_per_answer")
    return each[0] | {
        "billed_gpus": gpus,
        "gpu_power_w": sum(one["billed_gpus"] * one["gpu_power_w"] for one in each) / gpus,
        "gpu_seconds_per_answer": seconds,
        "busy_gpu_power_w": per_answer("gpu_seconds_per_answer", "busy_gpu_power_w") / seconds,
        "answers_per_hour": sum(one["answers_per_hour"] for one in each),
        "answers_per_month": answers,
    }


def _of_option(found: Answer, catalog: Catalog) -> dict[str, float]:
    """Return what the page reads of the best option."""
    cases, assumed = found.case(), catalog.assumptions.spec
    estimate, work = solve(cases)
    answers_per_s = float(cases.demand.answers_per_s)
    return flat("assumptions", assumed) | {
        "billed_gpus": float(work.fleet_cost.money.gpu_hours_per_month_reserved / units.HOURS_PER_MONTH),
        "gpu_power_w": float(work.energy.gpu_power_w),
        "busy_gpu_power_w": float(work.busy_power_w),
        "gpu_seconds_per_answer": float(estimate.gpu_seconds_per_answer),
        "energy.pue": float(cases.energy.pue),
        "answers_per_hour": answers_per_s * units.SECONDS_PER_HOUR,
        "answers_per_month": answers_per_s * units.SECONDS_PER_MONTH,
    }


def _line(label: str, model: str | None, grid: GridFactor, known: dict[str, float]) -> ResultLine:
    """Return a row; `model` only where a router has several."""
    texts = {
        "scenario": label,
        "model": model,
        "grid": grid.zone,
        "year": grid.year or None,
        "source": grid.source_name,
    }
    values = known | {"grid.gco2e_per_kwh": grid.gco2e_per_kwh}
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

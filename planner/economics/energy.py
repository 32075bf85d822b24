"""Energy and carbon of an answer, from the GPUs to the meter, by grid and source."""

from collections.abc import Sequence

from planner import units
from planner.answers import Answer
from planner.economics.sheet import Line, Sheet, solve_line
from planner.estimate import solve
from planner.formulas import formulas
from planner.provenance import Input, inputs
from planner.specs.catalog import Catalog, GridFactor
from planner.words import significant

PAGE = "economics/energy.csv"
IDENTITY = ("scenario", "grid", "year", "source")
SHOWN = ("energy_wh_per_answer", "energy_kwh_per_month", "co2e_g_per_answer", "total_g_per_answer", "co2e_kg_per_month")
_FROM_ASSUMPTIONS = (
    "node_power_overhead",
    "embodied_kgco2e_per_gpu",
    "embodied_kgco2e_per_server",
    "embodied_server_gpus",
    "hardware_life_years",
)


def energy(found: Answer, catalog: Catalog, zones: Sequence[str] = (), *, embodied: bool = False) -> Sheet:
    """Return the best option's energy and carbon, a row for each source of each grid zone.

    Parameters
    ----------
    zones : codes or names of the catalogue; the scenario's where empty.
    embodied : whether the total counts the making of GPUs and servers.

    Raises DataMissingError for an unknown zone.
    """
    place = found.scenario.loaded.document.place(("energy", "grid"))
    wanted = [(z, "--grid") for z in zones] or [(found.scenario.spec.energy.grid, place)]
    grids = [grid for zone, where in wanted for grid in catalog.grids(zone, where=where)]
    page, known = formulas(PAGE), _of_option(found, catalog) | {"counts_embodied": float(embodied)}
    lines = [_line(found.scenario.label, grid, known) for grid in grids]
    sources = inputs(found.scenario, catalog, found.options[0], found.model)
    sources = [i for i in sources if i.name != "grid.gco2e_per_kwh"] + [_cited(grid) for grid in grids]
    fields = tuple(page)
    return Sheet(
        "energy", found.scenario.loaded, page, IDENTITY, fields, lines, _verdict(lines), found.warnings, sources, SHOWN
    )


def _cited(grid: GridFactor) -> Input:
    return Input(
        "grid.gco2e_per_kwh",
        grid.gco2e_per_kwh,
        grid.where,
        grid.source.cite(),
        str(grid.source.checked),
        assumed=False,
    )


def _of_option(found: Answer, catalog: Catalog) -> dict[str, float]:
    """Return what the page reads of the best option."""
    cases, assumed = found.case(), catalog.assumptions.spec
    estimate, work = solve(cases)
    values = {f"assumptions.{name}": float(getattr(assumed, name)) for name in _FROM_ASSUMPTIONS}
    answers_per_s = float(cases.demand.answers_per_s)
    return values | {
        "billed_gpus": float(work.money.gpu_hours_per_month_reserved / units.HOURS_PER_MONTH),
        "gpu_power_w": float(work.energy.gpu_power_w),
        "busy_gpu_power_w": float(work.busy_power_w),
        "gpu_seconds_per_answer": float(estimate.gpu_seconds_per_answer),
        "energy.pue": float(cases.energy.pue),
        "answers_per_hour": answers_per_s * units.SECONDS_PER_HOUR,
        "answers_per_month": answers_per_s * units.SECONDS_PER_MONTH,
        "seconds_per_hour": units.SECONDS_PER_HOUR,
    }


def _line(label: str, grid: GridFactor, known: dict[str, float]) -> Line:
    texts = {"scenario": label, "grid": grid.zone, "year": grid.year or None, "source": grid.source_name}
    values = known | {"grid.gco2e_per_kwh": grid.gco2e_per_kwh}
    return solve_line(f"{grid.zone} {grid.source_name}", texts, values, formulas(PAGE))


def _verdict(lines: Sequence[Line]) -> list[str]:
    first = lines[0].values
    wh = [significant(first[n]) for n in ("gpu_wh_per_answer", "node_wh_per_answer", "energy_wh_per_answer")]
    grams = [line.values["total_g_per_answer"] for line in lines]
    spread = significant(min(grams)) if len(lines) == 1 else f"{significant(min(grams))} to {significant(max(grams))}"
    used = f"{significant(first['used_wh_per_answer'])} Wh of it while the answer is written"
    return [
        f"{wh[2]} Wh an answer at the meter: {wh[0]} of the GPUs, {wh[1]} of the nodes",
        f"{used}, {first['waiting_share']:.0%} waits for the peak and for failures",
        f"{spread} gCO2e an answer, by grid and source",
    ]

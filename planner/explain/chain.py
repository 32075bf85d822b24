"""Why a number is what it is: its chain of formulas with this case's numbers, down to each input's source.

The formulas are read from the functions that compute (`code_formulas`), or text (formulas.csv) where no function holds
them as one expression. They are *evaluated* on the case: a test holds every one of them against the estimate.
"""

import dataclasses
import math
from collections.abc import Mapping

from planner import units
from planner.errors import BadInputError, suggestion
from planner.explain.chain_pools import pool_values
from planner.explain.code_formulas import one_pool_formulas, two_pools_formulas
from planner.explain.formulas import Formula, Step, completed, formulas, walk
from planner.explain.no_value import why_no_value
from planner.fleet.estimate import Estimate, EstimateDetail, solve
from planner.options.answer import Answer, measured_load_of
from planner.options.lowering_workload import growth_factor
from planner.options.option import COLUMNS
from planner.options.provenance import case_values
from planner.serving.cases import TRAILING, Cases
from planner.serving.steady_state import QUANTILES, length_quantiles, step_terms_at, waits


def case_namespace(cases: Cases) -> tuple[dict[str, float], Estimate, EstimateDetail]:
    """Return every quantity of a single case by the name the formulas use."""
    found, work = solve(cases)
    values: dict[str, float] = {f.name: float(getattr(found, f.name)) for f in dataclasses.fields(found)}
    values |= case_values(cases)
    for label, struct in (
        ("tokens", work.replica.tokens),
        ("memory", work.replica.memory),
        ("costs", work.replica.costs),
    ):
        values |= {f"{label}.{f.name}": float(getattr(struct, f.name)) for f in dataclasses.fields(struct)}
    for label, load in (("capacity", work.at_capacity), ("peak", work.at_peak), ("shown", work.shown)):
        terms = step_terms_at(work.replica, load)
        values |= {f"{label}.{f.name}": float(getattr(terms, f.name)) for f in dataclasses.fields(terms)}
        values |= {
            f"{label}.running": float(load.running),
            f"{label}.answers_per_s": float(load.answers_per_s),
            f"{label}.step_s": float(load.step_s),
            f"{label}.decode_only_step_s": float(load.step_alone_s),
            f"{label}.prefill_work_s": float(load.prefill_work_s),
            f"{label}.prefill_tokens": float(load.prefill_tokens_per_step),
            f"{label}.sequences_per_rank": float(load.running / work.replica.ranks),
        }
    prefill, slots = waits(work.replica, work.shown)
    lengths = length_quantiles(cases)
    for p, q in QUANTILES.items():
        values[f"shown.prefill_wait_{p}_s"] = float(prefill.quantile_s(q))
        values[f"shown.slot_wait_{p}_s"] = float(slots.quantile_s(q))
        values |= {
            f"lengths.{kind}_{p}": float(getattr(lengths, kind)[p]) for kind in ("prefill", "thinking", "output")
        }
    values |= {
        "prefill_share": float(work.prefill_share),
        "prefill_chunk": float(work.replica.prefill_chunk),
        "pause_s": float(work.replica.pause_s),
        "decode_steps_per_answer": float(work.replica.decode_steps_per_answer),
        "tokens_per_step": float(work.replica.tokens_per_step),
        "draft_share": float(work.replica.draft_share),
        "billed_gpus": float(work.fleet_cost.money.gpu_hours_per_month_reserved / units.HOURS_PER_MONTH),
        "units_billed": float(work.fleet_cost.fleet.nodes),
        "mean_gpus": float(work.fleet_cost.fleet.mean_gpus),
        "plain_gpu_seconds_per_answer": float(work.gpu_seconds_per_answer_plain),
        "gpu_power_w": float(work.energy.gpu_power_w),
        "plain_busy_power_w": float(work.plain_busy_power_w),
    }
    if work.deployment.prefill is not None:
        values |= pool_values(cases, work, work.deployment.prefill)
    return values, found, work


def explain(answer: Answer, field: str) -> list[Step]:
    """Return the chain behind a result field of an answer's best option.

    A result that has no formula is a single step with its value; one that has no value says why. Raises BadInputError
    for a name that is neither a result nor a step of one, with the nearest name.
    """
    known = known_formulas(answer)
    if field not in known and field not in COLUMNS:
        raise _unknown(answer, field, known)
    values = namespace(answer)
    if not math.isnan(values.get(field, math.nan)) and field in known:
        steps: list[Step] = []
        walk(field, 0, known, values, steps, set())
        return steps
    if field in COLUMNS and answer.best[field] is not None:
        return [Step(field, 0, answer.best[field])]
    return [Step(field, 0, math.nan, why=why_no_value(answer, field))]


def _unknown(answer: Answer, field: str, known: Mapping[str, Formula]) -> BadInputError:
    """Return the error of a name that is no quantity of this answer."""
    modelled = answer.scenario.spec.measured_rates is None
    if field in two_pools_formulas():
        text = (
            f"{field!r} is only for disaggregated serving (fleet.pools: two)"
            if modelled
            else f"{field!r} is a step of the performance model, and the rates of this scenario's nodes are measured"
        )
        return BadInputError(text, where="explain")
    names = [name for name in dict.fromkeys((*known, *COLUMNS)) if "." not in name]
    listing = "`planner schema --columns` lists the results"
    return BadInputError(f"no formula for {field!r}.{suggestion(field, names, listing=listing)}", where="explain")


def namespace(answer: Answer) -> dict[str, float]:
    """Return the quantities of an answer's best option by the names the formulas use."""
    measured = answer.scenario.spec.measured_rates is not None
    values = measured_namespace(answer) if measured else case_namespace(answer.case())[0]
    return completed(values, known_formulas(answer))


def measured_namespace(answer: Answer) -> dict[str, float]:
    """Return the quantities of a measured backend."""
    spec, cases = answer.scenario.spec, answer.case()
    values = {k: float(v) for k, v in answer.best.row().items() if isinstance(v, int | float)}
    for group, columns in cases.groups():
        if group not in TRAILING:
            values |= {f"{group}.{name}": float(column) for name, column in columns.items()}
    rates, volume, growth = spec.measured_rates, spec.workload.tokens_per_day, growth_factor(spec.demand)
    if rates is None:
        return values
    values |= {f"measured_rates.{f}": float(getattr(rates, f)) for f in type(rates).model_fields}
    if volume is not None:
        values |= {"workload.tokens_per_day.input": volume.input, "workload.tokens_per_day.output": volume.output}
    load = measured_load_of(answer.scenario, cases)
    return values | {
        "demand.growth": growth,
        "hourly_nodes_mean": values.get("nodes_mean", math.nan),
        "input_tokens_per_s": float(load.input_tokens_per_s),
        "output_tokens_per_s": float(load.output_tokens_per_s),
    }


def known_formulas(answer: Answer) -> dict[str, Formula]:
    """Return the formulas behind an answer's best option: of one pool, of two, or those of measured rates."""
    if answer.scenario.spec.measured_rates is None:
        return one_pool_formulas() if answer.options[0].prefill is None else two_pools_formulas()
    known = formulas("explain/formulas_measured.csv")
    if answer.scenario.spec.workload.tokens_per_day is not None:
        return known
    return {name: formula for name, formula in known.items() if not name.endswith("tokens_per_s")}


def known_fields(measured: bool) -> list[str]:  # noqa: FBT001 - one flag, named at the call
    """Return the result fields that can be explained."""
    return [n for n in (formulas("explain/formulas_measured.csv") if measured else one_pool_formulas()) if "." not in n]

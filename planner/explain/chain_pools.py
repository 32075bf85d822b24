"""What explains two pools: the formulas of one pool, those that differ, and those of a prefill replica's layout."""

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache

import numpy as np

from planner.explain.code_formulas import one_pool_formulas
from planner.explain.formulas import Formula, formulas
from planner.fleet.result import EstimateDetail
from planner.serving.cases import Cases
from planner.serving.disaggregated import PrefillPool
from planner.serving.power import busy_power_of
from planner.serving.steady_state import QUANTILES, waits
from planner.serving.step import step_terms

PREFILL = "prefill."
"""What the names of a prefill replica's quantities start with."""
_NAME = re.compile(r"[A-Za-z_][\w.]*")


@cache
def pool_formulas() -> dict[str, Formula]:
    """Return the formulas by name: those of a layout stand twice, for a decode and a prefill replica."""
    plain = one_pool_formulas()
    own = {name for name in _below("costs.", plain) if _has_layout(name, plain)}

    def renamed(found: re.Match[str]) -> str:
        name = found.group()
        return PREFILL + name if name in own else "prefill_" + name if name.startswith("layout.") else name

    copies = {n: Formula(PREFILL + n, _NAME.sub(renamed, plain[n].expression), plain[n].why) for n in sorted(own)}
    return plain | {f.name: f for f in copies.values()} | formulas("explain/formulas_pools.csv")


def _below(start: str, known: Mapping[str, Formula]) -> set[str]:
    """Return the formulas whose name starts so, and those that they use."""
    left, found = [name for name in known if name.startswith(start)], set()
    while left:
        name = left.pop()
        found.add(name)
        left += [n for n in _NAME.findall(known[name].expression) if n in known and n not in found]
    return found


def _has_layout(name: str, known: Mapping[str, Formula]) -> bool:
    """Return whether a quantity depends on the layout of a replica."""
    used = _NAME.findall(known[name].expression) if name in known else []
    return any(n.startswith("layout.") or _has_layout(n, known) for n in used if n != name)


def pool_values(cases: Cases, work: EstimateDetail, prefill: PrefillPool) -> dict[str, float]:
    """Return the quantities of a single case that only two pools have, by the names the formulas use."""
    replica, cost, shown = prefill.replica, work.fleet_cost, work.prefill_shown
    values = {f"{PREFILL}costs.{f.name}": getattr(replica.costs, f.name) for f in fields(replica.costs)}
    for name, fleet in (("prefill", cost.prefill), ("decode", cost.decode)):
        values |= {
            f"{name}.spare_replicas": fleet.spare_replicas,
            f"{name}.units_billed": fleet.nodes,
            f"{name}.gpus": fleet.gpus,
            f"{name}.billed_gpus": fleet.billed_gpus,
        }
    full = step_terms(replica.costs, np.zeros_like(replica.token_budget), replica.token_budget)
    values |= {
        "decode.answers_per_s": work.replica_capacity.answers_per_s,
        "prefill.answers_per_s": work.replica_capacity.prefill_answers_per_s,
        "prefill.load_share": work.capacity.prefill_share,
        "prefill.most_answers_per_s": prefill.most_answers_per_s,
        "prefill.prefill_work_s": shown.prefill_work_s,
        "prefill.full_step_s": full.total_s,
        "prefill.memory_share": full.memory_share,
        "prefill.compute_share": full.compute_share,
        "prefill.full_power_w": busy_power_of(cases, full),
        "prefill.step_s": shown.step_s,
        "transfer_s": prefill.transfer_s,
        "both_busy_power_w": work.busy_power_w,
    }
    queue = waits(replica, shown)[0]
    values |= {f"shown.prefill_wait_{p}_s": queue.quantile_s(q) for p, q in QUANTILES.items()}
    return {name: float(value) for name, value in values.items()}

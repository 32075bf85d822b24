"""The quantities that only two pools have."""

from dataclasses import fields

import numpy as np

from planner.fleet.result import EstimateDetail
from planner.serving.cases import Cases
from planner.serving.disaggregated import PrefillPool
from planner.serving.power import busy_power_of
from planner.serving.steady_state import QUANTILES, waits
from planner.serving.step import step_terms

PREFILL = "prefill."
"""What the names of a prefill replica's quantities start with."""


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
            f"{name}.mean_gpus": fleet.mean_gpus,
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

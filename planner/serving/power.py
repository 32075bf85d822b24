"""What a replica's GPUs draw at a load: from columns to the power formula."""

import numpy as np

from planner.serving.cases import Cases
from planner.serving.energy import busy_power_w
from planner.serving.normal import Array
from planner.serving.replica import Replica
from planner.serving.steady_state import Load, step_terms_at
from planner.serving.step import StepTerms, step_terms


def busy_power_at(cases: Cases, replica: Replica, load: Load) -> Array:
    """Return the power of one GPU while it runs the average step of a load [W]."""
    return busy_power_of(cases, step_terms_at(replica, load))


def reading_power_at(cases: Cases, replica: Replica, busy: Array) -> Array:
    """Return the mean power of a GPU that only reads prompts [W], busy a share of its time, else idle."""
    nothing = np.zeros_like(replica.token_budget)
    full = busy_power_of(cases, step_terms(replica.costs, nothing, replica.token_budget))
    return np.asarray(cases.gpu.idle_w + (full - cases.gpu.idle_w) * np.minimum(busy, 1.0))


def busy_power_of(cases: Cases, terms: StepTerms) -> Array:
    """Return the power of one GPU that runs such steps all the time [W]."""
    e = cases.energy
    return busy_power_w(
        cases.gpu.tdp_w,
        e.busy_power_base,
        e.busy_power_memory,
        e.busy_power_compute,
        e.busy_power_top,
        terms.memory_share,
        terms.compute_share,
    )

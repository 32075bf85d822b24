"""What a replica's GPUs draw at a load: from columns to the power formula."""

from planner.cases.columns import Cases
from planner.physics.energy import busy_power_w
from planner.physics.special import Array
from planner.serving.replica import Replica
from planner.serving.steady import Load, step_terms_at


def busy_power_at(cases: Cases, replica: Replica, load: Load) -> Array:
    """Return the power of one GPU while it runs the average step of a load [W]."""
    e, terms = cases.energy, step_terms_at(replica, load)
    return busy_power_w(
        cases.gpu.tdp_w,
        e.busy_power_base,
        e.busy_power_memory,
        e.busy_power_compute,
        e.busy_power_top,
        terms.memory_share,
        terms.compute_share,
    )

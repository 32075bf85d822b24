"""Power and energy: a busy GPU draws a base and what memory and products add; idle, node and facility on top."""

import numpy as np

from planner.serving.normal import Array


def busy_power_w(
    tdp_w: Array, base: Array, memory: Array, compute: Array, top: Array, memory_share: Array, compute_share: Array
) -> Array:
    """Return the power of one GPU while it runs steps [W].

    TDP min(base + memory x memory share + compute x compute share, top): clocks and leakage, moving bytes, multiplying.
    """
    return np.asarray(tdp_w * np.minimum(base + memory * memory_share + compute * compute_share, top))


def mean_power_w(busy_w: Array, idle_w: Array, running: Array) -> Array:
    """Return the time-average power of one GPU [W]: idle only while no sequence runs, P(0) = exp(-B) (Poisson)."""
    idle_share = np.exp(-running)
    return np.asarray(idle_w * idle_share + busy_w * (1.0 - idle_share))


def facility_power_kw(gpus: Array, gpu_power_w: Array, node_overhead: Array, pue: Array) -> Array:
    """Return the power at the meter of the building [kW]."""
    return np.asarray(gpus * gpu_power_w * node_overhead * pue / 1e3)

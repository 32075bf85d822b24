"""Power: a busy GPU draws a base and what memory and products add; idle, node and facility come on top."""

import numpy as np

from planner.serving.cases import Cases
from planner.serving.disaggregated import PrefillPool
from planner.serving.normal import Array
from planner.serving.replica import Replica
from planner.serving.steady_state import Load, step_terms_at
from planner.serving.step import StepTerms, step_terms


def busy_power_at(cases: Cases, replica: Replica, load: Load) -> Array:
    """Return the power of one GPU while it runs the average step of a load [W]."""
    return busy_power_of(cases, step_terms_at(replica, load))


def prefill_power_at(cases: Cases, replica: Replica, busy: Array) -> Array:
    """Return the mean power of a GPU of a prefill pool [W], busy a share of its time, else idle."""
    nothing = np.zeros_like(replica.token_budget)
    full = busy_power_of(cases, step_terms(replica.costs, nothing, replica.token_budget))
    return np.asarray(cases.gpu.idle_w + (full - cases.gpu.idle_w) * np.minimum(busy, 1.0))


def average_power_w(
    cases: Cases, prefill: PrefillPool | None, busy: Array, share: Array, decode_power_w: Array
) -> Array:
    """Return the power of a GPU averaged over both pools [W]; that of the decode pool where there is no other.

    Parameters
    ----------
    busy : share of the time that a prefill replica works [1].
    share : of the GPUs, or of the GPU-seconds, that prefill takes [1].
    decode_power_w : of a GPU of the decode pool [W].
    """
    if prefill is None:
        return decode_power_w
    return np.asarray(decode_power_w + share * (prefill_power_at(cases, prefill.replica, busy) - decode_power_w))


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


def busy_power_w(
    tdp_w: Array, base: Array, memory: Array, compute: Array, top: Array, memory_share: Array, compute_share: Array
) -> Array:
    """Return the power of one GPU while it runs steps [W].

    TDP min(base + memory x memory share + compute x compute share, top): clocks and leakage, moving bytes, multiplying.
    """
    return np.asarray(tdp_w * np.minimum(base + memory * memory_share + compute * compute_share, top))


def mean_power_w(busy_w: Array, idle_w: Array, peak_running: Array, peak_factor: Array) -> Array:
    """Return the time-average power of one GPU [W]: idle only while no sequence runs, P(0) = exp(-B) (Poisson).

    Parameters
    ----------
    busy_w, idle_w : power of a GPU that runs steps, and of one that does not [W].
    peak_running : sequences in the running batch at the peak [1].
    peak_factor : rate at the peak over the mean rate [1]; the mean batch B is smaller by it.
    """
    # P(no sequence runs)
    idle_share = np.exp(-peak_running / peak_factor)
    return np.asarray(idle_w * idle_share + busy_w * (1.0 - idle_share))


def facility_power_kw(gpus: Array, gpu_power_w: Array, node_overhead: Array, pue: Array) -> Array:
    """Return the power at the meter of the building [kW]."""
    return np.asarray(gpus * gpu_power_w * node_overhead * pue / 1e3)

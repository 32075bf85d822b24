"""Engine factors on GPUs of makers whose runs were not fitted: slower by a measured share."""

from typing import TypeVar

from planner.catalog.hardware import EngineFactors, GpuSpec

T = TypeVar("T")
FITTED_MAKER = "nvidia"
"""Whose GPUs the factors of an engine were fitted on."""
_RATES = {
    "memory_efficiency",
    "compute_efficiency",
    "expert_memory_efficiency",
    "cache_memory_efficiency",
    "attention_compute_efficiency",
    "link_efficiency",
    "network_efficiency",
}
_TIMES = {"collective_latency_s", "network_latency_s", "layer_overhead_s"}


def maker_speed(factors: EngineFactors, gpu: GpuSpec) -> float:
    """Return the speed of an engine on a GPU over what its factors say: 1 on GPUs of the maker they were fitted on."""
    return 1.0 if gpu.vendor == FITTED_MAKER else factors.other_makers_speed


def at_speed(name: str, value: T, speed: T) -> T:
    """Return a factor at a speed: shares of rates shrink with it, times on the GPU grow, the rest stays."""
    if name in _RATES:
        return value * speed  # type: ignore[operator,no-any-return]  # floats or arrays
    return value / speed if name in _TIMES else value  # type: ignore[operator]

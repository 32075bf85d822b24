"""Engine factors on GPUs of vendors without fitted runs: scaled by a measured speed."""

from typing import TypeVar

from planner.catalog.hardware import EngineFactors, GpuSpec

T = TypeVar("T")
FITTED_VENDOR = "nvidia"
"""The vendor of the GPUs that engine factors were fitted on."""
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


def vendor_speed(factors: EngineFactors, gpu: GpuSpec) -> float:
    """Return the speed of an engine on a GPU relative to its factors: 1 on GPUs of the fitted vendor."""
    return 1.0 if gpu.vendor == FITTED_VENDOR else factors.other_makers_speed


def at_speed(name: str, value: T, speed: T) -> T:
    """Return a factor at a speed: efficiencies are multiplied by it, GPU times divided, others unchanged."""
    if name in _RATES:
        return value * speed  # type: ignore[operator,no-any-return]  # floats or arrays
    return value / speed if name in _TIMES else value  # type: ignore[operator]

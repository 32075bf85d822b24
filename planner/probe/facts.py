"""Spec of a facts file: what a driver reported about the GPUs of one machine (`planner check-gpu --save`)."""

from typing import Annotated, Literal

from pydantic import Field

from planner.documents.spec import Count, Day, NonNegative, Positive, Spec

SCHEMA_VERSION: Literal[1] = 1
Whole = Annotated[int, Field(ge=0)]


class ProcessFacts(Spec):
    """A program that computes on a GPU."""

    pid: Whole
    memory_bytes: NonNegative | None = None
    """Device memory it holds; null where the driver does not report it (Windows)."""


class SliceFacts(Spec):
    """One MIG slice."""

    memory_total_bytes: Positive | None = None
    memory_free_bytes: NonNegative | None = None
    multiprocessors: Whole | None = None


class GpuFacts(Spec):
    """One GPU as reported by its driver; null means not reported."""

    index: Whole
    name: str
    """Product name, as the driver spells it."""
    compute_capability: str | None = None
    memory_total_bytes: Positive | None = None
    memory_free_bytes: NonNegative | None = None
    memory_used_bytes: NonNegative | None = None
    memory_bus_width_bits: Count | None = None
    sm_clock_hz: NonNegative | None = None
    sm_clock_max_hz: Positive | None = None
    sm_clock_application_hz: Positive | None = None
    """Clock setting for running work."""
    sm_clock_application_default_hz: Positive | None = None
    memory_clock_hz: NonNegative | None = None
    memory_clock_max_hz: Positive | None = None
    memory_clock_application_hz: Positive | None = None
    power_limit_w: Positive | None = None
    """The limit in force now."""
    power_limit_default_w: Positive | None = None
    power_limit_min_w: Positive | None = None
    power_limit_max_w: Positive | None = None
    power_draw_w: NonNegative | None = None
    temperature_c: float | None = None
    pcie_generation: Count | None = None
    """An idle card lowers it."""
    pcie_generation_max: Count | None = None
    pcie_width_lanes: Count | None = None
    pcie_width_max_lanes: Count | None = None
    nvlink_links: Whole | None = None
    """Links that the driver reports."""
    nvlink_links_active: Whole | None = None
    nvlink_version: str | None = None
    nvlink_bytes_per_s: Positive | None = None
    """Sum over the active links, one direction."""
    ecc_enabled: bool | None = None
    mig_enabled: bool | None = None
    mig_slices: tuple[SliceFacts, ...] = ()
    persistence_enabled: bool | None = None
    processes: tuple[ProcessFacts, ...] | None = None


class UnreadableGpu(Spec):
    """A GPU that is present but does not respond."""

    index: Whole
    reason: str


class HostFacts(Spec):
    """All GPUs of one machine. Neither its name nor the cards' serial numbers are kept."""

    schema_version: Literal[1]
    date: Day
    """The day the facts were read, UTC."""
    tool_version: str
    origin: str | None = None
    """Where the facts come from, if not read by this tool."""
    platform: Literal["linux", "wsl", "windows"] = "linux"
    driver_version: str | None = None
    cuda_version: str | None = None
    """Newest CUDA version the driver supports."""
    gpus: tuple[GpuFacts, ...] = ()
    unreadable: tuple[UnreadableGpu, ...] = ()

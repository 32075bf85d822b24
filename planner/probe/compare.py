"""Compare a GPU with its spec, and say how each difference changes an estimate."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import AssumptionsFile, GpuSpec
from planner.documents.spec import Loaded
from planner.probe.facts import GpuFacts, HostFacts
from planner.probe.identify import find_spec, nearest_specs
from planner.probe.nvml import HERTZ_PER_MHZ
from planner.probe.powercap import STREAMING_SHARE, Speed, capped
from planner.probe.words import change, gb_per_s, gib

Verdict = Literal["agrees", "note", "differs", "unknown"]
USABLE_TOLERANCE = 0.01
"""For a total that the spec took from a driver: driver releases reserve different amounts."""
NAMEPLATE_TOLERANCE = 0.08
"""For a nameplate size: GB against GiB (7 %), and the memory that ECC takes on GDDR (1/16)."""
POWER_TOLERANCE = 0.02
BANDWIDTH_TOLERANCE = 0.03
LINK_TOLERANCE = 0.1
BITS_PER_BYTE = 8
TRANSFERS_PER_CLOCK = 2
"""Double data rate: NVML reports the clock of the data strobe, for HBM and GDDR alike."""
PCIE_BYTES_PER_S_PER_LANE = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""One direction, after line coding, by generation (PCI-SIG)."""


@dataclass(frozen=True)
class Finding:
    """One fact compared with the spec."""

    field: str
    verdict: Verdict
    expected: float | bool | str | None
    found: float | bool | str | None
    effect: str
    """How the difference changes an estimate; for `agrees` and `unknown`, what was compared."""


@dataclass(frozen=True)
class Check:
    """The GPUs of one machine that have the same findings."""

    gpus: tuple[GpuFacts, ...]
    spec: Loaded[GpuSpec] | None
    how: str | None
    """How the spec was found: by the driver's name or by another spelling."""
    nearest: tuple[str, ...]
    findings: tuple[Finding, ...]
    speed: Speed
    link_bytes_per_s: float | None
    """The actual link speed where the spec's link is down or narrower [B/s]."""

    @property
    def matches(self) -> bool | None:
        """Whether all facts match the spec; None for an unknown GPU."""
        return None if self.spec is None else all(f.verdict != "differs" for f in self.findings)

    @property
    def sliced(self) -> bool:
        """Whether MIG slices the GPUs."""
        return any(g.mig_enabled for g in self.gpus)


@dataclass(frozen=True)
class _Pair:
    gpu: GpuFacts
    spec: GpuSpec
    assumed: AssumptionsFile
    equal_gpus: int


def check_host(facts: HostFacts, catalog: Catalog) -> list[Check]:
    """Return the checks of all GPUs. GPUs that differ only in their running programs share one check."""
    checks: dict[Any, Check] = {}
    for gpu in facts.gpus:
        check = _check(gpu, catalog, sum(g.name == gpu.name for g in facts.gpus))
        spec = check.spec.spec.id if check.spec else None
        alike = (gpu.name, spec, tuple((f.verdict, f.effect) for f in check.findings))
        gpus = checks[alike].gpus if alike in checks else ()
        checks[alike] = dataclasses.replace(checks.get(alike, check), gpus=(*gpus, gpu))
    return [
        c if c.spec is None else dataclasses.replace(c, findings=(*c.findings, _processes(c.gpus)))
        for c in checks.values()
    ]


def _check(gpu: GpuFacts, catalog: Catalog, equal_gpus: int) -> Check:
    match = find_spec(gpu, catalog)
    if match is None:
        return Check((gpu,), None, None, tuple(nearest_specs(gpu, catalog)), (), Speed(), None)
    pair = _Pair(gpu, match.spec.spec, catalog.assumptions.spec, equal_gpus)
    findings = tuple(
        part(pair) for part in (_architecture, _memory, _power, _clock, _bandwidth, _pcie, _nvlink, _ecc, _mig)
    )
    return Check((gpu,), match.spec, match.how, (), findings, _speed(pair), _link(pair))


def _architecture(pair: _Pair) -> Finding:
    """Compare NVIDIA's compute capability (9.0) with the spec's architecture (sm_90)."""
    capability, digits = pair.gpu.compute_capability, (pair.spec.architecture or "").removeprefix("sm_")
    expected = f"{digits[:-1]}.{digits[-1]}" if digits.isdecimal() else None
    architecture = partial(Finding, "compute_capability", expected=expected, found=capability)
    if capability is None or expected is None:
        return architecture("unknown", effect="compute capability")
    if capability == expected:
        return architecture("agrees", effect=f"compute capability {capability}")
    effect = (
        f"compute capability {capability}, spec {expected}: engines have other kernels; "
        "formats and attention that the estimate runs may not start, or the reverse"
    )
    return architecture("differs", effect=effect)


def _memory(pair: _Pair) -> Finding:
    spec, total = pair.spec, pair.gpu.memory_total_bytes
    expected = spec.memory_usable_bytes or spec.memory_bytes
    memory = partial(Finding, "memory_total_bytes", expected=expected, found=total)
    if total is None:
        effect = (
            "the driver reports no memory (boards that share memory with the CPU): assumes the spec's "
            f"{gib(expected)}; memory used by CPU programs is not counted"
        )
        return memory("note", effect=effect)
    tolerance = USABLE_TOLERANCE if spec.memory_usable_bytes else NAMEPLATE_TOLERANCE
    if abs(total - expected) <= tolerance * expected:
        return memory("agrees", effect=f"memory {gib(total)}")
    size, sequences = ("less", "fewer") if total < expected else ("more", "more")
    effect = f"{gib(abs(total - expected))} {size} for the KV cache than in the spec; {sequences} concurrent sequences"
    return memory("differs", effect=effect)


def _power(pair: _Pair) -> Finding:
    limit, tdp = pair.gpu.power_limit_w, pair.spec.tdp_w
    power = partial(Finding, "power_limit_w", expected=tdp, found=limit)
    if limit is None or tdp is None:
        return power("unknown", effect="power limit")
    if abs(limit - tdp) <= POWER_TOLERANCE * tdp:
        return power("agrees", effect=f"power limit {limit:.0f} W")
    if limit > tdp:
        effect = (
            f"power limit {limit:.0f} W, spec {tdp:.0f} W: up to {limit / tdp - 1:.0%} more power "
            "and energy than estimated; speed at least as estimated"
        )
        return power("differs", effect=effect)
    speed = _capped(pair)
    effect = (
        f"power-capped at {limit:.0f} W of {tdp:.0f} W: prefill about {change(speed.prefill)}, "
        f"decode about {change(speed.decode)} (assumes clock ~ cube root of power above idle)"
    )
    return power("differs", effect=effect)


def _capped(pair: _Pair) -> Speed:
    limit, tdp, assumed = pair.gpu.power_limit_w, pair.spec.tdp_w, pair.assumed
    if limit is None or tdp is None:
        return Speed()
    idle = pair.spec.idle_w or assumed.idle_power * tdp
    floor = assumed.busy_power_base + assumed.busy_power_memory * STREAMING_SHARE
    return capped(limit, tdp, idle, floor=floor, top=assumed.busy_power_top)


def _clock(pair: _Pair) -> Finding:
    setting, default = pair.gpu.sm_clock_application_hz, pair.gpu.sm_clock_application_default_hz
    clock = partial(Finding, "sm_clock_application_hz", expected=default, found=setting)
    if setting is None or default is None:
        return clock("unknown", effect="application clock")
    if setting >= default:
        return clock("agrees", effect=f"application clock {setting / HERTZ_PER_MHZ:.0f} MHz")
    effect = (
        f"application clock set to {setting / HERTZ_PER_MHZ:.0f} MHz, below the default of "
        f"{default / HERTZ_PER_MHZ:.0f} MHz: prefill about {change(setting / default)}, decode as estimated"
    )
    return clock("differs", effect=effect)


def bandwidth(gpu: GpuFacts) -> float | None:
    """Return the memory bandwidth [B/s]: 2 transfers per clock x bus width / 8, at the highest memory clock.

    None where the driver does not report the clock or the bus width.
    """
    if gpu.memory_clock_max_hz is None or gpu.memory_bus_width_bits is None:
        return None
    return TRANSFERS_PER_CLOCK * gpu.memory_clock_max_hz * gpu.memory_bus_width_bits / BITS_PER_BYTE


def _bandwidth(pair: _Pair) -> Finding:
    rate, expected = bandwidth(pair.gpu), pair.spec.hbm_bytes_per_s
    memory = partial(Finding, "memory_bandwidth_bytes_per_s", expected=expected, found=rate)
    if rate is None:
        return memory("unknown", effect="memory bandwidth (clock and bus width)")
    if abs(rate - expected) <= BANDWIDTH_TOLERANCE * expected:
        return memory("agrees", effect=f"memory bandwidth {gb_per_s(rate)}")
    effect = (
        f"2 x memory clock x bus width gives {gb_per_s(rate)}, spec {gb_per_s(expected)}: "
        f"decode about {change(rate / expected)}"
    )
    return memory("differs", effect=effect)


def _pcie(pair: _Pair) -> Finding:
    gpu, spec, rate = pair.gpu, pair.spec, _pcie_bytes_per_s(pair.gpu)
    width, full_width, shares_memory = gpu.pcie_width_lanes, gpu.pcie_width_max_lanes, gpu.memory_total_bytes is None
    pcie = partial(Finding, "pcie_width_lanes", expected=full_width, found=width)
    if width is None or full_width is None or rate is None or shares_memory:
        return pcie("unknown", effect="PCIe width")
    here = f"PCIe {gpu.pcie_generation_max}.0 x{width}"
    is_the_link = "pcie" in spec.link.lower()
    if (rate >= (1 - LINK_TOLERANCE) * spec.link_bytes_per_s) if is_the_link else (width >= full_width):
        return pcie("agrees", effect=here)
    if not is_the_link:
        return pcie("note", effect=f"{here} of x{full_width}: models load more slowly; {spec.link} is not affected")
    slow = (
        f"{here} of x{full_width} gives {gb_per_s(rate)}, spec {gb_per_s(spec.link_bytes_per_s)}: "
        "models load more slowly"
    )
    if pair.equal_gpus == 1:
        return pcie("note", effect=f"{slow}; no other effect on a single GPU")
    effect = f"{slow}; collectives about {change(rate / spec.link_bytes_per_s)}; single GPUs are not affected"
    return pcie("differs", effect=effect)


def _nvlink(pair: _Pair) -> Finding:
    gpu, spec = pair.gpu, pair.spec
    active, links, rate = gpu.nvlink_links_active, gpu.nvlink_links, gpu.nvlink_bytes_per_s
    nvlink = partial(Finding, "nvlink_links_active", expected=links, found=active)
    if spec.scale_up_domain_gpus == 1 or "nvlink" not in spec.link.lower():
        return nvlink("agrees", expected=0, effect=f"no NVLink ({spec.link})")
    if active is None:
        return nvlink("unknown", expected=None, effect="NVLink")
    if active == 0 and pair.equal_gpus == 1:
        return nvlink("note", effect="NVLink is down; no effect on a single GPU")
    if active == 0:
        down = _pcie_bytes_per_s(gpu)
        pace = f" at {gb_per_s(down)} instead of {gb_per_s(spec.link_bytes_per_s)}" if down else ""
        effect = f"NVLink is down: tensor and expert parallelism use PCIe{pace}; single GPUs are not affected"
        return nvlink("differs", effect=effect)
    if rate is not None and rate < (1 - LINK_TOLERANCE) * spec.link_bytes_per_s:
        effect = (
            f"{active} of {links} links give {gb_per_s(rate)}, spec {gb_per_s(spec.link_bytes_per_s)}: "
            f"collectives about {change(rate / spec.link_bytes_per_s)}"
        )
        return nvlink("differs", effect=effect)
    return nvlink("agrees", effect=f"NVLink, {active} links")


def _ecc(pair: _Pair) -> Finding:
    enabled = pair.gpu.ecc_enabled
    ecc = partial(Finding, "ecc_enabled", expected=None, found=enabled)
    if enabled is None:
        return ecc("unknown", effect="ECC")
    if enabled:
        return ecc("agrees", effect="ECC on")
    effect = (
        "ECC is off: memory errors go undetected. ECC is free on HBM cards; on GDDR cards it takes about "
        "1/16 of the memory and some bandwidth, which the estimate does not subtract"
    )
    return ecc("note", effect=effect)


def _mig(pair: _Pair) -> Finding:
    gpu = pair.gpu
    mig = partial(Finding, "mig_enabled", expected=False, found=gpu.mig_enabled)
    if gpu.mig_enabled is None:
        return mig("unknown", effect="MIG")
    if not gpu.mig_enabled:
        return mig("agrees", effect="MIG off")
    sizes = [f"{gib(s.memory_total_bytes)}" if s.memory_total_bytes else "unknown" for s in gpu.mig_slices]
    listed = f"slices of {', '.join(sizes)}" if sizes else "no slices"
    return mig("differs", effect=f"MIG slices the GPU ({listed}); the estimate is for the whole GPU")


def _processes(gpus: tuple[GpuFacts, ...]) -> Finding:
    if any(g.processes is None for g in gpus):
        return Finding("processes", "unknown", 0, None, "other programs")
    programs = [p for g in gpus for p in g.processes or ()]
    if not programs:
        return Finding("processes", "agrees", 0, 0, "no other programs")
    held = gib(sum(p.memory_bytes or 0.0 for p in programs))
    effect = f"other programs are running ({len(programs)}, holding {held}): less memory and speed for a model now"
    return Finding("processes", "note", 0, len(programs), effect)


def _speed(pair: _Pair) -> Speed:
    """Return how much slower the GPU is than its spec; faster is not counted."""
    speed, gpu = _capped(pair), pair.gpu
    if gpu.sm_clock_application_hz is not None and gpu.sm_clock_application_default_hz is not None:
        speed = speed.slowed(prefill=gpu.sm_clock_application_hz / gpu.sm_clock_application_default_hz)
    found = bandwidth(gpu)
    if found is not None and found < (1 - BANDWIDTH_TOLERANCE) * pair.spec.hbm_bytes_per_s:
        speed = speed.slowed(decode=found / pair.spec.hbm_bytes_per_s)
    return speed


def _pcie_bytes_per_s(gpu: GpuFacts) -> float | None:
    lane = PCIE_BYTES_PER_S_PER_LANE.get(gpu.pcie_generation_max or 0)
    return lane * gpu.pcie_width_lanes if lane and gpu.pcie_width_lanes else None


def _link(pair: _Pair) -> float | None:
    """Return the actual link speed where it is slower than the spec's [B/s]; None where it is not."""
    gpu = pair.gpu
    if _nvlink(pair).verdict == "differs":
        return _pcie_bytes_per_s(gpu) if gpu.nvlink_links_active == 0 else gpu.nvlink_bytes_per_s
    return _pcie_bytes_per_s(gpu) if _pcie(pair).verdict == "differs" else None

"""What of a GPU differs from its spec, and what each difference does to an estimate."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

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
"""Of a total the spec has from a driver: releases differ by what they keep."""
NAMEPLATE_TOLERANCE = 0.08
"""Of a nameplate: GB against GiB (7 %), and what ECC on GDDR keeps (1/16)."""
POWER_TOLERANCE = 0.02
BANDWIDTH_TOLERANCE = 0.03
LINK_TOLERANCE = 0.1
BITS_PER_BYTE = 8
TRANSFERS_PER_CLOCK = 2
"""Double data rate: NVML's memory clock is that of the data strobe for HBM and GDDR alike."""
PCIE_BYTES_PER_S_PER_LANE = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""One direction, after line coding; PCI-SIG, by generation."""


@dataclass(frozen=True)
class Finding:
    """One fact beside what the spec says of it."""

    field: str
    verdict: Verdict
    expected: float | bool | str | None
    found: float | bool | str | None
    effect: str
    """What it does to an estimate; for `agrees` and `unknown`, what was looked at."""


@dataclass(frozen=True)
class Check:
    """GPUs of one machine that are equal in everything that was found."""

    gpus: tuple[GpuFacts, ...]
    spec: Loaded[GpuSpec] | None
    how: str | None
    """How the name was found."""
    nearest: tuple[str, ...]
    findings: tuple[Finding, ...]
    speed: Speed
    link_bytes_per_s: float | None
    """Link that replaces the spec's, where that is down or narrower."""

    @property
    def matches(self) -> bool | None:
        """Whether all is as the spec says; None for an unknown card."""
        return None if self.spec is None else all(f.verdict != "differs" for f in self.findings)

    @property
    def sliced(self) -> bool:
        """Whether MIG cuts the cards up."""
        return any(g.mig_enabled for g in self.gpus)


@dataclass(frozen=True)
class _Pair:
    gpu: GpuFacts
    spec: GpuSpec
    assumed: AssumptionsFile
    equal_gpus: int
    unified: bool


def check_host(facts: HostFacts, catalog: Catalog) -> list[Check]:
    """Return the checks of all GPUs; those that differ only in what runs on them share one."""
    checks: list[Check] = []
    for gpu in facts.gpus:
        check = _check(gpu, catalog, sum(g.name == gpu.name for g in facts.gpus))
        for index, other in enumerate(checks):
            if _same(other, check):
                checks[index] = dataclasses.replace(other, gpus=(*other.gpus, gpu))
                break
        else:
            checks.append(check)
    return [c if c.spec is None else dataclasses.replace(c, findings=(*c.findings, _processes(c.gpus))) for c in checks]


def _same(one: Check, other: Check) -> bool:
    ids = [c.spec.spec.id if c.spec else None for c in (one, other)]
    said = [[(f.verdict, f.effect) for f in c.findings] for c in (one, other)]
    return ids[0] == ids[1] and one.gpus[0].name == other.gpus[0].name and said[0] == said[1]


def _check(gpu: GpuFacts, catalog: Catalog, equal_gpus: int) -> Check:
    match = find_spec(gpu, catalog)
    if match is None:
        return Check((gpu,), None, None, tuple(nearest_specs(gpu, catalog)), (), Speed(), None)
    pair = _Pair(gpu, match.spec.spec, catalog.assumptions.spec, equal_gpus, gpu.memory_total_bytes is None)
    findings = tuple(part(pair) for part in (_memory, _power, _clock, _bandwidth, _pcie, _nvlink, _ecc, _mig))
    return Check((gpu,), match.spec, match.how, (), findings, _speed(pair), _link(pair))


def _memory(pair: _Pair) -> Finding:
    spec, total = pair.spec, pair.gpu.memory_total_bytes
    expected = spec.memory_usable_bytes or spec.memory_bytes
    if total is None:
        return Finding(
            "memory_total_bytes",
            "note",
            expected,
            None,
            "the driver reports no memory, as on boards that share it with the CPU: the spec's "
            f"{gib(expected)} are taken, and what the CPU's programs hold is not seen",
        )
    tolerance = USABLE_TOLERANCE if spec.memory_usable_bytes else NAMEPLATE_TOLERANCE
    if abs(total - expected) <= tolerance * expected:
        return Finding("memory_total_bytes", "agrees", expected, total, f"memory {gib(total)}")
    less = total < expected
    return Finding(
        "memory_total_bytes",
        "differs",
        expected,
        total,
        f"{gib(abs(total - expected))} {'less' if less else 'more'} for the KV cache than the spec says; "
        f"{'fewer' if less else 'more'} sequences run at once",
    )


def _power(pair: _Pair) -> Finding:
    limit, tdp = pair.gpu.power_limit_w, pair.spec.tdp_w
    if limit is None or tdp is None:
        return Finding("power_limit_w", "unknown", tdp, limit, "power limit")
    if abs(limit - tdp) <= POWER_TOLERANCE * tdp:
        return Finding("power_limit_w", "agrees", tdp, limit, f"power limit {limit:.0f} W")
    if limit > tdp:
        return Finding(
            "power_limit_w",
            "differs",
            tdp,
            limit,
            f"may draw {limit:.0f} W where the spec says {tdp:.0f} W: up to {limit / tdp - 1:.0%} more power "
            "and energy than estimated; speed at least as estimated",
        )
    speed = _capped(pair)
    return Finding(
        "power_limit_w",
        "differs",
        tdp,
        limit,
        f"power-capped at {limit:.0f} W of {tdp:.0f} W: prefill about {change(speed.prefill)}, "
        f"decode about {change(speed.decode)} (assumed: clock ~ cube root of the watts above idle)",
    )


def _capped(pair: _Pair) -> Speed:
    limit, tdp, assumed = pair.gpu.power_limit_w, pair.spec.tdp_w, pair.assumed
    if limit is None or tdp is None:
        return Speed()
    idle = pair.spec.idle_w or assumed.idle_power * tdp
    floor = assumed.busy_power_base + assumed.busy_power_memory * STREAMING_SHARE
    return capped(limit, tdp, idle, floor=floor, top=assumed.busy_power_top)


def _clock(pair: _Pair) -> Finding:
    asked, default = pair.gpu.sm_clock_application_hz, pair.gpu.sm_clock_application_default_hz
    name = "sm_clock_application_hz"
    if asked is None or default is None:
        return Finding(name, "unknown", default, asked, "application clock")
    if asked >= default:
        return Finding(name, "agrees", default, asked, f"application clock {asked / HERTZ_PER_MHZ:.0f} MHz")
    return Finding(
        name,
        "differs",
        default,
        asked,
        f"application clock set to {asked / HERTZ_PER_MHZ:.0f} MHz, below the card's default of "
        f"{default / HERTZ_PER_MHZ:.0f} MHz: prefill about {change(asked / default)}, decode as estimated",
    )


def bandwidth(gpu: GpuFacts) -> float | None:
    """Return the memory bandwidth [B/s]: 2 transfers a clock x bus width / 8, at the highest memory clock."""
    if gpu.memory_clock_max_hz is None or gpu.memory_bus_width_bits is None:
        return None
    return TRANSFERS_PER_CLOCK * gpu.memory_clock_max_hz * gpu.memory_bus_width_bits / BITS_PER_BYTE


def _bandwidth(pair: _Pair) -> Finding:
    found, expected = bandwidth(pair.gpu), pair.spec.hbm_bytes_per_s
    name = "memory_bandwidth_bytes_per_s"
    if found is None:
        return Finding(name, "unknown", expected, None, "memory bandwidth (clock and bus width)")
    if abs(found - expected) <= BANDWIDTH_TOLERANCE * expected:
        return Finding(name, "agrees", expected, found, f"memory bandwidth {gb_per_s(found)}")
    return Finding(
        name,
        "differs",
        expected,
        found,
        f"2 x memory clock x bus width is {gb_per_s(found)}, the spec says {gb_per_s(expected)}: "
        f"decode about {change(found / expected)}",
    )


def _pcie(pair: _Pair) -> Finding:
    gpu, spec = pair.gpu, pair.spec
    width, most, rate = gpu.pcie_width_lanes, gpu.pcie_width_max_lanes, _pcie_bytes_per_s(gpu)
    name = "pcie_width_lanes"
    if width is None or most is None or rate is None or pair.unified:
        return Finding(name, "unknown", most, width, "PCIe width")
    here = f"PCIe {gpu.pcie_generation_max}.0 x{width}"
    if not _over_pcie(spec):
        if width >= most:
            return Finding(name, "agrees", most, width, here)
        return Finding(
            name, "note", most, width, f"{here} of x{most}: models load more slowly; {spec.link} is apart from it"
        )
    if rate >= (1 - LINK_TOLERANCE) * spec.link_bytes_per_s:
        return Finding(name, "agrees", most, width, here)
    pace = f"gives {gb_per_s(rate)}, the spec says {gb_per_s(spec.link_bytes_per_s)}"
    slow = f"{here} of x{most} {pace}: models load more slowly"
    if pair.equal_gpus == 1:
        return Finding(name, "note", most, width, f"{slow}; no matter else for the only one of its kind")
    effect = f"{slow}; collectives about {change(rate / spec.link_bytes_per_s)}, single GPUs are as fast"
    return Finding(name, "differs", most, width, effect)


def _over_pcie(spec: GpuSpec) -> bool:
    """Return whether several GPUs of a kind talk over PCIe."""
    return "pcie" in spec.link.lower()


def _nvlink(pair: _Pair) -> Finding:
    gpu, spec = pair.gpu, pair.spec
    name = "nvlink_links_active"
    if spec.scale_up_domain_gpus == 1 or "nvlink" not in spec.link.lower():
        return Finding(name, "agrees", 0, gpu.nvlink_links_active, f"no NVLink ({spec.link})")
    if gpu.nvlink_links_active is None:
        return Finding(name, "unknown", None, None, "NVLink")
    if gpu.nvlink_links_active == 0:
        if pair.equal_gpus == 1:
            return Finding(name, "note", gpu.nvlink_links, 0, "NVLink is down; no matter for the only one of its kind")
        down = _pcie_bytes_per_s(gpu)
        pace = f" at {gb_per_s(down)} instead of {gb_per_s(spec.link_bytes_per_s)}" if down else ""
        return Finding(
            name,
            "differs",
            gpu.nvlink_links,
            0,
            f"NVLink is down: tensor and expert parallelism go over PCIe{pace}; single GPUs are as fast",
        )
    speed = gpu.nvlink_bytes_per_s
    if speed is not None and speed < (1 - LINK_TOLERANCE) * spec.link_bytes_per_s:
        return Finding(
            name,
            "differs",
            gpu.nvlink_links,
            gpu.nvlink_links_active,
            f"{gpu.nvlink_links_active} of {gpu.nvlink_links} links give {gb_per_s(speed)}, the spec says "
            f"{gb_per_s(spec.link_bytes_per_s)}: collectives about {change(speed / spec.link_bytes_per_s)}",
        )
    active = gpu.nvlink_links_active
    return Finding(name, "agrees", gpu.nvlink_links, active, f"NVLink, {active} links")


def _ecc(pair: _Pair) -> Finding:
    enabled = pair.gpu.ecc_enabled
    if enabled is None:
        return Finding("ecc_enabled", "unknown", None, None, "ECC")
    if enabled:
        return Finding("ecc_enabled", "agrees", None, found=True, effect="ECC on")
    effect = (
        "ECC is off: memory errors go unnoticed. It costs HBM cards nothing; on GDDR cards it would take about "
        "1/16 of the memory and a little bandwidth, which the estimate does not take off"
    )
    return Finding("ecc_enabled", "note", None, found=False, effect=effect)


def _mig(pair: _Pair) -> Finding:
    gpu = pair.gpu
    if not gpu.mig_enabled:
        verdict: Verdict = "unknown" if gpu.mig_enabled is None else "agrees"
        effect = "MIG" if verdict == "unknown" else "MIG off"
        return Finding("mig_enabled", verdict, expected=False, found=gpu.mig_enabled, effect=effect)
    sizes = [f"{gib(s.memory_total_bytes)}" if s.memory_total_bytes else "unknown" for s in gpu.mig_slices]
    listed = f"slices of {', '.join(sizes)}" if sizes else "no slice set up"
    effect = f"MIG cuts the card up ({listed}): the estimate is of the whole card and does not model slices"
    return Finding("mig_enabled", "differs", expected=False, found=True, effect=effect)


def _processes(gpus: tuple[GpuFacts, ...]) -> Finding:
    if any(g.processes is None for g in gpus):
        return Finding("processes", "unknown", 0, None, "other programs")
    found = [p for g in gpus for p in g.processes or ()]
    if not found:
        return Finding("processes", "agrees", 0, 0, "no other program")
    held = sum(p.memory_bytes or 0.0 for p in found)
    effect = f"programs compute here ({len(found)}, holding {gib(held)}): less memory and speed for a model now"
    return Finding("processes", "note", 0, len(found), effect)


def _speed(pair: _Pair) -> Speed:
    """Return how much slower the GPU is than its spec; what makes it faster is not counted."""
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
    """Return the link that is there in place of the spec's, where it is slower."""
    gpu = pair.gpu
    if _nvlink(pair).verdict == "differs":
        return _pcie_bytes_per_s(gpu) if gpu.nvlink_links_active == 0 else gpu.nvlink_bytes_per_s
    return _pcie_bytes_per_s(gpu) if _pcie(pair).verdict == "differs" else None

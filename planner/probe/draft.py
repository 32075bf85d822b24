"""Draft a spec file for a GPU that the catalogue lacks, from what the driver reports."""

import datetime as dt
import json
import re

from planner.probe.compare import PCIE_BYTES_PER_S_PER_LANE, bandwidth
from planner.probe.facts import GpuFacts, HostFacts

_FILL = "FILL IN"


def draft_spec(gpu: GpuFacts, facts: HostFacts, today: dt.date) -> str:
    """Return the YAML of a spec. Until the marked lines are filled in, `planner validate` lists what is missing."""
    same = sum(g.name == gpu.name for g in facts.gpus)
    linked = same if gpu.nvlink_links_active else 1
    lines = [
        f"# Drafted from the driver's report. Lines marked {_FILL} need the vendor's data sheet: remove the '# '",
        "# and put the number in. `planner validate` lists what is still missing.",
        "# Save it as hardware/gpus/<id>.yaml in a folder given as --catalog.",
        f"id: {_identifier(gpu.name)}",
        f"name: {_text(gpu.name)}",
        "vendor: nvidia",
        f"# released: 2025                # {_FILL}: year of first shipment",
        f"nvml_names: [{_text(gpu.name)}]",
        *_architecture(gpu),
        *_memory(gpu),
        f"# dense_flop_per_s:             # {_FILL}: dense rates (sparse ones are twice as high); drop what it lacks",
        "#   fp16: 1.0e+15",
        "#   fp8: 2.0e+15",
        *_link(gpu),
        f"scale_up_domain_gpus: {linked}         # GPUs that reach each other over the link; 1 without one",
        _power(gpu),
        f"gpus_per_node: {same}                # seen on this machine; the usual node may differ",
        "confidence: low",
        "source: driver",
        "sources:",
        "  driver:",
        f"    title: {_text(_title(facts))}",
        f"    checked: {today.isoformat()}",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _architecture(gpu: GpuFacts) -> list[str]:
    if gpu.compute_capability is None:
        return [
            "# architecture: sm_90            # compute capability; decides which formats an engine runs (optional)"
        ]
    return [
        f"architecture: sm_{gpu.compute_capability.replace('.', '')}     # compute capability {gpu.compute_capability}"
    ]


def _memory(gpu: GpuFacts) -> list[str]:
    rate = bandwidth(gpu)
    lines = [f"# memory_bytes: 8.0e+10         # {_FILL}: nameplate memory (80 GB is 80.0e+9)"]
    if gpu.memory_total_bytes is not None:
        lines.append(f"memory_usable_bytes: {gpu.memory_total_bytes:.0f}   # total, as the driver reports it")
    if rate is None:
        return [*lines, f"hbm_bytes_per_s: null           # {_FILL}: memory bandwidth in bytes per second"]
    return [*lines, f"hbm_bytes_per_s: {rate:.4e}   # 2 x memory clock x bus width / 8; compare with the data sheet"]


def _link(gpu: GpuFacts) -> list[str]:
    if gpu.nvlink_links_active:
        name = f"NVLink {gpu.nvlink_version}" if gpu.nvlink_version else "NVLink"
        if gpu.nvlink_bytes_per_s:
            rate = f"link_bytes_per_s: {gpu.nvlink_bytes_per_s:.3e}   # active links x their speed, one direction"
        else:
            rate = f"# link_bytes_per_s: 4.5e+11    # {_FILL}: one direction (data sheets add both)"
        return [f"link: {_text(name)}", rate]
    generation, width = gpu.pcie_generation_max, gpu.pcie_width_max_lanes
    lane = PCIE_BYTES_PER_S_PER_LANE.get(generation or 0)
    if lane is None or width is None:
        return [
            f"# link: PCIe 5.0 x16            # {_FILL}: the link between GPUs",
            f"# link_bytes_per_s: 6.3e+10    # {_FILL}: one direction",
        ]
    rate = f"link_bytes_per_s: {lane * width:.3e}    # one direction, after line coding"
    return [f"link: PCIe {generation}.0 x{width}", rate]


def _power(gpu: GpuFacts) -> str:
    limit = gpu.power_limit_default_w or gpu.power_limit_w
    if limit is None:
        return "# tdp_w: 300                    # board power limit; not reported by the driver (optional)"
    return f"tdp_w: {limit:.0f}                      # the card's default power limit"


def _title(facts: HostFacts) -> str:
    driver = f", driver {facts.driver_version}" if facts.driver_version else ""
    return f"NVML of one card{driver}, read {facts.date.isoformat()} by inference-planner {facts.tool_version}"


def _identifier(name: str) -> str:
    """Return a file-name form of a product name.

    >>> _identifier("NVIDIA GeForce RTX 5090 D")
    'geforce-rtx-5090-d'
    """
    form = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return form.removeprefix("nvidia-") or "unknown-gpu"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)

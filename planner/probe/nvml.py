"""Read the facts of the local GPUs through NVML, the driver's library. What it does not report is null."""

import datetime as dt
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import planner
from planner.errors import DataMissingError
from planner.probe.facts import SCHEMA_VERSION, GpuFacts, HostFacts, ProcessFacts, SliceFacts, UnreadableGpu

WSL_LIBRARIES = Path("/usr/lib/wsl/lib")
"""Where WSL mounts the driver libraries of Windows."""
HERTZ_PER_MHZ = 1e6
MILLIWATTS_PER_WATT = 1e3
_ELSEWHERE = "To check facts saved on another machine, use --facts FILE."

NO_PERMISSION, DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND = 4, 9, 12
FUNCTION_NOT_FOUND, GPU_IS_LOST, RESET_REQUIRED, VERSION_MISMATCH = 13, 15, 16, 18
_GONE = {
    GPU_IS_LOST: "has fallen off the bus; power-cycle the machine (dmesg shows the Xid)",
    RESET_REQUIRED: "needs a reset (nvidia-smi --gpu-reset) or a reboot",
}
_SM, _MEMORY = 1, 2
"""NVML_CLOCK_SM, NVML_CLOCK_MEM."""
_TEMPERATURE_GPU = 0
_NVLINK_SPEED_FIELD = 90
"""NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON: MB/s of one link, one direction."""
_BYTES_PER_MB = 1e6
_MOST_LINKS = 36
"""NVML_NVLINK_MAX_LINKS of 2025; links that a GPU lacks give no state."""
_MEMORY_V2 = 0x02000028
"""nvmlMemory_v2."""
_NVLINK_VERSIONS = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "6.0"}


class _GoneError(Exception):
    """A GPU stopped responding."""


def library() -> Any:  # noqa: ANN401 - the module has no types
    """Return the module of the NVML bindings. Raises DataMissingError where the package is not installed."""
    try:
        return import_module("pynvml")
    except ImportError:
        raise DataMissingError(
            "the NVML bindings are not installed: pip install 'inference-planner[gpu]'. " + _ELSEWHERE
        ) from None


def read_host(today: dt.date) -> HostFacts:
    """Return the facts of this machine's GPUs. `today` is the date they carry.

    Raises DataMissingError where there is no driver or no GPU.
    """
    nvml = library()
    try:
        nvml.nvmlInit()
        try:
            return _host(nvml, nvml.nvmlDeviceGetCount(), today)
        finally:
            with suppress(nvml.NVMLError):
                nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        raise DataMissingError(_no_driver(error)) from None


def _no_driver(error: Any) -> str:  # noqa: ANN401 - the module has no types
    """Return a sentence about why NVML does not start, and the remedy."""
    sentences = {
        LIBRARY_NOT_FOUND: _no_library(),
        DRIVER_NOT_LOADED: f"the NVIDIA driver is installed but not loaded (no GPU or a failed module). {_ELSEWHERE}",
        NO_PERMISSION: "no permission to use the NVIDIA driver; expected read and write access to /dev/nvidiactl "
        "and /dev/nvidia0 (a container needs --gpus all)",
        VERSION_MISMATCH: "the NVIDIA kernel module and library have different versions, as after an update; "
        "reboot or reload the module",
        GPU_IS_LOST: f"a GPU {_GONE[GPU_IS_LOST]}",
        FUNCTION_NOT_FOUND: "the NVIDIA driver is too old for its library bindings; expected a driver of 2021 or later",
    }
    return sentences.get(error.value, f"the NVIDIA driver does not start: {error}. {_ELSEWHERE}")


def _no_library() -> str:
    if platform.system() == "Darwin":
        return "no NVIDIA driver on this machine: none exists for macOS. " + _ELSEWHERE
    name = "nvml.dll" if platform.system() == "Windows" else "libnvidia-ml.so.1"
    if WSL_LIBRARIES.is_dir():
        return (
            f"no NVIDIA driver in this WSL guest: the Windows driver, 510.06 or later, puts {name} into "
            f"{WSL_LIBRARIES.as_posix()}; if it is there, add that folder to LD_LIBRARY_PATH. {_ELSEWHERE}"
        )
    return (
        f"no NVIDIA driver on this machine: {name} was not found; install the driver (a container needs "
        f"--gpus all). {_ELSEWHERE}"
    )


def _host(nvml: Any, count: int, today: dt.date) -> HostFacts:  # noqa: ANN401 - the module has no types
    gpus: list[GpuFacts] = []
    unreadable: list[UnreadableGpu] = []
    for index in range(count):
        try:
            gpus.append(_gpu(nvml, index))
        except _GoneError as gone:
            unreadable.append(UnreadableGpu(index=index, reason=str(gone)))
    if not gpus and not unreadable:
        raise DataMissingError(
            "the NVIDIA driver runs but sees no GPU (a container needs --gpus all, a virtual "
            f"machine a passed-through GPU). {_ELSEWHERE}"
        )
    machine = _Query(nvml)
    cuda = machine.ask("nvmlSystemGetCudaDriverVersion_v2") or machine.ask("nvmlSystemGetCudaDriverVersion")
    return HostFacts(
        schema_version=SCHEMA_VERSION,
        date=today,
        tool_version=planner.__version__,
        platform=_platform(),
        driver_version=machine.ask("nvmlSystemGetDriverVersion", read=_text),
        cuda_version=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        gpus=tuple(gpus),
        unreadable=tuple(unreadable),
    )


def _platform() -> Literal["linux", "wsl", "windows"]:
    if platform.system() == "Windows":
        return "windows"
    return "wsl" if WSL_LIBRARIES.is_dir() else "linux"


def _gpu(nvml: Any, index: int) -> GpuFacts:  # noqa: ANN401 - the module has no types
    """Return the facts of one GPU. Raises _GoneError where it does not respond."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        raise _GoneError(_GONE.get(error.value, f"does not respond: {error}")) from None
    gpu = _Query(nvml, handle)
    name = gpu.ask("nvmlDeviceGetName", read=_text)
    if name is None:
        raise _GoneError("does not report its name")
    facts = {field: gpu.ask(call, *arguments, read=read) for field, (read, call, *arguments) in _FACTS.items()}
    limit = gpu.ask("nvmlDeviceGetEnforcedPowerLimit", read=_watts)
    smallest, largest = gpu.ask("nvmlDeviceGetPowerManagementLimitConstraints") or (0, 0)
    # The bindings' unversioned call is the third version, and fails in its own way where the driver lacks that.
    programs = (gpu.ask(f"nvmlDeviceGetComputeRunningProcesses_v{n}", read=_processes) for n in (3, 2))
    facts |= {
        "processes": next((found for found in programs if found is not None), None),
        "power_limit_w": limit or gpu.ask("nvmlDeviceGetPowerManagementLimit", read=_watts),
        "power_limit_min_w": _watts(smallest),
        "power_limit_max_w": _watts(largest),
        "mig_slices": tuple(_slices(gpu)) if facts["mig_enabled"] else (),
    }
    return GpuFacts.model_validate({"index": index, "name": name, **facts, **_memory(gpu), **_nvlink(gpu)})


def _known(value: int) -> int | None:
    """Return a number; None for 0, which some GPUs report for what they do not know."""
    return value or None


def _hertz(megahertz: int) -> float | None:
    return megahertz * HERTZ_PER_MHZ or None


def _watts(milliwatts: int) -> float | None:
    return milliwatts / MILLIWATTS_PER_WATT or None


def _current(modes: Sequence[int]) -> bool:
    """Return whether a mode is on now; the second number is what it will be after a reset."""
    return bool(modes[0])


def _text(value: str | bytes) -> str:
    """Return text; old bindings return bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _processes(found: Sequence[Any]) -> tuple[ProcessFacts, ...]:
    held = [(p.pid, p.usedGpuMemory) for p in found]
    return tuple(ProcessFacts(pid=pid, memory_bytes=None if size is None else float(size)) for pid, size in held)


_FACTS: dict[str, tuple[Callable[[Any], Any], str, *tuple[int, ...]]] = {
    "compute_capability": ("{0[0]}.{0[1]}".format, "nvmlDeviceGetCudaComputeCapability"),
    "memory_bus_width_bits": (_known, "nvmlDeviceGetMemoryBusWidth"),
    "sm_clock_hz": (_hertz, "nvmlDeviceGetClockInfo", _SM),
    "sm_clock_max_hz": (_hertz, "nvmlDeviceGetMaxClockInfo", _SM),
    "sm_clock_application_hz": (_hertz, "nvmlDeviceGetApplicationsClock", _SM),
    "sm_clock_application_default_hz": (_hertz, "nvmlDeviceGetDefaultApplicationsClock", _SM),
    "memory_clock_hz": (_hertz, "nvmlDeviceGetClockInfo", _MEMORY),
    "memory_clock_max_hz": (_hertz, "nvmlDeviceGetMaxClockInfo", _MEMORY),
    "memory_clock_application_hz": (_hertz, "nvmlDeviceGetApplicationsClock", _MEMORY),
    "power_limit_default_w": (_watts, "nvmlDeviceGetPowerManagementDefaultLimit"),
    "power_draw_w": (_watts, "nvmlDeviceGetPowerUsage"),
    "temperature_c": (_known, "nvmlDeviceGetTemperature", _TEMPERATURE_GPU),
    "pcie_generation": (_known, "nvmlDeviceGetCurrPcieLinkGeneration"),
    "pcie_generation_max": (_known, "nvmlDeviceGetMaxPcieLinkGeneration"),
    "pcie_width_lanes": (_known, "nvmlDeviceGetCurrPcieLinkWidth"),
    "pcie_width_max_lanes": (_known, "nvmlDeviceGetMaxPcieLinkWidth"),
    "persistence_enabled": (bool, "nvmlDeviceGetPersistenceMode"),
    "ecc_enabled": (_current, "nvmlDeviceGetEccMode"),
    "mig_enabled": (_current, "nvmlDeviceGetMigMode"),
}
"""Field -> how an answer is read, the call of NVML, its arguments after the GPU."""


def _memory(gpu: "_Query") -> dict[str, float]:
    """Return total, free and used memory. The newer call does not count the driver's own reserve as used."""
    info = gpu.ask("nvmlDeviceGetMemoryInfo", _MEMORY_V2) or gpu.ask("nvmlDeviceGetMemoryInfo")
    if info is None or not info.total:
        return {}
    return {f"memory_{part}_bytes": float(getattr(info, part)) for part in ("total", "free", "used")}


def _nvlink(gpu: "_Query") -> dict[str, Any]:
    """Return the number of links, active links, version and total speed; nothing where no link responds."""
    states = [gpu.ask("nvmlDeviceGetNvLinkState", link) for link in range(_MOST_LINKS)]
    active = [link for link, state in enumerate(states) if state]
    if states.count(None) == _MOST_LINKS:
        return {}
    version = gpu.ask("nvmlDeviceGetNvLinkVersion", active[0]) if active else None
    values = gpu.ask("nvmlDeviceGetFieldValues", [_NVLINK_SPEED_FIELD]) if active else None
    speed = values[0].value.uiVal if values is not None and values[0].nvmlReturn == 0 else 0
    return {
        "nvlink_links": _MOST_LINKS - states.count(None),
        "nvlink_links_active": len(active),
        "nvlink_version": _NVLINK_VERSIONS.get(version or 0),
        "nvlink_bytes_per_s": float(speed) * _BYTES_PER_MB * len(active) or None,
    }


def _slices(gpu: "_Query") -> Iterator[SliceFacts]:
    for index in range(gpu.ask("nvmlDeviceGetMaxMigDeviceCount") or 0):
        handle = gpu.ask("nvmlDeviceGetMigDeviceHandleByIndex", index)
        if handle is None:
            continue
        part = _Query(gpu.nvml, handle)
        memory = part.ask("nvmlDeviceGetMemoryInfo")
        yield SliceFacts(
            memory_total_bytes=float(memory.total) if memory else None,
            memory_free_bytes=float(memory.free) if memory else None,
            multiprocessors=part.ask("nvmlDeviceGetAttributes", read=lambda found: found.multiprocessorCount),
        )


class _Query:
    """Calls NVML for one GPU, or for the machine without one. A call that it does not answer returns None."""

    def __init__(self, nvml: Any, *first: Any) -> None:  # noqa: ANN401 - the module has no types
        self.nvml, self.first = nvml, first

    def ask(self, name: str, *arguments: Any, read: Callable[[Any], Any] = lambda answer: answer) -> Any:  # noqa: ANN401
        """Return the answer of a call as `read`, None where it fails. Raises _GoneError where the GPU is lost."""
        try:
            answer = getattr(self.nvml, name)(*self.first, *arguments)
        except self.nvml.NVMLError as error:
            if error.value in _GONE and self.first:
                raise _GoneError(_GONE[error.value]) from None
            return None
        except (TypeError, AttributeError):  # an older release of the bindings
            return None
        return read(answer)

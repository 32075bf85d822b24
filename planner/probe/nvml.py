"""Read the facts of the local GPUs through NVML, the driver's library. What it does not report is null."""

import datetime as dt
import platform
from collections.abc import Callable
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
_MOST_LINKS = 18
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
    except nvml.NVMLError as error:
        raise DataMissingError(_no_driver(error)) from None
    try:
        return _host(nvml, nvml.nvmlDeviceGetCount(), today)
    except nvml.NVMLError as error:
        raise DataMissingError(_no_driver(error)) from None
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _no_driver(error: Exception) -> str:
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
    code = getattr(error, "value", None)
    return sentences.get(code, f"the NVIDIA driver does not start: {error}. {_ELSEWHERE}") if code else str(error)


def _no_library() -> str:
    system = platform.system()
    if system == "Darwin":
        return "no NVIDIA driver on this machine: none exists for macOS. " + _ELSEWHERE
    name = "nvml.dll" if system == "Windows" else "libnvidia-ml.so.1"
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
    machine = _Query(nvml)
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
    cuda = machine.ask("nvmlSystemGetCudaDriverVersion_v2") or machine.ask("nvmlSystemGetCudaDriverVersion")
    return HostFacts(
        schema_version=SCHEMA_VERSION,
        date=today,
        tool_version=planner.__version__,
        platform=_platform(),
        driver_version=machine.text("nvmlSystemGetDriverVersion"),
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
        raise _GoneError(_GONE.get(getattr(error, "value", 0), f"does not respond: {error}")) from None
    gpu = _Query(nvml, handle)
    name = gpu.text("nvmlDeviceGetName")
    if name is None:
        raise _GoneError("does not report its name")
    capability = gpu.ask("nvmlDeviceGetCudaComputeCapability")
    return GpuFacts.model_validate(
        {
            "index": index,
            "name": name,
            "compute_capability": f"{capability[0]}.{capability[1]}" if capability else None,
            "memory_bus_width_bits": gpu.ask("nvmlDeviceGetMemoryBusWidth") or None,
            "temperature_c": gpu.number("nvmlDeviceGetTemperature", 1.0, _TEMPERATURE_GPU),
            "persistence_enabled": gpu.flag("nvmlDeviceGetPersistenceMode"),
            "processes": _processes(gpu),
            **_memory(gpu),
            **_clocks(gpu),
            **_power(gpu),
            **_pcie(gpu),
            **_nvlink(gpu),
            **_modes(gpu),
        }
    )


def _memory(gpu: "_Query") -> dict[str, Any]:
    """Return total, free and used memory. The newer call does not count the driver's own reserve as used."""
    info = None
    version = getattr(gpu.nvml, "nvmlMemory_v2", None)
    if version is not None:
        info = gpu.ask("nvmlDeviceGetMemoryInfo", version)
    info = info or gpu.ask("nvmlDeviceGetMemoryInfo")
    if info is None or not info.total:
        return {}
    return {f"memory_{part}_bytes": float(getattr(info, part)) for part in ("total", "free", "used")}


def _processes(gpu: "_Query") -> tuple[ProcessFacts, ...] | None:
    found = gpu.ask("nvmlDeviceGetComputeRunningProcesses")
    if found is None:
        return None
    return tuple(
        ProcessFacts(pid=p.pid, memory_bytes=None if p.usedGpuMemory is None else float(p.usedGpuMemory)) for p in found
    )


def _clocks(gpu: "_Query") -> dict[str, Any]:
    calls = {
        "clock": "nvmlDeviceGetClockInfo",
        "clock_max": "nvmlDeviceGetMaxClockInfo",
        "clock_application": "nvmlDeviceGetApplicationsClock",
    }
    parts = {"sm": _SM, "memory": _MEMORY}
    found: dict[str, Any] = {
        f"{part}_{field}_hz": gpu.number(call, HERTZ_PER_MHZ, kind)
        for field, call in calls.items()
        for part, kind in parts.items()
    }
    default = gpu.number("nvmlDeviceGetDefaultApplicationsClock", HERTZ_PER_MHZ, _SM)
    return found | {"sm_clock_application_default_hz": default}


def _power(gpu: "_Query") -> dict[str, Any]:
    calls = {
        "limit": "nvmlDeviceGetEnforcedPowerLimit",
        "limit_default": "nvmlDeviceGetPowerManagementDefaultLimit",
        "draw": "nvmlDeviceGetPowerUsage",
    }
    found = {f"power_{field}_w": _watts(gpu.ask(call)) for field, call in calls.items()}
    if found["power_limit_w"] is None:
        found["power_limit_w"] = _watts(gpu.ask("nvmlDeviceGetPowerManagementLimit"))
    smallest, largest = gpu.ask("nvmlDeviceGetPowerManagementLimitConstraints") or (None, None)
    return found | {"power_limit_min_w": _watts(smallest), "power_limit_max_w": _watts(largest)}


def _watts(milliwatts: int | None) -> float | None:
    return milliwatts / MILLIWATTS_PER_WATT if milliwatts else None


def _pcie(gpu: "_Query") -> dict[str, Any]:
    return {
        "pcie_generation": gpu.ask("nvmlDeviceGetCurrPcieLinkGeneration") or None,
        "pcie_generation_max": gpu.ask("nvmlDeviceGetMaxPcieLinkGeneration") or None,
        "pcie_width_lanes": gpu.ask("nvmlDeviceGetCurrPcieLinkWidth") or None,
        "pcie_width_max_lanes": gpu.ask("nvmlDeviceGetMaxPcieLinkWidth") or None,
    }


def _nvlink(gpu: "_Query") -> dict[str, Any]:
    """Return the number of links, active links, version and total speed; nothing where no link responds."""
    states = {
        link: gpu.ask("nvmlDeviceGetNvLinkState", link)
        for link in range(getattr(gpu.nvml, "NVML_NVLINK_MAX_LINKS", _MOST_LINKS))
    }
    known = [link for link, state in states.items() if state is not None]
    if not known:
        return {}
    active = [link for link in known if states[link]]
    version = gpu.ask("nvmlDeviceGetNvLinkVersion", active[0]) if active else None
    values = gpu.ask("nvmlDeviceGetFieldValues", [_NVLINK_SPEED_FIELD]) if active else None
    speed = values[0].value.uiVal if values is not None and values[0].nvmlReturn == 0 else 0
    return {
        "nvlink_links": len(known),
        "nvlink_links_active": len(active),
        "nvlink_version": _NVLINK_VERSIONS.get(version) if version is not None else None,
        "nvlink_bytes_per_s": float(speed) * _BYTES_PER_MB * len(active) or None,
    }


def _modes(gpu: "_Query") -> dict[str, Any]:
    ecc, mig = gpu.ask("nvmlDeviceGetEccMode"), gpu.ask("nvmlDeviceGetMigMode")
    enabled = bool(mig[0]) if mig else None
    return {
        "ecc_enabled": bool(ecc[0]) if ecc else None,
        "mig_enabled": enabled,
        "mig_slices": tuple(_slices(gpu)) if enabled else (),
    }


def _slices(gpu: "_Query") -> list[SliceFacts]:
    found = []
    for index in range(gpu.ask("nvmlDeviceGetMaxMigDeviceCount") or 0):
        handle = gpu.ask("nvmlDeviceGetMigDeviceHandleByIndex", index)
        if handle is None:
            continue
        part = _Query(gpu.nvml, handle)
        memory, attributes = part.ask("nvmlDeviceGetMemoryInfo"), part.ask("nvmlDeviceGetAttributes")
        found.append(
            SliceFacts(
                memory_total_bytes=float(memory.total) if memory else None,
                memory_free_bytes=float(memory.free) if memory else None,
                multiprocessors=attributes.multiprocessorCount if attributes else None,
            )
        )
    return found


class _Query:
    """Calls NVML for one GPU, or for the machine without one. A call that it does not answer returns None."""

    def __init__(self, nvml: Any, handle: Any = None) -> None:  # noqa: ANN401 - the module has no types
        self.nvml, self.first = nvml, () if handle is None else (handle,)

    def ask(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - whatever the call returns
        """Return the result of a call, None where it fails. Raises _GoneError where the GPU is lost."""
        call: Callable[..., Any] | None = getattr(self.nvml, name, None)
        if call is None:
            return None
        try:
            return call(*self.first, *arguments)
        except self.nvml.NVMLError as error:
            gone = _GONE.get(getattr(error, "value", 0))
            if gone and self.first:
                raise _GoneError(gone) from None
            return None
        except (TypeError, AttributeError):  # an older release of the bindings
            return None

    def number(self, name: str, scale: float, *arguments: Any) -> float | None:  # noqa: ANN401 - passed on
        """Return a number times `scale`; None also for 0, which some GPUs report for an unknown clock or limit."""
        value = self.ask(name, *arguments)
        return None if value is None or value <= 0 else float(value) * scale

    def flag(self, name: str) -> bool | None:
        """Return whether a mode is on."""
        value = self.ask(name)
        return None if value is None else bool(value)

    def text(self, name: str) -> str | None:
        """Return text; old bindings return bytes."""
        value = self.ask(name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

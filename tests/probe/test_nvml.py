"""Reading NVML: the real bindings (nvidia-ml-py) on a driver library that is played from facts."""

import ctypes
import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from planner.documents.spec import validate
from planner.documents.yaml_reader import read_document
from planner.errors import DataMissingError
from planner.probe import nvml, read_host
from planner.probe.facts import GpuFacts, HostFacts, ProcessFacts, SliceFacts

DUMPS = sorted((Path(__file__).parents[1] / "data" / "gpu_facts").glob("*.json"))
DAY = dt.date(2026, 1, 2)
MIB = 2**20
FULL = GpuFacts(
    index=0,
    name="NVIDIA H100 80GB HBM3",
    compute_capability="9.0",
    memory_total_bytes=81559.0 * MIB,
    memory_free_bytes=80000.0 * MIB,
    memory_used_bytes=1000.0 * MIB,
    memory_bus_width_bits=5120,
    sm_clock_hz=345e6,
    sm_clock_max_hz=1980e6,
    sm_clock_application_hz=1755e6,
    sm_clock_application_default_hz=1900e6,
    memory_clock_hz=2500e6,
    memory_clock_max_hz=2619e6,
    memory_clock_application_hz=2600e6,
    power_limit_w=650.5,
    power_limit_default_w=700.0,
    power_limit_min_w=200.0,
    power_limit_max_w=710.0,
    power_draw_w=71.25,
    temperature_c=34.0,
    pcie_generation=4,
    pcie_generation_max=5,
    pcie_width_lanes=8,
    pcie_width_max_lanes=16,
    nvlink_links=18,
    nvlink_links_active=16,
    nvlink_version="4.0",
    nvlink_bytes_per_s=16 * 26562e6,
    ecc_enabled=True,
    mig_enabled=False,
    persistence_enabled=False,
    processes=(ProcessFacts(pid=7, memory_bytes=512.0 * MIB), ProcessFacts(pid=8, memory_bytes=None)),
)
"""A GPU of which every fact is known; no two of a kind are alike."""
SLICED = FULL.model_copy(
    update={
        "mig_enabled": True,
        "mig_slices": tuple(
            SliceFacts(memory_total_bytes=g * 10e9, memory_free_bytes=g * 9e9, multiprocessors=g * 16) for g in (3, 1)
        ),
    }
)


def facts_of(path: Path) -> HostFacts:
    """Return the facts of a dump."""
    document = read_document(path)
    return validate(HostFacts, document.data, document)


def host_of(*gpus: GpuFacts) -> HostFacts:
    """Return a host with some GPUs, numbered as they stand."""
    numbered = tuple(gpu.model_copy(update={"index": i}) for i, gpu in enumerate(gpus))
    return HostFacts(schema_version=1, date=DAY, tool_version="1", driver_version="570.1", gpus=numbered)


class ReturnedError(Exception):
    """A driver call ends with a code other than success."""


def known(value: Any, code: int = pynvml.NVML_ERROR_NOT_SUPPORTED) -> Any:
    """Return a fact, or end the call with the code of one that the driver does not know."""
    if value is None:
        raise ReturnedError(code)
    return value


def number(field: str, scale: float = 1) -> Callable[..., tuple[int]]:
    """Return a call that answers with a field in the driver's unit."""
    return lambda gpu: (round(known(getattr(gpu, field)) * scale),)


def clock(field: str) -> Callable[..., tuple[int]]:
    """Return a call that answers with a clock of the kind asked for [MHz]."""
    kinds = {pynvml.NVML_CLOCK_SM: "sm", pynvml.NVML_CLOCK_MEM: "memory"}
    return lambda gpu, kind: (round(known(getattr(gpu, f"{kinds[kind]}_clock{field}_hz", None)) / 1e6),)


def mode(field: str) -> Callable[..., tuple[int, int]]:
    """Return a call that answers with a mode as it is now, and the opposite as what a reset brings."""
    return lambda gpu: (int(known(getattr(gpu, field))), int(not getattr(gpu, field)))


def memory(part: Any) -> dict[str, int]:
    """Return the memory of a GPU or a slice."""
    sizes = {name: getattr(part, f"memory_{name}_bytes", None) for name in ("total", "free", "used")}
    known(sizes["total"])
    return {name: int(size or 0) for name, size in sizes.items()}


CALLS: dict[str, Callable[..., Any]] = {
    "nvmlDeviceGetName": lambda gpu, _: gpu.name,
    "nvmlDeviceGetCudaComputeCapability": lambda gpu: map(int, known(gpu.compute_capability).split(".")),
    "nvmlDeviceGetMemoryInfo": memory,
    "nvmlDeviceGetMemoryInfo_v2": memory,
    "nvmlDeviceGetMemoryBusWidth": number("memory_bus_width_bits"),
    "nvmlDeviceGetClockInfo": clock(""),
    "nvmlDeviceGetMaxClockInfo": clock("_max"),
    "nvmlDeviceGetApplicationsClock": clock("_application"),
    "nvmlDeviceGetDefaultApplicationsClock": clock("_application_default"),
    "nvmlDeviceGetEnforcedPowerLimit": number("power_limit_w", 1000),
    "nvmlDeviceGetPowerManagementLimit": lambda _: (690_000,),
    "nvmlDeviceGetPowerManagementDefaultLimit": number("power_limit_default_w", 1000),
    "nvmlDeviceGetPowerManagementLimitConstraints": lambda gpu: (
        round(1000 * known(watts)) for watts in (gpu.power_limit_min_w, gpu.power_limit_max_w)
    ),
    "nvmlDeviceGetPowerUsage": number("power_draw_w", 1000),
    "nvmlDeviceGetTemperature": lambda gpu, sensor: (round(known(gpu.temperature_c)) + 1000 * sensor,),
    "nvmlDeviceGetCurrPcieLinkGeneration": number("pcie_generation"),
    "nvmlDeviceGetMaxPcieLinkGeneration": number("pcie_generation_max"),
    "nvmlDeviceGetCurrPcieLinkWidth": number("pcie_width_lanes"),
    "nvmlDeviceGetMaxPcieLinkWidth": number("pcie_width_max_lanes"),
    "nvmlDeviceGetNvLinkState": lambda gpu, link: (
        known(int(link < gpu.nvlink_links_active) if link < known(gpu.nvlink_links) else None, 2),
    ),
    "nvmlDeviceGetNvLinkVersion": lambda gpu, _: ({"3.0": 4, "4.0": 6, "5.0": 7}.get(gpu.nvlink_version, 99),),
    "nvmlDeviceGetEccMode": mode("ecc_enabled"),
    "nvmlDeviceGetMigMode": mode("mig_enabled"),
    "nvmlDeviceGetPersistenceMode": number("persistence_enabled"),
    "nvmlDeviceGetMaxMigDeviceCount": lambda _: (7,),
    "nvmlDeviceGetAttributes_v2": lambda part: {"multiprocessorCount": known(part.multiprocessors)},
}
"""C function -> its outputs in order, the fields of its structure, or its text."""
FIELDS = {
    "nvmlDeviceGetCudaComputeCapability": ("compute_capability",),
    "nvmlDeviceGetMemoryInfo nvmlDeviceGetMemoryInfo_v2": (
        "memory_total_bytes",
        "memory_free_bytes",
        "memory_used_bytes",
    ),
    "nvmlDeviceGetMemoryBusWidth": ("memory_bus_width_bits",),
    "nvmlDeviceGetClockInfo": ("sm_clock_hz", "memory_clock_hz"),
    "nvmlDeviceGetMaxClockInfo": ("sm_clock_max_hz", "memory_clock_max_hz"),
    "nvmlDeviceGetApplicationsClock": ("sm_clock_application_hz", "memory_clock_application_hz"),
    "nvmlDeviceGetDefaultApplicationsClock": ("sm_clock_application_default_hz",),
    "nvmlDeviceGetEnforcedPowerLimit nvmlDeviceGetPowerManagementLimit": ("power_limit_w",),
    "nvmlDeviceGetPowerManagementDefaultLimit": ("power_limit_default_w",),
    "nvmlDeviceGetPowerManagementLimitConstraints": ("power_limit_min_w", "power_limit_max_w"),
    "nvmlDeviceGetPowerUsage": ("power_draw_w",),
    "nvmlDeviceGetTemperature": ("temperature_c",),
    "nvmlDeviceGetCurrPcieLinkGeneration": ("pcie_generation",),
    "nvmlDeviceGetMaxPcieLinkGeneration": ("pcie_generation_max",),
    "nvmlDeviceGetCurrPcieLinkWidth": ("pcie_width_lanes",),
    "nvmlDeviceGetMaxPcieLinkWidth": ("pcie_width_max_lanes",),
    "nvmlDeviceGetNvLinkState": ("nvlink_links", "nvlink_links_active", "nvlink_version", "nvlink_bytes_per_s"),
    "nvmlDeviceGetNvLinkVersion": ("nvlink_version",),
    "nvmlDeviceGetFieldValues": ("nvlink_bytes_per_s",),
    "nvmlDeviceGetEccMode": ("ecc_enabled",),
    "nvmlDeviceGetMigMode": ("mig_enabled",),
    "nvmlDeviceGetPersistenceMode": ("persistence_enabled",),
    "nvmlDeviceGetComputeRunningProcesses_v2 nvmlDeviceGetComputeRunningProcesses_v3": ("processes",),
}
"""C functions -> the facts that are known by them alone."""


class Driver:
    """The driver's library as `ctypes` loads it: C functions that fill in what they are given and return a code."""

    def __init__(self, host: HostFacts) -> None:
        self.host, self.codes, self.lacks, self.calls = host, dict[str, int](), set[str](), list[str]()
        self.parts: list[tuple[Any, GpuFacts | SliceFacts]] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name in self.lacks:
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            self.calls.append(name)
            if name in self.codes:
                return self.codes[name]
            written = [getattr(a, "_obj", a) for a in arguments if is_output(a)]
            read = [getattr(a, "value", a) for a in arguments if not is_output(a)]
            try:
                return self.answer(name, read, written) or 0
            except ReturnedError as error:
                return int(error.args[0])

        return call

    def fail(self, names: str, code: int) -> None:
        """Let functions return a code."""
        self.codes |= dict.fromkeys(names.split(), code)

    def answer(self, name: str, read: list[Any], written: list[Any]) -> int | None:
        """Write the outputs of a call, and return its code; None is success."""
        match name:
            case "nvmlInitWithFlags" | "nvmlShutdown":
                pass
            case "nvmlDeviceGetCount_v2":
                written[0].value = len(self.host.gpus)
            case "nvmlSystemGetDriverVersion":
                written[0].value = known(self.host.driver_version).encode()
            case "nvmlSystemGetCudaDriverVersion" | "nvmlSystemGetCudaDriverVersion_v2":
                major, minor = known(self.host.cuda_version).split(".")
                written[0].value = 1000 * int(major) + 10 * int(minor)
            case "nvmlDeviceGetHandleByIndex_v2":
                self.hand_out(written[0], self.host.gpus[read[0]])
            case "nvmlDeviceGetMigDeviceHandleByIndex":
                slices = dict(enumerate(self.part(read[0]).mig_slices, start=1))  # slice 0 was destroyed
                self.hand_out(written[0], known(slices.get(read[1]), pynvml.NVML_ERROR_NOT_FOUND))
            case "nvmlDeviceGetComputeRunningProcesses_v2" | "nvmlDeviceGetComputeRunningProcesses_v3":
                return programs(known(self.part(read[0]).processes), *written)
            case "nvmlDeviceGetFieldValues":
                link_speed(self.part(read[0]), written[0][0])
            case _:
                write(CALLS[name](self.part(read[0]), *read[1:]), written)
        return None

    def hand_out(self, handle: Any, part: GpuFacts | SliceFacts) -> None:
        """Point a handle at a GPU or a slice."""
        handle.contents = pynvml.struct_c_nvmlDevice_t()
        self.parts.append((handle.contents, part))

    def part(self, handle: Any) -> Any:
        """Return the GPU or slice of a handle."""
        at = ctypes.addressof(handle.contents)
        return next(part for opaque, part in self.parts if ctypes.addressof(opaque) == at)


def is_output(argument: Any) -> bool:
    """Return whether a call writes into an argument: one by reference, a buffer or an array."""
    return hasattr(argument, "_obj") or isinstance(argument, ctypes.Array)


def write(answer: Any, written: list[Any]) -> None:
    """Write an answer into the outputs of a call."""
    if isinstance(answer, str):
        written[0].value = answer.encode()
    elif isinstance(answer, dict):
        for name, value in answer.items():
            setattr(written[0], name, value)
    else:
        for place, value in zip(written, answer, strict=True):
            place.value = value


def programs(found: tuple[ProcessFacts, ...], count: Any, into: Any = None) -> int:
    """Write how many programs run, and, where there is an array, the programs."""
    count.value = len(found)
    if into is None:
        return pynvml.NVML_ERROR_INSUFFICIENT_SIZE if found else 0
    unknown = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value
    for place, program in zip(into, found, strict=False):
        place.pid = program.pid
        place.usedGpuMemory = unknown if program.memory_bytes is None else int(program.memory_bytes)
    return 0


def link_speed(gpu: GpuFacts, field: Any) -> None:
    """Write the speed of one link into a field's value [MB/s], or that it is not known."""
    assert field.fieldId == pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON
    field.nvmlReturn = 0 if gpu.nvlink_bytes_per_s else pynvml.NVML_ERROR_NOT_SUPPORTED
    field.value.uiVal = round((gpu.nvlink_bytes_per_s or 5e9) / (gpu.nvlink_links_active or 1) / 1e6)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[HostFacts], Driver]:
    """Return a function that puts a driver below the bindings."""

    def put(host: HostFacts) -> Driver:
        driver = Driver(host)
        monkeypatch.setattr(pynvml, "nvmlLib", driver)
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        return driver

    monkeypatch.setattr(nvml, "WSL_LIBRARIES", Path("/nowhere"))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    return put


Play = Callable[[HostFacts], Driver]
UNANSWERED = [
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_INVALID_ARGUMENT,
    pynvml.NVML_ERROR_TIMEOUT,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_UNKNOWN,
    9999,
]


@pytest.mark.parametrize("path", DUMPS, ids=lambda p: p.stem)
def test_reading_gives_back_what_the_driver_says(path: Path, play: Play) -> None:
    """Published driver outputs, replayed through the bindings, come back as the same facts; what they lack is null."""
    facts = facts_of(path)
    driver = play(facts)
    driver.fail("nvmlDeviceGetPowerManagementLimit", pynvml.NVML_ERROR_NOT_SUPPORTED)
    found = read_host(DAY)
    assert found.gpus == tuple(g.model_copy(update={"index": i}) for i, g in enumerate(facts.gpus))
    assert (found.driver_version, found.cuda_version, found.date) == (facts.driver_version, facts.cuda_version, DAY)
    assert driver.calls.count("nvmlShutdown") == 1


@pytest.mark.parametrize("gpu", [FULL, SLICED], ids=["full", "sliced"])
def test_every_fact_is_read(gpu: GpuFacts, play: Play) -> None:
    """No fact of a GPU of which all are known is lost or swapped, and none is missing from this test."""
    play(host_of(gpu))
    assert read_host(DAY).gpus == (gpu,)
    assert {name for name, value in gpu.model_dump().items() if value is None} == set()
    assert {field for fields in FIELDS.values() for field in fields} == set(GpuFacts.model_fields) - {
        "index",
        "name",
        "mig_slices",
    }


@pytest.mark.parametrize("names", FIELDS, ids=lambda names: names.split()[0].removeprefix("nvmlDeviceGet"))
@pytest.mark.parametrize("code", UNANSWERED)
def test_what_a_driver_does_not_answer_is_null_and_alone(names: str, code: int, play: Play) -> None:
    """A call that fails, whatever its code, leaves its own facts null and all others as they are."""
    play(host_of(FULL)).fail(names, code)
    assert read_host(DAY).gpus == (FULL.model_copy(update=dict.fromkeys(FIELDS[names])),)


@pytest.mark.parametrize("names", FIELDS, ids=lambda names: names.split()[0].removeprefix("nvmlDeviceGet"))
def test_what_an_old_driver_lacks_is_null(names: str, play: Play) -> None:
    """A driver without a function is the same: its facts are null."""
    play(host_of(FULL)).lacks |= set(names.split())
    assert read_host(DAY).gpus == (FULL.model_copy(update=dict.fromkeys(FIELDS[names])),)


@pytest.mark.parametrize("names", FIELDS, ids=lambda names: names.split()[0].removeprefix("nvmlDeviceGet"))
@pytest.mark.parametrize(
    ("code", "words"), [(pynvml.NVML_ERROR_GPU_IS_LOST, "off the bus"), (pynvml.NVML_ERROR_RESET_REQUIRED, "a reset")]
)
def test_a_gpu_lost_at_any_call_is_named(names: str, code: int, words: str, play: Play) -> None:
    """Wherever a GPU is lost while it is read, it is unreadable, with the remedy, and its facts are not half there."""
    play(host_of(FULL)).fail(names, code)
    found = read_host(DAY)
    assert found.gpus == ()
    assert [(gpu.index, words in gpu.reason) for gpu in found.unreadable] == [(0, True)]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (pynvml.NVML_ERROR_GPU_IS_LOST, "has fallen off the bus"),
        (pynvml.NVML_ERROR_RESET_REQUIRED, "needs a reset"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "does not respond: Insufficient Permissions"),
        (pynvml.NVML_ERROR_UNKNOWN, "does not respond: Unknown Error"),
    ],
)
def test_a_gpu_without_a_handle_does_not_hide_the_others(
    code: int, words: str, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three GPUs the second gives no handle: it is named with the driver's reason, the others are read."""
    driver = play(host_of(FULL, FULL, FULL))
    hand_out = driver.answer

    def answer(name: str, read: list[Any], written: list[Any]) -> int | None:
        return code if name == "nvmlDeviceGetHandleByIndex_v2" and read == [1] else hand_out(name, read, written)

    monkeypatch.setattr(driver, "answer", answer)
    found = read_host(DAY)
    assert [gpu.index for gpu in found.gpus] == [0, 2]
    assert [(gpu.index, words in gpu.reason) for gpu in found.unreadable] == [(1, True)]


def test_a_gpu_without_a_name_is_unreadable(play: Play) -> None:
    """Nothing can be compared without a name."""
    play(host_of(FULL)).fail("nvmlDeviceGetName", pynvml.NVML_ERROR_UNKNOWN)
    assert [gpu.reason for gpu in read_host(DAY).unreadable] == ["does not report its name"]


def test_zero_is_not_known(play: Play) -> None:
    """Some GPUs answer 0 for a clock, limit, width or size that they do not know: it is null."""
    numbers = [
        name
        for name, value in FULL.model_dump().items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "index"
    ]
    unknown = FULL.model_copy(update=dict.fromkeys((*numbers, "nvlink_version")))
    zeros = FULL.model_copy(update=dict.fromkeys(numbers, 0) | {"nvlink_links": None})
    play(host_of(zeros)).fail("nvmlDeviceGetPowerManagementLimit", pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert read_host(DAY).gpus == (unknown,)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"nvlink_links_active": 0}, (18, 0, None, None)),
        ({"nvlink_bytes_per_s": None}, (18, 16, "4.0", None)),
        ({"nvlink_version": "9.9"}, (18, 16, None, 16 * 26562e6)),
        ({"nvlink_links": None}, (None, None, None, None)),
        ({"nvlink_links": 36, "nvlink_links_active": 36}, (36, 36, "4.0", 36 * 11805e6)),
    ],
    ids=["down", "speed not known", "version not known", "none", "as many as there may be"],
)
def test_links(changes: dict[str, Any], found: tuple[Any, ...], play: Play) -> None:
    """Links down have no version and no speed; what a driver does not know of links that are up is null."""
    play(host_of(FULL.model_copy(update=changes)))
    gpu = read_host(DAY).gpus[0]
    assert (gpu.nvlink_links, gpu.nvlink_links_active, gpu.nvlink_version, gpu.nvlink_bytes_per_s) == found


@pytest.mark.parametrize("lacks", ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetComputeRunningProcesses_v3"])
def test_older_functions_answer_where_newer_ones_are_lacking(lacks: str, play: Play) -> None:
    """A driver of 2021 knows the first memory call and the second process call: nothing is lost."""
    play(host_of(FULL)).lacks.add(lacks)
    assert read_host(DAY).gpus == (FULL,)


def test_no_program_is_not_unknown(play: Play) -> None:
    """A driver that sees no program says so."""
    play(host_of(FULL.model_copy(update={"processes": ()})))
    assert read_host(DAY).gpus[0].processes == ()


def test_the_limit_asked_for_stands_in_for_the_enforced_one(play: Play) -> None:
    """Where the enforced limit is not known, the one that was set is taken: 690 W."""
    play(host_of(FULL)).fail("nvmlDeviceGetEnforcedPowerLimit", pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert read_host(DAY).gpus[0].power_limit_w == 690.0


@pytest.mark.parametrize(
    ("names", "lost"),
    [
        ("nvmlDeviceGetMaxMigDeviceCount", None),
        ("nvmlDeviceGetMigDeviceHandleByIndex", None),
        ("nvmlDeviceGetAttributes_v2", {"multiprocessors": None}),
        ("nvmlDeviceGetMemoryInfo", {"memory_total_bytes": None, "memory_free_bytes": None}),
    ],
)
def test_slices_of_which_little_is_known(names: str, lost: dict[str, None] | None, play: Play) -> None:
    """A slice keeps what is known of it; slices that cannot be reached are left out, the mode stays."""
    play(host_of(SLICED)).fail(names, pynvml.NVML_ERROR_NO_PERMISSION)
    gpu = read_host(DAY).gpus[0]
    assert gpu.mig_enabled
    assert gpu.mig_slices == (() if lost is None else tuple(s.model_copy(update=lost) for s in SLICED.mig_slices))
    assert gpu.memory_total_bytes == SLICED.memory_total_bytes


def test_cuda_is_asked_of_old_drivers_too(play: Play) -> None:
    """12.8 is 12080, from the newer or the older call; a driver that knows neither leaves it null."""
    driver = play(host_of(FULL).model_copy(update={"cuda_version": "12.8"}))
    assert read_host(DAY).cuda_version == "12.8"
    driver.fail("nvmlSystemGetCudaDriverVersion_v2", pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    assert read_host(DAY).cuda_version == "12.8"
    driver.fail("nvmlSystemGetCudaDriverVersion nvmlSystemGetDriverVersion", pynvml.NVML_ERROR_GPU_IS_LOST)
    found = read_host(DAY)
    assert (found.cuda_version, found.driver_version, len(found.gpus)) == (None, None, 1)


@pytest.mark.parametrize("name", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "libnvidia-ml.so.1 was not found"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "installed but not loaded"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "no permission to use the NVIDIA driver"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "have different versions"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "fallen off the bus"),
        (pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, "too old"),
        (pynvml.NVML_ERROR_UNKNOWN, "does not start: Unknown Error"),
    ],
)
def test_no_driver_is_a_sentence(name: str, code: int, words: str, play: Play) -> None:
    """Each way NVML fails to start or to count is a DataMissingError (exit 3) that says what is wrong."""
    driver = play(host_of(FULL))
    driver.fail(name, code)
    with pytest.raises(DataMissingError, match=words) as caught:
        read_host(DAY)
    assert caught.value.exit_code == 3
    assert driver.calls.count("nvmlShutdown") == (name != "nvmlInitWithFlags"), "what was started is ended"


def test_a_library_that_cannot_be_loaded_is_a_sentence(monkeypatch: pytest.MonkeyPatch, play: Play) -> None:
    """The bindings themselves find no library, as on a machine without the driver; each system has its own words."""

    def no_library(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    play(host_of())
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", no_library)
    for system, words in (
        ("Linux", "libnvidia-ml.so.1 was not found"),
        ("Darwin", "none exists for macOS"),
        ("Windows", "nvml.dll was not found"),
    ):
        monkeypatch.setattr("platform.system", lambda s=system: s)
        with pytest.raises(DataMissingError, match=words):
            read_host(DAY)


@pytest.mark.parametrize(("system", "library"), [("Linux", "libnvidia-ml.so.1"), ("Windows", "nvml.dll")])
def test_a_windows_guest_has_its_own_sentence(
    system: str, library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, play: Play
) -> None:
    """WSL takes the driver of Windows from a folder of its own."""
    play(host_of()).fail("nvmlInitWithFlags", pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    monkeypatch.setattr(nvml, "WSL_LIBRARIES", tmp_path)
    monkeypatch.setattr("platform.system", lambda: system)
    with pytest.raises(DataMissingError, match=f"WSL guest.*puts {library} into {tmp_path.as_posix()}"):
        read_host(DAY)


def test_a_driver_that_fails_to_stop_has_been_read(play: Play) -> None:
    """What was read is not lost when NVML cannot be shut down."""
    play(host_of(FULL)).fail("nvmlShutdown", pynvml.NVML_ERROR_UNKNOWN)
    assert read_host(DAY).gpus == (FULL,)


def test_a_driver_without_gpus_is_a_sentence(play: Play) -> None:
    """A container that was given no GPU has a driver that counts none."""
    play(host_of())
    with pytest.raises(DataMissingError, match="sees no GPU"):
        read_host(DAY)


def test_platform_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, play: Play) -> None:
    """Facts read in a Windows guest say so."""
    play(host_of(FULL))
    assert read_host(DAY).platform == "linux"
    monkeypatch.setattr(nvml, "WSL_LIBRARIES", tmp_path)
    assert read_host(DAY).platform == "wsl"
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert read_host(DAY).platform == "windows"


def test_old_bindings_and_drivers_give_nulls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release of the bindings without most calls, and with bytes for text, gives a name and nulls, no traceback."""
    fake = SimpleNamespace(
        NVMLError=pynvml.NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda _: object(),
        nvmlDeviceGetName=lambda _: b"Tesla K80",
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    gpu = read_host(DAY).gpus[0]
    assert gpu == GpuFacts(index=0, name="Tesla K80")


def test_the_extra_is_named_where_the_bindings_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bindings the message says what to install."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(DataMissingError, match=r"pip install 'inference-planner\[gpu\]'"):
        read_host(DAY)

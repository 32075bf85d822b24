"""The machines that ship: GPUs, systems, formats and assumptions, against data sheets and arithmetic."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.catalog import Catalog, normal
from planner.catalog.hardware import AssumptionsFile, FormatsFile, GpuSpec, SystemSpec
from planner.documents.spec import FileSpec, Loaded, load
from planner.documents.yaml_reader import read_document
from planner.options.lowering import flop_rate

ROOT = Path(__file__).resolve().parents[2]
GPUS = sorted((ROOT / "hardware" / "gpus").glob("*.yaml"))
SYSTEMS = sorted((ROOT / "hardware" / "systems").glob("*.yaml"))
MIB = 2**20
HOPPER = (
    "h100-sxm",
    "h100-pcie",
    "h100-nvl",
    "h200-sxm",
    "h200-nvl",
    "h800-sxm",
    "h20",
    "gh200-96gb",
    "gh200-144gb",
)


@cache
def loaded_gpu(name: str) -> Loaded[GpuSpec]:
    """Return one GPU file."""
    return load(GpuSpec, read_document(ROOT / "hardware" / "gpus" / f"{name}.yaml"))


def gpu(name: str) -> GpuSpec:
    """Return one GPU."""
    return loaded_gpu(name).spec


@cache
def system(name: str) -> Loaded[SystemSpec]:
    """Return one system file."""
    return load(SystemSpec, read_document(ROOT / "hardware" / "systems" / f"{name}.yaml"))


@cache
def formats() -> Loaded[FormatsFile]:
    """Return hardware/formats.yaml."""
    return load(FormatsFile, read_document(ROOT / "hardware" / "formats.yaml"))


@cache
def assumptions() -> Loaded[AssumptionsFile]:
    """Return hardware/assumptions.yaml."""
    return load(AssumptionsFile, read_document(ROOT / "hardware" / "assumptions.yaml"))


@cache
def catalog() -> Catalog:
    """Return the shipped catalogue."""
    return Catalog()


def every_file() -> list[Loaded[Any]]:
    """Return all machine files."""
    return [*(loaded_gpu(p.stem) for p in GPUS), *(system(p.stem) for p in SYSTEMS), formats(), assumptions()]


def numbers(data: object, key: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the key of every number of a document, sources left out."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if (*key, name) != ("sources",):
                yield from numbers(value, (*key, name))
    elif isinstance(data, int | float):
        yield key


def claims(spec: GpuSpec | SystemSpec) -> set[str]:
    """Return every spelling a file claims, as names are compared."""
    driver = spec.nvml_names if isinstance(spec, GpuSpec) else ()
    return {normal(text) for text in (spec.id, spec.name, *spec.aliases, *driver)}


@pytest.mark.parametrize("path", [*GPUS, *SYSTEMS], ids=lambda p: p.stem)
def test_every_file_loads_under_its_id(path: Path) -> None:
    """A file that does not validate, or whose id is not its name, cannot ship."""
    spec = (loaded_gpu if path.parent.name == "gpus" else system)(path.stem).spec
    assert spec.id == path.stem


def test_the_catalogue_is_wide_enough() -> None:
    """At least 38 GPUs and 12 systems, of all four makers."""
    assert len(GPUS) >= 38
    assert len(SYSTEMS) >= 12
    assert {gpu(p.stem).vendor for p in GPUS} == {"nvidia", "amd", "intel", "google"}


def test_every_number_names_its_source() -> None:
    """No number of a GPU, a system, a format or an assumption is without a source."""
    bare = [(f.document.where, key) for f in every_file() for key in numbers(f.document.data) if f.source(*key) is None]
    assert bare == []


def test_no_source_is_declared_and_unused() -> None:
    """Each declared source is named by a value, so a replaced number takes its source along."""
    for file in every_file():
        spec: FileSpec = file.spec
        assert set(file.document.source_names.values()) == set(spec.sources), file.document.where


def test_every_source_says_how_sure_it_is() -> None:
    """A source has a confidence, and says where to look: an address, or a title long enough to find it."""
    for file in every_file():
        for name, source in file.spec.sources.items():
            assert source.confidence is not None, (file.document.where, name)
            assert source.url or len(source.title) > 20, (file.document.where, name)


@pytest.mark.parametrize("kind", ["gpus", "systems"])
def test_no_spelling_belongs_to_two_files(kind: str) -> None:
    """An id, a name, an alias or a driver name leads to one file only."""
    owners: dict[str, set[str]] = defaultdict(set)
    for spec in [gpu(p.stem) for p in GPUS] if kind == "gpus" else [system(p.stem).spec for p in SYSTEMS]:
        for spelling in claims(spec):
            owners[spelling].add(spec.id)
    assert {spelling: files for spelling, files in owners.items() if len(files) > 1} == {}


def test_systems_hold_known_gpus() -> None:
    """A system names a known GPU and agrees with its scale-up domain; a GPU has at most two systems."""
    counts: dict[str, int] = defaultdict(int)
    for path in SYSTEMS:
        spec = system(path.stem).spec
        counts[spec.gpu] += 1
        assert spec.scale_up_domain_gpus == gpu(spec.gpu).scale_up_domain_gpus, spec.id
        assert spec.gpus_per_node % gpu(spec.gpu).gpus_per_node == 0, spec.id
    assert max(counts.values()) <= 2


def test_a_node_draws_more_than_its_gpus() -> None:
    """Nameplate power is 1.1 to 2.1 times the TDP of the GPUs in the box (a DGX A100: 6.5 kW over 3.2)."""
    shares = {
        s.id: s.power_w / s.gpus_per_node / tdp
        for s in (system(p.stem).spec for p in SYSTEMS)
        if s.power_w is not None and (tdp := gpu(s.gpu).tdp_w) is not None
    }
    assert len(shares) >= 8
    assert all(1.1 <= share <= 2.1 for share in shares.values()), shares


def test_h100_sxm_is_the_one_of_the_data_sheet() -> None:
    """989 and 1979 dense TFLOP/s, 80 GB at 3.35 TB/s, 700 W, 900 GB/s of NVLink in both directions."""
    spec = gpu("h100-sxm")
    assert (spec.dense_flop_per_s.fp16, spec.dense_flop_per_s.fp8) == (989e12, 1979e12)
    assert (spec.memory_bytes, spec.hbm_bytes_per_s, spec.tdp_w) == (80e9, 3.35e12, 700)
    assert spec.link_bytes_per_s == 900e9 / 2
    assert spec.scale_up_domain_gpus == 8


@pytest.mark.parametrize(
    ("name", "fp16", "fp8", "hbm", "tdp"),
    [
        ("h100-nvl", 835.5, 1671, 3.938, 400),
        ("h200-sxm", 989, 1979, 4.8, 700),
        ("b200", 2250, 4500, 8.0, 1000),
        ("gb200", 2500, 5000, 8.0, 1200),
        ("l4", 121, 242, 0.300, 72),
        ("l40s", 362, 733, 0.864, 350),
        ("mi300x", 1307.4, 2614.9, 5.3, 750),
        ("gaudi3", 1835, 1835, 3.7, 900),
        ("a100-sxm-80gb", 312, None, 2.039, 400),
        ("a100-pcie-40gb", 312, None, 1.555, 250),
        ("a10", 125, None, 0.600, 150),
        ("t4", 65, None, 0.320, 70),
        ("v100-sxm2-16gb", 125, None, 0.900, 300),
        ("tpu-v6e", 918, 918, 1.638, None),
    ],
)
def test_published_values(name: str, fp16: float, fp8: float | None, hbm: float, tdp: float | None) -> None:
    """Dense TFLOP/s, TB/s and watts are those the makers print (sparse rates halved)."""
    spec, rates = gpu(name), gpu(name).dense_flop_per_s
    assert rates.fp16 == pytest.approx(fp16 * 1e12, rel=2e-3)
    assert rates.fp8 == (None if fp8 is None else pytest.approx(fp8 * 1e12, rel=2e-3))
    assert spec.hbm_bytes_per_s == pytest.approx(hbm * 1e12, rel=1e-3)
    assert spec.tdp_w == tdp


@pytest.mark.parametrize("name", HOPPER)
def test_hopper_runs_eight_bit_at_twice_sixteen(name: str) -> None:
    """Hopper's dense fp8 rate is twice its dense 16-bit rate: a sparse figure in one of them would show."""
    rates = gpu(name).dense_flop_per_s
    assert rates.fp8 == pytest.approx(2 * rates.fp16, rel=0.01)
    assert rates.int8 == rates.fp8
    assert rates.fp4 is None


@pytest.mark.parametrize(
    ("name", "cores", "mhz", "flop_per_core_and_clock"),
    [
        ("t4", 320, 1590, 128),
        ("v100-sxm2-32gb", 640, 1530, 128),
        ("a10", 288, 1695, 256),
        ("a40", 336, 1740, 256),
        ("rtx-a6000", 336, 1800, 256),
        ("rtx-3090", 328, 1695, 128),
        ("rtx-4090", 512, 2520, 128),
        ("rtx-6000-ada", 568, 2505, 256),
        ("a100-sxm-80gb", 432, 1410, 512),
        ("h100-sxm", 528, 1830, 1024),
    ],
)
def test_rates_are_cores_times_clock(name: str, cores: int, mhz: int, flop_per_core_and_clock: int) -> None:
    """Tensor cores x clock x dense FLOP per core and clock, FP32 accumulation, give the 16-bit rate."""
    assert gpu(name).dense_flop_per_s.fp16 == pytest.approx(cores * mhz * 1e6 * flop_per_core_and_clock, rel=0.01)


@pytest.mark.parametrize(
    ("name", "both_directions"),
    [
        ("h100-sxm", 900e9),
        ("h800-sxm", 400e9),
        ("a100-sxm-40gb", 600e9),
        ("v100-sxm2-32gb", 300e9),
        ("b200", 1800e9),
        ("gb300", 1800e9),
        ("vr200", 3600e9),
        ("a40", 112.5e9),
        ("rtx-3090", 112.5e9),
        ("mi300x", 896e9),
        ("t4", 32e9),
        ("l40s", 64e9),
        ("gaudi3", 1050e9),
        ("gaudi2", 525e9),
    ],
)
def test_links_count_one_direction(name: str, both_directions: float) -> None:
    """Makers add both directions; the catalogue has half of it."""
    assert gpu(name).link_bytes_per_s == both_directions / 2


@pytest.mark.parametrize(
    ("name", "mib"),
    [
        ("h100-sxm", 81559),
        ("h100-nvl", 95830),
        ("h200-sxm", 143771),
        ("b200", 183359),
        ("b300", 275040),
        ("gb200", 189471),
        ("gb300", 284208),
        ("a100-sxm-80gb", 81920),
        ("l4", 23034),
        ("a10g", 23028),
        ("t4", 15360),
        ("rtx-4090", 24564),
        ("rtx-5090", 32607),
        ("rtx-pro-6000", 97887),
        ("gh200-96gb", 97871),
        ("l40s", 46068),
    ],
)
def test_usable_memory_is_what_the_driver_prints(name: str, mib: int) -> None:
    """nvidia-smi's total in MiB, as bytes."""
    assert gpu(name).memory_usable_bytes == mib * MIB


def test_usable_memory_is_near_the_nameplate() -> None:
    """The driver's total is within 9 % of the nameplate, whose GB are now decimal, now binary."""
    for spec in (gpu(p.stem) for p in GPUS):
        if spec.memory_usable_bytes is not None:
            assert 0.93 < spec.memory_usable_bytes / spec.memory_bytes < 1.09, spec.id


def test_rates_grow_as_numbers_shrink() -> None:
    """fp8 is at least fp16, and fp4 at least fp8; an idle GPU draws less than a fifth of its board power."""
    for spec in (gpu(p.stem) for p in GPUS):
        rates = spec.dense_flop_per_s
        assert rates.fp16 <= (rates.fp8 or rates.fp16) <= (rates.fp4 or rates.fp8 or rates.fp16), spec.id
        assert spec.idle_w is None or spec.tdp_w is None or spec.idle_w < 0.2 * spec.tdp_w, spec.id


def test_cards_without_links_have_no_domain() -> None:
    """A card on PCIe alone reaches nobody over a scale-up link."""
    on_pcie = [spec for spec in (gpu(p.stem) for p in GPUS) if spec.link.startswith("PCIe")]
    assert len(on_pcie) >= 8
    assert {spec.scale_up_domain_gpus for spec in on_pcie} == {1}


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("H100 SXM", "h100-sxm"),
        ("h100_sxm", "h100-sxm"),
        ("h100", "h100-sxm"),
        ("H100 80GB", "h100-sxm"),
        ("H100-80GB", "h100-sxm"),
        ("NVIDIA H100 SXM5 80GB", "h100-sxm"),
        ("NVIDIA H100-SXM-80GB", "h100-sxm"),
        ("H100 PCIe", "h100-pcie"),
        ("H100 NVL", "h100-nvl"),
        ("h200", "h200-sxm"),
        ("h200_sxm", "h200-sxm"),
        ("H800", "h800-sxm"),
        ("a100", "a100-sxm-80gb"),
        ("A100-80GB", "a100-sxm-80gb"),
        ("A100 40GB", "a100-sxm-40gb"),
        ("A100 80GB PCIe", "a100-pcie-80gb"),
        ("v100", "v100-sxm2-32gb"),
        ("B200", "b200"),
        ("b200_sxm", "b200"),
        ("NVIDIA B200-SXM-180GB", "b200"),
        ("gb200_nvl72", "gb200"),
        ("MI300X", "mi300x"),
        ("AMD Instinct MI325X 256GB HBM3e", "mi325x"),
        ("RTX 4090", "rtx-4090"),
        ("rtx_pro_6000_server", "rtx-pro-6000"),
        ("DGX Spark", "gb10"),
        ("Trillium", "tpu-v6e"),
        ("Ironwood", "tpu7x"),
        ("Gaudi3", "gaudi3"),
        ("B60", "arc-pro-b60"),
        ("L40S", "l40s"),
        ("Tesla T4 16GB", "t4"),
        ("GH200-144GB", "gh200-144gb"),
        ("H20", "h20"),
    ],
)
def test_spellings_resolve(spelling: str, expected: str) -> None:
    """How people and benchmark tables write a GPU leads to its file."""
    assert catalog().get(GpuSpec, spelling).spec.id == expected


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("DGX H100", "hgx-h100"),
        ("DGX B200", "hgx-b200"),
        ("GB200 NVL72", "gb200-nvl72"),
        ("DGX A100", "hgx-a100-80gb"),
        ("HLS-3", "gaudi3-hls3"),
    ],
)
def test_system_spellings_resolve(spelling: str, expected: str) -> None:
    """How people write a system leads to its file."""
    assert catalog().get(SystemSpec, spelling).spec.id == expected


@pytest.mark.parametrize(
    ("driver_name", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("NVIDIA H200", "h200-sxm"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
        ("NVIDIA A10G", "a10g"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-32GB", "v100-sxm2-32gb"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA GB200", "gb200"),
        ("NVIDIA GB10", "gb10"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000"),
        ("NVIDIA GH200 480GB", "gh200-96gb"),
    ],
)
def test_driver_names_are_known(driver_name: str, expected: str) -> None:
    """The product name NVML prints stands in exactly one file."""
    assert [p.stem for p in GPUS if driver_name in gpu(p.stem).nvml_names] == [expected]


@pytest.mark.parametrize(
    ("name", "gigabits", "gpus", "kilowatts"),
    [
        ("hgx-h100", 400, 8, 10.2),
        ("hgx-h200", 400, 8, 10.2),
        ("hgx-b200", 400, 8, 14.3),
        ("hgx-a100-80gb", 200, 8, 6.5),
        ("gb200-nvl72", 400, 72, 132),
        ("gb300-nvl72", 800, 72, 142),
    ],
)
def test_nodes_are_as_published(name: str, gigabits: float, gpus: int, kilowatts: float) -> None:
    """Network of one GPU in Gb/s one way, GPUs of the unit that is sold, and nameplate kilowatts."""
    spec = system(name).spec
    assert spec.network_bytes_per_s_per_gpu == gigabits * 1e9 / 8
    assert (spec.gpus_per_node, spec.power_w) == (gpus, kilowatts * 1e3)


@pytest.mark.parametrize(
    ("name", "bits", "scale_bytes", "group"),
    [
        ("fp32", 32, 0, 1),
        ("bf16", 16, 0, 1),
        ("fp8", 8, 0, 1),
        ("int8", 8, 0, 1),
        ("nvfp4", 4, 1, 16),
        ("mxfp4", 4, 1, 32),
        ("int4", 4, 2, 128),
        ("int4-g32", 4, 2, 32),
        ("int4-g64", 4, 2, 64),
        ("w8a16", 8, 2, 128),
        ("nf4", 4, 4, 64),
        ("int6", 6, 2, 64),
    ],
)
def test_bytes_of_a_format(name: str, bits: int, scale_bytes: int, group: int) -> None:
    """Bits over 8, plus the scale's bytes over the weights that share it (never int(4 / 8))."""
    assert formats().spec.formats[name].weight_bytes == bits / 8 + scale_bytes / group


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("fp16", "bf16"),
        ("FP8_E4M3", "fp8"),
        ("e4m3", "fp8"),
        ("w8a8", "int8"),
        ("W4A16", "int4"),
        ("awq", "int4"),
        ("gptq", "int4"),
        ("fp4", "nvfp4"),
    ],
)
def test_format_spellings_resolve(spelling: str, expected: str) -> None:
    """Precisions are found by the names checkpoints use."""
    assert catalog().format(spelling)[0] == expected


def test_no_format_spelling_is_claimed_twice() -> None:
    """Each name or alias is one format's, in lower case as it is looked up, and each format has a note."""
    spellings = [s for name, spec in formats().spec.formats.items() for s in (name, *spec.aliases)]
    assert len(spellings) == len(set(spellings))
    assert all(s == s.lower() for s in spellings)
    assert all(spec.note for spec in formats().spec.formats.values())


@pytest.mark.parametrize(
    ("name", "fmt", "expected"),
    [
        ("h100-sxm", "fp8", 1979e12),
        ("h100-sxm", "nvfp4", 989e12),
        ("a100-sxm-80gb", "fp8", 312e12),
        ("a100-sxm-80gb", "int8", 624e12),
        ("b200", "nvfp4", 9000e12),
        ("b200", "int4", 2250e12),
        ("arc-pro-b60", "fp8", 98.3e12),
    ],
)
def test_missing_formats_run_in_sixteen_bit(name: str, fmt: str, expected: float) -> None:
    """A format the GPU lacks is widened: FP8 on A100 and FP4 on H100 run at the 16-bit rate."""
    assert flop_rate(gpu(name), formats().spec.formats[fmt]) == expected


def test_assumed_tdp_is_the_median_of_the_catalogue() -> None:
    """TDP over bandwidth of the accelerators with at least 1.9 TB/s: the median, as the source says."""
    ratios = [
        tdp / spec.hbm_bytes_per_s
        for spec in (gpu(p.stem) for p in GPUS)
        if (tdp := spec.tdp_w) is not None and spec.hbm_bytes_per_s >= 1.9e12
    ]
    assert assumptions().spec.tdp_w_per_byte_per_s == pytest.approx(statistics.median(ratios), rel=0.02)


def test_assumptions_follow_from_their_figures() -> None:
    """At most 631 to 690 W of 700 W; memory-bound 519 W (the median); 14.3 kW over 8 kW; 400 Gb/s; about 70 W idle."""
    spec = assumptions().spec
    assert 631 / 700 <= spec.busy_power_top <= 690 / 700
    assert spec.busy_power_base + 0.9 * spec.busy_power_memory == pytest.approx(519 / 700, abs=0.05)
    assert spec.idle_power == pytest.approx(70 / 700)
    assert spec.node_power_overhead == pytest.approx(14.3 / 8, abs=0.005)
    assert spec.network_bytes_per_s_per_gpu == 400e9 / 8
    assert spec.largest_fleet_gpus >= 200_000

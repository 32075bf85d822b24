"""The local GPU: reading NVML, the comparison with a spec, the power cap, what fits, the drafted spec."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import GpuSpec
from planner.documents.spec import load, validate
from planner.documents.yaml_reader import parse_document, read_document
from planner.errors import BadInputError
from planner.probe import Check, Finding, Question, check_host, fits_on
from planner.probe.compare import bandwidth
from planner.probe.draft import draft_spec
from planner.probe.facts import GpuFacts, HostFacts, SliceFacts
from planner.probe.identify import find_spec, nearest_specs
from planner.probe.powercap import capped, clock_share
from planner.scenario.load import open_scenario

DUMPS = sorted((Path(__file__).parents[1] / "data" / "gpu_facts").glob("*.json"))
DAY = dt.date(2026, 1, 2)
MIB = 2**20
NOT_SUPPORTED = 3


def facts_of(dump: str, /, **changes: Any) -> HostFacts:
    """Return the facts of a dump, with fields of every GPU changed."""
    path = next(p for p in DUMPS if p.stem == dump)
    document = read_document(path)
    facts = validate(HostFacts, document.data, document)
    return facts.model_copy(update={"gpus": tuple(g.model_copy(update=changes) for g in facts.gpus)})


def host_of(facts: HostFacts, count: int) -> HostFacts:
    """Return a host with several of a dump's first GPU."""
    return facts.model_copy(update={"gpus": tuple(facts.gpus[0].model_copy(update={"index": i}) for i in range(count))})


def finding(check: Check, field: str) -> Finding:
    """Return one finding of a check."""
    return next(f for f in check.findings if f.field == field)


@pytest.mark.parametrize("path", DUMPS, ids=lambda p: p.stem)
def test_dumps_name_their_origin(path: Path) -> None:
    """Every dump says that it was transcribed, from which public page, and of which day."""
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["origin"].startswith("transcribed from a published nvidia-smi output")
    assert "https://github.com/" in data["origin"]
    assert data["date"] in data["origin"]


def test_bad_facts_are_told_with_place_and_field() -> None:
    """A facts file is strict: each problem names line, field and what was expected."""
    bad = (
        '{"schema_version": 1, "date": "yesterday", "tool_version": "1",\n'
        ' "gpus": [{"index": 0, "name": 5, "power_limit_w": -3, "watts": 1}]}'
    )
    document = parse_document(bad, "facts.json")
    with pytest.raises(BadInputError) as caught:
        validate(HostFacts, document.data, document)
    text = str(caught.value)
    assert "facts.json:1:31 date: 'yesterday' is not valid here; expected a date, YYYY-MM-DD" in text
    assert "facts.json:2:32 gpus[0].name: 5 is not valid here; expected text" in text
    assert "gpus[0].power_limit_w: -3 is negative; expected a number above 0" in text
    assert "gpus[0].watts: unknown field." in text


def test_power_cap_follows_the_cube_root() -> None:
    """350 W of 700 W, 70 W idle: prefill wants 630 W, (280/560)^(1/3) = 0.79; decode 399 W, (280/329)^(1/3) = 0.95."""
    speed = capped(350.0, 700.0, 70.0, floor=0.57, top=0.90)
    assert speed.prefill == pytest.approx(0.5 ** (1 / 3))
    assert speed.decode == pytest.approx((280 / 329) ** (1 / 3))
    assert capped(400.0, 700.0, 70.0, floor=0.57, top=0.90).decode == 1.0, (
        "0.57 x 700 W = 399 W: the cap does not bite yet"
    )
    assert capped(630.0, 700.0, 70.0, floor=0.57, top=0.90).prefill == 1.0


def test_power_cap_is_linear_below_the_lowest_voltage() -> None:
    """At 60 % of the clock (0.216 of the watts above idle) the two branches meet; at idle nothing runs."""
    assert clock_share(216.0 + 1e-9, 0.0, 1000.0) == pytest.approx(0.6)
    assert clock_share(216.0 - 1e-9, 0.0, 1000.0) == pytest.approx(0.6)
    assert clock_share(108.0, 0.0, 1000.0) == pytest.approx(0.3)
    assert clock_share(50.0, 70.0, 700.0) == 0.0


def test_power_cap_agrees_with_a_published_sweep() -> None:
    """A V100 (300 W), SDXL, compute-bound: 10.63 s at 175 W, 10.09 s at 200 W, 9.37 s at 250 W.

    https://github.com/bradrlaw/ai-server/pull/32, 2026-08-04. Idle watts are not given; 10 % of the TDP is taken.
    """
    share = {limit: clock_share(limit, 30.0, 0.9 * 300.0) for limit in (175.0, 200.0, 250.0)}
    assert share[250.0] / share[175.0] == pytest.approx(10.63 / 9.37, rel=0.03)
    assert share[250.0] / share[200.0] == pytest.approx(10.09 / 9.37, rel=0.03)


@pytest.mark.parametrize(
    ("dump", "bus_bits", "sheet"),
    [
        ("h100-sxm", 5120, 3.35e12),
        ("a100-sxm-80gb-mig", 5120, 2.039e12),
        ("rtx-4090", 384, 1.008e12),
        ("l4", 192, 300e9),
        ("t4", 256, 320e9),
    ],
)
def test_bandwidth_follows_from_clock_and_bus(dump: str, bus_bits: int, sheet: float) -> None:
    """2 x memory clock x bus width / 8 is the data sheet's bandwidth, for HBM and GDDR alike."""
    gpu = facts_of(dump, memory_bus_width_bits=bus_bits).gpus[0]
    assert bandwidth(gpu) == pytest.approx(sheet, rel=2e-3)


@pytest.mark.parametrize("path", DUMPS, ids=lambda p: p.stem)
def test_every_dump_has_its_spec(path: Path) -> None:
    """The driver's names of the dumps are in the catalogue, to the letter, and their memory agrees."""
    facts = facts_of(path.stem)
    match = find_spec(facts.gpus[0], Catalog())
    assert match is not None
    assert match.how == "the driver's name"
    assert match.spec.spec.id == path.stem.removesuffix("-mig")
    memory = finding(check_host(facts, Catalog())[0], "memory_total_bytes")
    assert memory.verdict == ("note" if path.stem == "gb10" else "agrees")


def test_other_spellings_and_unknown_cards() -> None:
    """Brand prefixes and case do not matter; an unknown card has the nearest names."""
    spelled = find_spec(GpuFacts(index=0, name="H100-80GB-HBM3"), Catalog())
    assert spelled is not None
    assert (spelled.spec.spec.id, spelled.how) == ("h100-sxm", "another spelling of the name")
    unknown = GpuFacts(index=0, name="NVIDIA H100 SXM Deluxe")
    assert find_spec(unknown, Catalog()) is None
    assert "h100-sxm" in nearest_specs(unknown, Catalog())


def test_of_two_specs_with_a_name_the_nearest_memory_wins(tmp_path: Path) -> None:
    """A driver may report one name for two sizes; 40 GiB is not the card of 80 GB."""
    folder = tmp_path / "hardware" / "gpus"
    folder.mkdir(parents=True)
    for size in (40, 80):
        (folder / f"twin-{size}.yaml").write_text(
            f"{{id: twin-{size}, name: Twin {size}, vendor: nvidia, released: 2024, nvml_names: [Twin], "
            f"memory_bytes: {size}e9, "
            "hbm_bytes_per_s: 1e12, dense_flop_per_s: {fp16: 1e14}, link: PCIe 4 x16, link_bytes_per_s: 32e9, "
            "scale_up_domain_gpus: 1, confidence: low}\n",
            encoding="utf-8",
        )
    match = find_spec(GpuFacts(index=0, name="Twin", memory_total_bytes=40 * 2.0**30), Catalog([tmp_path]))
    assert match is not None
    assert match.spec.spec.id == "twin-40"


def test_a_plain_card_matches() -> None:
    """A published H100 (81,559 MiB, 700 W, PCIe 5 x16) is as its spec says; what was not printed is unknown."""
    check = check_host(facts_of("h100-sxm"), Catalog())[0]
    assert check.matches
    assert {f.field for f in check.findings if f.verdict == "unknown"} == {
        "compute_capability",
        "memory_bandwidth_bytes_per_s",
        "nvlink_links_active",
    }
    assert (check.speed.prefill, check.speed.decode, check.link_bytes_per_s) == (1.0, 1.0, None)


@pytest.mark.parametrize(
    ("field", "changes", "words"),
    [
        ("compute_capability", {"compute_capability": "8.0"}, "compute capability 8.0, spec 9.0"),
        ("memory_total_bytes", {"memory_total_bytes": 71559.0 * MIB}, "9.8 GiB less for the KV cache"),
        ("power_limit_w", {"power_limit_w": 350.0}, "power-capped at 350 W of 700 W: prefill about -2"),
        ("power_limit_w", {"power_limit_w": 770.0}, "up to 10% more power"),
        ("sm_clock_application_hz", {"sm_clock_application_hz": 1485e6}, "prefill about -25 %, decode as estimated"),
        ("memory_bandwidth_bytes_per_s", {"memory_bus_width_bits": 4096}, "decode about -20 %"),
        ("mig_enabled", {"mig_enabled": True}, "(no slices)"),
    ],
)
def test_differences_are_told_with_their_effect(field: str, changes: dict[str, Any], words: str) -> None:
    """Each difference from the H100's data sheet makes the check fail, with a number for what it does."""
    check = check_host(facts_of("h100-sxm", **changes), Catalog())[0]
    assert not check.matches
    assert [f.field for f in check.findings if f.verdict == "differs"] == [field]
    assert words in finding(check, field).effect


def test_nvlink_down_leaves_pcie() -> None:
    """NVLink down matters between GPUs: PCIe 5 x16 is 63 GB/s one way; on the only GPU of a machine it is a note."""
    down = facts_of("h100-sxm", nvlink_links=18, nvlink_links_active=0)
    pair = check_host(host_of(down, 2), Catalog())
    assert len(pair) == 1
    assert pair[0].link_bytes_per_s == pytest.approx(63e9, rel=2e-3)
    assert "63 GB/s instead of 450 GB/s" in finding(pair[0], "nvlink_links_active").effect
    alone = check_host(down, Catalog())[0]
    assert alone.matches
    assert finding(alone, "nvlink_links_active").verdict == "note"
    half = facts_of("h100-sxm", nvlink_links=18, nvlink_links_active=9, nvlink_bytes_per_s=9 * 26.562e9)
    assert "9 of 18 links give 239 GB/s" in finding(check_host(half, Catalog())[0], "nvlink_links_active").effect
    full = facts_of("h100-sxm", nvlink_links=18, nvlink_links_active=18, nvlink_bytes_per_s=18 * 26.562e9)
    assert finding(check_host(full, Catalog())[0], "nvlink_links_active").verdict == "agrees"


def test_narrow_pcie_matters_where_it_is_the_link() -> None:
    """The published L4 has 8 of 16 lanes: a note alone, half the link between several; an H100 only loads slowly."""
    assert finding(check_host(facts_of("l4"), Catalog())[0], "pcie_width_lanes").verdict == "note"
    two = check_host(host_of(facts_of("l4"), 2), Catalog())[0]
    assert finding(two, "pcie_width_lanes").verdict == "differs"
    assert two.link_bytes_per_s == pytest.approx(15.75e9, rel=1e-3)
    wide = check_host(host_of(facts_of("h100-sxm", pcie_width_lanes=8), 2), Catalog())[0]
    assert finding(wide, "pcie_width_lanes").verdict == "note"
    assert wide.matches


def test_notes_do_not_fail_the_check() -> None:
    """ECC off, other programs, memory shared with the CPU are told and do not count as differences."""
    card = check_host(facts_of("rtx-4090"), Catalog())[0]
    assert finding(card, "ecc_enabled").verdict == "note"
    busy = check_host(facts_of("t4"), Catalog())[0]
    assert "programs are running (1, holding 1.0 GiB)" in finding(busy, "processes").effect
    shared = check_host(facts_of("gb10"), Catalog())[0]
    assert "share memory with the CPU" in finding(shared, "memory_total_bytes").effect
    assert card.matches
    assert busy.matches
    assert shared.matches


def test_a_published_mig_card_differs() -> None:
    """The published A100 has four slices of 19,968 MiB and a limit of 500 W where the data sheet has 400 W."""
    check = check_host(facts_of("a100-sxm-80gb-mig"), Catalog())[0]
    assert [f.field for f in check.findings if f.verdict == "differs"] == ["power_limit_w", "mig_enabled"]
    assert "19.5 GiB, 19.5 GiB, 19.5 GiB, 19.5 GiB" in finding(check, "mig_enabled").effect
    assert "up to 25% more power" in finding(check, "power_limit_w").effect


def test_equal_gpus_share_a_check_and_different_ones_do_not() -> None:
    """Eight equal cards are one check even if one is busy; another model, or another limit, is a check of its own."""
    eight = host_of(facts_of("h100-sxm"), 8)
    busy = eight.gpus[3].model_copy(update={"processes": facts_of("t4").gpus[0].processes})
    mixed = eight.model_copy(update={"gpus": (*eight.gpus[:3], busy, *eight.gpus[4:])})
    assert [len(c.gpus) for c in check_host(mixed, Catalog())] == [8]
    slow = eight.gpus[7].model_copy(update={"power_limit_w": 300.0})
    other = facts_of("l4").gpus[0]
    kinds = eight.model_copy(update={"gpus": (*eight.gpus[:7], slow, other)})
    assert [len(c.gpus) for c in check_host(kinds, Catalog())] == [7, 1, 1]


UNREPORTED = {
    "compute_capability": ("compute_capability",),
    "power_limit_w": ("power_limit_w",),
    "sm_clock_application_hz": ("sm_clock_application_hz", "sm_clock_application_default_hz"),
    "memory_bandwidth_bytes_per_s": ("memory_bus_width_bits", "memory_clock_max_hz"),
    "pcie_width_lanes": ("pcie_width_lanes", "pcie_width_max_lanes", "pcie_generation_max", "memory_total_bytes"),
    "nvlink_links_active": ("nvlink_links_active",),
    "ecc_enabled": ("ecc_enabled",),
    "mig_enabled": ("mig_enabled",),
    "processes": ("processes",),
}
"""Finding -> facts, each of which it needs."""
REPORTED = {
    "compute_capability": "9.0",
    "memory_bus_width_bits": 5120,
    "nvlink_links": 18,
    "nvlink_links_active": 18,
    "nvlink_bytes_per_s": 18 * 26.562e9,
    "processes": (),
}
"""What the dump of the H100 does not say."""


@pytest.mark.parametrize(("field", "fact"), [(field, fact) for field, facts in UNREPORTED.items() for fact in facts])
def test_a_fact_that_is_not_reported_is_no_difference(field: str, fact: str) -> None:
    """Each finding is unknown without any fact it needs, the others are as before, and the card still matches."""
    whole = check_host(facts_of("h100-sxm", **REPORTED), Catalog())[0]
    assert {f.field: f.verdict for f in whole.findings if f.field != "memory_total_bytes"} == dict.fromkeys(
        UNREPORTED, "agrees"
    )
    less = check_host(facts_of("h100-sxm", **(REPORTED | {fact: None})), Catalog())[0]
    changed = {f.field: f.verdict for f, before in zip(less.findings, whole.findings, strict=True) if f != before}
    note = {"memory_total_bytes": "note"} if fact == "memory_total_bytes" else {}
    assert changed == {field: "unknown"} | note
    assert less.matches
    assert (less.speed.prefill, less.speed.decode, less.link_bytes_per_s) == (1.0, 1.0, None)


@pytest.mark.parametrize(
    ("dump", "field", "fact", "expected", "tolerance"),
    [
        ("h100-sxm", "memory_total_bytes", "memory_total_bytes", 81559 * MIB, 0.01),
        ("h100-sxm", "power_limit_w", "power_limit_w", 700.0, 0.02),
        ("h100-sxm", "memory_bandwidth_bytes_per_s", "memory_clock_max_hz", 3350e9 * 8 / 2 / 5120, 0.03),
        ("h100-sxm", "nvlink_links_active", "nvlink_bytes_per_s", 450e9, 0.1),
    ],
)
@pytest.mark.parametrize("side", [-1, 1])
def test_a_difference_starts_at_its_tolerance(
    dump: str, field: str, fact: str, expected: float, tolerance: float, side: int
) -> None:
    """Within the tolerance a fact agrees, beyond it differs; faster links than the spec's are no difference."""
    for share, verdict in (
        (0.99, "agrees"),
        (1.01, "agrees" if (field, side) == ("nvlink_links_active", 1) else "differs"),
    ):
        value = expected * (1 + side * tolerance * share)
        found = finding(check_host(facts_of(dump, **(REPORTED | {fact: value})), Catalog())[0], field)
        assert found.verdict == verdict, value


def test_a_nameplate_size_may_be_off_by_units_and_ecc(tmp_path: Path) -> None:
    """80 GB on the sheet, 80 GiB in the driver (7 % more), or 1/16 less with ECC: no difference; 10 % is one."""
    folder = tmp_path / "hardware" / "gpus"
    folder.mkdir(parents=True)
    text = (
        "{id: plain, name: Plain, vendor: nvidia, released: 2024, nvml_names: [Plain], memory_bytes: 80e9, "
        "hbm_bytes_per_s: 1e12, dense_flop_per_s: {fp16: 1e14}, link: PCIe 4 x16, link_bytes_per_s: 32e9, "
        "scale_up_domain_gpus: 1, confidence: low}\n"
    )
    (folder / "plain.yaml").write_text(text, encoding="utf-8")
    for total, verdict in ((80 * 2.0**30, "agrees"), (80e9 * 15 / 16, "agrees"), (88e9, "differs"), (72e9, "differs")):
        facts = facts_of("l4", name="Plain", memory_total_bytes=total)
        check = check_host(facts, Catalog([tmp_path]))[0]
        assert finding(check, "memory_total_bytes").verdict == verdict
        assert finding(check, "power_limit_w").verdict == "unknown", "the spec has no TDP"


def test_more_memory_than_the_spec_is_more_for_the_cache() -> None:
    """96 GiB where the spec has 79.6: a difference in the user's favour, said as such."""
    check = check_host(facts_of("h100-sxm", memory_total_bytes=96 * 2.0**30), Catalog())[0]
    assert (
        "16.4 GiB more for the KV cache than in the spec; more concurrent"
        in finding(check, "memory_total_bytes").effect
    )


def test_the_slowest_of_cap_and_clock_counts() -> None:
    """A clock at 3/4 slows prefill more than a cap at 350 W (0.784); 4/5 of the bus slows decode more."""
    cap = check_host(facts_of("h100-sxm", power_limit_w=350.0), Catalog())[0].speed
    assert cap.prefill == pytest.approx((280 / (0.93 * 700 - 70)) ** (1 / 3))
    both = facts_of("h100-sxm", power_limit_w=350.0, sm_clock_application_hz=1485e6, memory_bus_width_bits=4096)
    speed = check_host(both, Catalog())[0].speed
    assert speed.prefill == pytest.approx(0.75)
    assert speed.decode == pytest.approx(2 * 2619e6 * 4096 / 8 / 3350e9)
    assert speed.decode < cap.decode < 1.0
    faster = facts_of("h100-sxm", power_limit_w=900.0, sm_clock_application_hz=2100e6, memory_bus_width_bits=8192)
    assert check_host(faster, Catalog())[0].speed == type(speed)(), "faster than the spec is not counted"


def test_slices_of_unknown_size_are_listed() -> None:
    """A slice whose memory the driver does not report is counted all the same."""
    slices = (SliceFacts(memory_total_bytes=20 * 2.0**30), SliceFacts())
    check = check_host(facts_of("h100-sxm", mig_enabled=True, mig_slices=slices), Catalog())[0]
    assert "(slices of 20.0 GiB, unknown)" in finding(check, "mig_enabled").effect
    assert check.sliced


def test_links_down_with_an_unknown_pcie_rate_have_no_speed() -> None:
    """Without the PCIe generation, what replaces NVLink is not known: the spec's link is kept, and the loss is told."""
    down = host_of(facts_of("h100-sxm", nvlink_links=18, nvlink_links_active=0, pcie_generation_max=None), 2)
    check = check_host(down, Catalog())[0]
    assert check.link_bytes_per_s is None
    assert "tensor and expert parallelism use PCIe; single GPUs" in finding(check, "nvlink_links_active").effect


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"nvlink_bytes_per_s": None}, ['link: "NVLink 4.0"', "# link_bytes_per_s: 4.5e+11    # FILL IN"]),
        ({"nvlink_version": None}, ['link: "NVLink"', "link_bytes_per_s: 4.781e+11"]),
        ({"nvlink_links_active": 0}, ["link: PCIe 5.0 x16", "link_bytes_per_s: 6.301e+10"]),
        ({"nvlink_links_active": 0, "pcie_generation_max": 9}, ["# link: PCIe 5.0 x16            # FILL IN"]),
        ({"power_limit_default_w": None, "power_limit_w": 650.0}, ["tdp_w: 650 "]),
        ({"power_limit_default_w": None, "power_limit_w": None}, ["# tdp_w: 300 "]),
        ({"memory_total_bytes": None}, ["# memory_bytes: 8.0e+10         # FILL IN"]),
        ({"memory_bus_width_bits": None}, ["hbm_bytes_per_s: null           # FILL IN"]),
        ({"name": "NVIDIA"}, ["id: nvidia"]),
        ({"name": "--"}, ["id: unknown-gpu"]),
    ],
)
def test_a_draft_marks_what_the_driver_did_not_say(changes: dict[str, Any], lines: list[str]) -> None:
    """18 x 26.562 GB/s is 478.1, PCIe 5 x16 63.01 GB/s; what is not known is a line to fill in."""
    facts = facts_of("h100-sxm", **(REPORTED | {"nvlink_version": "4.0"} | changes))
    text = draft_spec(facts.gpus[0], facts, DAY)
    starts = text.splitlines()
    for line in lines:
        assert any(start.startswith(line) for start in starts), line
    assert yaml.safe_load(text)["vendor"] == "nvidia"


def question(model: str, **changes: Any) -> Question:
    """Return the default scenario with another model."""
    document, folder = open_scenario("o1-class", Catalog())
    return Question(document, folder, {"model": model, "engine": ("vllm",)} | changes)


def test_a_model_that_does_not_fit_says_what_is_missing() -> None:
    """Llama 3.1 8B in bf16 is 16.06 GB, 90 % of a T4 14.5 GB: at least 1.5 GB are missing. An L4 holds it in fp8."""
    fits, _ = fits_on(check_host(facts_of("t4"), Catalog())[0], question("llama-3.1-8b"), Catalog())
    wide = next(f for f in fits if f.precision == "bf16")
    assert (wide.fits, wide.limit, wide.max_concurrency, wide.output_tokens_per_s) == (False, "memory", 0.0, None)
    assert wide.missing_bytes_per_gpu > 16.06e9 - 0.9 * 15360 * MIB
    fits, _ = fits_on(check_host(facts_of("l4"), Catalog())[0], question("llama-3.1-8b"), Catalog())
    assert (fits[0].precision, fits[0].fits, fits[0].missing_bytes_per_gpu) == ("fp8", True, 0.0)
    assert fits[0].max_concurrency >= 1


def test_free_memory_decides_what_fits_now() -> None:
    """An engine takes its 92 % of the total if free, else what is free: 40 GB free leave 40 GB, and fewer sequences.

    The driver keeps 0.5 GB of the total.
    """
    free = check_host(facts_of("h100-sxm"), Catalog())[0]
    held = check_host(facts_of("h100-sxm", memory_free_bytes=40e9), Catalog())[0]
    asked = question("llama-3.1-8b", **{"fleet.precisions": ("fp8",)})
    now, later = (fits_on(c, asked, Catalog())[0][0] for c in (held, free))
    assert now.memory_bytes_per_gpu == pytest.approx(40e9)
    assert later.memory_bytes_per_gpu == pytest.approx(0.92 * (81559 * MIB - 0.5e9))
    assert now.max_concurrency < later.max_concurrency


def test_cap_and_link_slow_the_estimate() -> None:
    """A cap and a dead NVLink lower the tokens per second of eight H100s; the spec's own number stays beside it."""
    asked = question("llama-3.3-70b", **{"fleet.precisions": ("fp8",), "slo.ttft_p95_s": 20})
    plain = host_of(facts_of("h100-sxm"), 8)
    capped_host = host_of(facts_of("h100-sxm", power_limit_w=350.0), 8)
    broken = host_of(facts_of("h100-sxm", power_limit_w=350.0, nvlink_links=18, nvlink_links_active=0), 8)
    rates = []
    for host in (plain, capped_host, broken):
        fit = fits_on(check_host(host, Catalog())[0], asked, Catalog())[0][0]
        assert fit.gpus_of_host == 8
        assert fit.gpus_per_replica * fit.replicas <= 8
        rates.append(fit.output_tokens_per_s or 0.0)
        assert fit.output_tokens_per_s_by_spec == pytest.approx(rates[0], rel=0.01)
    assert rates[0] > rates[1] > rates[2] > 0


def test_no_fit_where_none_can_be_worked_out() -> None:
    """Sliced and unknown cards have no fits; an impossible layout and a missing kernel are warnings."""
    sliced = check_host(facts_of("a100-sxm-80gb-mig"), Catalog())[0]
    unknown = check_host(facts_of("l4", name="NVIDIA Unheard Of"), Catalog())[0]
    assert fits_on(sliced, question("llama-3.1-8b"), Catalog()) == ([], [])
    assert fits_on(unknown, question("llama-3.1-8b"), Catalog()) == ([], [])
    assert unknown.matches is None
    check = check_host(facts_of("l4"), Catalog())[0]
    fits, said = fits_on(check, question("llama-3.1-8b", **{"fleet.tensor_parallel": (8,)}), Catalog())
    assert fits == []
    assert "no layout" in said[0]
    old = question("llama-3.1-8b", engine=("trtllm",), **{"fleet.precisions": ("fp8",)})
    fits, said = fits_on(check_host(facts_of("t4"), Catalog())[0], old, Catalog())
    assert fits == []
    assert "does not start: TensorRT-LLM needs compute capability 8.0" in said[0]


def test_unified_memory_takes_the_spec() -> None:
    """GB10 reports no memory: an engine may take 92 % of the spec's, but no more than the CPU leaves."""
    check = check_host(facts_of("gb10"), Catalog())[0]
    fit = fits_on(check, question("llama-3.1-8b"), Catalog())[0][0]
    assert fit.fits
    assert fit.memory_bytes_per_gpu == pytest.approx(109e9)


def test_a_draft_validates_once_it_is_filled_in(tmp_path: Path) -> None:
    """The drafted spec misses exactly what NVML cannot know; filled in, it is a spec and finds its card."""
    facts = facts_of("h100-sxm", name="NVIDIA H999 96GB", memory_bus_width_bits=5120, compute_capability="9.0")
    text = draft_spec(facts.gpus[0], facts, DAY)
    document = parse_document(text, "draft.yaml")
    with pytest.raises(BadInputError) as caught:
        load(GpuSpec, document)
    missing = {line.split()[1].rstrip(":") for line in str(caught.value).splitlines()}
    assert missing == {"released", "memory_bytes", "dense_flop_per_s"}
    filled = text.replace("# released", "released").replace("# memory_bytes", "memory_bytes")
    filled = filled.replace("# dense_flop_per_s", "dense_flop_per_s").replace("#   fp", "   fp")
    folder = tmp_path / "hardware" / "gpus"
    folder.mkdir(parents=True)
    (folder / "h999-96gb.yaml").write_text(filled, encoding="utf-8")
    match = find_spec(facts.gpus[0], Catalog([tmp_path]))
    assert match is not None
    assert (match.spec.spec.id, match.spec.spec.tdp_w, match.spec.spec.architecture) == ("h999-96gb", 700, "sm_90")
    assert match.spec.spec.hbm_bytes_per_s == pytest.approx(3.35e12, rel=2e-3)


def test_a_draft_of_little_knowledge_says_so() -> None:
    """Without bus width, PCIe or limit the fields stay for the data sheet; the file is still YAML and a GPU's."""
    bare = HostFacts(schema_version=1, date=DAY, tool_version="1", gpus=(GpuFacts(index=0, name="NVIDIA 'Odd': #1"),))
    data = yaml.safe_load(draft_spec(bare.gpus[0], bare, DAY))
    assert data["nvml_names"] == ["NVIDIA 'Odd': #1"]
    assert data["id"] == "odd-1"
    assert data["hbm_bytes_per_s"] is None
    assert "link" not in data
    linked = facts_of(
        "h100-sxm", nvlink_links=18, nvlink_links_active=18, nvlink_bytes_per_s=478e9, nvlink_version="4.0"
    )
    data = yaml.safe_load(draft_spec(linked.gpus[0], host_of(linked, 8), DAY))
    assert (data["link"], data["scale_up_domain_gpus"], data["gpus_per_node"]) == ("NVLink 4.0", 8, 8)

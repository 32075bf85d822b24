"""The measurements of aiconfigurator-core: each rule on small rows, its count on the file, agreement with the notes."""

import csv
import dataclasses
import datetime as dt
import importlib.util
import os
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import silicon_runs

from planner.calibration.bench import prepare
from planner.calibration.readers.registry import read_benchmark
from planner.catalog.catalog import Catalog
from planner.errors import BadInputError, DataMissingError
from planner.loadtest.predict import predict
from silicon import flags as silicon_flags
from silicon import read as silicon
from silicon import roofline as silicon_roofline
from silicon import rules as silicon_rules
from silicon.read import SiliconRow, benchmark_rows, read_silicon
from silicon.row import COLUMNS

CATALOG = Catalog()
NOTHING: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
NOTES = (
    Path(os.environ.get("PLANNER_SHARED_DATA") or Path(__file__).parents[3] / "shared") / "data/silicon_row_notes.csv"
)
RENAMED = {
    "group_llama8b_fp8_vllm_h200": "sweep_below_SOL",
    "group_dsr1_nvfp4_b200_flat_tpot": "sweep_flat_tpot",
    "gtl_nvfp4_multireplica": "job_multireplica",
}
"""Flags of the notes that name one sweep, and the rule here that finds it."""
EXPORT = "source_file=2026-04-06.csv; model=X; silicon_concurrency={c}; measured={day}T00:00:00.000Z; wip=False"
DUMP = "db-dump/2026-04-27; config_id=1; silicon_concurrency={c}; measured={day}T00:00:00.000Z; workflow_run_id=1"
VENDOR = "source_file=/a/b/h100_sxm/vllm/0.12.0/x.csv; gtl_job_id={job}; silicon_concurrency={c}; measured={day}"
CELLS = dict.fromkeys(COLUMNS, "") | {
    "id": "a", "silicon_data_source": EXPORT.format(c=8, day="2026-03-01"), "backend": "trtllm", "mode": "agg",
    "backend_version": "1.2.0", "model_path": "deepseek-ai/DeepSeek-R1", "system": "h200_sxm", "precision": "fp8",
    "isl": "1024", "osl": "1024", "gemm_quant_mode": "fp8", "batch_size": "8", "tp_size": "8", "pp_size": "1",
    "attention_dp_size": "1", "moe_tp_size": "8", "moe_ep_size": "1", "silicon_ttft_ms": "500", "silicon_tpot_ms": "20",
}  # fmt: skip


def cells(**changes: str) -> dict[str, str]:
    """Return a row of the file."""
    return CELLS | changes


def text(form: str, concurrency: int = 8, day: str = "2026-03-01", job: str = "1") -> str:
    """Return a source text."""
    return form.format(c=concurrency, day=day, job=job)


def row(**changes: str) -> SiliconRow:
    """Return a cleaned row without flags."""
    return silicon_rules.row_of(cells(**changes))


def flagged(*raw: dict[str, str]) -> list[SiliconRow]:
    """Return cleaned rows with their flags, rooflines left out."""
    rows = silicon_rules.with_duplicates([silicon_rules.row_of(r) for r in raw])
    return silicon_flags.add_flags(rows, NOTHING)


@cache
def measured() -> tuple[SiliconRow, ...]:
    """Return the rows of the installed package."""
    pytest.importorskip("aiconfigurator_core", reason="needs the measurements: pip install 'aiconfigurator-core>=0.12'")
    return tuple(read_silicon())


def test_concurrency_is_stated_or_the_batch_of_all_ranks() -> None:
    """The stated concurrency counts; without one it is batch x attention-DP, and the row says so."""
    assert row().concurrency == 8
    guessed, unknown = flagged(
        cells(silicon_data_source="source_file=/a/b/x.csv", attention_dp_size="4"),
        cells(silicon_data_source="source_file=/a/b/x.csv", mode="disagg", batch_size="", tp_size=""),
    )
    assert (guessed.concurrency, guessed.flags) == (32, ("conc_from_batch",))
    assert unknown.flags == ("no_conc", "disagg_no_worker_counts")
    assert (guessed.recommended, unknown.recommended) == (True, False)


@pytest.mark.parametrize(
    ("given", "ran", "gpus"),
    [
        ((64, 1, 8, 8), (8, 1, 1, 8), 8),
        ((16, 1, 4, 4), (4, 1, 1, 4), 4),
        ((4, 1, 2, 2), (2, 1, 1, 2), 2),
        ((1, 64, 8, 8), (1, 8, 1, 8), 8),
        ((1, 16, 4, 4), (1, 4, 1, 4), 4),
        ((1, 4, 2, 2), (1, 2, 1, 2), 2),
        ((4, 4, 1, 16), (4, 1, 1, 4), 4),
        ((2, 2, 1, 4), (2, 1, 1, 2), 2),
        ((8, 1, 8, 1), (8, 1, 8, 1), 8),
        ((1, 8, 1, 8), (1, 8, 1, 8), 8),
        ((4, 1, 4, 1), (4, 1, 4, 1), 4),
    ],
)
def test_multiplied_layouts_are_divided(given: tuple[int, ...], ran: tuple[int, ...], gpus: int) -> None:
    """The eight products the file shows become the layouts that ran; the others stay; GPUs and batch follow."""
    names = ("tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    found = row(**dict(zip(names, map(str, given), strict=True)))
    assert (found.tensor_parallel, found.data_parallel, found.moe_tp, found.moe_ep) == ran
    assert found.gpus == gpus
    assert bool(found.fixes) == (given != ran)
    if given != ran:
        assert found.batch_size == 8 // ran[1]


def test_gpus_of_disaggregated_runs_are_the_pools() -> None:
    """Workers x TP x PP x DP of both pools; unknown where a pool's workers are not counted."""
    pools = {"prefill_num_workers": "2", "prefill_tp_size": "4", "prefill_attention_dp_size": "1",
             "decode_num_workers": "1", "decode_tp_size": "1", "decode_attention_dp_size": "16"}  # fmt: skip
    both = cells(mode="disagg", tp_size="", batch_size="", **pools)
    assert silicon_rules.row_of(both).gpus == 24
    lacking, known = flagged(both | {"decode_num_workers": "", "silicon_ttft_ms": "501"}, both)
    assert (lacking.gpus, lacking.flags) == (None, ("disagg_no_worker_counts", "mtp_possible"))
    assert "disagg_no_worker_counts" not in known.flags


def test_lengths_are_means() -> None:
    """InferenceX draws lengths from 0.8-1.0 of nominal (mean 0.9), also in the rounded copies; vendors fix them."""
    assert row().input_tokens_mean == pytest.approx(921.6)
    assert row().isl == 1024
    copy = row(silicon_data_source="source_file=kimi-k2.5-gap-analysis.csv; silicon_concurrency=8")
    assert copy.output_tokens_mean == pytest.approx(921.6)
    assert row(silicon_data_source=text(VENDOR)).input_tokens_mean == 1024


@pytest.mark.parametrize(
    ("changes", "formats"),
    [
        ({"model_path": "openai/gpt-oss-120b", "precision": "fp4", "system": "b200_sxm"}, ("native", "fp8")),
        ({"model_path": "openai/gpt-oss-120b", "precision": "fp4"}, ("native", "bf16")),
        ({"model_path": "moonshotai/Kimi-K2.5", "precision": "int4"}, ("native", "bf16")),
        ({"model_path": "moonshotai/Kimi-K2.5", "precision": "fp4"}, ("nvfp4", "fp8")),
        ({"precision": "fp8"}, ("fp8-block", "fp8")),
        ({"precision": "fp8", "backend": "sglang"}, ("fp8-block", "bf16")),
        ({"precision": "", "gemm_quant_mode": "", "silicon_data_source": text(VENDOR)}, ("bf16", "bf16")),
        ({"model_path": "Qwen/Qwen3-32B", "silicon_data_source": text(VENDOR)}, ("fp8", "fp8")),
        ({"backend": "vllm", "silicon_data_source": text(VENDOR)}, ("fp8-block", "bf16")),
    ],
)
def test_formats(changes: dict[str, str], formats: tuple[str, str]) -> None:
    """gpt-oss and Kimi's int4 run as published; the KV cache follows the recipe."""
    found = row(**changes)
    assert (found.precision, found.kv_precision) == formats


def test_duplicates_agree_to_two_decimals() -> None:
    """A row with the same GPU, engine, lengths, concurrency and times to 10 us repeats the first; others do not."""
    near = cells(id="b", silicon_ttft_ms="500.004", model_path="deepseek-ai/DeepSeek-V3")
    other = cells(id="c", silicon_ttft_ms="500.006")
    found = flagged(cells(), near, other)
    assert [r.dup_of for r in found] == ["", "a", ""]
    assert found[1].flags == ("dup",)


def test_speculative_rows() -> None:
    """An export may be speculative from the model's first such run on, unless the database has the same point."""
    day = "2025-12-05"
    early, late, known, dumped = flagged(
        cells(silicon_data_source=text(EXPORT, day="2025-12-01")),
        cells(silicon_data_source=text(EXPORT, day=day), silicon_tpot_ms="21"),
        cells(silicon_data_source=text(EXPORT, day=day), silicon_tpot_ms="22"),
        cells(silicon_data_source=text(DUMP, day=day), silicon_tpot_ms="22"),
    )
    assert [r.flags for r in (early, late, known)] == [(), ("mtp_possible",), ()]
    assert dumped.flags == ("dup",)
    (certain,) = flagged(cells(backend_version="1.2.0rc6.post3"))
    assert certain.flags == ("mtp_possible", "mtp_certain")
    (dense,) = flagged(cells(model_path="meta-llama/Llama-3.1-70B"))
    assert dense.recommended


def test_layouts_that_cannot_be() -> None:
    """TP over a node, experts wider than attention, no DP rank, and a concurrency that hides replicas are flagged."""
    plain = {"model_path": "Qwen/Qwen3-32B"}
    wide, experts, none, replicas = flagged(
        cells(tp_size="36", moe_tp_size="36", silicon_ttft_ms="1", **plain),
        cells(tp_size="1", moe_tp_size="4", silicon_ttft_ms="2", **plain),
        cells(tp_size="2", attention_dp_size="0", moe_tp_size="0", moe_ep_size="0", silicon_ttft_ms="3", **plain),
        cells(batch_size="4", silicon_ttft_ms="4", **plain),
    )
    assert wide.flags == ("agg_tp_gt_8(gb200 total-GPU count of a disagg run)",)
    assert (experts.flags, experts.gpus) == (("moe_width_gt_tp*dp",), 4)
    assert (none.flags, none.gpus) == (("dp0",), 2)
    assert replicas.flags == ("conc!=batch*dp",)
    assert not any(r.recommended for r in (wide, experts, none, replicas))


def test_queue_bound_is_ttft_over_half() -> None:
    """TTFT over half of TTFT + (nominal output - 1) x TPOT marks an overload run."""
    plain = {"model_path": "Qwen/Qwen3-32B", "osl": "101", "silicon_tpot_ms": "10"}
    half, more = flagged(cells(silicon_ttft_ms="1000", **plain), cells(silicon_ttft_ms="1000.1", **plain))
    assert (half.flags, more.flags) == ((), ("ttft_gt_half_e2e(queue-bound)",))


def test_points_that_fall_with_load() -> None:
    """TTFT over 2 x or TPOT over 1.25 x a busier point of the sweep is a disturbed run; TPOT outlives a bad TTFT."""

    def point(concurrency: int, ttft: str, tpot: str) -> dict[str, str]:
        source = text(EXPORT, concurrency)
        batch = str(concurrency)
        return cells(id=batch, silicon_data_source=source, batch_size=batch, model_path="Qwen/Qwen3-32B",
                     silicon_ttft_ms=ttft, silicon_tpot_ms=tpot)  # fmt: skip

    slow_start, bad, good, last = flagged(
        point(4, "2001", "20"), point(8, "1000", "26"), point(16, "1000", "20"), point(32, "1000", "30")
    )
    assert slow_start.flags == ("ttft_nonmonotone(ttft only)",)
    assert (slow_start.recommended, slow_start.recommended_ttft) == (True, False)
    assert (bad.flags, bad.recommended) == (("tpot_nonmonotone",), False)
    assert good.flags == last.flags == ()


def test_flat_sweeps_and_jobs_with_replicas() -> None:
    """A vendor's sweep whose TPOT ignores load is dropped; so are the disaggregated rows of a job full of replicas."""
    names = [f"r{i}" for i in range(5)]
    sweep = [
        cells(
            id=name, silicon_data_source=text(VENDOR, 8 * 2**i), batch_size=str(8 * 2**i), silicon_ttft_ms=str(90 + i)
        )
        for i, name in enumerate(names)
    ]
    assert all(r.flags == ("sweep_flat_tpot",) for r in flagged(*sweep))
    assert all(r.flags == () for r in flagged(*sweep[:4]))
    together = cells(silicon_data_source=text(VENDOR, job="7"), batch_size="4")
    apart = together | {"mode": "disagg", "tp_size": "", "batch_size": "", "silicon_ttft_ms": "7",
                        "prefill_num_workers": "1", "decode_num_workers": "1"}  # fmt: skip
    assert [r.flags[-1] for r in flagged(together, apart)] == ["job_multireplica"] * 2
    assert [r.flags for r in flagged(together | {"batch_size": "8"}, apart)] == [(), ()]


def test_rooflines_by_hand() -> None:
    """Llama-3.1-8B in BF16 on an H100 reads 15 GB a step (4.5 ms) and multiplies a 1,000-token prompt in 15 ms."""
    llama = row(model_path="meta-llama/Llama-3.1-8B-Instruct", precision="", system="h100_sxm", isl="1000", osl="100",
                silicon_data_source=text(VENDOR, 1), batch_size="1", tp_size="1", moe_tp_size="1",
                silicon_ttft_ms="20", silicon_tpot_ms="6")  # fmt: skip
    sheet = silicon_roofline.sheet_of(llama, CATALOG)
    assert silicon_roofline.least_tpot_s(llama, sheet) == pytest.approx(7.5e9 * 2 / 3.35e12, rel=0.02)
    assert sheet.prompt_s(1, 1000) == pytest.approx(7.0e9 * 2 * 1000 / 989e12, rel=0.03)
    fast = dataclasses.replace(llama, id="fast", tpot_s=0.004)
    busy = dataclasses.replace(llama, id="busy", source_file="other", concurrency=128, batch_size=128)
    faster, impossible = silicon_roofline.below_rooflines([llama, fast, busy], CATALOG)
    assert (faster, impossible) == ({"fast", "busy"}, {"busy"})


def test_benchmark_rows_are_rows_of_predict() -> None:
    """A recommended aggregated row is predicted as it stands; its throughput is Little's law over the mean cycle."""
    rows = flagged(cells(model_path="deepseek-ai/DeepSeek-V3", silicon_data_source=text(DUMP)))
    (found,) = benchmark_rows(rows)
    cycle = 0.5 + (1024 * 0.9 - 1) * 0.02
    assert float(found["measured_output_tokens_per_s_per_gpu"]) == pytest.approx(8 * 921.6 / cycle / 8)
    assert (found["measured_ttft_mean_s"], found["measured_tpot_mean_s"]) == ("0.5", "0.02")
    (predicted,) = predict([found], CATALOG)
    assert predicted["error"] == ""
    assert predicted["tpot_mean_s"] > 0
    rows = [dataclasses.replace(rows[0], flags=("ttft_nonmonotone(ttft only)",))]
    assert benchmark_rows(rows)[0]["measured_ttft_mean_s"] == ""


def test_the_command_prints_what_calibrate_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The CSV holds every recommended run; read again, each is the same run to every digit."""
    rows = benchmark_rows(measured())
    silicon_runs.main([])
    path = tmp_path / "runs.csv"
    path.write_text(capsys.readouterr().out, encoding="utf-8", newline="")
    read, direct = prepare(read_benchmark(path, {}), CATALOG), prepare(rows, CATALOG)
    assert read.ids == direct.ids
    assert len(read.ids) == 2487
    for name, values in direct.measured.items():
        assert np.array_equal(read.measured[name], values, equal_nan=True), name
    assert [dataclasses.replace(run, numbers={}) for run in read.runs] == [
        dataclasses.replace(run, numbers={}) for run in direct.runs
    ]
    for name in direct.runs[0].numbers:
        given, wanted = ([run.numbers[name] for run in bench.runs] for bench in (read, direct))
        assert np.array_equal(given, wanted, equal_nan=True), name


def test_missing_package_and_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error has the pip command; a wrong file says which column, which row."""
    path = tmp_path / "silicon_sample.csv"
    with pytest.raises(DataMissingError):
        read_silicon(path)
    path.write_text("id,model\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="silicon_data_source"):
        read_silicon(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerow(cells())
        writer.writerow(cells(isl="many"))
    with pytest.raises(BadInputError, match=r"silicon_sample.csv:3: row 'a' does not read"):
        read_silicon(path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataMissingError, match="pip install 'aiconfigurator-core"):
        silicon.silicon_path()


def test_counts_on_the_file() -> None:
    """On aiconfigurator-core 0.12 each rule finds the number of rows docs/silicon.md states."""
    rows = measured()
    assert len(rows) == 5221
    assert Counter(flag for r in rows for flag in r.flags) == {
        "dup": 1441,
        "disagg_no_worker_counts": 1328,
        "mtp_possible": 1173,
        "mtp_certain": 88,
        "ttft_gt_half_e2e(queue-bound)": 84,
        "agg_tp_gt_8(gb200 total-GPU count of a disagg run)": 55,
        "conc!=batch*dp": 29,
        "sweep_below_SOL": 21,
        "moe_width_gt_tp*dp": 19,
        "dp0": 15,
        "tpot_nonmonotone": 13,
        "conc_from_batch": 12,
        "ttft_nonmonotone(ttft only)": 10,
        "job_multireplica": 8,
        "no_conc": 7,
        "sweep_flat_tpot": 6,
        "tpot_below_SOL": 4,
    }
    fixes = Counter(fix.split("(")[0] for r in rows for fix in r.fixes)
    assert fixes == {"parallel": 426, "gptoss native quant": 485, "glm5 path": 108, "kimi int4 native quant": 90}
    assert Counter((r.mode, r.gpus is None) for r in rows) == {
        ("agg", False): 3619,
        ("disagg", True): 1328,
        ("disagg", False): 274,
    }
    assert Counter(r.mode for r in rows if r.recommended) == {"agg": 2487, "disagg": 259}
    assert min(r.measured_on for r in rows if r.measured_on) > dt.date(2025, 1, 1)


def test_every_benchmark_row_is_understood() -> None:
    """`predict` knows every model, GPU, engine and format of the recommended rows.

    One is said not to start: MiniMax-M2.5 in blocks of 128 with TP8, whose file does not say that experts stay whole.
    """
    rows = benchmark_rows(measured())
    assert len(rows) == 2487
    first = {tuple(r[name] for name in ("model", "gpu", "engine", "precision", "kv_precision")): r for r in rows}
    errors = {r["error"] for r in predict(list(first.values()), CATALOG)}
    refused = {error for error in errors - {""} if "does not fit" not in error}
    assert refused == {"does not start: expert width 1536/8 = 192 is not a multiple of fp8-block's block of 128"}


def number(value: float | None) -> str:
    """Return a number as the notes write it."""
    return "" if value is None else f"{float(value)}"


AGREE: dict[str, tuple[Callable[[SiliconRow], str], int]] = {
    "concurrency": (lambda r: number(r.concurrency), 0),
    "gpus": (lambda r: number(r.gpus), 0),
    "tp_size": (lambda r: number(r.tensor_parallel), 0),
    "attention_dp_size": (lambda r: number(r.data_parallel), 0),
    "moe_tp_size": (lambda r: number(r.moe_tp), 0),
    "moe_ep_size": (lambda r: number(r.moe_ep), 0),
    "batch_size": (lambda r: number(r.batch_size), 0),
    "fixes": (lambda r: "; ".join(r.fixes), 0),
    "flags": (lambda r: "; ".join(f for f in r.flags if f != "tpot_below_SOL"), 0),
    "dup_of": (lambda r: r.dup_of, 0),
    "recommended": (lambda r: str(int(r.recommended)), 18),
    "recommended_ttft": (lambda r: str(int(r.recommended_ttft)), 18),
}
"""Column of the notes -> (the same here, rows that differ; why is in docs/silicon.md)."""


def theirs(column: str, cell: str) -> str:
    """Return a cell of the notes with the flags' names of here, the roofline flag left out."""
    if column != "flags":
        return cell
    return "; ".join(RENAMED.get(flag, flag) for flag in cell.split("; ") if flag != "tpot_below_SOL")


@cache
def notes() -> tuple[dict[str, str], ...]:
    """Return the hand-made notes."""
    if not NOTES.exists():
        pytest.skip("needs the hand-made notes silicon_row_notes.csv (PLANNER_SHARED_DATA)")
    with NOTES.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@pytest.mark.parametrize("column", AGREE)
def test_agreement_with_the_notes(column: str) -> None:
    """Each column equals the hand-made notes, but for a stated number of rows that the roofline judges otherwise."""
    mine, differing = AGREE[column]
    pairs = list(zip(measured(), notes(), strict=True))
    assert [r.id for r, _ in pairs] == [n["id"] for _, n in pairs]
    different = [(r.id, mine(r), theirs(column, n[column])) for r, n in pairs if mine(r) != theirs(column, n[column])]
    print(*different, sep="\n")
    assert len(different) == differing


def test_the_roofline_is_the_only_difference() -> None:
    """The notes flag 60 rows as faster than a roofline; 56 of them are not; every other verdict follows from that."""
    pairs = list(zip(measured(), notes(), strict=True))
    flags = Counter(("tpot_below_SOL" in r.flags, "tpot_below_SOL" in n["flags"]) for r, n in pairs)
    assert flags == {(False, False): 5161, (False, True): 56, (True, True): 4}
    different = [(r, n) for r, n in pairs if r.recommended != (n["recommended"] == "1")]
    assert all(r.recommended and "tpot_below_SOL" in n["flags"] for r, n in different)

"""From a row of the file to a cleaned row: lengths, concurrency, layout, GPUs, formats, duplicates."""

import dataclasses
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from silicon.row import SiliconRow, Source

GPUS = {
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "b200_sxm": "b200",
    "b300_sxm": "b300",
    "gb200": "gb200",
    "gb300": "gb300",
}
"""System of the file -> id in the catalogue."""
_HOPPER = ("h100-sxm", "h200-sxm")
_FORMATS = {"fp4": "nvfp4", "fp8": "fp8", "bf16": "bf16", "": "bf16", "int4": "native"}
_GPT_OSS, _KIMI, _GLM_5 = "openai/gpt-oss-120b", "moonshotai/Kimi-K2.5", "zhipuai/GLM-5"
_FP8_PER_TENSOR = ("meta-llama/Llama-3.1", "Qwen/Qwen3-32B")
"""Models whose 8-bit checkpoints have one scale per tensor; the others' have one per block."""
UNIFORM_FROM = 0.8
"""InferenceX draws lengths uniformly from this share of nominal to all of it."""
_INFERENCEX_MEAN = (UNIFORM_FROM + 1.0) / 2.0


def whole(text: str) -> int | None:
    """Return a cell as a whole number, or None where it is blank.

    >>> whole("8.0"), whole("")
    (8, None)
    """
    return int(float(text)) if text.strip() else None


def source_of(text: str) -> tuple[Source, str]:
    """Return the kind of a row's source and the sweep it names.

    >>> source_of("source_file=2026-04-06.csv; model=DeepSeek-R1; silicon_concurrency=4")
    ('export', '2026-04-06.csv')
    >>> source_of("source_file=qwen3.5-397b-gap-analysis.csv; silicon_concurrency=4")
    ('rounded', 'qwen3.5-397b-gap-analysis.csv')
    """
    parts = [part.strip() for part in text.split(";")]
    if parts[0].startswith("db-dump/"):
        return "database", "; ".join(parts[:2])
    name = parts[0].removeprefix("source_file=")
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}\.csv", name):
        return "export", name
    return ("vendor" if "/" in name else "rounded"), _of_sweep(name)


def _of_sweep(name: str) -> str:
    """Return a vendor's path without the folders before its system: system/engine/version/model.csv."""
    return "/".join(name.split("/")[-4:])


def named(text: str, key: str) -> str:
    """Return the value of `key=` in a source text, or an empty text."""
    found = re.search(rf"{key}=([^;]+)", text)
    return found.group(1).strip() if found else ""


def layout_of(tp: int, dp: int | None, moe_tp: int, moe_ep: int) -> tuple[int, int | None, int, int]:
    """Return (tp, dp, moe_tp, moe_ep) as they ran: the file sometimes multiplies two of them.

    With expert parallelism over the same t = 2, 4 or 8 GPUs that slice attention, the file shows
    (t x t, 1, t, t) for (t, 1, 1, t), (1, t x t, t, t) for (1, t, 1, t), and (t, t, 1, t x t) for (t, 1, 1, t).

    >>> layout_of(64, 1, 8, 8), layout_of(1, 16, 4, 4), layout_of(4, 4, 1, 16), layout_of(8, 1, 8, 1)
    ((8, 1, 1, 8), (1, 4, 1, 4), (4, 1, 1, 4), (8, 1, 8, 1))
    """
    if moe_tp == moe_ep > 1 and (tp, dp) == (moe_tp * moe_ep, 1):
        return moe_ep, 1, 1, moe_ep
    if moe_tp == moe_ep > 1 and (tp, dp) == (1, moe_tp * moe_ep):
        return 1, moe_ep, 1, moe_ep
    if tp == dp and tp > 1 and (moe_tp, moe_ep) == (1, tp * tp):
        return tp, 1, 1, tp
    return tp, dp, moe_tp, moe_ep


def gpus_of(tp: int, dp: int | None, moe_tp: int, moe_ep: int) -> int:
    """Return the GPUs of an aggregated run: attention ranks, or the experts' ranks where they are more.

    >>> gpus_of(8, 1, 1, 8), gpus_of(1, 4, 1, 4), gpus_of(1, None, 2, 1), gpus_of(2, 0, 0, 0)
    (8, 4, 2, 2)
    """
    return max(tp * (dp or 1), (moe_tp or 1) * (moe_ep or 1))


def pool_gpus(row: Mapping[str, str], pool: str) -> int | None:
    """Return the GPUs of the `prefill` or `decode` pool, or None where its workers are not counted."""
    workers = whole(row[f"{pool}_num_workers"])
    if workers is None:
        return None
    widths = (whole(row[f"{pool}_{name}"]) for name in ("tp_size", "pp_size", "attention_dp_size"))
    for width in widths:
        workers *= width or 1
    return workers


def formats_of(row: Mapping[str, str], source: Source) -> tuple[str, str]:
    """Return (weights, KV cache) as `planner predict` names them."""
    model, precision = row["model_path"], row["precision"]
    weights = "native" if model == _GPT_OSS else _FORMATS[precision]
    if weights == "fp8" and (row["gemm_quant_mode"] == "fp8_block" or not model.startswith(_FP8_PER_TENSOR)):
        weights = "fp8-block"
    if source == "vendor":
        quantised = row["backend"] == "trtllm" and row["gemm_quant_mode"] in {"fp8", "nvfp4"} and model != _GPT_OSS
        scaled = quantised or model.startswith("nvidia/")
        return weights, "fp8" if scaled else "bf16"
    hopper = GPUS[row["system"]] in _HOPPER
    wide_on_hopper = model in {_GPT_OSS, _GLM_5} or (row["backend"] == "sglang" and "DeepSeek" in model)
    wide = precision in {"", "bf16", "int4"} or (hopper and wide_on_hopper)
    return weights, "bf16" if wide else "fp8"


def fixes_of(row: Mapping[str, str], given: tuple[int | None, ...], ran: tuple[int | None, ...]) -> tuple[str, ...]:
    """Return the corrections of a row, in words."""
    fixes = [f"parallel{given}->{ran}"] if given != ran else []
    if row["model_path"] == _GPT_OSS:
        fixes.append("gptoss native quant")
    elif row["model_path"] == _KIMI and row["precision"] == "int4":
        fixes.append("kimi int4 native quant")
    elif row["model_path"] == _GLM_5:
        fixes.append("glm5 path")
    return tuple(fixes)


def row_of(row: Mapping[str, str]) -> SiliconRow:
    """Return a cleaned row without its flags. Raises ValueError or KeyError for what does not read."""
    text = row["silicon_data_source"]
    source, sweep = source_of(text)
    weights, kv = formats_of(row, source)
    given, ran, batch = _layout(row)
    stated, day = named(text, "silicon_concurrency"), named(text, "measured")[:10]
    concurrency = whole(stated) if stated else (batch * (ran[1] or 1) if batch and ran else None)
    if batch and concurrency and ran and ran != given:
        batch = concurrency // (ran[1] or 1)
    isl, osl = int(row["isl"]), int(row["osl"])
    share = 1.0 if source == "vendor" else _INFERENCEX_MEAN
    tp, dp, moe_tp, moe_ep = ran or (None, None, None, None)
    return SiliconRow(
        id=row["id"],
        source=source,
        source_file=sweep,
        job=named(text, "gtl_job_id"),
        model=row["model_path"],
        gpu=GPUS[row["system"]],
        engine=row["backend"],
        engine_version=row["backend_version"],
        measured_on=dt.date.fromisoformat(day) if day else None,
        mode=_mode(row["mode"]),
        precision=weights,
        kv_precision=kv,
        tensor_parallel=tp,
        pipeline_parallel=whole(row["pp_size"]),
        data_parallel=dp,
        moe_tp=moe_tp,
        moe_ep=moe_ep,
        batch_size=batch,
        gpus=_gpus(row, ran),
        concurrency=concurrency,
        concurrency_stated=bool(stated),
        isl=isl,
        osl=osl,
        input_tokens_mean=isl * share,
        output_tokens_mean=osl * share,
        ttft_s=float(row["silicon_ttft_ms"]) / 1e3,
        tpot_s=float(row["silicon_tpot_ms"]) / 1e3,
        fixes=fixes_of(row, given or (), ran or ()),
    )


_Layout = tuple[int, int | None, int, int]


def _layout(row: Mapping[str, str]) -> tuple[_Layout | None, _Layout | None, int | None]:
    """Return (layout as given, as it ran, batch per rank); None for disaggregated rows."""
    tp = whole(row["tp_size"])
    if tp is None:
        return None, None, None
    given = (tp, whole(row["attention_dp_size"]), whole(row["moe_tp_size"]) or 0, whole(row["moe_ep_size"]) or 0)
    return given, layout_of(*given), whole(row["batch_size"])


def _gpus(row: Mapping[str, str], ran: _Layout | None) -> int | None:
    if ran:
        return gpus_of(*ran)
    pools = [pool_gpus(row, pool) for pool in ("prefill", "decode")]
    return None if None in pools else sum(pool or 0 for pool in pools)


def _mode(text: str) -> Literal["agg", "disagg"]:
    if text == "agg":
        return "agg"
    if text == "disagg":
        return "disagg"
    raise ValueError(f"mode {text!r}, expected agg or disagg")


def with_duplicates(rows: Sequence[SiliconRow]) -> list[SiliconRow]:
    """Return the rows with `dup_of`: the first row with the same GPU, engine, lengths, concurrency and times."""
    first: dict[tuple[object, ...], str] = {}
    out = []
    for row in rows:
        out.append(dataclasses.replace(row, dup_of=first.get(row.key, "")))
        first.setdefault(row.key, row.id)
    return out

"""vLLM's `vllm bench serve` (and the older benchmark_serving.py): JSON of --save-result, --append-result.

Its mean_tpot_ms is the mean over requests with more than one output token of
(latency - TTFT)/(output tokens - 1): our TPOT, milliseconds to seconds. Its mean_itl_ms is a mean
over the gaps between *chunks* (several tokens where a step yields several): not used. With the
lists of --save-detailed TTFT and lengths are means of those, because mean_ttft_ms counts a request
that gave no token as 0 s. The clock of a request starts when it is sent, after any wait for a place.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from planner.calibration.readers.base import (
    Load,
    Reader,
    Run,
    failures,
    offered_load,
    refuse_none_completed,
    rows,
    runs_of,
    speculation,
    text,
)
from planner.calibration.readers.documents import Fields, documents, peek
from planner.errors import BadInputError
from planner.loadtest.run import NUMBERS, TEXTS

NAME = "vllm"
ENGINES = {"vllm": "vllm", "sglang": "sglang", "trt": "trtllm", "tensorrt-llm": "trtllm"}
"""Benchmark backends that name an engine; openai names a protocol."""
_METADATA = {
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
    "data_parallel_size": "data_parallel",
    "tp": "tensor_parallel",
} | {name: name for name in (*TEXTS, *NUMBERS) if name not in {"id", "model", "concurrency", "request_rate"}}
"""Keys of `--metadata KEY=VALUE` that are columns."""
_HINT = "run it with --percentile-metrics ttft,tpot,itl,e2el or --save-detailed"


class Latency(NamedTuple):
    """What a run's requests took, and the mean lengths of those that were answered."""

    ttft_s: float
    tpot_s: float
    input_tokens: float
    output_tokens: float
    notes: tuple[str, ...] = ()


def recognises(content: str, _path: Path) -> bool:
    """Return whether a text is a serving benchmark of vLLM."""
    data = peek(content)
    return {"completed", "total_output_tokens"} <= data.keys() and _is_vllm(data)


def _is_vllm(data: Mapping[str, Any]) -> bool:
    return "total_output_tokens_retokenized" not in data and bool({"model_id", "num_prompts"} & data.keys())


def read(content: str, where: str, given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return one row per result in the file."""
    return rows(runs_of(documents(content, where), _run), NAME, where, given)


def _run(fields: Fields) -> Run:
    completed = fields.number("completed")
    failed = fields.maybe("failed")
    if failed is None:
        failed = max((fields.maybe("num_prompts") or completed) - completed, 0.0)
    refuse_none_completed(completed, failed, fields.where)
    fields.require([("output_throughput",), ("total_input_tokens",), ("total_output_tokens",)])
    latency = detailed(fields) or summary(fields, completed, _HINT)
    throughput, load = fields.number("output_throughput"), _load(fields, completed + failed, latency)
    stated, notes = _speculation(fields)
    return Run(
        latency.ttft_s,
        latency.tpot_s,
        throughput,
        latency.input_tokens,
        latency.output_tokens,
        load.concurrency,
        load.request_rate,
        stated=_stated(fields) | stated,
        notes=(*failures(failed, completed), *latency.notes, *load.notes, *notes),
        where=fields.where,
    )


def summary(fields: Fields, completed: float, hint: str) -> Latency:
    """Return the means a result states; SGLang's has the same fields. `hint` says how to get them where they lack."""
    fields.require([("mean_ttft_ms",), ("mean_tpot_ms",)], hint)
    return Latency(
        fields.number("mean_ttft_ms") / 1e3,
        fields.number("mean_tpot_ms") / 1e3,
        fields.number("total_input_tokens") / completed,
        fields.number("total_output_tokens") / completed,
    )


def detailed(fields: Fields) -> Latency | None:
    """Return the means over a detailed result's requests with tokens; None where it has no lists or no token came."""
    ttfts, outputs, gaps = fields.numbers("ttfts"), fields.numbers("output_lens"), fields.get("itls")
    if not ttfts or not isinstance(gaps, list):
        return None
    inputs, latencies = fields.numbers("input_lens"), fields.numbers("latencies")
    for name, size in (("output_lens", len(outputs)), ("itls", len(gaps)), ("input_lens", len(inputs) or len(ttfts))):
        if size != len(ttfts):
            raise BadInputError(f"ttfts has {len(ttfts)} entries, {name} {size}; one is cut off", where=fields.where)
    errors = fields.get("errors") if isinstance(fields.get("errors"), list) else []
    sound = [i for i in range(len(ttfts)) if not (i < len(errors) and errors[i])]
    answered = [i for i in sound if outputs[i] >= 1 and ttfts[i] > 0]
    if not answered:
        return None
    decode = {i: sum(Fields({"itls": gaps[i]}, fields.where, f"[{i}]").numbers("itls")) for i in answered}
    if len(latencies) == len(ttfts):
        decode = {i: max(latencies[i] - ttfts[i], 0.0) for i in answered}
    tpots = [decode[i] / (outputs[i] - 1.0) for i in answered if outputs[i] > 1]
    reported = fields.maybe("mean_tpot_ms")  # of requests with several tokens only, and to the very end
    silent = len(sound) - len(answered)
    return Latency(
        fmean(ttfts[i] for i in answered),
        reported / 1e3 if reported else fmean(tpots) if tpots else 0.0,
        fmean(inputs[i] for i in answered) if inputs else fields.number("total_input_tokens") / len(answered),
        fmean(outputs[i] for i in answered),
        (f"{silent} requests gave no token and are left out of the means",) if silent else (),
    )


def _load(fields: Fields, sent: float, latency: Latency) -> Load:
    if fields.get("request_rate") is None and fields.get("max_concurrency") is None:
        return Load()
    served = fields.maybe("request_throughput") or 0.0
    end_to_end = fields.maybe("mean_e2el_ms")
    mean_s = latency.ttft_s + latency.tpot_s * (latency.output_tokens - 1.0) if end_to_end is None else end_to_end / 1e3
    rate = None if fields.get("request_rate") == "inf" else fields.maybe("request_rate", endless=True)
    return offered_load(rate, fields.maybe("max_concurrency"), sent, served, served * mean_s)


def _stated(fields: Fields) -> dict[str, str]:
    stated = {"model": fields.text("model_id")}
    engine = ENGINES.get((fields.text("backend") or fields.text("endpoint_type")).removesuffix("-chat"))
    for key, column in _METADATA.items():
        value = fields.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            stated[column] = value if isinstance(value, str) else text(fields.number(key))
    return {k: v for k, v in stated.items() if v} | ({"engine": engine} if engine and "engine" not in stated else {})


def _speculation(fields: Fields) -> tuple[dict[str, str], tuple[str, ...]]:
    accepted, drafts = fields.maybe("spec_decode_acceptance_length"), fields.maybe("spec_decode_num_drafts")
    if accepted is None:
        return {}, ()
    proposed = fields.maybe("spec_decode_draft_tokens") or 0.0
    tokens = speculation(float(round(proposed / drafts)), accepted) if drafts and proposed else {}
    return tokens, (f"speculative decoding: {accepted:.3g} tokens per step",)


READER = Reader(NAME, recognises, read)

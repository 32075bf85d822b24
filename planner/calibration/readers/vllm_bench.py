"""vLLM's `vllm bench serve` (and the older benchmark_serving.py): JSON of --save-result, --append-result.

Its mean_tpot_ms is the mean over requests with more than one output token of
(latency - TTFT)/(output tokens - 1): our TPOT, milliseconds to seconds. Its mean_itl_ms is a mean
over the gaps between *chunks* (several tokens where a step yields several): not used. With the
lists of --save-detailed TTFT and lengths are means of those, because mean_ttft_ms counts a request
that gave no token as 0 s. The clock of a request starts when it is sent, after any wait for a place.
"""

import dataclasses
from collections.abc import Mapping
from statistics import fmean

from planner.calibration.readers.base import Load, Run, failures, json_reader, offered_load, speculation
from planner.calibration.readers.documents import Fields
from planner.errors import BadInputError
from planner.loadtest.run import NUMBERS, TEXTS, Row

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


def _recognises(data: Mapping[str, object]) -> bool:
    own = "total_output_tokens_retokenized" not in data and bool({"model_id", "num_prompts"} & data.keys())
    return {"completed", "total_output_tokens"} <= data.keys() and own


def _run(fields: Fields) -> Run:
    completed, failed = fields.number("completed"), fields.maybe("failed")
    if failed is None:
        failed = max((fields.maybe("num_prompts") or completed) - completed, 0.0)
    run = served(fields, completed, failed, _HINT)
    stated, notes = _speculation(fields)
    return dataclasses.replace(
        run,
        load=_load(fields, completed + failed, run),
        stated={**_stated(fields), **stated},
        notes=(*run.notes, *notes),
    )


def served(fields: Fields, completed: float, failed: float, hint: str) -> Run:
    """Return the latencies, lengths and throughput of a run in the fields that vLLM's and SGLang's results share.

    `hint` says how to get the means where the file lacks them.
    """
    notes = failures(failed, completed, fields.where)
    fields.require([("output_throughput",), ("total_input_tokens",), ("total_output_tokens",)])
    run = _detailed(fields)
    if run is None:
        fields.require([("mean_ttft_ms",), ("mean_tpot_ms",)], hint)
        run = Run(
            fields.number("mean_ttft_ms") / 1e3,
            fields.number("mean_tpot_ms") / 1e3,
            fields.number("output_throughput"),
            fields.number("total_input_tokens") / completed,
            fields.number("total_output_tokens") / completed,
        )
    return dataclasses.replace(run, notes=(*notes, *run.notes), where=fields.where)


def _detailed(fields: Fields) -> Run | None:
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
    return Run(
        fmean(ttfts[i] for i in answered),
        reported / 1e3 if reported else fmean(tpots) if tpots else 0.0,
        fields.number("output_throughput"),
        fmean(inputs[i] for i in answered) if inputs else fields.number("total_input_tokens") / len(answered),
        fmean(outputs[i] for i in answered),
        notes=[f"{silent} requests gave no token and are left out of the means"] if silent else [],
    )


def _load(fields: Fields, sent: float, run: Run) -> Load:
    if fields.get("request_rate") is None and fields.get("max_concurrency") is None:
        return Load()
    per_s, end_to_end_ms = fields.maybe("request_throughput") or 0.0, fields.maybe("mean_e2el_ms")
    mean_s = (run.ttft_s or 0.0) + (run.tpot_s or 0.0) * ((run.output_tokens or 1.0) - 1.0)
    if end_to_end_ms is not None:
        mean_s = end_to_end_ms / 1e3
    rate = None if fields.get("request_rate") == "inf" else fields.maybe("request_rate", endless=True)
    return offered_load(rate, fields.maybe("max_concurrency"), sent, per_s, per_s * mean_s)


def _stated(fields: Fields) -> Row:
    engine = ENGINES.get((fields.text("backend") or fields.text("endpoint_type")).removesuffix("-chat"))
    stated: dict[str, str | float | None] = {"engine": engine, "model": fields.text("model_id")}
    for key, column in _METADATA.items():
        value = fields.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            stated[column] = str(value) if column in TEXTS or isinstance(value, str) else fields.number(key)
    return stated


def _speculation(fields: Fields) -> tuple[Row, list[str]]:
    accepted, drafts = fields.maybe("spec_decode_acceptance_length"), fields.maybe("spec_decode_num_drafts")
    if accepted is None:
        return {}, []
    proposed = fields.maybe("spec_decode_draft_tokens") or 0.0
    tokens = speculation(float(round(proposed / drafts)), accepted) if drafts and proposed else {}
    return tokens, [f"speculative decoding: {accepted:.3g} tokens per step"]


READER = json_reader(NAME, _recognises, _run)

"""SGLang's `python -m sglang.bench_serving`: JSONL, one run a line (it appends).

Its mean_tpot_ms is the mean over requests with more than one output token of
(latency - TTFT)/(output tokens - 1): our TPOT, milliseconds to seconds. Its mean_itl_ms is a mean
over gaps between chunks: not used. Output tokens are those the server counted, not the retokenized
ones. Lines of older versions (before 2025) hold only medians and are refused, the fields named.
With --output-details TTFT and lengths are means of the lists, requests that gave no token left out.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from planner.calibration.readers.base import (
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
from planner.calibration.readers.vllm_bench import ENGINES, detailed, summary

NAME = "sglang"
_HINT = "older versions of sglang.bench_serving save only medians: run it again with a newer one"


def recognises(content: str, _path: Path) -> bool:
    """Return whether a text holds runs of SGLang's serving benchmark."""
    data = peek(content)
    return "completed" in data and bool({"total_output_tokens_retokenized", "mean_e2e_latency_ms"} & data.keys())


def read(content: str, where: str, given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return one row per line."""
    return rows(runs_of(documents(content, where), _run), NAME, where, given)


def _run(fields: Fields) -> Run:
    completed = fields.number("completed")
    errors = fields.get("errors")
    failed = float(sum(bool(e) for e in errors)) if isinstance(errors, list) else 0.0
    refuse_none_completed(completed, failed, fields.where)
    fields.require([("output_throughput",), ("total_input_tokens",), ("total_output_tokens",)])
    latency = detailed(fields) or summary(fields, completed, _HINT)
    served = fields.maybe("request_throughput") or completed / fields.number("duration")
    rate, limit = fields.maybe("request_rate", endless=True), fields.maybe("max_concurrency")
    load = offered_load(rate, limit, completed + failed, served, fields.maybe("concurrency"))
    speculation, notes = _speculation(fields)
    return Run(
        latency.ttft_s,
        latency.tpot_s,
        fields.number("output_throughput"),
        latency.input_tokens,
        latency.output_tokens,
        load.concurrency,
        load.request_rate,
        stated=_stated(fields) | speculation,
        notes=(*failures(failed, completed), *latency.notes, *load.notes, *notes),
        where=fields.where,
    )


def _stated(fields: Fields) -> dict[str, str]:
    """Return what the backend and, in newer versions, the server's own settings say."""
    server = fields.inside("server_info")
    backend = fields.text("backend")
    engine = next((e for name, e in ENGINES.items() if backend == name or backend.startswith(f"{name}-")), "")
    stated = {"engine": engine, "model": server.text("model_path"), "engine_version": server.text("version")}
    tensor, data = server.maybe("tp_size"), server.maybe("dp_size") or 1.0
    if tensor:
        pipeline = server.maybe("pp_size") or 1.0
        inside = bool(server.get("enable_dp_attention"))  # attention ranks share the tensor-parallel GPUs
        stated |= {
            "tensor_parallel": text(tensor / data if inside else tensor),
            "pipeline_parallel": text(pipeline),
            "data_parallel": text(data if inside else 1.0),
            "expert_parallel": text(server.maybe("ep_size") or 1.0),
            "gpus": text(tensor * pipeline * (1.0 if inside else data)),
        }
    return {k: v for k, v in stated.items() if v}


def _speculation(fields: Fields) -> tuple[dict[str, str], tuple[str, ...]]:
    accepted = fields.maybe("accept_length")
    if not accepted or accepted <= 1:
        return {}, ()
    drafted = fields.maybe("server_info", "speculative_num_draft_tokens") or math.ceil(accepted - 1.0)
    return speculation(float(drafted), accepted), (f"speculative decoding: {accepted:.3g} tokens per step",)


READER = Reader(NAME, recognises, read)

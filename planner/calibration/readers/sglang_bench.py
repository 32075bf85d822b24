"""SGLang's `python -m sglang.bench_serving`: JSONL, one run a line (it appends).

Its mean_tpot_ms is the mean over requests with more than one output token of
(latency - TTFT)/(output tokens - 1): our TPOT, milliseconds to seconds. Its mean_itl_ms is a mean
over gaps between chunks: not used. Output tokens are those the server counted, not the retokenized
ones. Lines of older versions (before 2025) hold only medians and are refused, the fields named.
With --output-details TTFT and lengths are means of the lists, requests that gave no token left out.
"""

import dataclasses
import math
from collections.abc import Mapping

from planner.calibration.readers.base import Run, json_reader, offered_load, speculation
from planner.calibration.readers.documents import Fields
from planner.calibration.readers.vllm_bench import ENGINES, served
from planner.loadtest.run import Row

NAME = "sglang"
_HINT = "older versions of sglang.bench_serving save only medians: run it again with a newer one"


def _recognises(data: Mapping[str, object]) -> bool:
    return "completed" in data and bool({"total_output_tokens_retokenized", "mean_e2e_latency_ms"} & data.keys())


def _run(fields: Fields) -> Run:
    completed, errors = fields.number("completed"), fields.get("errors")
    failed = float(sum(bool(e) for e in errors)) if isinstance(errors, list) else 0.0
    run = served(fields, completed, failed, _HINT)
    per_s = fields.maybe("request_throughput") or completed / fields.number("duration")
    rate, limit = fields.maybe("request_rate", endless=True), fields.maybe("max_concurrency")
    load = offered_load(rate, limit, completed + failed, per_s, fields.maybe("concurrency"))
    stated, accepted = _stated(fields), fields.maybe("accept_length") or 0.0
    if accepted <= 1:
        return dataclasses.replace(run, load=load, stated=stated)
    drafted = fields.maybe("server_info", "speculative_num_draft_tokens") or math.ceil(accepted - 1.0)
    notes = (*run.notes, f"speculative decoding: {accepted:.3g} tokens per step")
    stated = {**stated, **speculation(float(drafted), accepted)}
    return dataclasses.replace(run, load=load, stated=stated, notes=notes)


def _stated(fields: Fields) -> Row:
    """Return what the backend and, in newer versions, the server's own settings say."""
    server, backend = fields.inside("server_info"), fields.text("backend")
    engine = next((e for name, e in ENGINES.items() if backend == name or backend.startswith(f"{name}-")), "")
    stated: dict[str, str | float] = {"engine": engine}
    stated |= {"model": server.text("model_path"), "engine_version": server.text("version")}
    tensor, data = server.maybe("tp_size"), server.maybe("dp_size") or 1.0
    if tensor:
        pipeline = server.maybe("pp_size") or 1.0
        inside = bool(server.get("enable_dp_attention"))  # attention ranks share the tensor-parallel GPUs
        stated |= {
            "tensor_parallel": tensor / data if inside else tensor,
            "pipeline_parallel": pipeline,
            "data_parallel": data if inside else 1.0,
            "expert_parallel": server.maybe("ep_size") or 1.0,
            "gpus": tensor * pipeline * (1.0 if inside else data),
        }
    return stated


READER = json_reader(NAME, _recognises, _run)

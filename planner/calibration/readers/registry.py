"""The formats known here, and the one way in: `read_benchmark` finds the reader of a file and reads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.calibration.readers import (
    aiperf,
    guidellm,
    inference_perf,
    predict_csv,
    prometheus,
    sglang_bench,
    vllm_bench,
)
from planner.calibration.readers.base import Reader, values_given
from planner.calibration.readers.documents import JSON_START, documents, peek
from planner.documents.text_file import read_text
from planner.errors import BadInputError
from planner.loadtest.run import Row

MAX_BENCHMARK_BYTES = 50_000_000
READERS: tuple[Reader, ...] = (
    predict_csv.READER,
    sglang_bench.READER,
    vllm_bench.READER,
    guidellm.READER,
    aiperf.READER,
    inference_perf.READER,
    prometheus.READER,
)
KINDS = tuple(reader.name for reader in READERS)
_DETAILS = (
    "the lists of single requests make it so: save it without --save-detailed (vLLM: ttfts, itls, generated_texts), "
    "--output-details (SGLang) or requests (GuideLLM: sample_requests 0), or delete those lists"
)
_LOOKALIKES: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"elapsed_time", "tokens_per_second"}), "an offline throughput result of vLLM; it has no latencies"),
    (frozenset({"avg_latency", "latencies"}), "a latency result of vLLM for one batch; it does not serve requests"),
    (frozenset({"load_summary", "successes"}), "inference-perf's Prometheus report; read its lifecycle report instead"),
    (frozenset({"metadata", "metrics"}), "AIPerf's single requests; read profile_export_aiperf.json instead"),
    (frozenset({"architectures", "model_type"}), "the configuration of a model"),
)


def read_benchmark(path: Path, given: Mapping[str, str]) -> list[Row]:
    """Return the rows of a benchmark file: `predict`'s columns, what was measured, source, tool and note.

    Parameters
    ----------
    path : the file.
    given : columns that the file does not state, e.g. {"gpu": "h100-sxm"}; a file's own values win.

    Raises
    ------
    BadInputError : no reader knows the file, or it lacks something; the message says what and how to give it.
    """
    values, where = values_given(given), str(path)
    text = read_text(path, MAX_BENCHMARK_BYTES, _DETAILS, "the result file of a benchmark")
    if not text.strip():
        raise BadInputError("is empty; expected the result of a benchmark", where=where)
    if text.lstrip().startswith(JSON_START):
        documents(text, where)  # says where JSON is broken before anything guesses what it is
    reader = next((reader for reader in READERS if reader.recognises(text)), None)
    if reader is None:
        known = f"Known: {', '.join(KINDS)}"
        raise BadInputError(f"is not a benchmark result known here: {_looks_like(text)}. {known}", where=where)
    return reader.read(text, where, values)


def _looks_like(text: str) -> str:
    data: Mapping[str, Any] = peek(text)
    for names, what in _LOOKALIKES:
        if names <= data.keys():
            return f"it looks like {what}"
    if data:
        shown = ", ".join(list(data)[:6])
        return f"it is JSON with the fields {shown}"
    if "sglang:" in text:
        return "it looks like the metrics of SGLang; only those of vLLM are read"
    return f"it starts with {next(iter(text.strip().splitlines()))[:60]!r}"

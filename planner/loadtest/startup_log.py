"""Start-up logs of serving engines: what an engine was told, and the memory it says that it took."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from planner.errors import BadInputError

_GIB = float(2**30)
_NUMBER = r"-?(?:[\d,]*\.?\d+(?:e[-+]?\d+)?|nan|inf)"


@dataclass(frozen=True)
class LoggedValue:
    """A number that a log prints, in the unit of the result it stands beside [bytes, tokens, requests]."""

    value: float
    line: int
    """Its line in the file, from 1."""


@dataclass(frozen=True)
class StartupLog:
    """What a start-up log says."""

    engine: str
    settings: Mapping[str, str]
    """Column of a memory plan -> its text, as the engine was told or as it chose."""
    logged: Mapping[str, LoggedValue]
    """Result of a memory plan -> what the engine printed; of several ranks the one with the least room."""


def _printed(text: str, unit: float = 1.0) -> tuple[re.Pattern[str], float]:
    """Return (pattern, unit) of a line, in whose text <name> stands for a number of that name."""
    return re.compile(re.sub(r"<(\w+)>", lambda m: f"(?P<{m[1]}>{_NUMBER})", text)), unit


_PRINTED = {
    "vllm": (
        _printed(r"odel loading took <weights_bytes_per_gpu> ?Gi?B", _GIB),
        _printed(r"oading model weights took <weights_bytes_per_gpu> Gi?B", _GIB),
        _printed(r"model weights take <weights_bytes_per_gpu> ?GiB", _GIB),
        _printed(r"PyTorch activation peak memory takes <activation_bytes_per_gpu> ?GiB", _GIB),
        _printed(r"non_torch_memory takes <other_bytes_per_gpu> ?GiB", _GIB),
        _printed(r"Available KV cache memory: <cache_bytes_per_gpu> GiB", _GIB),
        _printed(r"reserved for KV Cache is <cache_bytes_per_gpu> ?GiB", _GIB),
        _printed(r"GPU KV cache size: <cache_tokens> tokens"),
        _printed(r"Maximum concurrency for [\d,]+ tokens per request: <max_concurrency_at_max_model_len>x"),
        _printed(r"Graph capturing finished in .*, took <graph_bytes_per_gpu> GiB", _GIB),
    ),
    "sglang": (
        _printed(r"Load weight end\..*mem usage=<weights_bytes_per_gpu> GB", _GIB),
        _printed(r"KV Cache is allocated\..*K size: <cache_bytes_per_gpu> GB, V size: <values> GB", _GIB),
        _printed(r"KV Cache is allocated\..*KV size: <cache_bytes_per_gpu> GB", _GIB),
        _printed(r"[Cc]apture cuda graph end\..*mem usage=<graph_bytes_per_gpu> GB", _GIB),
        _printed(r"max_total_num_tokens=<cache_tokens>"),
    ),
}
"""What engines print of their memory, in GiB even where SGLang calls it GB."""
_TAKES_LEAST = ("cache_bytes_per_gpu", "cache_tokens", "max_concurrency_at_max_model_len")
"""Results of which the rank with the least counts; of the others it is the one with the most."""
_PATTERNS = {
    "vllm": {
        "model": r"(?:\bmodel=|'model': |'model_tag': )'([^']+)'|\bvllm serve ([\w./-]+)",
        "engine_version": r"vLLM API server version v?([\w.+]+)|LLM engine \(v([\w.+]+)\)",
        "tensor_parallel": r"tensor_parallel_size'?[=:] ?(\d+)|--tensor-parallel-size[ =](\d+)",
        "pipeline_parallel": r"pipeline_parallel_size'?[=:] ?(\d+)|--pipeline-parallel-size[ =](\d+)",
        "data_parallel": r"data_parallel_size'?[=:] ?(\d+)|--data-parallel-size[ =](\d+)",
        "kv_precision": r"kv_cache_dtype'?[=:] ?'?(\w+)|--kv-cache-dtype[ =](\w+)",
        "gpu_memory_utilization": (
            r"gpu_memory_utilization'?[=:] ?([\d.]+)|gpu_memory_utilization \(([\d.]+)\)"
            r"|--gpu-memory-utilization[ =]([\d.]+)"
        ),
        "max_model_len": r"(?:max_model_len|max_seq_len)'?[=:] ?(\d+)|oncurrency for ([\d,]+) tokens per request",
        "max_num_seqs": r"max_num_seqs'?[=:] ?(\d+)|--max-num-seqs[ =](\d+)",
        "max_num_batched_tokens": r"max_num_batched_tokens'?[=:] ?(\d+)|--max-num-batched-tokens[ =](\d+)",
    },
    "sglang": {
        "model": r"\bmodel_path='([^']+)'|--model(?:-path)?[ =]([\w./-]+)",
        "tensor_parallel": r"\btp_size=(\d+)|--tp(?:-size)?[ =](\d+)",
        "pipeline_parallel": r"\bpp_size=(\d+)",
        "kv_precision": r"\bkv_cache_dtype='(\w+)'",
        "gpu_memory_utilization": r"\bmem_fraction_static=([\d.]+)",
        "max_model_len": r"\bcontext_len(?:gth)?=(\d+)",
        "max_num_seqs": r"\bmax_running_requests=(\d+)",
        "max_num_batched_tokens": r"\bchunked_prefill_size=(\d+)",
    },
}
_SETTINGS = {engine: {name: re.compile(text) for name, text in own.items()} for engine, own in _PATTERNS.items()}
"""What engines print of their settings: column -> pattern. The first line that matches counts."""
_OPEN = "auto"
"""What an engine prints for a setting that it is yet to choose."""
_SAYS_MEMORY = re.compile(r"Gi?B\b|GPU KV cache size|oncurrency for|max_total_num_tokens")
"""Every line that prints memory has one of these, and few others have."""
_LARGEST_PRINTED = 1e18
"""Bytes, tokens or requests that no deployment has."""


def read_startup_log(lines: Iterable[str], where: str) -> StartupLog:
    """Return what a start-up log of vLLM or SGLang says.

    Parameters
    ----------
    lines : lines of the log, of all ranks.
    where : what an error calls the file.

    Raises
    ------
    BadInputError
        No line says anything of memory, or one says what cannot be.
    """
    values: dict[str, dict[str, list[LoggedValue]]] = {engine: {} for engine in _PRINTED}
    settings: dict[str, dict[str, str]] = {engine: {} for engine in _SETTINGS}
    for number, line in enumerate(lines, start=1):
        says_memory = _SAYS_MEMORY.search(line)
        if says_memory or not any(values.values()):  # settings come before sizes or beside them, requests after both
            for engine, own in settings.items():
                own.update(_settings(engine, line, own))
        if says_memory:
            for engine, of_result in values.items():
                for name, value in _printed_in(engine, line, f"{where}:{number}"):
                    of_result.setdefault(name, []).append(LoggedValue(value, number))
    engine = max(values, key=lambda name: len(values[name]))
    if not values[engine]:
        raise BadInputError(
            "no line of a start-up log of vLLM or SGLang says what memory was taken; expected lines such as "
            "'Available KV cache memory: 51.38 GiB' or 'max_total_num_tokens=367404'",
            where=where,
        )
    logged = {
        name: (min if name in _TAKES_LEAST else max)(ranks, key=lambda one: one.value)
        for name, ranks in values[engine].items()
    }
    chosen = {column: text for column, text in settings[engine].items() if text != _OPEN}
    return StartupLog(engine, chosen, logged)


def _printed_in(engine: str, line: str, place: str) -> Iterator[tuple[str, float]]:
    """Yield each result that a line prints. Raises BadInputError for a number that cannot be."""
    for pattern, unit in _PRINTED[engine]:
        if match := pattern.search(line):
            printed = {name: float(text.replace(",", "")) * unit for name, text in match.groupdict().items()}
            total = printed.pop("values", 0.0)
            for name, value in printed.items():
                if not abs(value + total) < _LARGEST_PRINTED:
                    raise BadInputError(f"{match[0]!r} is not a size; expected a number below 1e9 GiB", where=place)
                yield name, value + total


def _settings(engine: str, line: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that a line prints and no line before it did."""
    found = {}
    for column, pattern in _SETTINGS[engine].items():
        if column not in known and (match := pattern.search(line)):
            text = next((group for group in match.groups() if group), _OPEN)
            found[column] = text.replace(",", "") if text[0].isdigit() else text
    return found

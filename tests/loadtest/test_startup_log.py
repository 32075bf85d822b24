"""Start-up logs of engines, read line by line."""

import pytest

from planner.errors import BadInputError
from planner.loadtest.startup_log import read_startup_log

GIB = 2**30
VLLM = """\
INFO [api_server.py:1880] vLLM API server version 0.19.0
INFO [utils.py:233] non-default args: {'model': 'meta-llama/Llama-3.3-70B', 'gpu_memory_utilization': 0.95}
INFO Initializing a V1 LLM engine (v0.19.0) with config: model='meta-llama/Llama-3.3-70B', \
max_seq_len=8192, tensor_parallel_size=2, kv_cache_dtype=auto
(Worker_TP0) INFO [gpu_model_runner.py:2370] Model loading took 33.88 GiB and 5.31 seconds
(Worker_TP1) INFO [gpu_model_runner.py:2370] Model loading took 33.88 GiB and 5.40 seconds
(Worker_TP0) INFO [gpu_worker.py:298] Available KV cache memory: 37.28 GiB
(Worker_TP1) INFO [gpu_worker.py:298] Available KV cache memory: 37.20 GiB
INFO [kv_cache_utils.py:1087] GPU KV cache size: 244,304 tokens
INFO [kv_cache_utils.py:1091] Maximum concurrency for 8,192 tokens per request: 29.82x
INFO [gpu_model_runner.py:3480] Graph capturing finished in 8 secs, took 1.79 GiB
"""
V0 = """\
INFO worker.py:267] the current vLLM instance can use total_gpu_memory (14.56GiB) x gpu_memory_utilization (0.50) \
= 7.28GiB
INFO worker.py:267] model weights take 2.89GiB; non_torch_memory takes 0.01GiB; PyTorch activation peak memory \
takes 2.02GiB; the rest of the memory reserved for KV Cache is 2.36GiB.
"""
SGLANG = """\
[2026-02-26] server_args=ServerArgs(model_path='moonshotai/Kimi-K2.5', tp_size=8, mem_fraction_static=0.88, \
max_running_requests=None, chunked_prefill_size=16384, kv_cache_dtype='auto')
[TP0] Load weight end. type=DeepseekV3ForCausalLM, dtype=torch.bfloat16, avail mem=180.00 GB, mem usage=73.58 GB.
[TP0] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 367404, K size: 8.23 GB, V size: 8.23 GB
[TP0] Capture cuda graph end. Time elapsed: 5.20 s. mem usage=1.20 GB. avail mem=9.80 GB.
[TP0] max_total_num_tokens=367404, chunked_prefill_size=16384, max_running_requests=2048, context_len=262144
"""


def test_vllm() -> None:
    """What it was told, and what it took: of its ranks the one with the least room counts."""
    found = read_startup_log(VLLM.splitlines(), "server.log")
    assert found.engine == "vllm"
    assert found.settings == {
        "model": "meta-llama/Llama-3.3-70B", "engine_version": "0.19.0", "tensor_parallel": "2",
        "gpu_memory_utilization": "0.95", "max_model_len": "8192",
    }  # fmt: skip
    values = {name: one.value for name, one in found.logged.items()}
    assert values == {
        "weights_bytes_per_gpu": 33.88 * GIB, "cache_bytes_per_gpu": 37.20 * GIB, "cache_tokens": 244304,
        "max_concurrency_at_max_model_len": 29.82, "graph_bytes_per_gpu": 1.79 * GIB,
    }  # fmt: skip
    assert found.logged["cache_bytes_per_gpu"].line == VLLM.splitlines().index(next(
        line for line in VLLM.splitlines() if "37.20" in line)) + 1  # fmt: skip


def test_the_first_engine_of_vllm() -> None:
    """Its one line has all four parts."""
    found = read_startup_log(V0.splitlines(), "server.log")
    values = {name: one.value / GIB for name, one in found.logged.items()}
    assert values == pytest.approx(
        {"weights_bytes_per_gpu": 2.89, "other_bytes_per_gpu": 0.01, "activation_bytes_per_gpu": 2.02,
         "cache_bytes_per_gpu": 2.36}
    )  # fmt: skip
    assert found.settings == {"gpu_memory_utilization": "0.50"}


def test_sglang() -> None:
    """Keys and values are added; None and auto are no settings."""
    found = read_startup_log(SGLANG.splitlines(), "server.log")
    assert found.engine == "sglang"
    assert found.settings["tensor_parallel"] == "8"
    assert found.settings["max_num_seqs"] == "2048"
    assert "kv_precision" not in found.settings
    assert found.logged["cache_bytes_per_gpu"].value == pytest.approx(16.46 * GIB)
    assert found.logged["cache_tokens"].value == 367404


def test_a_start_that_failed() -> None:
    """A cache below zero is a number, too."""
    found = read_startup_log(["INFO [gpu_worker.py:298] Available KV cache memory: -1.44 GiB"], "server.log")
    assert found.logged["cache_bytes_per_gpu"].value == -1.44 * GIB


@pytest.mark.parametrize("lines", [[], ["hello"], ["loss 0.1", "GPU 0: 81559MiB"]])
def test_a_file_that_is_no_such_log(lines: list[str]) -> None:
    """One line says what was expected."""
    with pytest.raises(BadInputError, match=r"server.log: no line of a start-up log of vLLM or SGLang"):
        read_startup_log(lines, "server.log")

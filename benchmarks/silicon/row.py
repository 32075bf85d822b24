"""One cleaned measurement, every field with its unit."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

COLUMNS = (
    "id",
    "silicon_data_source",
    "backend",
    "backend_version",
    "model_path",
    "system",
    "precision",
    "mode",
    "isl",
    "osl",
    "gemm_quant_mode",
    "batch_size",
    "tp_size",
    "pp_size",
    "attention_dp_size",
    "moe_tp_size",
    "moe_ep_size",
    *(
        f"{pool}_{name}"
        for pool in ("prefill", "decode")
        for name in ("num_workers", "tp_size", "pp_size", "attention_dp_size")
    ),
    "silicon_ttft_ms",
    "silicon_tpot_ms",
)
"""Columns of silicon_sample.csv that the rules read."""

Source = Literal["database", "export", "rounded", "vendor"]
"""InferenceX database dump; InferenceX export of a day; InferenceX values rounded to 10 us; a vendor's own sweep."""

HARMLESS = frozenset({"conc_from_batch", "ttft_nonmonotone(ttft only)"})
"""Flags that leave TPOT usable."""
TTFT_ONLY = "ttft_nonmonotone(ttft only)"


@dataclass(frozen=True)
class SiliconRow:
    """One measurement of silicon_sample.csv. None where the file does not say."""

    id: str
    source: Source
    source_file: str
    """The sweep the row came from: a file name, or the dump and its configuration."""
    job: str
    """Job number of a vendor's sweep, else empty."""
    model: str
    """Hugging Face id as given."""
    gpu: str
    """Id in the planner's catalogue."""
    engine: str
    engine_version: str
    measured_on: dt.date | None
    mode: Literal["agg", "disagg"]
    """Aggregated, or prefill and decode on different GPUs."""
    precision: str
    """Weights, as `planner predict` names them."""
    kv_precision: str
    """KV cache; not in the file, from the recipes (docs/silicon.md)."""
    tensor_parallel: int | None
    """Ranks [GPUs]; aggregated rows only, like the next five."""
    pipeline_parallel: int | None
    """Stages."""
    data_parallel: int | None
    """Attention-data-parallel ranks."""
    moe_tp: int | None
    """GPUs that slice one expert."""
    moe_ep: int | None
    """GPUs that share out the experts."""
    batch_size: int | None
    """Sequences per attention-data-parallel rank."""
    gpus: int | None
    """GPUs of the run; None where worker counts are missing."""
    concurrency: int | None
    """Requests in flight, closed loop."""
    concurrency_stated: bool
    """Whether the source states it; else it is batch x attention-data-parallel ranks."""
    isl: int
    """Nominal input length [tokens]."""
    osl: int
    """Nominal output length [tokens]."""
    input_tokens_mean: float
    """Mean input length [tokens]."""
    output_tokens_mean: float
    """Mean output length [tokens]."""
    ttft_s: float
    """Time to first token, mean over the run [s]."""
    tpot_s: float
    """Time per output token after the first, mean over the run [s]."""
    fixes: tuple[str, ...] = ()
    """What was corrected."""
    flags: tuple[str, ...] = ()
    """What is doubtful, in the order of the rules."""
    dup_of: str = ""
    """Id of the first row with the same measurement, where this one repeats it."""

    @property
    def expert_parallel(self) -> int:
        """Experts' ranks as `planner predict` takes them: 1 is none."""
        return max(self.moe_ep or 1, 1)

    @property
    def recommended(self) -> bool:
        """Whether TPOT may be compared with a prediction."""
        return not set(self.flags) - HARMLESS

    @property
    def recommended_ttft(self) -> bool:
        """Whether TTFT may be compared with a prediction."""
        return self.recommended and TTFT_ONLY not in self.flags

    @property
    def cycle_s(self) -> float:
        """Time from sending a request of mean length to its last token [s]."""
        return self.ttft_s + (self.output_tokens_mean - 1.0) * self.tpot_s

    @property
    def ttft_share(self) -> float:
        """Share of TTFT in the end-to-end time of a request of nominal length."""
        return self.ttft_s / (self.ttft_s + (self.osl - 1) * self.tpot_s)

    @property
    def output_tokens_per_s_per_gpu(self) -> float | None:
        """Closed-loop throughput by Little's law [tokens/s/GPU]."""
        if self.concurrency is None or self.gpus is None:
            return None
        return self.concurrency * self.output_tokens_mean / self.cycle_s / self.gpus

    @property
    def key(self) -> tuple[object, ...]:
        """What two rows share when they repeat one measurement, in the file's precision of two decimals."""
        times = (f"{self.ttft_s * 1e3:.2f}", f"{self.tpot_s * 1e3:.2f}")
        return (self.gpu, self.engine, self.isl, self.osl, self.concurrency, *times)


def contradicts(row: SiliconRow) -> bool:
    """Return whether the concurrency is not batch x attention-data-parallel ranks: several replicas, most likely."""
    if row.batch_size is None or row.concurrency is None:
        return False
    return row.concurrency != row.batch_size * (row.data_parallel or 1)

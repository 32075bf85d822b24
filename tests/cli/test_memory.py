"""`planner memory`: one deployment, a sheet of them, every GPU, a start-up log; bad input."""

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli.main import cli, run

LOG = """\
INFO vLLM API server version 0.19.0
INFO non-default args: {'model': 'llama-3.1-8b', 'max_model_len': 8192, 'gpu_memory_utilization': 0.95}
INFO Model loading took 14.99 GiB and 5.31 seconds
INFO Available KV cache memory: 58.11 GiB
INFO Maximum concurrency for 8,192 tokens per request: 58.11x
"""


def printed(*arguments: str, code: int = 0) -> str:
    """Return what `planner memory` prints on stdout."""
    found = CliRunner().invoke(cli, ["memory", *arguments])
    assert found.exit_code == code, found.output
    return found.stdout


def test_one_deployment_in_words_and_as_data() -> None:
    """The table says what it is of and that it starts; JSON and CSV have the same numbers."""
    asked = ("--model", "llama-3.1-8b", "--gpu", "h100-sxm", "--tp", "1")
    table = printed(*asked)
    assert "llama-3.1-8b (bf16) on 1 × h100-sxm" in table
    assert ": starts" in table
    assert "KV cache per token" in table
    assert "131,072 B" in table
    result = json.loads(printed(*asked, "-f", "json"))["results"][0]
    row = next(csv.DictReader(io.StringIO(printed(*asked, "-f", "csv"))))
    assert float(row["cache_bytes_per_gpu"]) == result["cache_bytes_per_gpu"]
    assert result["kv_bytes_per_token"] == 131072


def test_what_does_not_start_fails_the_command() -> None:
    """Exit code 1, with the reason in the first line."""
    table = printed("--model", "llama-3.1-405b", "--gpu", "l4", "--tp", "1", code=1)
    assert "does not start: out of memory" in table.splitlines()[0]


def test_settings_by_vllms_names() -> None:
    """--set takes a setting with or without the name of its group; a smaller share leaves a smaller cache."""
    asked = ("--model", "llama-3.1-8b", "--gpu", "h100-sxm", "--tp", "1", "-f", "json", "--set")
    caches = [
        json.loads(printed(*asked, f"{prefix}gpu_memory_utilization={share}"))["results"][0]["cache_bytes_per_gpu"]
        for prefix, share in (("", "0.5"), ("engine_settings.", "0.5"), ("", "0.9"))
    ]
    assert caches[0] == caches[1] < caches[2]


def test_a_sheet(tmp_path: Path) -> None:
    """Each row is planned; a bad one says why with its line, and the exit code is 2."""
    sheet = tmp_path / "rows.csv"
    sheet.write_text("model,gpu,tensor_parallel,x_team\nllama-3.1-8b,h100-sxm,1,a\nzzz,l4,1,b\n", encoding="utf-8")
    found = CliRunner().invoke(cli, ["memory", str(sheet), "-f", "csv"])
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert found.exit_code == 2
    assert [row["x_team"] for row in rows] == ["a", "b"]
    assert rows[0]["starts"] == "TRUE"
    assert "unknown model 'zzz'" in rows[1]["error"]
    assert "rows.csv:3: unknown model 'zzz'" in found.stderr


def test_a_config_on_every_gpu(tmp_path: Path) -> None:
    """A config.json of any model works without a GPU: one row for each, the fewest GPUs that start first."""
    config = Path(__file__).parents[1] / "data" / "hf" / "Qwen--Qwen3-14B_config.json"
    copy = tmp_path / "config.json"
    copy.write_bytes(config.read_bytes())
    rows = json.loads(printed("--model", str(copy), "-f", "json"))["results"]
    assert {"h100-sxm", "l4", "mi300x"} <= {row["gpu"] for row in rows}
    assert rows[0]["starts"] is True


def test_a_log_beside_its_plan(tmp_path: Path) -> None:
    """What the log says of the deployment is taken from it; each printed line stands beside the plan."""
    log = tmp_path / "server.log"
    log.write_text(LOG, encoding="utf-8")
    table = printed("--log", str(log), "--gpu", "h100-sxm")
    assert "vllm 0.19.0" in table
    cells = {line.rsplit("  ", 4)[0].split("  ")[0]: line.split() for line in table.splitlines() if "1." in line}
    assert "14.99" in cells["weights per GPU"]
    assert "58.11" in cells["KV cache per GPU"]
    result = json.loads(printed("--log", str(log), "--gpu", "h100-sxm", "-f", "json"))["results"][0]
    assert result["logged_cache_bytes_per_gpu"] == pytest.approx(58.11 * 2**30)
    assert result["max_model_len"] == 8192


def test_a_log_from_stdin_of_any_size_and_in_any_encoding(tmp_path: Path) -> None:
    """A long log with a byte that is not UTF-8 is read from a file and from stdin."""
    text = (LOG + "INFO a request of caf\u00e9, model=x tokens=3\n" * 300_000).encode("latin-1")
    log = tmp_path / "server.log"
    log.write_bytes(text)
    assert len(text) > 10_000_000
    from_file = printed("--log", str(log), "--gpu", "h100-sxm", "-f", "csv")
    piped = CliRunner().invoke(cli, ["memory", "--log", "-", "--gpu", "h100-sxm", "-f", "csv"], input=text)
    assert piped.stdout == from_file
    assert "58.11" in from_file


def test_a_log_of_what_does_not_start(tmp_path: Path) -> None:
    """The reason stands in the first line, and the exit code is 1, as without a log."""
    log = tmp_path / "server.log"
    log.write_text("INFO model='llama-3.1-70b'\nINFO Available KV cache memory: -60.00 GiB\n", encoding="utf-8")
    table = printed("--log", str(log), "--gpu", "h100-sxm", "--tp", "1", code=1)
    assert "does not start: out of memory" in table.splitlines()[0]


@pytest.mark.parametrize("size", ["nan", "inf", "1e30", "9" * 400])
def test_a_log_with_a_size_that_cannot_be(tmp_path: Path, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with its place, in every format."""
    log = tmp_path / "server.log"
    log.write_text(LOG + f"INFO Available KV cache memory: {size} GiB\n", encoding="utf-8")
    for form in ("table", "json"):
        assert run(["memory", "--log", str(log), "--gpu", "l4", "-f", form]) == 2
        said = "".join(capsys.readouterr())
        assert "server.log:6: " in said
        assert "is not a size; expected a number below 1e9 GiB" in said


def test_a_log_contradicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An option may add to a log and name its model, not say something else."""
    log = tmp_path / "server.log"
    log.write_text(LOG, encoding="utf-8")
    assert run(["memory", "--log", str(log), "--gpu", "l4", "--set", "max_model_len=9"]) == 2
    assert "max_model_len is 9, and" in capsys.readouterr().err
    assert run(["memory", "--log", str(log)]) == 2
    assert "server.log: does not say which GPU it is of; expected --gpu" in capsys.readouterr().err
    assert run(["memory", "--log", str(log), "--gpu", "h100-sxm", "--model", "qwen3-8b", "--pp", "1"]) == 0


def test_a_ragged_row_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File and line stand once, before what is wrong."""
    sheet = tmp_path / "ragged.csv"
    sheet.write_text("model,gpu\nllama-3.1-8b\n", encoding="utf-8")
    assert run(["memory", str(sheet)]) == 2
    assert capsys.readouterr().err == f"error: {sheet}:2: has 1 cell; expected 2, as in the header\n"


def test_narrow_terminals_keep_the_answer(tmp_path: Path) -> None:
    """At 40 columns planned and logged are still there; what stands alone says what it is of."""
    log = tmp_path / "server.log"
    log.write_text(LOG, encoding="utf-8")
    found = CliRunner().invoke(cli, ["memory", "--log", str(log), "--gpu", "h100-sxm"], env={"COLUMNS": "40"})
    assert "58.11 GiB" in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 40
    every = CliRunner().invoke(cli, ["memory", "--model", "llama-3.1-8b"], env={"COLUMNS": "40"})
    assert every.stdout.startswith("llama-3.1-8b (bf16), vllm ")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ((), 2, "no model is given"),
        (("--model", "nonsense", "--gpu", "l4"), 3, "unknown model 'nonsense'"),
        (("--model", "none.json", "--gpu", "l4"), 2, "no such file 'none.json'"),
        (("--model", "llama-3.1-8b", "--gpu", "l44"), 3, "unknown GPU 'l44'. Did you mean l4"),
        (("--model", "llama-3.1-8b", "--gpu", "l4", "--tp", "x"), 2, "tensor_parallel 'x' is not a number"),
        (
            ("--model", "llama-3.1-8b", "--set", "max_nm_seqs=3"),
            2,
            "unknown setting 'max_nm_seqs'. Did you mean max_num",
        ),
        (("--model", "llama-3.1-8b", "--set", "max_num_seqs"), 2, "expected SETTING=VALUE"),
        (("--model", "llama-3.1-8b", "--gpu", "l4", "--engine", "vlm"), 3, "unknown engine 'vlm'"),
        (("--model", "llama-3.1-8b", "--set", "tensor_parallel=2"), 2, "no engine setting; expected --tp"),
        (("--model", "llama-3.1-8b", "--set", "model=x"), 2, "no engine setting; expected --model"),
        (
            ("--model", "llama-3.1-8b", "--set", "max_num_seqs=1", "--set", "max_num_seqs=2"),
            2,
            "max_num_seqs is 1 and 2; expected one of them",
        ),
        (("--log", "nothing.log"), 2, "nothing.log: no such file"),
        (("rows.csv", "--log", "x"), 2, "ROWS.csv and --log are given together"),
        (("rows.csv", "--gpu", "l4"), 2, "gpu is given beside rows.csv"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], code: int, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and the exit code of its kind."""
    assert run(["memory", *arguments]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert error in lines[0]

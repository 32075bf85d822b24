"""The README: its commands run, and what it prints is what the program prints."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from planner.cli.main import run

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
INLINE = [c for c in re.findall(r"`(planner [^`]+)`", PAGE) if "path/to" not in c]
NOT_ZERO = {"planner check-gpu": {0, 1, 3}, "planner estimate my.yaml --max cost_usd_per_month=50000": {0, 1}}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a folder that holds the files the README's commands speak of."""
    monkeypatch.chdir(tmp_path)
    assert run(["init", "my.yaml"]) == 0
    (tmp_path / "sheet.csv").write_text("scenario,workload.answers_per_day\no1-class,1e5\n", encoding="utf-8")
    (tmp_path / "runs.csv").write_text(
        "model,gpu,input_tokens,output_tokens\nllama-3.1-8b,h100,1024,256\n", encoding="utf-8"
    )
    measured = ROOT / "tests" / "data" / "benchmarks" / "vllm_h100_llama-3.1-8b-fp8_detailed.json"
    shutil.copy(measured, tmp_path / "bench.json")
    capsys.readouterr()
    return tmp_path


@pytest.mark.parametrize("command", sorted(set(INLINE)))
def test_every_command_in_the_text_runs(command: str, desk: Path) -> None:
    """A reader who types it gets an answer."""
    if command.startswith("planner init"):
        (desk / "my.yaml").unlink()
    assert run(shlex.split(command)[1:]) in NOT_ZERO.get(command, {0})


@pytest.mark.parametrize("block", BLOCKS)
def test_the_output_shown_is_the_output(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The block after the prompt is, line by line, what the command prints."""
    command, _, shown = block.partition("\n")
    assert run(shlex.split(command.removeprefix("$ "))[1:]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines() == shown.splitlines()


def test_the_interval_shown_is_the_interval(capsys: pytest.CaptureFixture[str]) -> None:
    """The quoted line is the one of the default question."""
    (quoted,) = re.findall(r"^> (80 % interval: .*)$", PAGE, re.MULTILINE)
    assert run(["estimate", "--interval"]) == 0
    assert f"  {quoted}" in capsys.readouterr().out.splitlines()


def test_there_are_two_commands() -> None:
    """One installs and answers, one installs and passes the tests; each is a single line."""
    found = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert [c.strip().count("\n") for c in found] == [0, 0]
    assert found[0].strip().endswith("planner estimate")
    assert found[1].strip().endswith("-m pytest -n auto")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", PAGE))))
def test_links_lead_somewhere(link: str) -> None:
    """Each relative link is a file or folder of the repository."""
    assert (ROOT / link).exists()

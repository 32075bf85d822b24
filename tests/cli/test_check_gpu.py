"""`planner check-gpu` as people call it: exit codes, files, JSON, warnings."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planner.cli.main import run
from planner.probe import nvml

DUMPS = Path(__file__).parents[1] / "data" / "gpu_facts"
SMALL = ("--model", "llama-3.1-8b", "--precision", "fp8")


def dump(stem: str, tmp_path: Path, **changes: Any) -> str:
    """Return the path of a dump whose GPUs have some fields changed."""
    data = json.loads((DUMPS / f"{stem}.json").read_text(encoding="utf-8"))
    data["gpus"] = [g | changes for g in data["gpus"]]
    path = tmp_path / f"{stem}-changed.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


class NVMLError(Exception):
    """As in the bindings: the code is `value`."""

    def __init__(self, value: int) -> None:
        super().__init__(f"code {value}")
        self.value = value


def use_driver(monkeypatch: pytest.MonkeyPatch, code: int = 0, name: str = "NVIDIA L4") -> None:
    """Put bindings in place that start with a code (0: fine) and see one GPU."""

    def start() -> None:
        if code:
            raise NVMLError(code)

    memory = SimpleNamespace(total=23034 * 2**20, free=22479 * 2**20, used=2**20)
    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=start,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda _: name,
        nvmlDeviceGetUUID=lambda _: "GPU-secret",
        nvmlDeviceGetMemoryInfo=lambda _, __=0: memory,
        nvmlDeviceGetEnforcedPowerLimit=lambda _: 72000,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(nvml, "WSL_LIBRARIES", Path("/nowhere"))


@pytest.mark.parametrize(
    ("stem", "code"),
    [("h100-sxm", 0), ("l4", 0), ("t4", 0), ("rtx-4090", 0), ("gb10", 0), ("a100-sxm-80gb-mig", 1)],
)
def test_published_cards(stem: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Cards as published are as their specs say (exit 0); the sliced A100 of 500 W is not (exit 1)."""
    assert run(["check-gpu", "--facts", str(DUMPS / f"{stem}.json"), *SMALL]) == code
    out = capsys.readouterr().out
    assert ("matches its spec" if code == 0 else "differs from its spec") in out
    assert "https://github.com/" in out, "where the facts come from is shown"


def test_json_has_findings_and_fits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """JSON carries the facts, the spec's id, findings with expected, found and effect, the fits, and `matches`."""
    capped = dump("h100-sxm", tmp_path, power_limit_w=350)
    assert run(["check-gpu", "--facts", capped, *SMALL, "--format", "json"]) == 1
    body = json.loads(capsys.readouterr().out)
    assert body["matches"] is False
    check = body["checks"][0]
    assert (check["spec"], check["gpus"], check["found_by"]) == ("h100-sxm", [0], "the driver's name")
    power = next(f for f in check["findings"] if f["field"] == "power_limit_w")
    assert (power["verdict"], power["expected"], power["found"]) == ("differs", 700, 350)
    # ((350 - 70)/(0.93 x 700 - 70))^(1/3) = 0.784; ((350 - 70)/((0.194 + 0.586 x 2/3) x 700 - 70))^(1/3) = 0.938
    assert "prefill about -22 %, decode about -6 %" in power["effect"]
    fit = body["fits"][0]
    assert (fit["model"], fit["precision"], fit["fits"], fit["gpus_of_host"]) == ("llama-3.1-8b", "fp8", True, 1)
    assert fit["max_concurrency"] > 0
    assert fit["output_tokens_per_s"] < fit["output_tokens_per_s_by_spec"]
    assert body["facts"]["gpus"][0]["power_limit_w"] == 350


def test_the_default_scenario_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a scenario the worked example is taken: DeepSeek-R1 lacks more than 500 GiB on one H100, and says so."""
    assert run(["check-gpu", "--facts", str(DUMPS / "h100-sxm.json")]) == 0
    assert "deepseek-r1 does not fit: at least 5" in capsys.readouterr().out


def test_saved_facts_are_the_same_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What --save writes is read by --facts and gives the same findings; no serial number is in it."""
    use_driver(monkeypatch)
    saved = tmp_path / "facts.json"
    assert run(["check-gpu", *SMALL, "--save", str(saved), "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert run(["check-gpu", *SMALL, "--facts", str(saved), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    text = saved.read_text(encoding="utf-8")
    assert "secret" not in text
    assert json.loads(text)["gpus"][0]["memory_total_bytes"] == 23034 * 2**20
    assert [p.name for p in tmp_path.iterdir()] == ["facts.json"]


def test_a_place_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--save to a folder that is not there is exit 4 and leaves nothing."""
    use_driver(monkeypatch)
    assert run(["check-gpu", "--save", str(tmp_path / "no" / "facts.json")]) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema_version": 2, "date": "2026-01-02", "tool_version": "1"}', "bad.json:1:20 schema_version: 2"),
        ("{", "bad.json:"),
        ("", "is empty"),
        ('{"schema_version": 1, "date": "2026-01-02", "tool_version": "1", "gpu": []}', "Did you mean gpus?"),
    ],
)
def test_bad_facts_are_exit_2(text: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A facts file of another version, broken, empty, or with an unknown field is exit 2, with its place."""
    bad = tmp_path / "bad.json"
    bad.write_text(text, encoding="utf-8")
    assert run(["check-gpu", "--facts", str(bad)]) == 2
    assert words in capsys.readouterr().err


def test_a_missing_facts_file_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A facts file that is not there is bad usage."""
    assert run(["check-gpu", "--facts", "nowhere.json"]) == 2
    assert "nowhere.json: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("code", [nvml.LIBRARY_NOT_FOUND, nvml.NO_PERMISSION, nvml.VERSION_MISMATCH, 999])
def test_no_driver_is_exit_3(code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each way a driver is missing is exit 3 and one line on stderr; with JSON the error is JSON too."""
    use_driver(monkeypatch, code)
    assert run(["check-gpu"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert run(["check-gpu", "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 3


def test_the_package_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the extra the command says what to install."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert run(["check-gpu"]) == 3
    assert "pip install 'inference-planner[gpu]'" in capsys.readouterr().err


def test_an_unknown_card_gets_names_and_a_draft(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An unknown card is exit 3 with near names; its drafted spec is a GPU file that validate asks to complete."""
    use_driver(monkeypatch, name="NVIDIA L4 Ultra")
    draft = tmp_path / "draft.yaml"
    assert run(["check-gpu", "--write-spec", str(draft), "--format", "json"]) == 3
    said = capsys.readouterr()
    body = json.loads(said.out)
    assert body["matches"] is None
    assert body["checks"][0]["spec"] is None
    assert "l4" in body["checks"][0]["nearest"]
    assert "the catalogue has no spec of 'NVIDIA L4 Ultra'. Nearest: l4" in said.err
    assert run(["validate", str(draft)]) == 2
    missing = capsys.readouterr().err
    for field in ("released", "memory_bytes", "hbm_bytes_per_s", "dense_flop_per_s", "link", "link_bytes_per_s"):
        assert f" {field}: " in missing
    assert "FILL IN" in draft.read_text(encoding="utf-8")


def test_a_known_card_can_be_drafted_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--write-spec on a known card says that the catalogue has it."""
    draft = tmp_path / "draft.yaml"
    assert run(["check-gpu", "--facts", str(DUMPS / "l4.json"), *SMALL, "--write-spec", str(draft)]) == 0
    assert "the catalogue already has NVIDIA L4 (l4)" in capsys.readouterr().err
    assert draft.exists()


def test_different_cards_are_checked_one_by_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A host with an H100 and an L4 has two checks and a warning; one that does not answer makes it exit 3."""
    data = json.loads((DUMPS / "h100-sxm.json").read_text(encoding="utf-8"))
    data["gpus"] += [g | {"index": 1} for g in json.loads((DUMPS / "l4.json").read_text(encoding="utf-8"))["gpus"]]
    mixed = tmp_path / "mixed.json"
    mixed.write_text(json.dumps(data), encoding="utf-8")
    code = run(["check-gpu", "--notes", "--facts", str(mixed), *SMALL])
    said = capsys.readouterr()
    assert code == 0, "each is alone of its kind"
    assert "GPU 0: NVIDIA H100" in said.out
    assert "GPU 1: NVIDIA L4" in said.out
    assert "a replica uses one kind" in said.err
    data["unreadable"] = [{"index": 2, "reason": "has fallen off the bus"}]
    mixed.write_text(json.dumps(data), encoding="utf-8")
    assert run(["check-gpu", "--facts", str(mixed), *SMALL]) == 3
    assert "warning: GPU 2 has fallen off the bus" in capsys.readouterr().err


def test_windows_guests_and_output_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Facts of a Windows guest carry a warning; -o writes the report to a file and nothing to stdout."""
    data = json.loads((DUMPS / "rtx-4090.json").read_text(encoding="utf-8")) | {"platform": "wsl"}
    guest, report = tmp_path / "guest.json", tmp_path / "report.txt"
    guest.write_text(json.dumps(data), encoding="utf-8")
    assert run(["check-gpu", "--notes", "--facts", str(guest), *SMALL, "-o", str(report)]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "this is WSL on Windows" in said.err
    assert "rtx-4090" in report.read_text(encoding="utf-8")


def test_equal_cards_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Eight equal cards are shown as GPUs 0-7, and a 70B model is laid over them."""
    data = json.loads((DUMPS / "h100-sxm.json").read_text(encoding="utf-8"))
    data["gpus"] = [data["gpus"][0] | {"index": i} for i in range(8)]
    host = tmp_path / "host.json"
    host.write_text(json.dumps(data), encoding="utf-8")
    assert run(["check-gpu", "--facts", str(host), "--model", "llama-3.3-70b", "--precision", "bf16"]) == 0
    out = capsys.readouterr().out
    assert "GPUs 0-7: NVIDIA H100 80GB HBM3 = h100-sxm" in out
    assert "llama-3.3-70b on 8 x h100-sxm, 72.8 GiB for the engine on each" in out


def test_measured_rates_have_no_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario that takes measured rates says that no fit is worked out."""
    assert run(["check-gpu", "deepseek-day", "--facts", str(DUMPS / "h100-sxm.json")]) == 0
    assert "so no fit is shown" in capsys.readouterr().err

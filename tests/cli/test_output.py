"""Where output goes and what may go wrong there: files, full disks, closed pipes, terminals, interruptions."""

import json
import os
import pty
import signal
import stat
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from planner.report import output as output_module
from planner.report.as_table import to_ascii
from planner.report.output import emit, write_file

Call = Callable[..., Any]
Start = Callable[..., subprocess.Popen[bytes]]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


def test_a_file_gets_exactly_what_stdout_would(call: Call, tmp_path: Path) -> None:
    """-o writes the same bytes, CRLF of CSV included, and nothing to stdout."""
    target = tmp_path / "out.csv"
    shown = call("estimate", "--gpu", "h100-sxm", "--format", "csv")
    written = call("estimate", "--gpu", "h100-sxm", "--format", "csv", "-o", target)
    assert written.code == shown.code == 0
    assert written.out == ""
    assert target.read_bytes() == shown.out.encode()
    assert shown.out.count("\r\n") == shown.out.count("\n")


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    """The new text is there, the rights stay, no temporary file is left; a new file follows the umask."""
    target = tmp_path / "out"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o640)
    write_file(target, "new – ü\r\n")
    assert target.read_bytes() == "new – ü\r\n".encode()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    write_file(tmp_path / "fresh", "x")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o666 & ~mask
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fresh", "out"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Writing through a symbolic link changes the file it points to."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    write_file(link, "new")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


def test_a_disk_that_fills_up_leaves_the_old_file_whole(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write fails half-way: exit 4, one line, the old content, no temporary file."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "out.json"
    target.write_text("old", encoding="utf-8")
    monkeypatch.setattr(output_module.os, "fsync", full)
    outcome = call("estimate", "--gpu", "h100-sxm", "-o", target)
    assert outcome.code == 4
    assert outcome.errors == [f"error: {target}: cannot be written: No space left on device"]
    assert target.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


@needs_full
def test_a_full_device_is_exit_4_and_stays_a_device(call: Call) -> None:
    """-o /dev/full fails at the write, and the device is not replaced by a file."""
    outcome = call("estimate", "--gpu", "h100-sxm", "-o", FULL)
    assert outcome.code == 4
    assert outcome.errors == ["error: /dev/full: cannot be written: No space left on device"]
    assert stat.S_ISCHR(FULL.stat().st_mode)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (".", "is a directory; expected a file name"),
        ("", "is a directory; expected a file name"),
        ("new/", "is a directory; expected a file name"),
        ("nowhere/out", "cannot be written: No such file or directory"),
        ("file/out", "cannot be written: Not a directory"),
        ("x" * 300, "cannot be written: File name too long"),
        ("a\0b", "is not a usable file name"),
    ],
)
def test_a_place_that_cannot_be_written_is_exit_4(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, says: str
) -> None:
    """A directory, a missing folder, a file as a folder, impossible names: one line, nothing left behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("whole", encoding="utf-8")
    outcome = call("list", "engines", "-o", target)
    assert outcome.code == 4
    assert len(outcome.errors) == 1
    assert says in outcome.errors[0]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "whole"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_exit_4(call: Call, tmp_path: Path) -> None:
    """Without the right to write, the old file stays whole."""
    target = tmp_path / "out"
    target.write_text("old", encoding="utf-8")
    tmp_path.chmod(0o500)
    try:
        outcome = call("list", "engines", "-o", target)
    finally:
        tmp_path.chmod(0o700)
    assert outcome.code == 4
    assert "permission denied" in outcome.err.lower()
    assert target.read_text(encoding="utf-8") == "old"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system without new files")
def test_a_file_system_without_files_is_exit_4(call: Call) -> None:
    """A place where even root cannot create a file."""
    outcome = call("list", "engines", "-o", "/proc/planner-out")
    assert outcome.code == 4
    assert outcome.errors[0].startswith("error: /proc/planner-out: cannot be written: ")


def test_a_dash_is_stdout(call: Call) -> None:
    """-o - is the same as no -o."""
    assert call("list", "engines", "-o", "-").out == call("list", "engines").out


def test_emit_writes_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Line ends are ours: neither added nor translated."""
    emit("a\r\nb\n", None)
    assert capsys.readouterr().out == "a\r\nb\n"


def finish(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    """Return exit code, stdout and stderr of a process that must end by itself."""
    out, err = process.communicate(timeout=60)
    assert b"Traceback" not in err, err.decode()
    assert b"Exception ignored" not in err, err.decode()
    return process.returncode, out or b"", err or b""


@needs_full
@pytest.mark.parametrize("arguments", [("list", "prices"), ("-h",), ("estimate", "--bogus", "--format", "json")])
def test_stdout_on_a_full_disk_is_exit_4(start: Start, arguments: tuple[str, ...]) -> None:
    """Data, help and JSON errors that cannot be written: one line, exit 4."""
    with FULL.open("wb") as full:
        code, _, err = finish(start(*arguments, streams={"stdout": full}))
    assert code == 4
    assert b"error: cannot read or write the output: No space left on device" in err


@needs_full
def test_stderr_on_a_full_disk_is_no_traceback(start: Start) -> None:
    """Where not even the error can be written, the exit code is all there is."""
    with FULL.open("wb") as full:
        process = start("estimate", "zzz", streams={"stderr": full})
    process.communicate(timeout=60)
    assert process.returncode == 4


@pytest.mark.parametrize("arguments", [("list", "prices", "--format", "csv"), ("schema", "--columns")])
def test_a_closed_pipe_is_quiet(start: Start, arguments: tuple[str, ...]) -> None:
    """`planner list prices | head -1`: no message, exit 0."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*arguments, streams={"stdout": writer})
    os.close(writer)
    code, _, err = finish(process)
    assert (code, err) == (0, b"")


def test_a_pipe_closed_half_way_is_quiet(start: Start, tmp_path: Path) -> None:
    """The reader takes one line of an answer far larger than a pipe's buffer and goes."""
    process = start("estimate", "--all", "--format", "long-csv")
    assert process.stdout is not None
    assert process.stdout.readline() == b"scenario,option,metric,unit,value,low,high,basis,source\r\n"
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        err = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert b"Traceback" not in err
    assert b"error:" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("closed", "code"), [(0, 2), (1, 4), (2, 3)])
def test_closed_streams_are_no_traceback(start: Start, closed: int, code: int) -> None:
    """Started with stdin, stdout or stderr closed: bad input, a system error, or just the exit code."""
    arguments = {0: ("estimate", "-"), 1: ("list", "engines"), 2: ("estimate", "zzz")}[closed]
    process = start(*arguments, streams={"preexec_fn": lambda: os.close(closed)})
    assert finish(process)[0] == code


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"LANG": "C", "LC_ALL": ""}, {"PYTHONIOENCODING": "latin-1"}])
def test_data_is_utf_8_in_every_locale(start: Start, environment: dict[str, str]) -> None:
    """JSON and CSV are UTF-8 whatever the terminal says, and nothing crashes."""
    code, out, _ = finish(start("estimate", "--gpu", "h100-sxm", "--format", "json", **environment))
    assert code == 0
    assert json.loads(out.decode("utf-8"))["results"]


def test_a_terminal_that_says_ascii_gets_ascii(start: Start) -> None:
    """PYTHONIOENCODING=ascii: the table has no character beyond 7 bits and still its numbers."""
    code, out, _ = finish(start("estimate", "--gpu", "h100-sxm", PYTHONIOENCODING="ascii"))
    assert code == 0
    text = out.decode("ascii")
    assert " x h100-sxm" in text
    code, out, _ = finish(start("estimate", "--gpu", "h100-sxm", PYTHONIOENCODING="utf-8"))
    assert code == 0
    assert " × h100-sxm" in out.decode("utf-8")


def test_ascii_text_keeps_its_length() -> None:
    """A column stays aligned: one character for one, except the ellipsis."""
    assert to_ascii("4 × h100 – a·b │ ü") == "4 x h100 - a.b | ?"
    assert to_ascii("…") == "..."


def on_a_terminal(start: Start, *arguments: str, **environment: str) -> bytes:
    """Return what a command shows on a pseudo-terminal."""
    parent, child = pty.openpty()
    process = start(*arguments, streams={"stdout": child, "stderr": subprocess.DEVNULL}, **environment)
    os.close(child)
    shown = b""
    with suppress(OSError):  # Linux says EIO at the end
        while chunk := os.read(parent, 65536):
            shown += chunk
    os.close(parent)
    assert process.wait(timeout=60) == 0
    return shown


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(start: Start, environment: dict[str, str], *, coloured: bool) -> None:
    """Escape sequences appear on a terminal, and not with NO_COLOR or TERM=dumb."""
    shown = on_a_terminal(start, "estimate", "--gpu", "h100-sxm", **environment)
    assert b"h100-sxm" in shown
    assert (b"\x1b[" in shown) is coloured


def test_a_pipe_gets_no_colour(call: Call) -> None:
    """Redirected output has no escape sequence, whatever TERM says."""
    assert "\x1b" not in call("estimate", "--gpu", "h100-sxm").out


def test_control_c_is_exit_130(start: Start) -> None:
    """SIGINT while the command waits for its input: one word, exit 130, no traceback."""
    process = start("estimate", "-", streams={"stdin": subprocess.PIPE})
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1.5)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (130, b"")
    assert err.split() == [b"interrupted"]


def interrupt_after(count: int, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Let `answer` of a module be interrupted when it is called for the (count + 1)th time."""
    from importlib import import_module  # noqa: PLC0415 - only these tests need it

    target, calls = import_module(module), []
    original = target.answer

    def answer(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > count:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(target, "answer", answer)


def test_an_interruption_shows_what_exists_so_far(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three questions are answered when Ctrl-C comes: both are printed, marked partial, exit 130."""
    interrupt_after(2, monkeypatch, "planner.cli.common")
    outcome = call("estimate", "o1-class", "gpt-4o-class", "chat-assistant", "--format", "json")
    assert outcome.code == 130
    document = json.loads(outcome.out)
    assert {r["scenario"] for r in document["results"]} == {"o1-class", "gpt-4o-class"}
    assert document["warnings"][0] == "PARTIAL: interrupted after 2 of 3 questions"
    assert "warning: PARTIAL: interrupted after 2 of 3 questions" in outcome.err


def test_an_interruption_before_any_answer_prints_nothing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing exists so far: only the word and exit 130."""
    interrupt_after(0, monkeypatch, "planner.cli.common")
    outcome = call("estimate", "o1-class", "gpt-4o-class")
    assert (outcome.code, outcome.out, outcome.err.strip()) == (130, "", "interrupted")


def test_an_interrupted_sheet_keeps_its_rows(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of three rows is answered; the others stand there with the reason, exit 130."""
    interrupt_after(1, monkeypatch, "planner.cli.question_sheet")
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("id,gpu\na,h100-sxm\nb,h100-sxm\nc,h100-sxm\n", encoding="utf-8")
    outcome = call("estimate", "--from", sheet, "--fields", "gpus")
    assert outcome.code == 130
    rows = outcome.out.splitlines()
    assert rows[0] == "id,gpu,gpus,error"
    assert rows[1].startswith("a,h100-sxm,")
    assert not rows[1].endswith(",,")
    assert rows[2:] == ["b,h100-sxm,,interrupted; not answered", "c,h100-sxm,,interrupted; not answered"]
    assert "PARTIAL: interrupted after 1 of 3 rows" in outcome.err

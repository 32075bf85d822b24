"""Where output goes: stdout as UTF-8, or a file that is replaced whole or not at all."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from planner.errors import SystemFailureError

_PROBE = "–×·…─"
"""What tables are drawn with."""


class Terminal:
    """What the terminal can show, as it said before stdout was made UTF-8."""

    ascii_only = False


def prepare_stdout() -> None:
    """Make stdout UTF-8 with our own line ends: a redirected table must not crash on a dash.

    A stream that cannot hold a dash (PYTHONIOENCODING=ascii) gets ASCII tables; data is UTF-8 everywhere.
    """
    Terminal.ascii_only = not _can_show(getattr(sys.stdout, "encoding", None))
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        with suppress(OSError, ValueError):
            reconfigure(encoding="utf-8", errors="replace", newline="")


def _can_show(encoding: str | None) -> bool:
    try:
        _PROBE.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def emit(text: str, target: str | None) -> None:
    """Write text to stdout, or to a file by way of a temporary one beside it."""
    if target is None or target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    write_file(target, text)


def write_file(target: str | Path, text: str) -> None:
    """Replace a file whole. Raises SystemFailureError; what was there before stays whole.

    A name with a slash at its end is one of a directory, there or not; a Path has lost it.
    """
    temporary, where, path = "", str(target), Path(target)
    try:
        if where.endswith(("/", os.sep)) or path.is_dir():
            raise SystemFailureError("is a directory; expected a file name", where=where)
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8", newline="")  # a device or a pipe cannot be replaced
            return
        if path.exists() and not os.access(path, os.W_OK):
            raise SystemFailureError("is read-only", where=where)
        path = path.resolve()
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        with suppress(OSError):
            if temporary:
                Path(temporary).unlink()
        raise SystemFailureError(f"cannot be written: {error.strerror}", where=where) from None
    except ValueError as error:
        raise SystemFailureError(f"is not a usable file name ({error})", where=where) from None


def write_below(folder: Path, relative: str, text: str) -> Path:
    """Write a file into a folder, making what is missing of its path; return where it is. Raises SystemFailureError."""
    path = folder / relative
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemFailureError(f"cannot be made: {error.strerror}", where=str(path.parent)) from None
    write_file(path, text)
    return path


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value

"""Text files and standard input: what cannot be read is one clear line."""

import errno
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from planner.errors import BadInputError, SystemFailureError, did_you_mean

STDIN = "-"
"""The file name that means standard input."""
MAX_FILE_BYTES = 10_000_000


def exists(path: Path) -> bool:
    """Return whether a path exists; False for a name that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_text(
    path: Path, most: int = MAX_FILE_BYTES, hint: str = "expected a small text file", expected: str = "a YAML file"
) -> str:
    """Return the text of a UTF-8 file, with or without BOM.

    A file of more than `most` bytes is refused with the `hint`, a directory with what was `expected`.
    Raises BadInputError for a missing, unreadable, too large or binary file, SystemFailureError for a failing disk.
    """
    with _failures(path, expected), path.open("rb") as file:
        return _decoded(file.read(most + 1), str(path), most, hint)  # one byte more: what grows is seen to be too large


def read_lines(name: str, expected: str) -> Iterator[str]:
    """Yield the lines of a text file of any size, or of stdin for `-`; bytes that are not UTF-8 become U+FFFD.

    Raises BadInputError for a missing, unreadable or binary file, SystemFailureError for a failing disk.
    """
    if name == STDIN:
        yield from _text_lines(sys.stdin.buffer, "stdin", expected)
        return
    with _failures(Path(name), expected), Path(name).open("rb") as file:
        yield from _text_lines(file, name, expected)


def _text_lines(file: Iterable[bytes], where: str, expected: str) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        if b"\0" in line:
            raise BadInputError(f"is not a text file; expected {expected}", where=f"{where}:{number}")
        yield line.decode("utf-8", "replace")


@contextmanager
def _failures(path: Path, expected: str) -> Iterator[None]:
    """Turn what goes wrong with a file into one line that says so."""
    where = str(path)
    try:
        yield
    except FileNotFoundError:
        raise BadInputError(f"no such file.{_neighbours(path)}".removesuffix("."), where=where) from None
    except IsADirectoryError:
        raise BadInputError(f"is a directory; expected {expected}", where=where) from None
    except PermissionError:
        raise BadInputError("cannot be read: permission denied", where=where) from None
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENAMETOOLONG}:
            raise BadInputError(f"is not a usable file name ({error.strerror})", where=where) from None
        raise SystemFailureError(f"cannot be read: {error.strerror}", where=where) from None
    except ValueError as error:
        raise BadInputError(f"is not a usable file name ({error})", where=where) from None


def _neighbours(path: Path) -> str:
    """Return a sentence with the files in the same folder whose names are similar to a missing one."""
    try:
        return did_you_mean(path.name, (p.name for p in path.parent.iterdir()))
    except OSError:
        return ""


def read_stdin() -> str:
    """Return the text of standard input, as UTF-8 in every locale. Raises BadInputError where it is closed."""
    if sys.__stdin__ is None:
        raise BadInputError("is closed; expected text", where="stdin")
    buffer = getattr(sys.stdin, "buffer", None)
    return sys.stdin.read() if buffer is None else _decoded(buffer.read(MAX_FILE_BYTES + 1), "stdin")


def _decoded(content: bytes, where: str, most: int = MAX_FILE_BYTES, hint: str = "expected a small text file") -> str:
    if len(content) > most:
        raise BadInputError(f"is larger than {most:,} bytes; {hint}", where=where)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInputError("is not UTF-8 text; expected a text file", where=where) from None

"""The command line as a process of its own: for signals, pipes and encodings."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Started = subprocess.Popen[bytes]


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Started]:
    """Return a function that starts `python -m planner ARGUMENTS`; keywords are environment variables."""

    def begin(*arguments: str, streams: dict[str, Any] | None = None, **environment: str) -> Started:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
        clean = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "TERM", "PYTHONIOENCODING"}}
        return subprocess.Popen(
            [sys.executable, "-m", "planner", *arguments],
            cwd=tmp_path,
            env={**clean, **environment},
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **(streams or {})},
        )

    return begin

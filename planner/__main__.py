"""Entry point: `planner`, `inference-planner` and `python -m planner`."""

import gc
import sys

import planner
from planner.errors import EXIT_INTERRUPTED


def main() -> None:
    """Run the command line; `--version` answers before anything heavy is imported."""
    if sys.argv[1:] == ["--version"] and _told_version():
        return
    gc.disable()  # a short life makes few cycles; collecting them is a tenth of it
    try:
        from planner.cli.main import run  # noqa: PLC0415 - --version must not pay for click
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    code = run(sys.argv[1:])
    gc.freeze()  # nothing is looked through again on the way out
    sys.exit(code)


def _told_version() -> bool:
    """Print the version; False where that failed, so that the ordinary way says why."""
    try:
        sys.stdout.write(f"inference-planner {planner.__version__}\n")
        sys.stdout.flush()
    except (OSError, AttributeError):
        return False
    return True


if __name__ == "__main__":
    main()

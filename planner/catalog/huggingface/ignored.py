"""What a Hugging Face config holds and the reader does not use: named, but for keys known not to matter."""

import re
from functools import cache

from planner.catalog.huggingface.fields import Fields, class_defaults


def ignored_note(f: Fields) -> str:
    """Return one sentence with the fields that nothing asked for and that may change sizes; empty without any."""
    unused = [name for name, value in f.data.items() if name not in f.seen and value not in (False, 0, [], {}, "")]
    named = [name for name in unused if not _irrelevant().fullmatch(name)]
    return f"ignored: {', '.join(sorted(named))}." if named else ""


@cache
def _irrelevant() -> re.Pattern[str]:
    """Return the pattern of keys that change neither size nor cache."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in class_defaults()["irrelevant"]))

"""Steps as lists tell them: of very many names of files, and of their labels, only the first."""

from collections.abc import Iterable
from typing import Any

from datasets.preprocessing.parameters import FileLabels, FileNames
from datasets.preprocessing.registry import OPERATIONS

MOST_NAMES = 20


def in_brief(steps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps with at most the first `MOST_NAMES` names; where there are more, `<parameter>_count` says how many."""
    return [_in_brief(step) for step in steps]


def _in_brief(step: dict[str, Any]) -> dict[str, Any]:
    operation = OPERATIONS.get(step["op"])  # None: of an older version
    shorter = dict(step)
    for parameter in operation.parameters if operation else ():
        names = step.get(parameter.name, ())
        if isinstance(parameter, FileNames | FileLabels) and len(names) > MOST_NAMES:
            shorter |= {parameter.name: names[:MOST_NAMES], f"{parameter.name}_count": len(names)}
    return shorter

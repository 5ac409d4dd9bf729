"""Preprocessing steps in words."""

from typing import Any

from django.utils.translation import gettext as _

from datasets.preprocessing.registry import OPERATIONS


def described_steps(steps: list[dict[str, Any]]) -> list[str]:
    """Each step as a line: its title, and its values with their units."""
    return [_described(step) for step in steps]


def _described(step: dict[str, Any]) -> str:
    operation = OPERATIONS.get(step["op"])
    if operation is None:  # of an older version
        return str(step["op"])
    values = [
        f"{_(parameter.title)} {step[parameter.name]:g} {parameter.unit}".strip() for parameter in operation.parameters
    ]
    return f"{_(operation.title)}: {', '.join(values)}" if values else _(operation.title)

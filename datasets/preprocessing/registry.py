"""The operations by name, and the check of the steps that a user asks for."""

from functools import partial
from typing import Any

from datasets.preprocessing import (
    augment,
    brightness,
    contrast,
    crop,
    drop_duplicates,
    drop_rejected,
    exclude,
    fit,
    flip_left_right,
    flip_up_down,
    grayscale,
    relabel,
    relabel_each,
    rename_label,
    resize,
    rotate,
    shear,
    split,
    translate,
    zoom,
)
from datasets.preprocessing.operation import ExpandingOperation, Operation, Step
from datasets.preprocessing.parameters import Parameter
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined

MAX_STEPS = 32

OPERATIONS: dict[str, Operation] = {
    module.OPERATION.name: module.OPERATION
    for module in (
        *(flip_up_down, flip_left_right, resize, fit, crop, rotate, translate, zoom, shear),
        *(grayscale, brightness, contrast),
        *(exclude, relabel, relabel_each, rename_label, drop_duplicates, drop_rejected, split),
        augment,
    )
}


class StepError(Exception):
    """Steps that cannot be run. `details`: one {step, op, parameter, message} for each mistake; step counts from 0."""

    def __init__(self, message: str, details: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


def validate_steps(steps: Any) -> tuple[Step, ...]:
    """The steps `[{"op": name, parameter: number, ...}, ...]` as they came from outside, checked.

    Raises:
        StepError: naming every mistake with what is allowed and what was received.
    """
    if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
        received = _("%(count)d steps", count=len(steps)) if isinstance(steps, list) else type(steps).__name__
        message = _(
            "Expected a list of 1 to %(most)d preprocessing steps, received %(received)s.",
            most=MAX_STEPS,
            received=received,
        )
        raise StepError(message, [{"step": None, "op": None, "parameter": None, "message": message}])
    details: list[dict[str, Any]] = []
    valid = [_validate_step(index, step, details) for index, step in enumerate(steps)]
    expanding = [
        index for index, step in enumerate(valid) if step and isinstance(OPERATIONS[step.op], ExpandingOperation)
    ]
    for index in expanding[1:]:
        _mistake(
            details, index, _("there is an augment step before; one is all there can be."), op="augment", parameter=None
        )
    if details:
        raise StepError(joined(" ", [detail["message"] for detail in details]), details)
    return tuple(step for step in valid if step is not None)


def _mistake(
    details: list[dict[str, Any]], index: int, message: str, *, op: str | None, parameter: str | None = None
) -> None:
    told = _("Step %(step)d: %(mistake)s", step=index + 1, mistake=message)
    details.append({"step": index, "op": op, "parameter": parameter, "message": told})


def _validate_step(index: int, step: Any, details: list[dict[str, Any]]) -> Step | None:
    mistake = partial(_mistake, details, index)
    allowed = ", ".join(OPERATIONS)
    if not isinstance(step, dict) or "op" not in step:
        mistake(
            _(
                "expected an object with the key op, one of %(allowed)s; received %(received)s.",
                allowed=allowed,
                received=_shown(step),
            ),
            op=None,
        )
        return None
    operation = OPERATIONS.get(step["op"]) if isinstance(step["op"], str) else None
    if operation is None:
        mistake(_("unknown op %(op)s; allowed are %(allowed)s.", op=_shown(step["op"]), allowed=allowed), op=None)
        return None
    values: dict[str, Any] = {}
    for parameter in operation.parameters:
        value = _accepted(parameter, step)
        if value is None:
            mistake(
                _(
                    "%(op)s needs %(parameter)s, %(range)s; received %(received)s.",
                    op=operation.name,
                    parameter=parameter.name,
                    range=parameter.expected,
                    received=_shown(step[parameter.name]) if parameter.name in step else _("nothing"),
                ),
                op=operation.name,
                parameter=parameter.name,
            )
        else:
            values[parameter.name] = value
    names = [parameter.name for parameter in operation.parameters]
    for unknown in sorted(step.keys() - {"op", *names}, key=str):
        mistake(
            _(
                "%(op)s has no parameter %(parameter)s; allowed are %(allowed)s.",
                op=operation.name,
                parameter=_shown(unknown),
                allowed=", ".join(names) or _("none"),
            ),
            op=operation.name,
            parameter=str(unknown),
        )
    if len(values) == len(names) and operation.check and (wrong := operation.check(values)):
        told = _("%(op)s: %(mistake)s", op=operation.name, mistake=wrong.message)
        mistake(told, op=operation.name, parameter=wrong.parameter)
    return Step(operation.name, values)


def _accepted(parameter: Parameter, step: dict[str, Any]) -> Any:
    return parameter.accepted(step[parameter.name]) if parameter.name in step else parameter.fallback


def steps_schema() -> dict[str, Any]:
    """What steps may be, as JSON schema: one object for each operation."""
    return {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_STEPS,
        "items": {"oneOf": [_schema(operation) for operation in OPERATIONS.values()]},
    }


def _schema(operation: Operation) -> dict[str, Any]:
    needed = [parameter.name for parameter in operation.parameters if parameter.fallback is None]
    return {
        "type": "object",
        "title": operation.title,
        "description": operation.help,
        "properties": {
            "op": {"type": "string", "enum": [operation.name]},
            **{parameter.name: {"title": parameter.title, **parameter.schema()} for parameter in operation.parameters},
        },
        "required": ["op", *needed],
        "additionalProperties": False,
    }


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:99]}…"

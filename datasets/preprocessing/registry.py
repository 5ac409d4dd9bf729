"""The operations by name, and the check of the steps that a user asks for."""

from typing import Any

from datasets.preprocessing import (
    flip_left_right,
    flip_up_down,
    grayscale,
    resize,
    rotate,
    shear,
    translate,
    zoom,
)
from datasets.preprocessing.operation import Operation, Parameter, Step
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined

MAX_STEPS = 32

OPERATIONS: dict[str, Operation] = {
    module.OPERATION.name: module.OPERATION
    for module in (flip_up_down, flip_left_right, resize, rotate, translate, zoom, shear, grayscale)
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
    if details:
        raise StepError(joined(" ", [detail["message"] for detail in details]), details)
    return tuple(step for step in valid if step is not None)


def _validate_step(index: int, step: Any, details: list[dict[str, Any]]) -> Step | None:
    def mistake(message: str, *, op: str | None, parameter: str | None = None) -> None:
        told = _("Step %(step)d: %(mistake)s", step=index + 1, mistake=message)
        details.append({"step": index, "op": op, "parameter": parameter, "message": told})

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
    values: dict[str, float] = {}
    for parameter in operation.parameters:
        value = step.get(parameter.name)
        number = _number(parameter, value)
        if number is None:
            mistake(
                _(
                    "%(op)s needs %(parameter)s, %(range)s; received %(received)s.",
                    op=operation.name,
                    parameter=parameter.name,
                    range=_range(parameter),
                    received=_shown(value) if parameter.name in step else _("nothing"),
                ),
                op=operation.name,
                parameter=parameter.name,
            )
        else:
            values[parameter.name] = number
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
    return Step(operation.name, values)


def _number(parameter: Parameter, value: Any) -> float | None:
    """The value when it is a number in range (a whole one where that is asked for), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not parameter.minimum <= value <= parameter.maximum:  # Never true of NaN.
        return None
    if parameter.is_integer and value != int(value):
        return None
    return int(value) if value == int(value) else value


def _range(parameter: Parameter) -> str:
    least, most = f"{parameter.minimum:g}", f"{parameter.maximum:g} {parameter.unit}".strip()
    if parameter.is_integer:
        return _("a whole number from %(least)s to %(most)s", least=least, most=most)
    return _("a number from %(least)s to %(most)s", least=least, most=most)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:99]}…"

"""What an algorithm tells about itself: pure data that pages and the API read without loading it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined

Value = int | float | bool | str

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_LONGEST_NAME = 500
_BOOLEANS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


class HyperparameterError(Exception):
    """Hyperparameters that cannot be used. `details` has one sentence for each wrong name."""

    def __init__(self, details: dict[str, str]) -> None:
        self.message = joined(" ", details.values())
        super().__init__(self.message)
        self.details = details


@dataclass(frozen=True)
class Hyperparameter:
    """One setting of a training. Without a default it must be given, unless it is `optional`.

    Attributes:
        type: "column" is the name of a column of the table that is learned from.
        defaults: variant of the algorithm -> default there, where it is another than `default`.
        variants: the variants that it applies to; empty = all.
        group: title under which forms gather it, folded; empty = always in sight.
    """

    name: str
    type: Literal["int", "float", "bool", "choice", "column"]
    default: Value | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    title: str = ""
    help: str = ""
    unit: str = ""
    defaults: Mapping[str, Value] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    optional: bool = False
    group: str = ""

    @property
    def required(self) -> bool:
        return self.default is None and not self.optional

    def default_for(self, variant: str) -> Value | None:
        return self.defaults.get(variant, self.default)

    def applies_to(self, variant: str) -> bool:
        return not self.variants or variant in self.variants

    def allowed(self) -> str:
        """The values it takes, in words: "a whole number from 1 to 100"."""
        if self.type == "bool":
            return _("true or false")
        if self.type == "choice":
            return _("one of %(choices)s", choices=", ".join(self.choices))
        if self.type == "column":
            return _("the name of a column")
        whole = self.type == "int"
        if self.minimum is not None and self.maximum is not None:
            limits = {"minimum": self.minimum, "maximum": self.maximum}
            if whole:
                return _("a whole number from %(minimum)g to %(maximum)g", **limits)
            return _("a number from %(minimum)g to %(maximum)g", **limits)
        if self.minimum is not None:
            if whole:
                return _("a whole number of at least %(minimum)g", minimum=self.minimum)
            return _("a number of at least %(minimum)g", minimum=self.minimum)
        if self.maximum is not None:
            if whole:
                return _("a whole number of at most %(maximum)g", maximum=self.maximum)
            return _("a number of at most %(maximum)g", maximum=self.maximum)
        return _("a whole number") if whole else _("a number")

    def parse(self, value: object) -> Value:
        """The typed value of `value` (text from forms included).

        Raises:
            HyperparameterError: it has another type or is out of range; says what is allowed and what was received.
        """
        parsed = self._typed(value)
        if parsed is None or not self._in_range(parsed):
            sentence = _(
                "%(name)s must be %(allowed)s, received %(received)s.",
                name=self.name,
                allowed=self.allowed(),
                received=repr(value),
            )
            raise HyperparameterError({self.name: sentence})
        return parsed

    def _typed(self, value: object) -> Value | None:
        if isinstance(value, str):
            value = value.strip()
        match self.type:
            case "bool":
                if isinstance(value, bool):
                    return value
                return _BOOLEANS.get(value.lower()) if isinstance(value, str) else None
            case "choice" | "column":
                return value if isinstance(value, str) else None
            case "int":
                return _whole_number(value)
            case "float":
                return _number(value)

    def _in_range(self, value: Value) -> bool:
        if isinstance(value, str):
            return 0 < len(value) <= _LONGEST_NAME if self.type == "column" else value in self.choices
        above = self.minimum is None or value >= self.minimum
        return above and (self.maximum is None or value <= self.maximum)


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) and len(value) < 20:
        return int(value)
    return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and "_" in value:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Input:
    """One data that an algorithm reads."""

    name: str
    content: Literal["image", "table", "text"]
    required: bool
    title: str
    help: str = ""


@dataclass(frozen=True)
class Manifest:
    """What an algorithm is, reads and can be told.

    Attributes:
        reads: which of the site's readers prepares its data.
        variant: name of the choice on which defaults depend, and which hyperparameters apply; "" = there is none.
    """

    name: str
    title: str
    summary: str
    inputs: tuple[Input, ...]
    hyperparameters: tuple[Hyperparameter, ...]
    reads: Literal["labelled_images", "table"] = "labelled_images"
    variant: str = ""

    def hyperparameter(self, name: str) -> Hyperparameter:
        return next(parameter for parameter in self.hyperparameters if parameter.name == name)

    def variant_of(self, values: Mapping[str, Any]) -> str:
        """The variant that these hyperparameters choose; the default one where they choose none that exists."""
        if not self.variant:
            return ""
        parameter = self.hyperparameter(self.variant)
        chosen = values.get(self.variant)
        return str(chosen if chosen in parameter.choices else parameter.default)

    def defaults(self, variant: str = "") -> dict[str, Value]:
        """What stands for hyperparameters that are not given: of the variant, or of the default one."""
        variant = self.variant_of({self.variant: variant})
        applicable = [parameter for parameter in self.hyperparameters if parameter.applies_to(variant)]
        chosen = {self.variant: variant} if self.variant else {}
        return {
            parameter.name: value for parameter in applicable if (value := parameter.default_for(variant)) is not None
        } | chosen


def validate_hyperparameters(manifest: Manifest, values: Mapping[str, Any]) -> dict[str, Value]:
    """The hyperparameters that apply, typed; the variant's defaults stand for what is absent, None or "".

    A value for what does not apply is dropped where it is a default, and refused otherwise. What is optional and not
    given has no entry.

    Raises:
        HyperparameterError: names every value that is unknown, missing, out of range or does not apply.
    """
    known = {parameter.name: parameter for parameter in manifest.hyperparameters}
    details: dict[str, str] = {
        str(name): _(
            "%(name)s is not a hyperparameter of %(algorithm)s; it takes %(known)s.",
            name=str(name),
            algorithm=manifest.name,
            known=", ".join(known),
        )
        for name in values
        if name not in known
    }
    parsed: dict[str, Value] = {}
    for name, parameter in known.items():
        if (value := values.get(name)) is None or value == "":
            continue
        try:
            parsed[name] = parameter.parse(value)
        except HyperparameterError as error:
            details |= error.details
    variant = manifest.variant_of(parsed)
    complete = manifest.defaults(variant)
    for name, parameter in known.items():
        if parameter.applies_to(variant):
            if name in parsed:
                complete[name] = parsed[name]
            elif parameter.required and name not in details:
                details[name] = _("%(name)s is required: %(allowed)s.", name=name, allowed=parameter.allowed())
        elif manifest.variant in details:  # Whether it applies is not known.
            continue
        elif name in parsed and parsed[name] not in {parameter.default, *parameter.defaults.values()}:
            details[name] = _(
                "%(name)s does not apply where %(variant)s is %(chosen)s, only where it is %(others)s; leave it out.",
                name=name,
                variant=manifest.variant,
                chosen=variant,
                others=", ".join(parameter.variants),
            )
    if details:
        raise HyperparameterError(details)
    return complete

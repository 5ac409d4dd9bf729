"""What a step can be told: each kind of parameter checks a value from outside and says what it takes."""

import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from dlmodeler_site.sentences import Sentence as _

MAX_NAMES = 10_000
MAX_TEXT = 255


@dataclass(frozen=True)
class Parameter(ABC):
    """One thing that the user chooses. `title` and `help` are marked for translation, and translated where shown."""

    name: str
    title: str

    @abstractmethod
    def accepted(self, value: Any) -> Any:
        """The value in its normal form, or None where it is not allowed."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What is allowed, for people."""

    @property
    def fallback(self) -> Any:
        """The value where none is given, or None where one must be."""
        return None

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """What is allowed, as JSON schema."""


@dataclass(frozen=True)
class Number(Parameter):
    """A number; `is_integer` numbers are whole, `is_optional` ones are the default where none is given."""

    minimum: float
    maximum: float
    default: float
    unit: str
    is_integer: bool = False
    is_optional: bool = False

    def accepted(self, value: Any) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not self.minimum <= value <= self.maximum:  # Never true of NaN.
            return None
        if self.is_integer and value != int(value):
            return None
        return int(value) if value == int(value) else value

    @property
    def expected(self) -> str:
        least, most = f"{self.minimum:g}", f"{self.maximum:.12g} {self.unit}".strip()
        if self.is_integer:
            return _("a whole number from %(least)s to %(most)s", least=least, most=most)
        return _("a number from %(least)s to %(most)s", least=least, most=most)

    @property
    def fallback(self) -> float | None:
        return self.default if self.is_optional else None

    def schema(self) -> dict[str, Any]:
        kind = "integer" if self.is_integer else "number"
        given: dict[str, Any] = {"default": self.default} if self.is_optional else {}
        unit = {"description": self.unit} if self.unit else {}
        return {"type": kind, "minimum": self.minimum, "maximum": self.maximum, **given, **unit}


@dataclass(frozen=True)
class Switch(Parameter):
    """On or off."""

    default: bool

    def accepted(self, value: Any) -> bool | None:
        return value if isinstance(value, bool) else None

    @property
    def expected(self) -> str:
        return _("true or false")

    @property
    def fallback(self) -> bool:
        return self.default

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean", "default": self.default}


@dataclass(frozen=True)
class Choice(Parameter):
    """One of some words: pairs of the word and its title. Without a default one must be given."""

    options: tuple[tuple[str, str], ...]
    default: str | None = None

    def accepted(self, value: Any) -> str | None:
        return value if isinstance(value, str) and value in dict(self.options) else None

    @property
    def expected(self) -> str:
        return _("one of %(options)s", options=", ".join(dict(self.options)))

    @property
    def fallback(self) -> str | None:
        return self.default

    def schema(self) -> dict[str, Any]:
        given = {} if self.default is None else {"default": self.default}
        return {"type": "string", "enum": list(dict(self.options)), **given}


@dataclass(frozen=True)
class Label(Parameter):
    """A label, or nothing for "no label"."""

    def accepted(self, value: Any) -> str | None:
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            return None
        text = unicodedata.normalize("NFC", value.strip())
        return None if any(unicodedata.category(character) in ("Cc", "Cs") for character in text) else text

    @property
    def expected(self) -> str:
        return _("a label of at most %(most)d characters, or an empty text for no label", most=MAX_TEXT)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": MAX_TEXT}


@dataclass(frozen=True)
class FileNames(Parameter):
    """Names of files of the data, each once."""

    def accepted(self, value: Any) -> list[str] | None:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_NAMES:
            return None
        if not all(isinstance(name, str) and 0 < len(name) <= 1024 for name in value):
            return None
        return list(dict.fromkeys(value))

    @property
    def expected(self) -> str:
        return _("a list of 1 to %(most)d names of files", most=MAX_NAMES)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_NAMES}


@dataclass(frozen=True)
class FileLabels(Parameter):
    """Labels of files that are named beside, in their order, each as `Label` takes it."""

    def accepted(self, value: Any) -> list[str] | None:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_NAMES:
            return None
        one = Label(self.name, self.title)
        labels = [label for each in value if (label := one.accepted(each)) is not None]
        return labels if len(labels) == len(value) else None

    @property
    def expected(self) -> str:
        return _("a list of 1 to %(most)d labels, an empty text for no label", most=MAX_NAMES)

    def schema(self) -> dict[str, Any]:
        label = {"type": "string", "maxLength": MAX_TEXT}
        return {"type": "array", "items": label, "minItems": 1, "maxItems": MAX_NAMES}

"""Sentences for people: made in one process, stored, and read in the reader's language in another.

Packages without Django make their messages by `from dlmodeler_site.sentences import Sentence as _`, which is what
the message catalogue looks for. Only the site knows languages: it calls `translate_by` once; in other processes
every sentence is English.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

_translate: Callable[[str], str] = str


def translate_by(translate: Callable[[str], str]) -> None:
    """Have this process's sentences made in the language that `translate` looks up."""
    global _translate
    _translate = translate


class Sentence(str):
    """A text that remembers the template and the values it was made of, so that it can be told in another language.

    >>> Sentence("Line %(line)d is empty.", line=3)
    'Line 3 is empty.'
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> "Sentence":
        text = _translate(template) if template else ""
        sentence = super().__new__(cls, text % values if values else text)
        sentence.template, sentence.values = template, values
        return sentence


def gettext_noop(message: str) -> str:
    """Mark a constant that is translated where it is shown."""
    return message


def joined(separator: str, parts: Iterable[str]) -> Sentence:
    """The parts one after the other, each of which stays translatable."""
    values = {f"part{index}": part for index, part in enumerate(parts)}
    return Sentence(separator.join(f"%({name})s" for name in values), **values)


def to_json(text: str) -> Any:
    """A text as a JSON value: a string, or the template and values of a sentence."""
    if not isinstance(text, Sentence):
        return text
    values = {name: to_json(value) if isinstance(value, str) else value for name, value in text.values.items()}
    return {"template": text.template, "values": values}


def from_json(value: Any) -> str:
    """What `to_json` gave, in the reader's language."""
    if isinstance(value, str):
        return value
    values = {name: from_json(each) if isinstance(each, dict) else each for name, each in value["values"].items()}
    return Sentence(value["template"], **values)


def dumps(text: str) -> str:
    """A text as one line of JSON; empty when the text is."""
    return json.dumps(to_json(text), ensure_ascii=False) if text else ""


def loads(line: str) -> str:
    return from_json(json.loads(line)) if line else ""

"""The relative path that a file is known by."""

import re
import unicodedata

from dlmodeler_site.sentences import Sentence as _

MAX_COMPONENT_BYTES = 255
MAX_NAME_BYTES = 1024


class NameRefused(ValueError):
    """A file cannot be known by this name; the message says why in words for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def check_name(name: str) -> str:
    """The name normalised to NFC with `/` between folders.

    Raises:
        NameRefused: the name is empty, absolute, leaves its folder, is too long or holds control characters.
    """
    if not name or not name.strip():
        raise NameRefused(_("The file name is empty."))
    for character in name:
        # Control characters, lone surrogates, line and paragraph separators.
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise NameRefused(
                _(
                    "The file name %(name)s holds the control character %(character)s; rename the file.",
                    name=ascii(name),
                    character=f"U+{ord(character):04X}",
                )
            )
    path = unicodedata.normalize("NFC", name).replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:/", path):
        raise NameRefused(
            _(
                "The file name %(name)s is absolute; expected a path relative to the data's folder.",
                name=_short(path),
            )
        )
    for component in path.split("/"):
        if not component.strip():
            raise NameRefused(
                _(
                    "The file name %(name)s has an empty part; expected names with one / between them.",
                    name=_short(path),
                )
            )
        if component in (".", ".."):
            raise NameRefused(
                _(
                    "The file name %(name)s has the part “%(part)s”; only names of folders are allowed.",
                    name=_short(path),
                    part=component,
                )
            )
        size = len(component.encode())
        if size > MAX_COMPONENT_BYTES:
            raise NameRefused(
                _(
                    "The file name %(name)s is too long: at most %(most)d bytes, received %(size)d.",
                    name=_short(component),
                    most=MAX_COMPONENT_BYTES,
                    size=size,
                )
            )
    size = len(path.encode())
    if size > MAX_NAME_BYTES:
        raise NameRefused(
            _(
                "The path %(name)s is too long: at most %(most)d bytes with its folders, received %(size)d.",
                name=_short(path),
                most=MAX_NAME_BYTES,
                size=size,
            )
        )
    return path


def _short(text: str) -> str:
    return f"“{text}”" if len(text) <= 80 else f"“{text[:60]}…{text[-15:]}”"

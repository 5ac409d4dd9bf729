"""The relative path that a file is known by."""

import re
import unicodedata

MAX_COMPONENT_BYTES = 255
MAX_NAME_BYTES = 1024


def check_name(name: str) -> str:
    """The name normalised to NFC with `/` between folders.

    Raises:
        ValueError: the name is empty, absolute, leaves its folder, is too long or holds control characters; the
            message says which, in words for the user.
    """
    if not name or not name.strip():
        raise ValueError("The file name is empty.")
    for character in name:
        # Control characters, lone surrogates, line and paragraph separators.
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise ValueError(
                f"The file name {name!a} holds the control character U+{ord(character):04X}; rename the file."
            )
    path = unicodedata.normalize("NFC", name).replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:/", path):
        raise ValueError(f"The file name {_short(path)} is absolute; expected a path relative to the data's folder.")
    for component in path.split("/"):
        if not component.strip():
            raise ValueError(f"The file name {_short(path)} has an empty part; expected names with one / between them.")
        if component in (".", ".."):
            raise ValueError(
                f"The file name {_short(path)} has the part “{component}”; only names of folders are allowed."
            )
        size = len(component.encode())
        if size > MAX_COMPONENT_BYTES:
            raise ValueError(
                f"The file name {_short(component)} is too long: at most {MAX_COMPONENT_BYTES} bytes, received {size}."
            )
    size = len(path.encode())
    if size > MAX_NAME_BYTES:
        raise ValueError(
            f"The path {_short(path)} is too long: at most {MAX_NAME_BYTES} bytes with its folders, received {size}."
        )
    return path


def _short(text: str) -> str:
    return f"“{text}”" if len(text) <= 80 else f"“{text[:60]}…{text[-15:]}”"

"""The relative path that a file is known by."""

import re
import unicodedata

from dlmodeler_site.sentences import Sentence as _

MAX_COMPONENT_BYTES = 255
MAX_NAME_BYTES = 1024

_DRIVE = re.compile(r"[A-Za-z]:/")
_JUNK = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"})


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
    for character in "" if name.isprintable() else name:
        # Control characters, lone surrogates, line and paragraph separators.
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise NameRefused(
                _(
                    "The file name %(name)s holds the control character %(character)s; rename the file.",
                    name="".join(each if each.isprintable() else ascii(each)[1:-1] for each in name),
                    character=f"U+{ord(character):04X}",
                )
            )
    path = unicodedata.normalize("NFC", name).replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path):
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


class TakenNames:
    """The names of a data, of which no two are the same and none is a folder of another.

    Remembers 64-bit hashes: some 100 bytes a file, however long the names are.
    """

    def __init__(self) -> None:
        self._rows: set[int] = set()
        self._files: set[int] = set()
        self._folders: set[int] = set()
        self._last_folder = ""

    def __contains__(self, name: str) -> bool:
        return hash(name) in self._rows

    def reserve(self, name: str) -> None:
        """Take the name alone: there is no file, so that a folder may have the same name."""
        self._rows.add(hash(name))

    def claim(self, name: str) -> str:
        """Take the name for a file and answer "", or answer why it cannot be: "taken" or "in_the_way"."""
        if hash(name) in self._rows:
            return "taken"
        folder = name.rpartition("/")[0]
        folders = [] if folder == self._last_folder else [hash(each) for each in _folders(name)]
        if hash(name) in self._folders or not self._files.isdisjoint(folders):
            return "in_the_way"
        self._rows.add(hash(name))
        self._files.add(hash(name))
        self._folders.update(folders)
        self._last_folder = folder
        return ""


def last_folder(name: str) -> str:
    """The name of the folder that the file lies in; empty where it lies in none."""
    return name.rpartition("/")[0].rpartition("/")[2]


def is_junk(name: str) -> bool:
    """Whether the file is one that systems leave in folders by themselves, and no content of anybody's."""
    *folders, base = name.split("/")
    return base.startswith("._") or base.casefold() in _JUNK or "__MACOSX" in folders


def _folders(name: str) -> list[str]:
    """Every folder on the way to the file: `a` and `a/b` of `a/b/c`."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _short(text: str) -> str:
    return f"“{text}”" if len(text) <= 80 else f"“{text[:60]}…{text[-15:]}”"

"""The levels of a path browser (docs/pages.md): one is answered for each folder that is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


@dataclass(frozen=True)
class Node:
    """A row: a folder has the url of what is below it, or that itself; what can be chosen has value and path."""

    label: str
    url: str = ""
    below: Level | None = None  # shown at once, opened
    value: str = ""
    path: str = ""
    note: str = ""
    icon: str = ""
    is_disabled: bool = False


@dataclass(frozen=True)
class Level:
    """What lies in a folder, what is said where nothing does, and the url of the rest where this is a part."""

    nodes: Sequence[Node]
    empty: str
    more: str = ""


def root(path: str, level: Level) -> Level:
    """The uppermost folder, which is open from the start."""
    return Level([Node(path, below=level)], empty="")


def answer(request: HttpRequest, level: Level) -> HttpResponse:
    """The level as the fragment that the path browser asked for."""
    return render(request, "_tree.html", {"level": level})

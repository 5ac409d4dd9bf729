"""Reading what an address asks for."""

from django.http import HttpRequest


def whole_number(request: HttpRequest, name: str) -> int | None:
    """The query parameter as a number; None where it is missing or is none."""
    return as_whole_number(request.GET.get(name, ""))


def as_whole_number(text: str) -> int | None:
    """The text as a number that fits a database's id; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

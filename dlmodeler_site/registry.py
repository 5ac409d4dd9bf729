"""Where apps register what the layer below them shows or runs without knowing them.

It imports no model, so that apps.py can use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db.models import Model
from django.utils.translation import gettext as _

from dlmodeler_site.errors import Conflict

if TYPE_CHECKING:
    from dlmodeler_site.work.models import Work


@dataclass(frozen=True)
class Duty:
    """Something the keeper process does again and again."""

    name: str
    every_s: float
    run: Callable[[], None]
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Dependant:
    """An object that stands in the way of a deletion: what it is, and its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} “{self.name}”"


@dataclass(frozen=True)
class LineageNode:
    """Something that was made: what it is and where its page is. `detail` is a few words beside its name."""

    kind: str  # data, training, deployment, prediction_job
    pk: int
    name: str
    status: str
    page: str
    detail: str = ""
    steps: tuple[str, ...] = ()


MOST_DESCENDANTS = 200  # that one query yields

# (user, ids of things of a kind) -> each with what was made from it, newest first
Descendants = Callable[[Any, list[int]], Iterable[tuple[int, LineageNode]]]

duties: list[Duty] = []
_dependants: list[Callable[[Model], Iterator[Dependant]]] = []
_descendants: dict[str, list[Descendants]] = {}
_contents: list[Callable[[Model], None]] = []
_counters: dict[str, Callable[[list[int]], dict[int, int]]] = {}


def register_duty(
    name: str, *, every_s: float, run: Callable[[], None], close: Callable[[], None] = lambda: None
) -> None:
    """`run` is called every `every_s` seconds in a thread of its own, `close` once at the end."""
    duties.append(Duty(name, every_s, run, close))


def register_dependants(find: Callable[[Model], Iterator[Dependant]]) -> None:
    """`find(row)` yields what uses `row`; rows it does not know give nothing."""
    _dependants.append(find)


def dependants(row: Model) -> list[Dependant]:
    """What uses `row` and so refuses its deletion."""
    return [dependant for find in _dependants for dependant in find(row)]


def refuse_if_in_use(name: str, used_by: Iterable[Dependant]) -> None:
    """Raises Conflict, naming them, when anything stands in the way of deleting what is called `name`."""
    named = list(dict.fromkeys(map(str, used_by)))
    if named:
        raise Conflict(
            _("“%(name)s” cannot be deleted now, because of: %(used_by)s. Stop or delete these first.")
            % {"name": name, "used_by": ", ".join(named)},
            reason="in_use",
            details={"used_by": named},
        )


def register_descendants(kind: str, find: Descendants) -> None:
    """`find(user, ids)` yields what was made from the things of `kind` with these ids, by one query."""
    _descendants.setdefault(kind, []).append(find)


def descendants(kind: str, user: Any, ids: list[int]) -> Iterator[tuple[int, LineageNode]]:
    """What `user` may see of what was made from the things of `kind`."""
    for find in _descendants.get(kind, ()):
        yield from find(user, ids)


def register_contents(delete: Callable[[Model], None]) -> None:
    """`delete(project)` deletes, with their files, the app's rows that lie in the project."""
    _contents.append(delete)


def delete_contents(project: Model) -> None:
    """Empty the project, the uppermost layer first."""
    for delete in reversed(_contents):
        delete(project)


def register_counter(name: str, count: Callable[[list[int]], dict[int, int]]) -> None:
    """`count(project ids)` answers a number for each project, for the project cards."""
    _counters[name] = count


def counts(project_ids: list[int]) -> dict[str, dict[int, int]]:
    """All registered counters for the projects, one query each."""
    return {name: count(project_ids) for name, count in _counters.items()}


def work_models() -> list[type[Work]]:
    """Every kind of work that the installed apps define."""
    from dlmodeler_site.work.models import Work

    return [model for model in apps.get_models() if issubclass(model, Work)]

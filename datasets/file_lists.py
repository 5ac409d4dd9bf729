"""The files of a data as a list that is filtered, sorted and paged, as fast for 200,000 files as for ten.

Every question is answered from an index: of facts (label, state, sizes) or of names; rows are read for one page only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, overload

from django.core.paginator import Page, Paginator
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.utils.translation import gettext as _

from datasets.models import Data, File
from datasets.preprocessing.parameters import MAX_NAMES
from dlmodeler_site.errors import UserError
from dlmodeler_site.parameters import as_whole_number
from dlmodeler_site.work.models import Status

KIB = 1024
_PIXELS = F("width") * F("height")
ORDERS: dict[str, tuple[Any, ...]] = {
    "": ("pk",),
    "name": ("name",),
    "-name": ("-name",),
    "size": ("size_bytes", "pk"),
    "-size": ("-size_bytes", "-pk"),
    # The whole index of facts, so that nothing is sorted.
    "label": ("label", "state", "content", "size_bytes", "width", "height", "pk"),
    "-label": ("-label", "-state", "-content", "-size_bytes", "-width", "-height", "-pk"),
    "pixels": (OrderBy(_PIXELS, nulls_last=True), "pk"),
    "-pixels": (OrderBy(_PIXELS, descending=True, nulls_last=True), "-pk"),
}
Ends = tuple[int | None, int | None]
_PER_PAGE = 100
_MAX_KIB = 2**40


@dataclass(frozen=True)
class FileFilter:
    """What a list of files shows. Sizes are inclusive; `label` None: whatever it is, "": none."""

    search: str = ""
    state: str = ""
    label: str | None = None
    content: str = ""
    size_bytes: Ends = (None, None)
    width: Ends = (None, None)
    height: Ends = (None, None)
    order: str = ""

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> FileFilter:
        """What an address asks for; what makes no sense is left out."""
        state, content, order = (query.get(name, "") for name in ("state", "content", "sort"))
        label = query.get("label", "") or None
        return cls(
            search=query.get("search", "").strip(),
            state=state if state in File.State.values else "",
            label="" if query.get("unlabelled") else label,
            content=content if content in Data.Content.values else "",
            size_bytes=(_bytes(query.get("min_kb", "")), _bytes(query.get("max_kb", ""))),
            order=order if order in ORDERS else "",
            width=_range(query, "width"),
            height=_range(query, "height"),
        )

    @property
    def facts(self) -> Q:
        """All but the search and the state."""
        found = Q()
        if self.label is not None:
            found &= Q(label=self.label)
        if self.content:
            found &= Q(content=self.content)
        for column in ("size_bytes", "width", "height"):
            least, most = getattr(self, column)
            if least is not None:
                found &= Q(**{f"{column}__gte": least})
            if most is not None:
                found &= Q(**{f"{column}__lte": most})
        return found

    @property
    def is_narrow(self) -> bool:
        """Whether it shows other files than those of a state."""
        return bool(self.search or self.facts)

    @property
    def is_detailed(self) -> bool:
        """Whether it is narrow by more than search and label."""
        return bool(replace(self, label=None).facts or self.label == "")


def matching(data_pk: int, wanted: FileFilter, *, are_most: bool = False) -> QuerySet[File]:
    """The files, in no order. `are_most`: it is known that more of the files match than do not."""
    files = File.objects.filter(data=data_pk).order_by()
    facts = wanted.facts & Q(state=wanted.state) if wanted.state else wanted.facts
    found = files
    # Each part by itself, or a database reads every row of which the index that it goes along holds only a part.
    if facts and wanted.order in ("name", "-name"):
        found = (
            found.exclude(pk__in=files.exclude(facts).values("pk"))
            if are_most
            else found.filter(pk__in=files.filter(facts).values("pk"))
        )
    elif facts:
        found = found.filter(facts)
    sought = Q(name__icontains=wanted.search)
    if wanted.search and wanted.order in ("name", "-name"):
        found = found.filter(sought)
    elif wanted.search:
        found = (
            found.exclude(pk__in=files.exclude(sought).values("pk"))
            if are_most
            else found.filter(pk__in=files.filter(sought).values("pk"))
        )
    return found


def count(data: Data, wanted: FileFilter) -> int:
    """How many files match; not counted where that is known."""
    if data.status != Status.COMPLETED:
        return _count(data.pk, wanted)
    if not wanted.is_narrow:
        counted = {File.State.OK: data.file_count, File.State.REJECTED: data.rejected_count}
        return counted.get(File.State(wanted.state), 0) if wanted.state else sum(counted.values())
    return _count_once(data.pk, data.changed_at, replace(wanted, order=""))


@lru_cache(maxsize=2000)
def _count_once(data_pk: int, _changed_at: datetime, wanted: FileFilter) -> int:
    """The files of a completed data do not change any more."""
    return _count(data_pk, wanted)


def _count(data_pk: int, wanted: FileFilter) -> int:
    """Each file once: to read rows is quicker than to gather the ids of all that one part matches."""
    found = File.objects.filter(wanted.facts, data=data_pk).order_by()
    if wanted.state:
        found = found.filter(state=wanted.state)
    if wanted.search:
        found = found.filter(name__icontains=wanted.search)
    return found.count()


def names(data: Data, wanted: FileFilter) -> list[str]:
    """The names of all sound files that match.

    Raises:
        UserError: they are more than a step takes.
    """
    found = list(matching(data.pk, wanted).filter(state=File.State.OK).values_list("name", flat=True)[: MAX_NAMES + 1])
    if len(found) > MAX_NAMES:
        raise UserError(
            _(
                "At most %(most)d files can be chosen at once, and more than that match. "
                "Narrow the filter, or make the new data in several rounds."
            )
            % {"most": MAX_NAMES},
            reason="too_many_files",
        )
    return found


class _Rows(Sequence[File]):
    """The matching files as a paginator slices them: ids from an index, then the rows of these."""

    ordered = True

    def __init__(self, data: Data, wanted: FileFilter) -> None:
        self.data, self.wanted = data, wanted
        self.total = count(data, wanted)

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, wanted: int) -> File: ...

    @overload
    def __getitem__(self, wanted: slice) -> list[File]: ...

    def __getitem__(self, wanted: int | slice) -> File | list[File]:
        if isinstance(wanted, int):
            return self[wanted : wanted + 1][0]
        first, last = wanted.start, min(wanted.stop, self.total)
        are_most = 2 * self.total > self.data.file_count + self.data.rejected_count > 0
        found = matching(self.data.pk, self.wanted, are_most=are_most).order_by(*ORDERS[self.wanted.order])
        if is_far := first > self.total // 2:  # nearer from the other end
            found, (first, last) = found.reverse(), (self.total - last, self.total - first)
        ids = list(found.values_list("pk", flat=True)[first:last])
        rows = self.data.files.in_bulk(ids)
        ids = ids[::-1] if is_far else ids
        return [rows[pk] for pk in ids if pk in rows]  # a list that is not completed may change in between


@dataclass(frozen=True)
class Listing:
    """A page of files, as the foot of a table takes it."""

    page: Page[Any]
    paginator: Paginator[Any]
    prefixed_page_field: str = "page"
    prefixed_per_page_field: str = "per_page"


def listing(data: Data, wanted: FileFilter, *, page: int | None, per_page: int | None) -> Listing:
    """The page, or the last one where there are not so many."""
    paginator: Paginator[Any] = Paginator(_Rows(data, wanted), max(1, min(per_page or _PER_PAGE, _PER_PAGE)))
    return Listing(paginator.get_page(page or 1), paginator)


def _range(query: Mapping[str, str], name: str) -> Ends:
    return as_whole_number(query.get(f"min_{name}", "")), as_whole_number(query.get(f"max_{name}", ""))


def _bytes(kib: str) -> int | None:
    try:
        number = float(kib)
    except ValueError:
        return None
    return round(number * KIB) if 0 <= number <= _MAX_KIB else None

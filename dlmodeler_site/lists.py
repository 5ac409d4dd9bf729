"""What every list page shares: the search bar's fields, and tables that are sorted and paged by the address."""

from datetime import datetime, time, timedelta
from typing import Any, TypeVar

from django.core.paginator import EmptyPage
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date
from django.utils.timezone import make_aware
from django_tables2 import RequestConfig, Table

from dlmodeler_site.parameters import whole_number

PER_PAGE = 25
MAX_PER_PAGE = 100

T = TypeVar("T", bound=Table)


def searched(queryset: QuerySet[Any], request: HttpRequest, *, fields: tuple[str, ...]) -> QuerySet[Any]:
    """The rows with every word of `?search=` in a field, made from `?created_after=` to `?created_before=`."""
    for word in request.GET.get("search", "").split():
        queryset = queryset.filter(Q.create([(f"{field}__icontains", word) for field in fields], connector=Q.OR))
    if first := _midnight(request.GET.get("created_after", "")):
        queryset = queryset.filter(created_at__gte=first)
    if last := _midnight(request.GET.get("created_before", "")):
        queryset = queryset.filter(created_at__lt=last + timedelta(days=1))
    return queryset


def is_searched(request: HttpRequest) -> bool:
    """Whether an empty list may be so because of the search."""
    return any(request.GET.get(name) for name in ("search", "created_after", "created_before"))


def paged(table: T, request: HttpRequest) -> T:
    """The table sorted by `?sort=`, at the page `?page=` of `?per_page=` rows."""
    size = min(whole_number(request, "per_page") or PER_PAGE, MAX_PER_PAGE)
    RequestConfig(request, paginate=False).configure(table)
    try:
        table.paginate(page=whole_number(request, "page") or 1, per_page=size)
    except EmptyPage:
        table.page = table.paginator.get_page(table.paginator.num_pages)
    return table


def _midnight(text: str) -> datetime | None:
    try:
        day = parse_date(text)
    except ValueError:  # well formed, but no such day
        return None
    return make_aware(datetime.combine(day, time())) if day else None

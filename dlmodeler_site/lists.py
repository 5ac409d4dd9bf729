"""What every list page shares: the search bar's fields, and tables that are sorted and paged by the address."""

from datetime import datetime, time, timedelta
from typing import Any, TypeVar

from django.core.paginator import EmptyPage
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date
from django.utils.timezone import make_aware
from django_tables2 import RequestConfig, Table

PER_PAGE = 10
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


def paged(table: T, request: HttpRequest, *, per_page: int = PER_PAGE) -> T:
    """The table sorted by `?sort=`, at the page `?page=` of `?per_page=` rows."""
    wanted = request.GET.get("per_page", "")
    size = min(int(wanted), MAX_PER_PAGE) if wanted.isdigit() and int(wanted) else per_page
    RequestConfig(request, paginate=False).configure(table)
    page = request.GET.get("page", "")
    try:
        table.paginate(page=int(page) if page.isdigit() else 1, per_page=size)
    except EmptyPage:
        table.page = table.paginator.get_page(table.paginator.num_pages)
    return table


def _midnight(text: str) -> datetime | None:
    try:
        day = parse_date(text)
    except ValueError:  # well formed, but no such day
        return None
    return make_aware(datetime.combine(day, time())) if day else None

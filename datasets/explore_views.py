"""What is in a data and what is wrong with it, drawn from its profile: one row, however many files there are."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from datasets.data_views import data_frame
from datasets.explore import charts, classes, columns, extremes, groups
from datasets.file_views import mendable
from datasets.findings import findings
from datasets.models import Data, File
from datasets.previews import first_rows
from datasets.profile import profile
from datasets.reasons import title_of
from dlmodeler_site.access import get_visible
from dlmodeler_site.parameters import whole_number
from dlmodeler_site.work.models import Status

_data = Data.objects.select_related("dataset__project", "connection")
_ALIKE = ("duplicates", "near_duplicates")
_EXTREMES = ("dark", "bright")


@login_required
@require_safe
def data_explore(request: HttpRequest, pk: int) -> HttpResponse:
    """Findings, charts, classes, duplicates and columns."""
    data = get_visible(_data, request.user, pk=pk)
    told = profile(data)
    context = data_frame(request, data, _("Explore"), tab="explore", **_explored(data, told))
    return render(request, "datasets/explore.html", mendable(context))


@login_required
@require_safe
def data_explore_now(request: HttpRequest, pk: int) -> HttpResponse:
    """The same as a fragment, while the work goes on."""
    data = get_visible(_data, request.user, pk=pk)
    context = data_frame(request, data, _("Explore"), **_explored(data, profile(data)))
    return render(request, "datasets/_explore.html", mendable(context))


@login_required
@require_safe
def data_classes(request: HttpRequest, pk: int) -> HttpResponse:
    """A page of the classes."""
    data = get_visible(_data, request.user, pk=pk)
    context = data_frame(request, data, "", classes=classes(profile(data), whole_number(request, "page")))
    return render(request, "datasets/_classes.html", mendable(context))


@login_required
@require_safe
def data_alike(request: HttpRequest, pk: int) -> HttpResponse:
    """A page of the groups of equal files, or with `?near=1` of images that look alike."""
    data = get_visible(_data, request.user, pk=pk)
    is_near = bool(whole_number(request, "near"))
    told = profile(data)[_ALIKE[is_near]]
    page = groups(data, told, whole_number(request, "page"))
    context = data_frame(request, data, "", groups=page, is_near=is_near, told=told)
    return render(request, "datasets/_alike.html", mendable(context))


@login_required
@require_safe
def data_extremes(request: HttpRequest, pk: int) -> HttpResponse:
    """A page of the very dark images, or with `?bright=1` of the very bright ones."""
    data = get_visible(_data, request.user, pk=pk)
    is_bright = bool(whole_number(request, "bright"))
    found = extremes(data, profile(data)[_EXTREMES[is_bright]], whole_number(request, "page"))
    context = data_frame(request, data, "", found=found, is_bright=is_bright)
    return render(request, "datasets/_extremes.html", mendable(context))


@login_required
@require_safe
def data_columns(request: HttpRequest, pk: int) -> HttpResponse:
    """A page of the columns of a table (`?table=`, from 0)."""
    data = get_visible(_data, request.user, pk=pk)
    tables = profile(data)["tables"] or []
    place = whole_number(request, "table") or 0
    if place >= len(tables):
        raise Http404
    context = {"data": data, **_table(data, tables, place, whole_number(request, "page"))}
    return render(request, "datasets/_columns.html", context)


def _explored(data: Data, told: dict[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = {
        "told": told,
        "findings": findings(data, told),
        "charts": charts(told),
        "classes": classes(told, 1),
        "labels": [each["label"] for each in told["labels"]],
        "reasons": [(title_of(reason), count) for reason, count in told["reasons"].items()],
        "alike": [
            {"is_near": bool(place), "told": told[name], "groups": groups(data, told[name], 1)}
            for place, name in enumerate(_ALIKE)
            if told[name] and told[name]["groups"]
        ],
    }
    context["extremes"] = [
        {"is_bright": bool(place), "found": extremes(data, told[name], 1)}
        for place, name in enumerate(_EXTREMES)
        if told[name] and told[name]["count"]
    ]
    if told["tables"]:
        context |= _table(data, told["tables"], 0, 1)
    return context


def _table(data: Data, tables: list[dict[str, Any]], place: int, page: int | None) -> dict[str, Any]:
    """The columns of a table, and its first rows once it is in its place."""
    table = tables[place]
    rows: list[list[str]] = []
    if data.status == Status.COMPLETED:
        file = data.files.filter(name=table["name"], state=File.State.OK).first()
        rows = first_rows(data, file) if file else []
    titles = [each["name"] for each in tables]
    return {
        "table": table,
        "tables": titles,
        "table_place": place,
        "table_place_text": str(place),
        "columns": columns(table, page),
        "rows": rows,
    }

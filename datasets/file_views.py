"""The list of a data's files."""

from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from datasets.content import browsers_show
from datasets.data_views import data_frame
from datasets.file_lists import FileFilter, count, listing, names
from datasets.models import Data, File
from datasets.profile import profile
from dlmodeler_site.access import get_visible
from dlmodeler_site.errors import UserError
from dlmodeler_site.parameters import whole_number
from dlmodeler_site.work.models import Status

_LIST_PER_PAGE, _GRID_PER_PAGE = 25, 60

_data = Data.objects.select_related("dataset__project", "connection")


@login_required
@require_safe
def data_files(request: HttpRequest, pk: int) -> HttpResponse:
    """The data's files as a grid or a list (`?view=list`)."""
    data = get_visible(_data, request.user, pk=pk)
    is_grid = (
        request.GET.get("view", "list" if data.content in (Data.Content.TABLE, Data.Content.TEXT) else "") != "list"
    )
    wanted = FileFilter.asked(request.GET)
    per_page = whole_number(request, "per_page") or (_GRID_PER_PAGE if is_grid else _LIST_PER_PAGE)
    files = listing(data, wanted, page=whole_number(request, "page"), per_page=per_page)
    told = profile(data)
    for file in files.page:
        file.is_shown = browsers_show(file)
    context: dict[str, Any] = {
        "table": files,
        "files": files.page,
        "wanted": wanted,
        "states": File.State.choices,
        "contents": [choice for choice in Data.Content.choices if choice[0] in told["contents"]],
        "labels": [each["label"] for each in told["labels"]],
        "choosable": _choosable(data, wanted, files.paginator.count),
        "is_filtered": wanted.is_narrow or bool(wanted.state),
        "is_grid": is_grid,
        "tab": "files",
    }
    return render(request, "datasets/files.html", mendable(data_frame(request, data, _("Files"), **context)))


def _choosable(data: Data, wanted: FileFilter, total: int) -> int:
    """How many of the files that match can be changed: the sound ones."""
    if wanted.state or not data.rejected_count:
        return total if wanted.state in ("", File.State.OK) else 0
    return count(data, replace(wanted, state=File.State.OK))


def mendable(context: dict[str, Any]) -> dict[str, Any]:
    """The context of a page, with whether its user may mend its data."""
    return context | {"can_mend": context["can_edit"] and context["data"].status == Status.COMPLETED}


@login_required
@require_safe
def data_file_names(request: HttpRequest, pk: int) -> JsonResponse:
    """The names of all sound files that match, to be changed at once; an error where a step does not take so many."""
    data = get_visible(Data.objects.all(), request.user, pk=pk)
    try:
        return JsonResponse({"names": names(data, FileFilter.asked(request.GET))})
    except UserError as error:
        return JsonResponse(error.body(), status=error.status)

"""What is remarkable about a data, in words: what was found, why it matters, and what mends it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.models import Data

FEW_IN_CLASS = 10
_UNEVEN = 10  # times as many files as another class
_SMALL_PX = 32
_MISSING_SHARE = 0.5
_NAMED = 5


@dataclass(frozen=True)
class Action:
    """Leads to a page, or is a step of the new data."""

    title: str
    href: str = ""
    step: dict[str, Any] | None = None

    @property
    def step_json(self) -> str:
        return json.dumps(self.step)


@dataclass(frozen=True)
class Finding:
    kind: str  # danger, warning or info
    title: str
    why: str
    actions: tuple[Action, ...] = field(default=())


def findings(data: Data, profile: dict[str, Any]) -> list[Finding]:
    """The worst first."""
    files = reverse("datasets:data-files", args=[data.pk])
    found = [
        *_refused(profile, files),
        *_duplicates(profile),
        *_labels(profile, files),
        *_looks(data, profile, files),
        *_columns(profile),
        *_skipped(profile),
    ]
    order = ("danger", "warning", "info")
    return sorted(found, key=lambda each: order.index(each.kind))


def _refused(profile: dict[str, Any], files: str) -> Iterator[Finding]:
    if count := profile["rejected"]:
        yield Finding(
            "danger",
            ngettext("%(count)d file was refused", "%(count)d files were refused", count) % {"count": count},
            _("Refused files are in no training and in nothing that is made from this data."),
            (
                Action(_("Show them"), f"{files}?state=rejected"),
                Action(_("Make a version without them"), step={"op": "drop_rejected"}),
            ),
        )


def _skipped(profile: dict[str, Any]) -> Iterator[Finding]:
    if count := profile["skipped"]:
        yield Finding(
            "info",
            ngettext("%(count)d file was skipped", "%(count)d files were skipped", count) % {"count": count},
            _("Operating systems put files such as .DS_Store and __MACOSX into archives; they are no data."),
        )


def _duplicates(profile: dict[str, Any]) -> Iterator[Finding]:
    yield from _alike(
        profile["duplicates"],
        ngettext(
            "%(count)d file is an exact duplicate",
            "%(count)d files are exact duplicates",
            _surplus(profile, "duplicates"),
        ),
        _("What is there twice counts twice in training, and a test on it tells too much."),
        near=False,
    )
    yield from _alike(
        profile["near_duplicates"],
        ngettext(
            "%(count)d image looks like another one",
            "%(count)d images look like another one",
            _surplus(profile, "near_duplicates"),
        ),
        _("Copies in another size or quality, or shots of a moment: a test on them tells too much."),
        near=True,
    )


def _surplus(profile: dict[str, Any], name: str) -> int:
    return int((profile[name] or {}).get("files", 0))


def _alike(told: dict[str, Any] | None, title: str, why: str, *, near: bool) -> Iterator[Finding]:
    if not told or not told["files"]:
        return
    step = {"op": "drop_duplicates", "near": near}
    keep = Action(_("Keep one of each"), step={**step, "across_labels": "keep_first"})
    title = title % {"count": told["files"]}
    across = told["across_labels"]
    show = Action(_("Show them"), "#near" if near else "#exact")
    if not across:
        yield Finding("info" if near else "warning", title, why, (show, keep))
        return
    words = ngettext("%(count)d group has different labels", "%(count)d groups have different labels", across)
    yield Finding(
        "warning" if near else "danger",
        f"{title}; {words % {'count': across}}",
        f"{why} {_('Different labels for the same image cannot both be right.')}",
        (show, keep, Action(_("Keep none with different labels"), step={**step, "across_labels": "drop_all"})),
    )


def _labels(profile: dict[str, Any], files: str) -> Iterator[Finding]:
    labels: list[dict[str, Any]] = profile["labels"]
    if not labels:
        return
    if count := profile["unlabelled"]:
        yield Finding(
            "warning",
            ngettext("%(count)d file has no label", "%(count)d files have no label", count) % {"count": count},
            _("The others have one. What has none is not learned from."),
            (Action(_("Show them"), f"{files}?unlabelled=1"),),
        )
    few = [each for each in labels if each["count"] < FEW_IN_CLASS]
    if few and len(labels) > 1:
        named = ", ".join(f"“{each['label']}” ({each['count']})" for each in few[-_NAMED:])
        title = ngettext(
            "%(count)d class has fewer than %(few)d files", "%(count)d classes have fewer than %(few)d files", len(few)
        )
        yield Finding(
            "warning",
            title % {"count": len(few), "few": FEW_IN_CLASS},
            _("A model learns little from so few: %(labels)s. Add files, or give the class another one's label.")
            % {"labels": f"{named}, …" if len(few) > _NAMED else named},
            (Action(_("Show the classes"), "#classes"),),
        )
    most, least = labels[0], labels[-1]
    if not few and most["count"] > _UNEVEN * least["count"] and not profile["other_labels"]["labels"]:
        yield Finding(
            "warning",
            _("The largest class has %(times)d times as many files as the smallest")
            % {"times": most["count"] // least["count"]},
            _("A model then prefers “%(most)s” to “%(least)s”, and its accuracy looks better than it is.")
            % {"most": most["label"], "least": least["label"]},
            (Action(_("Show the classes"), "#classes"),),
        )
    for label, other in _alike_labels(labels)[:_NAMED]:
        yield Finding(
            "warning",
            _("The labels “%(one)s” and “%(other)s” differ only in how they are written")
            % {"one": other, "other": label},
            _("They are two classes to a model."),
            (
                Action(
                    _("Make “%(label)s” of both") % {"label": label},
                    step={"op": "rename_label", "from": other, "to": label},
                ),
            ),
        )


def _alike_labels(labels: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Pairs of labels that differ in case, spaces and hyphens alone, the more frequent first."""
    first: dict[str, str] = {}
    pairs = []
    for each in labels:
        written = re.sub(r"[\s_-]+", "", each["label"]).casefold()
        if written in first:
            pairs.append((first[written], each["label"]))
        elif written:
            first[written] = each["label"]
    return pairs


def _looks(data: Data, profile: dict[str, Any], files: str) -> Iterator[Finding]:
    change = Action(
        _("Preprocess"), f"{reverse('datasets:preprocess', args=[data.project.pk])}?{urlencode({'data': data.pk})}"
    )
    if count := _extremes(profile, "dark"):
        yield Finding(
            "info",
            ngettext("%(count)d image is very dark", "%(count)d images are very dark", count) % {"count": count},
            _("There may be nothing to see in them. The brightness step lightens all images."),
            (Action(_("Show them"), "#dark"), change),
        )
    if count := _extremes(profile, "bright"):
        yield Finding(
            "info",
            ngettext("%(count)d image is very bright", "%(count)d images are very bright", count) % {"count": count},
            _("There may be nothing to see in them: blank pages, or overexposed photos."),
            (Action(_("Show them"), "#bright"),),
        )
    for side, title in (
        ("width", _("Some images are less than %(px)d pixels wide")),
        ("height", _("Some images are less than %(px)d pixels high")),
    ):
        if profile[side] and profile[side]["min"] < _SMALL_PX:
            yield Finding(
                "info",
                title % {"px": _SMALL_PX},
                _("Enlarged to the size that a model takes they show little; icons are often among them."),
                (Action(_("Show them"), f"{files}?max_{side}={_SMALL_PX - 1}"),),
            )


def _extremes(profile: dict[str, Any], name: str) -> int:
    return int((profile[name] or {}).get("count", 0))


def _columns(profile: dict[str, Any]) -> Iterator[Finding]:
    for table in profile["tables"] or ():
        columns = table["columns"]
        where = f" ({table['name']})" if len(profile["tables"]) > 1 else ""
        gaps = [each for each in columns if table["rows"] and each["missing"] > _MISSING_SHARE * table["rows"]]
        odd = [each for each in columns if each["mismatched"]]
        if gaps:
            yield Finding(
                "warning",
                ngettext("%(count)d column is mostly empty", "%(count)d columns are mostly empty", len(gaps))
                % {"count": len(gaps)}
                + where,
                _named(gaps),
                (Action(_("Show the columns"), "#columns"),),
            )
        if odd:
            yield Finding(
                "warning",
                ngettext(
                    "%(count)d column has values of another type",
                    "%(count)d columns have values of another type",
                    len(odd),
                )
                % {"count": len(odd)}
                + where,
                _named(odd),
                (Action(_("Show the columns"), "#columns"),),
            )


def _named(columns: list[dict[str, Any]]) -> str:
    names = ", ".join(f"“{each['name']}”" for each in columns[:_NAMED])
    return f"{names}, …" if len(columns) > _NAMED else names

"""What data were made from and what was made from them: data, then what the apps above registered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.models import Data, Dataset
from datasets.steps import described_steps
from dlmodeler_site.access import User
from dlmodeler_site.registry import MOST_DESCENDANTS, LineageNode, descendants
from dlmodeler_site.work.models import Status

MOST_DATA = 500
MOST_ROWS = 100
MOST_GUIDES = 8
MOST_DEPTH = 100
KINDS = ("data", "training", "deployment", "prediction_job")  # each is made from those before it


@dataclass
class Branch:
    """A thing with everything that was made from it. `is_here`: the one that is asked about."""

    node: LineageNode
    children: list["Branch"] = field(default_factory=list)
    is_here: bool = False


@dataclass(frozen=True)
class Lineage:
    """`ancestors`: what the data was made from, the first first. `is_cut`: not everything is in it."""

    ancestors: list[LineageNode]
    here: Branch
    is_cut: bool = False

    def tree(self) -> Branch:
        """From the first ancestor down to everything that was made from the data."""
        tree = self.here
        for node in reversed(self.ancestors):
            tree = Branch(node, [tree])
        return tree


def lineage_of(data: Data, user: User) -> Lineage:
    """The data's lineage, as far as `user` may see it. The number of queries does not depend on it."""
    branches, parents = _branches(data.dataset)
    here = branches.setdefault(data.pk, Branch(_node(data)))
    here.is_here = True
    ancestors = []
    above = parents.get(data.pk)
    while above is not None and above in branches:
        ancestors.append(branches[above].node)
        above = parents[above]
    is_cut = _grow([here], user)
    return Lineage(ancestors[::-1], here, is_cut or len(branches) >= MOST_DATA)


def lineage_of_dataset(dataset: Dataset, user: User) -> tuple[list[Branch], bool]:
    """The data of the dataset that were made from none other, with what was made from them; whether that is cut."""
    branches, parents = _branches(dataset)
    roots = [branch for pk, branch in branches.items() if parents[pk] not in branches]
    is_cut = _grow(roots, user)
    return roots, is_cut or len(branches) >= MOST_DATA


def _branches(dataset: Dataset) -> tuple[dict[int, Branch], dict[int, int | None]]:
    """The newest data of the dataset, each with the data that were made from it, and their parents."""
    columns = ("name", "status", "kind", "parent", "steps_in_brief", "file_count")
    rows = list(Data.objects.filter(dataset=dataset).only(*columns).order_by("-pk")[:MOST_DATA])[::-1]
    branches = {row.pk: Branch(_node(row)) for row in rows}
    parents = {row.pk: row.parent_id for row in rows}
    for pk, parent in parents.items():
        if parent in branches:
            branches[parent].children.append(branches[pk])
    return branches, parents


def _node(data: Data) -> LineageNode:
    files = ngettext("%(count)s file", "%(count)s files", data.file_count) % {"count": data.file_count}
    if data.kind == Data.Kind.RAW:
        files = _("raw data, %(files)s") % {"files": files} if data.status == Status.COMPLETED else _("raw data")
    elif data.status != Status.COMPLETED:
        files = ""
    page = reverse("datasets:data", args=[data.pk])
    return LineageNode(
        "data", data.pk, data.name, data.status, page, files, tuple(described_steps(data.steps_in_brief))
    )


def _grow(roots: list[Branch], user: User) -> bool:
    """Add what the apps above made of the data, kind by kind; whether there may be more than was added."""
    is_cut = False
    for kind in KINDS:
        here = _of_kind(roots, kind)
        added = 0
        for pk, node in descendants(kind, user, list(here)) if here else ():
            added += 1
            for branch in here[pk]:
                branch.children.append(Branch(node))
        is_cut = is_cut or added >= MOST_DESCENDANTS
    _leave_out_twice_shown(roots)
    return is_cut


def _leave_out_twice_shown(roots: list[Branch]) -> None:
    """A prediction job is made from a deployment and from data: where both are in the tree, it is with the former."""
    deployments = [branch for found in _of_kind(roots, "deployment").values() for branch in found]
    with_deployment = {child.node.pk for branch in deployments for child in branch.children}
    for branches in _of_kind(roots, "data").values():
        for branch in branches:
            branch.children = [
                child
                for child in branch.children
                if child.node.kind != "prediction_job" or child.node.pk not in with_deployment
            ]


def _of_kind(roots: list[Branch], kind: str) -> dict[int, list[Branch]]:
    """The branches of things of the kind, by id: a training on two data is on both of them."""
    found: dict[int, list[Branch]] = {}
    waiting = [*roots]
    while waiting:
        branch = waiting.pop()
        if branch.node.kind == kind:
            found.setdefault(branch.node.pk, []).append(branch)
        waiting += branch.children
    return found


# -- Shown ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of the tree as pages draw it: what is left of it (line, gap, tee, corner), and the thing."""

    guides: tuple[str, ...]
    node: LineageNode
    is_here: bool


def drawn(roots: list[Branch], *, is_cut: bool) -> dict[str, Any]:
    """The context of the fragment that shows the trees line by line, the first `MOST_ROWS` lines."""
    rows = _rows(roots)
    return {"lineage": rows[:MOST_ROWS], "lineage_is_cut": is_cut or len(rows) > MOST_ROWS}


def _rows(roots: list[Branch]) -> list[Row]:
    """What lies very deep moves no further to the right."""
    rows: list[Row] = []
    waiting: list[tuple[Branch, tuple[str, ...], str]] = [(root, (), "") for root in reversed(roots)]
    while waiting:
        branch, above, own = waiting.pop()
        guides = (*above, own) if own else above
        rows.append(Row(guides[-MOST_GUIDES:], branch.node, branch.is_here))
        below = (*above, "line" if own == "tee" else "gap") if own else above
        last = len(branch.children) - 1
        for number, child in reversed(list(enumerate(branch.children))):
            waiting.append((child, below, "corner" if number == last else "tee"))
    return rows


def as_json(branch: Branch, page_url: Callable[[str], str], *, depth: int = MOST_DEPTH) -> dict[str, Any]:
    """The branch as the API answers it."""
    children = [as_json(child, page_url, depth=depth - 1) for child in branch.children] if depth else []
    return {**node_as_json(branch.node, page_url), "children": children}


def node_as_json(node: LineageNode, page_url: Callable[[str], str]) -> dict[str, Any]:
    return {
        "kind": node.kind,
        "id": node.pk,
        "name": node.name,
        "status": node.status,
        "url": page_url(node.page),
        "detail": node.detail,
        "steps": list(node.steps),
    }

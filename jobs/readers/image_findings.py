"""What the check of labelled images can find, and the words for it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from datasets.inspection.labels import BadRow, Contradiction, LabelRow
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from jobs.checking.findings import Adjustment, Finding, FixAction, Place, finding, listed

TINY_CLASS = 5  # fewer images than these teach little
FEW_IN_CLASS = 20  # on average: fewer than these make every measured accuracy rough
UNEVEN = 3  # times as many images as the smallest class


def no_images(message: str) -> Finding:
    return finding("error", "no_images", message, _("Choose data with images for the job."))


def bad_label_file(reason: str, message: str) -> Finding:
    return finding("error", reason, message, _("Upload a corrected csv as a new data and choose it for the job."))


def no_labels(data_name: str) -> Finding:
    return finding(
        "error",
        "no_labels",
        _("The job has no label data, and the images of “%(data)s” carry no labels.", data=data_name),
        _("Choose the data with the label csv for the job."),
    )


def images_without_label(data_name: str, names: Collection[str], action: FixAction | None) -> Finding:
    values = {"count": len(names), "data": data_name}
    message = (
        _("%(count)s image of “%(data)s” has no label.", **values)
        if len(names) == 1
        else _("%(count)s images of “%(data)s” have no label.", **values)
    )
    return finding(
        "error",
        "image_without_label",
        message,
        _("Put each image into the folder of its class and upload them as a new data, or choose a label csv."),
        map(Place, names),
        count=len(names),
        fix_action=action,
    )


def rows_without_image(
    data_name: str, rows: Collection[LabelRow], where: Callable[[LabelRow], str], action: FixAction | None
) -> Finding:
    values = {"count": len(rows), "data": data_name}
    message = (
        _("%(count)s row of the labels names an image that “%(data)s” does not have.", **values)
        if len(rows) == 1
        else _("%(count)s rows of the labels name images that “%(data)s” does not have.", **values)
    )
    return finding(
        "error",
        "row_without_image",
        message,
        _("Upload the images together with the others as a new data, or remove the rows from the csv."),
        (Place(row.name, where(row)) for row in rows),
        count=len(rows),
        fix_action=action,
    )


def images_without_row(data_name: str, names: Collection[str], action: FixAction | None) -> Finding:
    values = {"count": len(names), "data": data_name}
    message = (
        _("%(count)s image of “%(data)s” has no row in the labels.", **values)
        if len(names) == 1
        else _("%(count)s images of “%(data)s” have no row in the labels.", **values)
    )
    return finding(
        "error",
        "image_without_row",
        message,
        _("Add a row for each of them to the csv, or leave the images out of a new data."),
        map(Place, names),
        count=len(names),
        fix_action=action,
    )


def contradictions(
    found: Collection[Contradiction], where: Callable[[LabelRow], str], action: FixAction | None
) -> Finding:
    values = {"count": len(found)}
    message = (
        _("%(count)s image has rows with different labels.", **values)
        if len(found) == 1
        else _("%(count)s images have rows with different labels.", **values)
    )
    return finding(
        "error",
        "contradicting_labels",
        message,
        _("Keep the row with the right label and remove the others from the csv."),
        (Place(each.name, joined("; ", map(where, each.rows))) for each in found),
        count=len(found),
        fix_action=action,
    )


def bad_rows(rows: Collection[BadRow], place: Callable[[int], tuple[str, int]], action: FixAction | None) -> Finding:
    def told(row: BadRow) -> Place:
        name, line = place(row.line)
        note = _(
            "line %(line)s: %(problem)s; received “%(received)s”",
            line=line,
            problem=row.problem,
            received=row.received,
        )
        return Place(name, note)

    values = {"count": len(rows)}
    message = (
        _("%(count)s row of the labels cannot be read.", **values)
        if len(rows) == 1
        else _("%(count)s rows of the labels cannot be read.", **values)
    )
    return finding(
        "error",
        "bad_row",
        message,
        _("Write each row as file name and label, such as 0.jpg,1 and upload the csv as a new data."),
        map(told, rows),
        count=len(rows),
        fix_action=action,
    )


def repeated_rows(rows: Collection[LabelRow], where: Callable[[LabelRow], str]) -> Finding:
    values = {"count": len(rows)}
    message = (
        _("%(count)s row of the labels repeats an earlier one. It does no harm.", **values)
        if len(rows) == 1
        else _("%(count)s rows of the labels repeat earlier ones. They do no harm.", **values)
    )
    return finding(
        "warning",
        "repeated_row",
        message,
        _("Nothing needs to be done; remove the repeated rows from the csv to be rid of this notice."),
        (Place(row.name, where(row)) for row in rows),
        count=len(rows),
    )


def one_class(label: str) -> Finding:
    return finding(
        "error",
        "one_class",
        _("All images have the same label (%(label)s), so there is nothing to tell apart.", label=label),
        _("Use images of at least two classes."),
    )


def tiny_classes(images_of: Mapping[str, Collection[str]], action: FixAction | None) -> Finding:
    """`images_of`: label text -> the few images of the class."""
    classes = listed(f"{label} ({len(names)})" for label, names in images_of.items())
    values = {"count": len(images_of), "tiny": TINY_CLASS, "classes": classes}
    message = (
        _("%(count)s class has fewer than %(tiny)s images: %(classes)s.", **values)
        if len(images_of) == 1
        else _("%(count)s classes have fewer than %(tiny)s images: %(classes)s.", **values)
    )
    return finding(
        "warning",
        "tiny_class",
        message,
        _("Add images of these classes; a network learns little from so few."),
        (Place(name, label) for label, names in images_of.items() for name in names),
        fix_action=action,
    )


def unused_class_names(names: Mapping[str, str], labels: Iterable[str]) -> Finding:
    values = {"labels": listed(f"{label} = {name}" for label, name in names.items())}
    message = (
        _("A class name is given for a label that no image has: %(labels)s.", **values)
        if len(names) == 1
        else _("Class names are given for labels that no image has: %(labels)s.", **values)
    )
    return finding(
        "warning",
        "unused_class_name",
        message,
        _("Correct the class names of the job. The labels are: %(labels)s.", labels=listed(labels)),
    )


def unsound_files(data_name: str, refused: Mapping[str, str], action: FixAction | None) -> Finding:
    """`refused`: file name -> why it was refused."""
    values = {"count": len(refused), "data": data_name}
    message = (
        _("%(count)s file of “%(data)s” was refused and is not trained on.", **values)
        if len(refused) == 1
        else _("%(count)s files of “%(data)s” were refused and are not trained on.", **values)
    )
    return finding(
        "warning",
        "unsound_file",
        message,
        _("Repair the files and upload all as a new data, or train without them."),
        (Place(name, why) for name, why in refused.items()),
        count=len(refused),
        fix_action=action,
    )


def not_images(data_name: str, names: Collection[str]) -> Finding:
    values = {"count": len(names), "data": data_name}
    message = (
        _("%(count)s file of “%(data)s” is no image and is not trained on.", **values)
        if len(names) == 1
        else _("%(count)s files of “%(data)s” are no images and are not trained on.", **values)
    )
    return finding(
        "warning",
        "not_an_image",
        message,
        _("Nothing needs to be done."),
        map(Place, names),
        count=len(names),
    )


def equal_with_different_labels(
    groups: Sequence[Sequence[str]], labels: Mapping[str, str], action: FixAction | None
) -> Finding:
    """`groups`: images with the same bytes; `labels`: image -> label."""
    values = {"count": len(groups), "images": sum(map(len, groups))}
    message = (
        _("%(images)s images have the same content but different labels.", **values)
        if len(groups) == 1
        else _("%(images)s images have the same content but different labels, in %(count)s groups.", **values)
    )
    return finding(
        "warning",
        "duplicate_conflict",
        message,
        _("Only one of the labels can be right: correct the wrong ones, or leave these images out."),
        _grouped(groups, labels),
        count=values["images"],
        fix_action=action,
    )


def equal_images(groups: Sequence[Sequence[str]], labels: Mapping[str, str], action: FixAction | None) -> Finding:
    """`groups`: images with the same bytes and the same label."""
    values = {"count": len(groups), "surplus": sum(map(len, groups)) - len(groups)}
    message = (
        _("%(surplus)s image is an exact copy of another one.", **values)
        if values["surplus"] == 1
        else _("%(surplus)s images are exact copies of others.", **values)
    )
    return finding(
        "info",
        "duplicate",
        message,
        _(
            "Copies are kept together: a training learns from all of them or measures on all of them, so they do not "
            "make the model look better than it is. What is there twice counts twice."
        ),
        _grouped(groups, labels),
        count=values["surplus"] + len(groups),
        fix_action=action,
    )


def alike_images(
    groups: Iterable[Sequence[str]],
    labels: Mapping[str, str],
    *,
    count: int,
    surplus: int,
    action: FixAction | None,
) -> Finding:
    """`groups`: the largest of `count` groups of images that look alike; `surplus`: images beyond one of each."""
    values = {"count": count, "surplus": surplus}
    message = (
        _("%(surplus)s image looks like another one.", **values)
        if surplus == 1
        else _("%(surplus)s images look like others, in %(count)s groups.", **values)
    )
    return finding(
        "info",
        "near_duplicate",
        message,
        _(
            "Copies in another size or quality, or shots of a moment. Each group is kept together: a training learns "
            "from all of it or measures on all of it, so they do not make the model look better than it is."
        ),
        _grouped(groups, labels),
        count=count + surplus,
        fix_action=action,
    )


def _grouped(groups: Iterable[Sequence[str]], labels: Mapping[str, str]) -> Iterator[Place]:
    """Each image beside the first of its group, with its label."""
    for group in groups:
        for name in group:
            beside = group[0] if name != group[0] else group[1]
            note = _("like %(other)s; label %(label)s", other=beside, label=labels.get(name) or "–")
            yield Place(name, note)


def uneven_classes(counts: Mapping[str, int], action: FixAction | None) -> Finding:
    """`counts`: label -> number of images."""
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    message = _(
        "The largest class (%(most)s, %(most_count)s images) has %(times)s times as many images as the smallest "
        "(%(least)s, %(least_count)s).",
        most=most,
        most_count=counts[most],
        least=least,
        least_count=counts[least],
        times=f"{counts[most] / counts[least]:.1f}",
    )
    return finding(
        "warning",
        "imbalanced",
        message,
        _("A network then prefers the large classes: let every class count the same, or add images of the small ones."),
        fix_action=action,
    )


def few_images(images: int, classes: int, action: FixAction | None) -> Finding:
    message = _(
        "There are only %(images)s images of %(classes)s classes, %(mean)s for each on average.",
        images=images,
        classes=classes,
        mean=f"{images / classes:.0f}",
    )
    return finding(
        "warning",
        "few_images",
        message,
        _("A network learns little from so few: start from one that has learned from a million photos, or add images."),
        fix_action=action,
    )


def too_few_outputs(name: str, received: object, labels: Collection[str]) -> Finding:
    """The hyperparameter `name` gives the network fewer outputs than there are classes."""
    message = _(
        "%(name)s is %(received)s, but the labels have %(count)s classes: %(classes)s. Set it to at least %(count)s.",
        name=name,
        received=received,
        count=len(labels),
        classes=listed(labels, most=20),
    )
    action = _outputs(name, len(labels))
    return finding("error", "num_types_too_small", message, action.title, hyperparameter=name, fix_action=action)


def too_many_outputs(name: str, received: object, classes: int) -> Finding:
    """The hyperparameter `name` gives the network more outputs than there are classes."""
    message = _(
        "%(name)s is %(received)s, but the labels have %(count)s classes: the other outputs learn nothing.",
        name=name,
        received=received,
        count=classes,
    )
    action = _outputs(name, classes)
    return finding("warning", "num_types_too_large", message, action.title, hyperparameter=name, fix_action=action)


def _outputs(name: str, count: int) -> Adjustment:
    return Adjustment(_("Set %(name)s to %(count)s", name=name, count=count), {name: count})

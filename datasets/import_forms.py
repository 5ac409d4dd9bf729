"""The forms that make data from objects of an object storage, and objects from data."""

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from datasets.forms import DataForm, NewDatasetForm
from dlmodeler_site.errors import UserError
from dlmodeler_site.forms import SiteForm
from dlmodeler_site.parameters import as_whole_number


class ImportForm(DataForm):
    """A raw data whose files are objects: each as `<id of the connection>:<key>`, as the tree gives them."""

    objects = forms.Field(label=_("Files and folders"), widget=forms.MultipleHiddenInput)
    unzip = forms.BooleanField(
        label=_("Unpack archives"),
        required=False,
        help_text=_("Files in a zip or tar archive are imported one by one."),
    )

    def chosen(self) -> tuple[int, list[str]]:
        """The id of the connection, and the keys. Raises UserError when they are of several connections."""
        pairs = [value.partition(":")[::2] for value in self.cleaned_data["objects"]]
        connections = {as_whole_number(pk) for pk, _key in pairs}
        if len(connections) > 1 or None in connections:
            raise UserError(
                gettext("One data is imported from one connection. Make another data of what is in the other one."),
                reason="several_connections",
                field="objects",
            )
        return connections.pop() or 0, [key for _pk, key in pairs]

    def chosen_paths(self) -> list[tuple[str, str]]:
        """What was chosen, to be shown again: the value, and its text."""
        values = self.data.getlist("objects") if isinstance(self.data, QueryDict) else []
        return [(value, value.partition(":")[2]) for value in values]


class NewDatasetImportForm(ImportForm, NewDatasetForm):
    """A dataset and its first raw data, whose files are objects."""


class ExportForm(SiteForm):
    """Where to: `<id of the connection>:<folder>`, as the tree gives it, and a folder to be made in that."""

    place = forms.CharField(label=_("Bucket and folder"), max_length=600)
    folder = forms.CharField(
        label=_("New folder in it"),
        max_length=200,
        required=False,
        help_text=_("Blank puts the files directly into what is chosen. Files of the same names are replaced."),
    )

    def target(self) -> tuple[int, str]:
        """The id of the connection, and the prefix."""
        pk, _colon, key = self.cleaned_data["place"].partition(":")
        return as_whole_number(pk) or 0, key + self.cleaned_data["folder"]

    def chosen_path(self) -> str:
        return str(self["place"].value() or "").partition(":")[2]

"""Answers the bytes of files: only with content types that no browser runs anything from."""

import os

from django.http import FileResponse, Http404
from django.utils.translation import gettext as _

from datasets.models import Data, File
from dlmodeler_site.errors import UserError
from dlmodeler_site.storage import workspace

_IMAGE_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "DIB": "image/bmp",
    "TIFF": "image/tiff",
    "JPEG2000": "image/jp2",
    "ICO": "image/x-icon",
}
_SHOWN = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP")  # by every browser
# SECURITY: should a browser take a file for a page after all, it runs nothing and has no origin.
_INERT = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_FOR_EVER = "private, max-age=31536000, immutable"


def browsers_show(file: File) -> bool:
    """Whether a page can show the image itself, not its thumbnail alone."""
    return file.content == Data.Content.IMAGE and file.format in _SHOWN


def file_answer(file: File) -> FileResponse:
    """The file's bytes: pictures as such, everything else to be saved. SECURITY: text may be a page or a drawing."""
    if file.state != File.State.OK:
        raise UserError(
            _("“%(name)s” has no content to show: %(reason)s")
            % {"name": file.name, "reason": file.error or _("it has not been inspected yet.")},
            reason="no_content",
            status=404,
        )
    content_type = _IMAGE_TYPES.get(file.format, "") if file.content == Data.Content.IMAGE else ""
    is_picture = bool(content_type)
    if file.content in (Data.Content.TABLE, Data.Content.TEXT):
        content_type = "text/plain; charset=utf-8"
    return _answer(
        file.key, content_type or "application/octet-stream", name=os.path.basename(file.name), is_saved=not is_picture
    )


def thumbnail_answer(file: File) -> FileResponse:
    """The file's thumbnail, a JPEG."""
    if not file.has_thumbnail:
        raise Http404
    name = f"{os.path.basename(file.name)}.jpg"
    return _answer(file.thumbnail_key, "image/jpeg", name=name, is_saved=False)


def _answer(key: str, content_type: str, *, name: str, is_saved: bool) -> FileResponse:
    try:
        source = workspace().open(key)
    except FileNotFoundError as error:
        raise Http404 from error
    answer = FileResponse(source, content_type=content_type, as_attachment=is_saved, filename=name)
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = _INERT
    answer["Cross-Origin-Resource-Policy"] = "same-origin"
    answer["Cache-Control"] = _FOR_EVER
    return answer

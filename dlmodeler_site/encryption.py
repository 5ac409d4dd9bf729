"""Secrets in rows: encrypted with a key made from the site's secret key, another one for each purpose."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings


class Unreadable(Exception):
    """The secret was encrypted with another secret key of the site."""


def encrypt(text: str, *, purpose: str) -> bytes:
    """The text, for `decrypt` with the same purpose alone."""
    return _cipher(purpose).encrypt(text.encode())


def decrypt(ciphertext: bytes | memoryview, *, purpose: str) -> str:
    """The text. Raises Unreadable when the ciphertext is another site's or purpose's."""
    try:
        return _cipher(purpose).decrypt(bytes(ciphertext)).decode()
    except InvalidToken as error:
        raise Unreadable(purpose) from error


def _cipher(purpose: str) -> Fernet:
    key = hashlib.sha256(f"{purpose}:{settings.SECRET_KEY}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))

"""Marks the words of the operations for translation extraction; they are translated where they are shown."""


def gettext_noop(message: str) -> str:
    return message

"""What is wrong with a bundle, in words for whoever can mend it."""


class BundleError(Exception):
    """A bundle that cannot be served; the message names the file in it and what was expected there."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFiniteError(ArithmeticError):
    """The model answered something that is not a number."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

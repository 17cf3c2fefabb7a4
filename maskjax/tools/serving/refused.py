"""What a client did that a server does not do."""


class Refused(Exception):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        message: what is wrong, and what would be right; halves of characters, which a request may
            hold and no answer, are written as escapes.
    """

    def __init__(self, status: int, message: str):
        """Say what is wrong."""
        message = message.encode(errors="backslashreplace").decode()
        super().__init__(message)
        self.status, self.message = status, message

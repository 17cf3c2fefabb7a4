"""What a client did that a server does not do."""


class Refused(Exception):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        message: what is wrong, and what would be right.
    """

    def __init__(self, status: int, message: str):
        """Say what is wrong."""
        super().__init__(message)
        self.status, self.message = status, message

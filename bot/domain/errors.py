"""What a use case may say no with."""


class TocsinError(Exception):
    """The root of every error Tocsin raises itself."""


class Refused(TocsinError):
    """A request that is turned down, with a reason a person may read.

    The reason is one sentence. Nothing was changed and nothing was lost.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotFound(Refused):
    """What was asked for does not exist (any more)."""


class AlreadyDone(TocsinError):
    """The same request arrived before; its effect stands, nothing happens twice."""

    def __init__(self, request: str) -> None:
        super().__init__(f"request {request} was handled before")
        self.request = request


class Unreadable(TocsinError):
    """A payload that cannot be understood: which field, and why.

    The raw delivery is kept and can be replayed.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Stale(TocsinError):
    """A write by a worker whose claim on a run has passed to another."""


class Postponed(TocsinError):
    """What cannot be decided at the moment, and is tried again; nothing was done."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

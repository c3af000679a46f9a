"""What can go wrong in the practice workspace, told apart by who has to hear it."""

from bot.practice.records import Json


class SlackError(Exception):
    """Refuse a Web API call with one of Slack's error names.

    `details` are the further fields of Slack's answer, such as `needed` and `provided` beside
    `missing_scope`.
    """

    def __init__(self, code: str, **details: object) -> None:
        super().__init__(code)
        self.code = code
        self.details = details

    def answer(self) -> Json:
        """Give the body Slack sends for this refusal."""
        return {"ok": False, "error": self.code, **self.details}


class Refusal(Exception):
    """Refuse what a person tried to do, in words meant for that person."""


class NotAcknowledged(Exception):
    """Report that an app did not take an envelope: `dispatch_failed` or `operation_timeout`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

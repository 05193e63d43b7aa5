"""The one error that a user can put right."""


class ReportError(Exception):
    """Bad input: what is wrong, and what was expected, in one line."""

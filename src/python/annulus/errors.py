"""What the package raises. Messages are those of the command line."""


class Error(RuntimeError):
    """A call that failed."""


class InputError(Error, ValueError):
    """Bad arguments, or something asked for that cannot be honoured: the message names the argument
    and says what was expected."""


class CommunicationError(Error):
    """A transport that failed, or a rank that the others wait for in vain."""


InputError.__module__ = CommunicationError.__module__ = Error.__module__ = "annulus"

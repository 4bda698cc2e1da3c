r"""One tree of errors, sorted by what the caller should do. Abort is a status, not an error.

    RemanenceError
    ├── ConfigError(ValueError)        fix the file or the argument; nothing was touched       exit 3
    ├── CommunicationError             the instrument or its wire: retry, then give up         exit 4
    │   ├── DeadlineError(TimeoutError)    no complete reply in time
    │   └── ReplyError(ValueError)         a reply that is not what was asked for
    ├── NotSettled(TimeoutError)       a value did not become stable in its time               exit 4
    ├── LimitError(ValueError)         ask for less; refused before any byte was sent          exit 5
    ├── DeviceFault                    quench, switch, overload: make safe, look at the rig    exit 5
    ├── InterlockTripped               a rule of the station stopped the run                   exit 5
    ├── StorageError(OSError)          rows could not be kept: hold, make room                 exit 4
    └── StationLocked                  another process drives this station                     exit 8

A message answers four questions, in this order: what, where, what state the hardware is in, what to do.
"""


class RemanenceError(Exception):
    """An error that a person can act on.

    `what` is one sentence. `where` names a file and line, an instrument or an address. `state` says what the
    hardware does now. `do` says how to go on. `str()` joins what is given.
    """

    exit_code = 1
    code = "E000"

    def __init__(self, what: str, *, where: str = "", state: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.state = state
        self.do = do

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return " ".join(_sentence(part) for part in (head, self.state, self.do) if part)


def _sentence(text: str) -> str:
    text = text.rstrip()
    return text if text.endswith((".", "!", "?")) else text + "."


class ConfigError(RemanenceError, ValueError):
    """A file, recipe or argument is wrong. Nothing was sent to any instrument."""

    exit_code = 3
    code = "E301"


class CommunicationError(RemanenceError):
    """The wire or the instrument behind it failed; a retry may help."""

    exit_code = 4
    code = "E401"


class DeadlineError(CommunicationError, TimeoutError):
    """No complete reply within the total deadline of the query."""

    code = "E402"


class ReplyError(CommunicationError, ValueError):
    """A reply came, but it is not an answer to what was asked. The message shows both."""

    code = "E403"


class NotSettled(RemanenceError, TimeoutError):  # noqa: N818  reads as the state it names
    """A value did not become stable within the time allowed."""

    exit_code = 4
    code = "E404"


class StorageError(RemanenceError, OSError):
    """Rows could not be kept on disk."""

    exit_code = 4
    code = "E405"

    def __str__(self) -> str:
        return RemanenceError.__str__(self)


class LimitError(RemanenceError, ValueError):
    """More was asked than a limit allows. Refused, never clipped; nothing was sent."""

    exit_code = 5
    code = "E501"


class DeviceFault(RemanenceError):  # noqa: N818
    """An instrument reports a quench, an open switch, an overload: make safe and look at the rig."""

    exit_code = 5
    code = "E502"


class InterlockTripped(RemanenceError):  # noqa: N818
    """A rule of the station stopped the run."""

    exit_code = 5
    code = "E503"


class StationLocked(RemanenceError):  # noqa: N818
    """Another process drives this station."""

    exit_code = 8
    code = "E801"

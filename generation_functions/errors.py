"""Everything that can go wrong and is not a bug of ours.

    WorkbenchError
      ConfigError    a setting: its key, its value, what is allowed, the nearest known key
      PromptError    a stage file: the file, the stage, the $name that is missing or unused
      GrammarError   a grammar: the file, the rule, the line
      EngineError    a model or server: .retryable, .hint
      OutputError    what a model wrote cannot be used: .text
        Truncated    it stopped before its end
        Unparseable  it does not follow the grammar
        CheckFailed  it follows the grammar but a check in code refuses it
        Undecided    too few usable votes
      RunError       a run folder: not ours, another version, held by another process, nothing in it
      Paused         the person stopped a step; what is done is kept

Each is one readable line, in a terminal and in a notebook. Anything else that is raised is a bug and keeps
its traceback.
"""


class WorkbenchError(Exception):
    """The root: `except WorkbenchError` never hides a bug."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(WorkbenchError):
    pass


class PromptError(WorkbenchError):
    pass


class GrammarError(WorkbenchError):
    pass


class EngineError(WorkbenchError):
    """A model that does not load or a server that does not answer; `retryable` when the same call may pass later.

    `hint` says what to change. `status` is the HTTP status, 0 where there was none; `retry_after` the seconds that
    the server asks to be left alone for.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        hint: str = "",
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{message.rstrip('.')}. {hint}" if hint else message)
        self.retryable, self.hint, self.status, self.retry_after = retryable, hint, status, retry_after


class OutputError(WorkbenchError):
    """`text` is what the model wrote, or as much of it as there is."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class Truncated(OutputError):
    pass


class Unparseable(OutputError):
    pass


class CheckFailed(OutputError):
    pass


class Undecided(OutputError):
    pass


class RunError(WorkbenchError):
    pass


class Paused(WorkbenchError):
    def _render_traceback_(self) -> list[str]:
        return [str(self)]

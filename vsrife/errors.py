"""Every exception that vsrife raises on purpose.

    RifeError                 anything a user can mend; the message is one line
    ├── ArgumentError         an argument of the call
    └── ModelError            a model's name or file

At VapourSynth's edge the plugin puts ``RIFE: `` in front of the message, so messages here do not.
"""

__all__ = ["ArgumentError", "ModelError", "RifeError"]


class RifeError(ValueError):
    """Something a user can mend. One line: what, its value, and the way out."""


class ArgumentError(RifeError):
    """An argument of the call is wrong. The message names it, its value and what is taken."""


class ModelError(RifeError):
    """A model is unknown, missing or unreadable. The message names it and the command or the remedy."""

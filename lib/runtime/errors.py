"""The one exception that a stage turns into a line on the terminal instead of a traceback."""


class UserError(Exception):
    """Something the user can put right: the message says what is wrong, where, and what to do."""

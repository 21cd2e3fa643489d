"""How a benchmark ends early."""


class Failure(Exception):
    """What ends a benchmark with a message and status 1."""


class Absent(Failure):
    """Something that is needed is not installed."""

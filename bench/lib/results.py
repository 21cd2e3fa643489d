"""What came of a benchmark, in one shape for all of them: so they are printed, kept, compared
with what was kept, and drawn by the same code."""

import dataclasses
import json
import pathlib
import statistics
import typing

from .errors import Failure


class Spread(typing.NamedTuple):
    """One figure in all rounds."""

    median: float
    least: float
    most: float

    @property
    def width(self):
        return self.most - self.least


def spread(values):
    return Spread(*(float(f"{value:.6g}") for value in
                    (statistics.median(values), min(values), max(values))))


@dataclasses.dataclass(frozen=True)
class Figure:
    """A column.  better is "lower" or "higher", or empty if the figure says nothing of the
    subject; format is that of a number, with_spread whether a table has the extremes too."""

    label: str
    better: str = ""
    format: str = ".0f"
    with_spread: bool = False

    def text(self, value):
        """A cell: the median, and perhaps the extremes."""
        text = format(value.median, self.format)
        if self.with_spread:
            text += f" ({value.least:{self.format}} - {value.most:{self.format}})"
        return text


# What the clients of open loops report.
LATENCY_FIGURES = {
    "p50_us": Figure("p50 us", "lower"),
    "p90_us": Figure("p90 us", "lower"),
    "p99_us": Figure("p99 us", "lower", with_spread=True),
    "p99_9_us": Figure("p99.9 us", "lower", with_spread=True),
    "max_us": Figure("max us"),
}


class Goal(typing.NamedTuple):
    """What a subject has to reach: `text` says what, and how near it came."""

    subject: str
    text: str
    met: bool

    def __str__(self):
        return f"{self.text}: {'ok' if self.met else 'short'}"


@dataclasses.dataclass
class Result:
    """One workload of a benchmark: for each subject, usually a server, its figures.  options
    are those with which the benchmark measures the same again."""

    bench: str
    workload: str
    options: list
    rounds: int
    figures: dict
    rows: dict
    goals: list = dataclasses.field(default_factory=list)

    @property
    def command(self):
        return " ".join(["./dev bench", self.bench, *self.options])

    def goals_of(self, subject):
        return [goal for goal in self.goals if goal.subject == subject]

    def kept(self):
        """As it is kept, less where it was measured."""
        return {"bench": self.bench, "workload": self.workload, "command": self.command,
                "rounds": self.rounds,
                "rows": {subject: {name: list(value) for name, value in row.items()}
                         for subject, row in self.rows.items()}}


def summarize(samples):
    """The rows of a result from what turns.take returns; without what has no samples."""
    return {subject: {name: spread(values) for name, values in of.items() if values}
            for subject, of in samples.items()}


def ratios(samples, subject, against, figure):
    """Of a subject's figure to another's, round by round: what disturbs the machine comes and
    goes, and the two had their turns together."""
    return [own / other for own, other in
            zip(samples[subject][figure], samples[against][figure])]


def at_most(subject, text, times, most):
    """A goal for a ratio; text says of what."""
    return Goal(subject, f"{times:.2f} of {text} <= {most:.2f}", times <= most)


# --- What was kept ---------------------------------------------------------------


def keep(found, where, path):
    """Appends a line of JSON for each result."""
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(where | result.kept()) + "\n" for result in found)


class History:
    """The results kept in a file, which may not exist yet."""

    def __init__(self, path):
        path = pathlib.Path(path)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self.last = {}
        for number, line in enumerate(text.splitlines(), 1):
            try:
                kept = json.loads(line)
                self.last[self._key(kept, kept)] = kept
            except (ValueError, KeyError):
                raise Failure(f"{path}, line {number}: not a result") from None

    @staticmethod
    def _key(where, kept):
        return where["cpu"], where["kernel"], kept["bench"], kept["workload"]

    def before(self, where, result):
        """The rows of that workload when it was last measured on that machine: {subject:
        {figure: Spread}}, empty if never."""
        kept = self.last.get(self._key(where, result.kept()))
        rows = kept["rows"] if kept else {}
        return {subject: {name: Spread(*value) for name, value in row.items()}
                for subject, row in rows.items()}


class Worse(typing.NamedTuple):
    """A figure that is worse than it last was, by more than chance."""

    result: Result
    subject: str
    figure: str
    before: Spread

    def __str__(self):
        figure, now = self.result.figures[self.figure], self.result.rows[self.subject][self.figure]
        return (f"{self.result.bench} {self.result.workload}, {self.subject}: {figure.label}"
                f" {now.median:{figure.format}}, was {self.before.median:{figure.format}}")


def is_worse(better, now, before):
    """Whether the median has moved the wrong way by more than either run's spread."""
    change = now.median - before.median
    if better == "higher":
        change = -change
    return bool(better) and change > max(now.width, before.width)


def find_worse(result, before):
    """The figures of a result that are worse than in the rows `before`."""
    return [Worse(result, subject, name, before[subject][name])
            for subject, row in result.rows.items() for name, now in row.items()
            if name in before.get(subject, {})
            and is_worse(result.figures[name].better, now, before[subject][name])]

"""What a run of the suite comes to: a page in Markdown, and its end in the terminal."""

import dataclasses

from . import output

# The order of columns in the summary; others follow.
SERVERS = ("gust-uring", "gust-epoll", "gust-sqpoll", "nginx", "h2o", "haproxy", "go", "node")


@dataclasses.dataclass
class Chapter:
    """A part of the suite that has run.  problems: what has not, and why; that is a failure
    unless something is not installed."""

    title: str
    text: str
    results: list = dataclasses.field(default_factory=list)
    plots: list = dataclasses.field(default_factory=list)
    problems: list = dataclasses.field(default_factory=list)
    failed: bool = False


@dataclasses.dataclass
class Run:
    """All of them.  where: see machine.describe; absent: programs that are not installed;
    worse: see results.find_worse."""

    where: dict
    versions: dict
    chapters: list
    worse: list
    seconds: float

    @property
    def results(self):
        return [result for chapter in self.chapters for result in chapter.results]

    @property
    def absent(self):
        return [name for name, version in self.versions.items() if not version]

    @property
    def problems(self):
        return [f"{chapter.title}: {problem}" for chapter in self.chapters
                for problem in chapter.problems]


def worse_in(run, result):
    return [each for each in run.worse if each.result is result]


def _best_limit(result, name):
    """The mark of the limits: the least of their medians."""
    marks = [row[name].median for subject, row in result.rows.items()
             if subject.startswith(("limit", "loop")) and name in row]
    return [min(marks)] if marks else []


def _main_figure(result):
    """The first one whose spread is shown."""
    return next((name for name, figure in result.figures.items() if figure.with_spread),
                next(iter(result.figures)))


def summary(run):
    """A row for each result whose subjects are servers: its main figure, by server."""
    of_servers = [result for result in run.results if set(result.rows) & set(SERVERS)]
    names = [name for name in SERVERS if any(name in result.rows for result in of_servers)]
    rows = [["", "", "limit", *names]]
    for result in of_servers:
        name = _main_figure(result)
        figure = result.figures[name]
        worse = {each.subject for each in worse_in(run, result) if each.figure == name}
        limit = "".join(format(mark, figure.format) for mark in _best_limit(result, name))
        rows.append([f"{result.bench} {result.workload}", figure.label, limit, *(
            format(result.rows[server][name].median, figure.format) + " !" * (server in worse)
            if name in result.rows.get(server, {}) else "" for server in names)])
    return rows


# --- Markdown -------------------------------------------------------------------------


def _markdown(rows, texts=1):
    """A table whose first columns are texts."""
    head, *body = rows
    rule = ["---"] * texts + ["--:"] * (len(head) - texts)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


def _result(run, result):
    """The command beside the figures; goals are a list, for they are sentences."""
    worse = worse_in(run, result)
    rows = output.cells(dataclasses.replace(result, goals=[]), worse)
    rows = [[f"**{cell}**" if " worse, was " in cell else cell for cell in row] for row in rows]
    rounds = "one round" if result.rounds == 1 else f"medians (extremes) of {result.rounds} rounds"
    goals = "".join(f"- {goal.subject}: {goal}\n" for goal in result.goals)
    return (f"### {result.bench} {result.workload}\n\n`{result.command}`: {rounds}\n\n"
            f"{_markdown(rows)}\n" + (f"\n{goals}" if goals else ""))


def _chapter(run, chapter):
    plots = "".join(f"\n![{chapter.title}](benchmarks/{path.name})\n" for path in chapter.plots)
    problem = "".join(f"\nNot complete: {problem}.\n" for problem in chapter.problems)
    found = "\n".join(_result(run, result) for result in chapter.results)
    return f"## {chapter.title}\n\n{chapter.text}\n{problem}{plots}\n{found}"


def _marks(run):
    if not run.worse:
        return "Nothing is worse than when it was last measured on this machine.\n"
    return ("Worse than when it was last measured on this machine, by more than the spread of"
            " both runs:\n\n" + "".join(f"- {each}\n" for each in run.worse))


def page(run):
    """The whole page."""
    where = [["", ""], *([name, str(value)] for name, value in run.where.items()),
             *([name, version or "not installed, left out"]
               for name, version in run.versions.items())]
    problems = "".join(f"- {problem}\n" for problem in run.problems)
    return "\n".join([
        "# Benchmarks\n",
        "`./dev bench` has written this page; do not edit it. How to read the numbers, and what"
        " they do not say: [bench/README.md](../bench/README.md).\n",
        _markdown(where, texts=2) + "\n",
        f"All of it took {run.seconds / 60:.0f} minutes. Each figure is the median of its rounds,"
        " in which the servers took turns; below each heading is the command that measures the"
        " same again. Whiskers in the plots are the extremes; a bar with an arrow goes on.\n",
        "## Summary\n",
        "The main figure of each benchmark; `!` marks what is worse than it last was.\n",
        _markdown(summary(run), texts=2) + "\n",
        _marks(run), *([f"Not complete:\n\n{problems}"] if problems else []),
        *(_chapter(run, chapter) for chapter in run.chapters)])


def write(run, folder):
    """The page into a folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "benchmarks.md"
    path.write_text(page(run), encoding="utf-8")
    return path


# --- Terminal ---------------------------------------------------------------------------


def show(run):
    """The end of a run."""
    rows = summary(run)
    print(f"\n=== Summary ({run.seconds:.0f} s)\n")
    if len(rows) > 1:
        print(output.align(rows, left=(0, 1)))
    for each in run.worse:
        print(f"worse: {each}")
    for name in run.absent:
        print(f"not installed and left out: {name}")
    for problem in run.problems:
        print(f"not complete: {problem}")

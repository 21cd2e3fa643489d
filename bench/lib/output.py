"""What a benchmark says while it runs, and its tables."""

import sys


def progress(text):
    """Replaces the line before; an empty text ends it."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _cell(result, subject, name, before):
    value = result.rows[subject].get(name)
    if value is None:
        return ""
    text = result.figures[name].text(value)
    if name in before:
        text += f" worse, was {before[name].median:{result.figures[name].format}}"
    return text


def cells(result, worse=()):
    """A table as lists of texts: the head, then a row for each subject.  worse: what
    results.find_worse has found."""
    goals = bool(result.goals)
    shown = [name for name in result.figures if any(name in row for row in result.rows.values())]
    head = ["", *(result.figures[name].label for name in shown), *["goals"] * goals]
    rows = []
    for subject in result.rows:
        before = {each.figure: each.before for each in worse if each.subject == subject}
        rows.append([subject, *(_cell(result, subject, name, before) for name in shown),
                     *["; ".join(map(str, result.goals_of(subject)))] * goals])
    return [head, *rows]


def align(rows, left=(0,)):
    """Rows of texts as lines; the columns `left` stand on the left, others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(
        text.ljust(width) if i in left else text.rjust(width)
        for i, (text, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def show(result, worse=()):
    rounds = "one round" if result.rounds == 1 else f"medians of {result.rounds} rounds"
    rows = cells(result, worse)
    left = (0, len(rows[0]) - 1) if result.goals else (0,)
    print(f"\n{result.bench} {result.workload}: {rounds}\n{align(rows, left)}", flush=True)

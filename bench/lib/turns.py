"""Servers that take turns: what disturbs the machine disturbs all of them alike."""

import argparse
import signal
import sys

from . import machine, output, results
from .errors import Failure


def positive(text):
    value = float(text)
    if not value > 0:
        raise ValueError
    return value


def count(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def names(text):
    """The value of an option that lists names."""
    return text.split(",")


def counts(text):
    """The value of an option that lists numbers."""
    return [count(part) for part in names(text)]


def parser(name, doc, seconds=None, rounds=5):
    """What every such benchmark takes: --rounds, --json, and --seconds if it has a default."""
    made = argparse.ArgumentParser(prog=f"bench {name}", description=doc,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=count, default=rounds, help=f"turns of each ({rounds})")
    if seconds:
        made.add_argument("--seconds", type=positive, default=seconds,
                          help=f"of each turn ({seconds})")
    made.add_argument("--json", metavar="FILE", help="append the results to FILE, as lines of JSON")
    return made


def options(args, *more):
    """Those with which a workload is measured again: the common ones, and more."""
    seconds = ["--seconds", f"{args.seconds:g}"] if hasattr(args, "seconds") else []
    return [*more, "--rounds", str(args.rounds), *seconds]


def take(subjects, rounds, label, measure):
    """The turns of each: {subject: {figure: [one per round]}}.  measure(subject, turn) returns
    the figures of one by name; turns count from 0."""
    samples = {name: {} for name in subjects}
    for turn in range(rounds):
        for name in subjects:
            output.progress(f"{label}: round {turn + 1} of {rounds}: {name}")
            for figure, value in measure(name, turn).items():
                samples[name].setdefault(figure, []).append(value)
    output.progress("")
    return samples


def _main(args, run):
    where = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    found = run(args)
    if args.json:
        results.keep(found, where, args.json)
    short = sum(not goal.met for result in found for goal in result.goals)
    if short:
        print(f"\n{short} short of their goal")
    return 1 if short else 0


def main(name, parse_args, run):
    """A benchmark alone: run(args) shows its results and returns them."""
    end_with(name, lambda: _main(parse_args(), run))


def end_with(name, function):
    """Ends with a function's status or failure; on SIGTERM as on Ctrl-C, after the servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(function())
    except Failure as failure:
        sys.exit(f"bench {name}: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)

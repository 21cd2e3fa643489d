"""Servers that take turns: what disturbs the machine disturbs all of them alike."""

import argparse

from . import output


def parser(name, doc, seconds=3, number=int):
    """What every such benchmark takes: --rounds, --seconds (a number of that type), --json."""
    made = argparse.ArgumentParser(prog=f"bench {name}", description=doc,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=5, help="turns of each server (5)")
    made.add_argument("--seconds", type=number, default=seconds, help=f"of each turn ({seconds})")
    made.add_argument("--json", metavar="FILE", help="append the results to FILE, as lines of JSON")
    return made


def names(text):
    """The value of an option that lists names."""
    return text.split(",")


def take(kinds, rounds, label, measure):
    """The turns of each: {name: {figure: [one per round]}}.  measure(name, turn) returns the
    figures of one by name; turns count from 0."""
    samples = {name: {} for name in kinds}
    for turn in range(rounds):
        for name in kinds:
            output.progress(f"{label}: round {turn + 1} of {rounds}: {name}")
            for figure, value in measure(name, turn).items():
                samples[name].setdefault(figure, []).append(value)
    output.progress("")
    return samples

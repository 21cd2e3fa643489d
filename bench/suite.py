#!/usr/bin/env python3
"""All benchmarks, in at most 15 minutes: ./dev bench

Runs each part of the plan below by the script of its name, compares what comes with the
results kept in bench/results.ndjson for the same CPU and kernel, appends to them, and
writes docs/benchmarks.md with its plots.  What is worse than it last was, by more than
the spread of both runs, is marked.

--quick runs all of it in two minutes, to see that it works: its numbers are not kept.
With it or with --only the page goes to build/bench, since it would not be whole.  For the
plots matplotlib is needed; without it there are tables only."""

import argparse
import importlib.util
import pathlib
import time

from lib import machine, output, peers, plan, plots, report, results, turns
from lib.errors import Absent, Failure

KEPT = peers.ROOT / "bench" / "results.ndjson"
DOCS = peers.ROOT / "docs"
PARTIAL = peers.ROOT / "build" / "bench"
LIMIT_S = 15 * 60


def script(name):
    """The module of bench/NAME.py; import would find Python's own http."""
    path = pathlib.Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_step(step, quick):
    """The results of one command."""
    of = script(step.bench)
    return of.run(of.parse_args(step.arguments(quick)))


def run_part(part, quick):
    """Its chapter.  A step that fails does not keep the others from being measured."""
    chapter = report.Chapter(part.title, part.text)
    for step in part.steps:
        try:
            chapter.results += run_step(step, quick)
        except Failure as failure:
            output.progress("")
            chapter.problems.append(f"{step.bench} {step.options}: {failure}")
            chapter.failed |= not isinstance(failure, Absent)
            print(chapter.problems[-1])
    return chapter


def run_all(parts, quick, limit_s=LIMIT_S, run_one=run_part):
    """A chapter for each; what no longer fits into the time is left out."""
    began, chapters = time.monotonic(), []
    for part in parts:
        left_s = limit_s - (time.monotonic() - began)
        about_s = part.seconds(quick)
        print(f"\n=== {part.title}: about {about_s:.0f} s of {left_s:.0f} s", flush=True)
        if about_s > left_s:
            chapters.append(report.Chapter(part.title, part.text, problems=["no time was left"],
                                           failed=True))
        else:
            chapters.append(run_one(part, quick))
            took_s = left_s - (limit_s - (time.monotonic() - began))
            print(f"{part.name} took {took_s:.0f} s")
    return chapters, time.monotonic() - began


def draw(parts, chapters, folder):
    """The plots of what there are results for."""
    if not plots.available():
        print("matplotlib is not installed (Debian: python3-matplotlib): tables only")
        return
    for part, chapter in zip(parts, chapters):
        path = folder / f"{part.name}.svg"
        if chapter.results and part.plot(path, chapter.results):
            chapter.plots.append(path)


def show_plan(parts, quick):
    print("plan:")
    print(output.align([[part.name, f"about {part.seconds(quick):.0f} s",
                         ", ".join(step.bench for step in part.steps)] for part in parts],
                       left=(0, 2)))
    print(f"in all {sum(part.seconds(quick) for part in parts):.0f} s", flush=True)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    parser.add_argument("--only", type=turns.names, metavar="PART,...",
                        help="of: " + ", ".join(part.name for part in plan.PARTS))
    return parser.parse_args(argv)


def choose(names):
    known = {part.name: part for part in plan.PARTS}
    for name in names or ():
        if name not in known:
            raise Failure(f"no part {name}; there are: {', '.join(known)}")
    return [known[name] for name in known if not names or name in names]


def main():
    args = parse_args()
    parts, history = choose(args.only), results.History(KEPT)
    where, versions = machine.describe(), peers.versions()
    print("\n".join(f"{name}: {value or 'not installed: left out'}"
                    for name, value in (where | versions).items()))
    show_plan(parts, args.quick)
    chapters, seconds = run_all(parts, args.quick)
    found = [result for chapter in chapters for result in chapter.results]
    worse = [] if args.quick else [each for result in found for each in
                                   results.find_worse(result, history.before(where, result))]
    run = report.Run(where, versions, chapters, worse, seconds)
    if not args.quick:
        results.keep(found, where, KEPT)
    folder = PARTIAL if args.quick or args.only else DOCS
    draw(parts, chapters, folder / "benchmarks")
    path = report.write(run, folder)
    report.show(run)
    print(f"\n{path.relative_to(peers.ROOT)} and its plots are written"
          + ("" if args.quick else f"; {KEPT.relative_to(peers.ROOT)} has the results"))
    return 1 if any(chapter.failed for chapter in chapters) else 0


if __name__ == "__main__":
    turns.end_with("suite", main)

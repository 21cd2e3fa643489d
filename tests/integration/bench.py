"""The benchmark suite, but for its measuring: what it makes of samples, how it compares with
what was kept, what it writes.  bench.py BUILD_DIR"""
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import suite  # noqa: E402
from lib import output, peers, plan, plots, report, results, servers  # noqa: E402
from lib.errors import Absent, Failure  # noqa: E402
from lib.results import Figure, Goal, Result, Spread  # noqa: E402

WHERE = {"cpu": "a", "kernel": "1", "commit": "c"}
FIGURES = {"cpu_us": Figure("CPU us", "lower", ".2f", with_spread=True),
           "rps": Figure("req/s", "higher"), "others": Figure("others")}


def result(rows, **more):
    options = {"bench": "http", "workload": "get-64", "options": ["--workload", "get-64"],
               "rounds": 5, "figures": FIGURES}
    return Result(**options | more, rows=rows)


def row(cpu_us, rps=(1000, 990, 1010)):
    return {"cpu_us": Spread(*cpu_us), "rps": Spread(*rps), "others": Spread(0, 0, 0)}


class Skipped(Exception):
    """A check that needs what is not installed."""


def a_run(chapters, worse=(), versions=None):
    return report.Run(WHERE, versions or {}, chapters, list(worse), 60)


def refused(function, *args):
    try:
        function(*args)
    except Failure as failure:
        return str(failure)
    raise AssertionError("it was not refused")


# --- Samples -----------------------------------------------------------------------------


def rounds_become_median_and_extremes():
    rows = results.summarize({"a": {"cpu_us": [9, 1, 2], "none": []}})
    assert rows == {"a": {"cpu_us": Spread(2, 1, 9)}}, rows


def ratios_are_of_the_same_round():
    samples = {"a": {"cpu_us": [2, 40]}, "b": {"cpu_us": [1, 10]}}
    assert results.ratios(samples, "a", "b", "cpu_us") == [2, 4]


def limit_is_the_better_of_two():
    http = suite.script("http")
    kinds = {name: servers.KINDS[name] for name in ("limit-coop", "limit-coop-ms", "gust-uring")}
    samples = {"limit-coop": {"cpu_us": [4, 4, 9]}, "limit-coop-ms": {"cpu_us": [5, 5, 5]},
               "gust-uring": {"cpu_us": [6, 6, 9]}}
    http.add_limits(samples, kinds)
    assert samples["gust-uring"]["x_limit"] == [1.5, 1.5, 1]
    goals = http.goals(samples, http.WORKLOADS["get-64"])
    assert [(goal.subject, goal.met) for goal in goals] == [("gust-uring", False)], goals


# --- Comparison --------------------------------------------------------------------------


def worse_means_by_more_than_both_spreads():
    before = Spread(10, 9, 11)
    for better, now, expected in (
            ("lower", Spread(12.1, 12, 12.2), True), ("lower", Spread(12, 12, 12), False),
            ("lower", Spread(13, 11.5, 14.5), False), ("lower", Spread(5, 5, 5), False),
            ("higher", Spread(7.9, 7.9, 7.9), True), ("higher", Spread(8, 8, 8), False),
            ("higher", Spread(20, 20, 20), False), ("", Spread(100, 100, 100), False)):
        assert results.is_worse(better, now, before) is expected, (better, now)


def kept_results_are_found_again():
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "results.ndjson"
        now = result({"nginx": row((5, 4, 6))})
        assert results.History(path).before(WHERE, now) == {}
        results.keep([result({"nginx": row((1, 1, 1))})], WHERE, path)
        results.keep([now], WHERE, path)
        history = results.History(path)
        assert history.before(WHERE, now) == now.rows
        for other in ({"cpu": "b"}, {"kernel": "2"}):
            assert history.before(WHERE | other, now) == {}, other
        assert history.before(WHERE, result({}, workload="get-1")) == {}
        line = json.loads(path.read_text().splitlines()[1])
        assert line["command"] == "./dev bench http --workload get-64" and line["commit"] == "c"


def a_broken_line_is_named():
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
        file.write('{"cpu": "a"}\n')
        file.flush()
        assert "line 1" in refused(results.History, file.name)


def worse_is_found_by_server_and_figure():
    now = result({"nginx": row((9, 9, 9), rps=(10, 10, 10)), "new": row((9, 9, 9))})
    worse = results.find_worse(now, {"nginx": row((5, 4, 6)), "gone": row((1, 1, 1))})
    assert [(each.subject, each.figure) for each in worse] == [("nginx", "cpu_us"),
                                                              ("nginx", "rps")], worse


# --- What is left out ------------------------------------------------------------------------


def what_is_not_installed_is_left_out():
    path, os.environ["PATH"] = os.environ["PATH"], "/nowhere"
    said = io.StringIO()
    find_there, peers.find_program = peers.find_program, lambda name: None
    try:
        with contextlib.redirect_stdout(said):
            found = servers.find(["limit-epoll", "nginx", "node"], servers.KINDS)
            versions = peers.versions()
    finally:
        os.environ["PATH"], peers.find_program = path, find_there
    assert list(found) == ["limit-epoll"], found
    assert said.getvalue() == "not installed and left out: nginx, node\n", said.getvalue()
    run = a_run([], versions=versions)
    assert "nginx" in run.absent and "| nginx | not installed, left out |" in report.page(run)


def a_step_that_fails_does_not_end_its_part():
    def fail(step, _quick):
        if step is part.steps[0]:
            raise Absent("wrk is not installed")
        return [result({})]
    part, run_step, suite.run_step = plan.PARTS[0], suite.run_step, fail
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            chapter = suite.run_part(part, False)
    finally:
        suite.run_step = run_step
    assert len(chapter.results) == len(part.steps) - 1 and not chapter.failed
    assert chapter.problems[0].endswith("wrk is not installed"), chapter.problems


def unknown_servers_are_refused():
    assert "no server apache" in refused(servers.find, ["apache"], servers.KINDS)
    assert "no part nothing" in refused(suite.choose, ["nothing"])


def a_part_that_no_longer_fits_is_left_out():
    parts = [part for part in plan.PARTS if part.name in ("tcp", "http")]
    with contextlib.redirect_stdout(io.StringIO()):
        chapters, _ = suite.run_all(parts, False, parts[1].seconds(False) + 1,
                                    lambda part, quick: report.Chapter(part.title, part.text))
    assert [chapter.problems for chapter in chapters] == [["no time was left"], []]


# --- The plan ---------------------------------------------------------------------------------


def the_plan_fits_into_its_time():
    for quick, limit_s in ((False, suite.LIMIT_S), (True, 180)):
        assert sum(part.seconds(quick) for part in plan.PARTS) < limit_s


def every_step_is_a_command():
    for part in plan.PARTS:
        for step in part.steps:
            args = suite.script(step.bench).parse_args(step.arguments(False))
            assert args.rounds >= 5, step


def every_benchmark_has_help():
    for path in (ROOT / "bench").glob("*.py"):
        done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stderr


# --- What is written ------------------------------------------------------------------------------


def tables_mark_what_is_worse():
    rows = {name: row((9, 8, 10)) for name in ("nginx", "go")}
    now = result(rows, goals=[Goal("nginx", "less", True)])
    worse = results.find_worse(now, {"nginx": row((5, 4, 6))})
    assert output.cells(now, worse)[1] == [
        "nginx", "9.00 (8.00 - 10.00) worse, was 5.00", "1000", "0", "less: ok"]
    assert "worse" not in "".join(output.cells(now, worse)[2] + output.cells(now)[1])


def page_has_commands_marks_and_problems():
    now = result({"limit-epoll": row((4, 4, 4)), "nginx": row((9, 9, 9))})
    worse = results.find_worse(now, {"nginx": row((5, 5, 5))})
    chapter = report.Chapter("HTTP", "What it costs.", [now], [pathlib.Path("http.svg")],
                             ["node: does not listen"])
    text = report.page(a_run([chapter], worse))
    for expected in ("`./dev bench http --workload get-64`", "(benchmarks/http.svg)",
                     "| http get-64 | CPU us | 4.00 | 9.00 ! |", "**9.00 (9.00 - 9.00) worse, was"
                     " 5.00**", "- HTTP: node: does not listen", "nginx: CPU us 9.00, was 5.00"):
        assert expected in text, text
    assert "Nothing is worse" in report.page(a_run([chapter]))


def fake_results(part):
    """As those of its steps would look."""
    servers_rows = {"gust-uring": row((5, 4, 6)), "nginx": row((7, 7, 7))}
    if part.name == "scale":
        return [result(servers_rows, workload=f"get-{n}-1p") for n in (1, 64)]
    if part.plot is plan.percentiles:
        figures = {name: Figure(name.replace("_us", " us")) for name in ("p50_us", "p99_us")}
        rows = {"nginx": {name: Spread(5, 1, 70) for name in figures}}
        return [result(rows, figures=figures)]
    names = ("cpu_us", "bytes", "serving", "x_go")
    return [result({"nginx": {name: Spread(0.5, 0, 1) for name in names}},
                   figures={name: Figure(name) for name in names})]


def only_a_bar_far_longer_than_all_others_is_cut():
    for mosts, reference, longest in (((1, 2, 4), None, 4), ((1, 2, 100), None, 2),
                                      ((1, 100), None, 100), ((0.1, 0.2, 9), 1, 1)):
        values = [Spread(most, most, most) for most in mosts]
        assert plots.room(values, reference) == longest * plots.ROOM, mosts
    assert plots.room([Spread(0, 0, 0)], None) == 1


def plots_are_well_formed():
    if not plots.available():
        raise Skipped("matplotlib is not installed")
    with tempfile.TemporaryDirectory() as directory:
        for part in plan.PARTS:
            path = pathlib.Path(directory) / f"{part.name}.svg"
            assert part.plot(path, fake_results(part)), part.name
            tree = xml.etree.ElementTree.parse(path)
            text = " ".join(tree.getroot().itertext())
            assert "nginx" in text and "prefers-color-scheme" in text, part.name
            assert plots.INK not in path.read_text(), part.name


def the_results_that_are_kept_are_readable():
    results.History(suite.KEPT)


CHECKS = (rounds_become_median_and_extremes, ratios_are_of_the_same_round,
          limit_is_the_better_of_two, worse_means_by_more_than_both_spreads,
          kept_results_are_found_again, a_broken_line_is_named,
          worse_is_found_by_server_and_figure, what_is_not_installed_is_left_out,
          a_step_that_fails_does_not_end_its_part, unknown_servers_are_refused,
          a_part_that_no_longer_fits_is_left_out,
          the_plan_fits_into_its_time, every_step_is_a_command, every_benchmark_has_help,
          tables_mark_what_is_worse, page_has_commands_marks_and_problems,
          only_a_bar_far_longer_than_all_others_is_cut, plots_are_well_formed,
          the_results_that_are_kept_are_readable)


def use_a_python_with_matplotlib():
    """Debian's is for Debian's Python, which need not be the first in PATH."""
    python = "/usr/bin/python3"
    if not plots.available() and sys.executable != python and os.path.exists(python):
        probe = [python, "-c", "import matplotlib"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            os.execv(python, [python, *sys.argv])


def main():
    use_a_python_with_matplotlib()
    skipped = 0
    for check in CHECKS:
        try:
            check()
            print(f"ok {check.__name__}")
        except Skipped as why:
            skipped += 1
            print(f"skipped {check.__name__}: {why}")
    print(f"{len(CHECKS) - skipped} passed, 0 failed, {skipped} skipped")


if __name__ == "__main__":
    main()

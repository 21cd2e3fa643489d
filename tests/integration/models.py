"""The Promela models in models/ hold, and each of their mutations does not.
models.py BUILD_DIR

A model lists in its first comment what is to be checked:
  variants: A B            with -DA, and with -DB, there is no error
  mutations of A: X Y      with -DA -DX, and with -DA -DY, there is one

The models depend on neither build nor poller nor the number of Ps, so the work is
done in one combination, which ./dev test --quick has too: dev, 2 Ps, epoll."""
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "models")
DEPTH_MAX = 10000
MEMORY_MAX_MB = 900


def checks(model):
    """Yields a list of macros and whether the model holds with them."""
    with open(os.path.join(MODELS, model), encoding="utf-8") as text:
        head = text.read().split("*/")[0]
    variants = re.search(r"^ \* variants: (.*?)(?: \*/)?$", head, re.M)[1].split()
    mutated = dict(re.findall(r"^ \* mutations of (\w+): (.*?)(?: \*/)?$", head, re.M))
    assert variants and mutated and set(mutated) <= set(variants), f"{model}: what to check?"
    for variant in variants:
        yield [variant], True
        for mutation in mutated.get(variant, "").split():
            yield [variant, mutation], False


def run(command, folder):
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
    return done.stdout


def search(model, macros):
    """The verifier's report."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(MODELS, model)
        run(["spin", *(f"-D{macro}" for macro in macros), "-a", path], folder)
        # To optimise what spin generates takes longer than all that it has to do.
        run(["gcc", "-w", "-O0", "-DSAFETY", f"-DMEMLIM={MEMORY_MAX_MB}", "-o", "pan", "pan.c"],
            folder)
        return run(["./pan", f"-m{DEPTH_MAX}", "-w20"], folder)


def complaint(model, macros, holds):
    """What is wrong with the outcome, or None."""
    try:
        report = search(model, macros)
    except AssertionError as error:
        return str(error)
    # Without this line the search was not carried out at all.
    errors = re.search(r"errors: (\d+)", report)
    if not errors:
        return report
    if not holds:
        return None if errors[1] != "0" else "no error found"
    truncated = re.search(r"max search depth too small|out of memory|reached -DMEMLIM|"
                          r"Search not completed", report)
    return report if truncated or errors[1] != "0" else None


def check(task):
    model, macros, holds = task
    wrong = complaint(model, macros, holds)
    name = f"{model} {' '.join(macros)}"
    print(f"FAILED {name}: {wrong}" if wrong else f"ok {name}", flush=True)
    return wrong is None


def main():
    wanted = (os.path.basename(sys.argv[1].rstrip("/")), os.environ.get("GUST_NETPOLL"),
              os.environ.get("GUST_MAXPROCS"))
    if wanted != ("dev", "epoll", "2"):
        print("0 passed, 0 failed, 1 skipped")
        return 0
    tasks = [(model, macros, holds) for model in sorted(os.listdir(MODELS))
             if model.endswith(".pml") for macros, holds in checks(model)]
    assert tasks, "no models"
    # Two at a time: each may take as much memory as it is allowed.
    with ThreadPoolExecutor(max_workers=2) as pool:
        passed = sum(pool.map(check, tasks))
    print(f"{passed} passed, {len(tasks) - passed} failed")
    return passed < len(tasks)


if __name__ == "__main__":
    sys.exit(main())

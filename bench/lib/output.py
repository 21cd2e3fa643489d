"""What a benchmark says while it runs, and what it keeps of its results."""

import json
import sys


def progress(text):
    """Replaces the line before; an empty text ends it."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def keep(results, path):
    """Prints each result as a line of JSON, and appends them to the file unless path is None."""
    lines = [json.dumps(result) for result in results]
    print("", *lines, sep="\n")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)

"""Adds up what `meson test` ran and prints `N passed, N failed[, N skipped]`, the last line of
./dev test.

Usage: tally.py TESTLOG.json...   (Meson's log, one JSON object a line)

doctest and pytest say how many cases they ran; any other program counts as one. A program that
fails without naming a failed case (a crash, a timeout, a sanitizer's report) adds one failure.
A log that is missing or empty is a failure too: nothing ran.
"""

import json
import re
import sys

DOCTEST = re.compile(r"\[doctest\] test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed")
PYTEST_LAST_LINE = re.compile(r"^(?:=+ )?((?:\d+ \w+(?:, )?)+) in [\d.]+s", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def pytest_counts(summary):
    """'3 passed, 1 failed, 2 errors' as (passed, failed, skipped)."""
    words = {word.rstrip("s"): int(n) for n, word in re.findall(r"(\d+) (\w+)", summary)}
    passed = words.get("passed", 0) + words.get("xfailed", 0)
    return passed, words.get("failed", 0) + words.get("error", 0), words.get("skipped", 0)


def count(entry):
    """(passed, failed, skipped) of one Meson test."""
    if entry["result"] == "SKIP":
        return 0, 0, 1
    output = COLOUR.sub("", entry.get("stdout", ""))
    passed = failed = skipped = 0
    for match in DOCTEST.finditer(output):
        passed += int(match[1])
        failed += int(match[2])
    for match in PYTEST_LAST_LINE.finditer(output):
        p, f, s = pytest_counts(match[1])
        passed, failed, skipped = passed + p, failed + f, skipped + s
    good = entry["result"] in ("OK", "EXPECTEDFAIL")
    if not good and failed == 0:
        failed = 1
    if good and passed == failed == skipped == 0:
        passed = 1
    return passed, failed, skipped


def tally(path):
    try:
        with open(path, encoding="utf-8") as log:
            entries = [json.loads(line) for line in log]
    except OSError as error:
        print(f"tally: {error}", file=sys.stderr)
        entries = []
    if not entries:
        return 0, 1, 0
    return tuple(sum(column) for column in zip(*map(count, entries)))


def main(paths):
    passed, failed, skipped = (sum(column) for column in zip(*map(tally, paths)))
    skips = f", {skipped} skipped" if skipped else ""
    print(f"{passed} passed, {failed} failed{skips}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The last line of ./dev test must never claim more than what ran."""

import json
import pathlib
import subprocess
import sys

TALLY = pathlib.Path(__file__).resolve().parents[1] / "tally.py"


def tally(tmp_path, *entries):
    log = tmp_path / "testlog.json"
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    done = subprocess.run([sys.executable, TALLY, log], capture_output=True, text=True, check=False)
    return done.stdout.strip(), done.returncode


def test_cases_of_doctest_and_pytest_are_added_and_any_other_program_counts_as_one(tmp_path):
    doctest = "[doctest] test cases:  5 |  5 passed | 0 failed | 0 skipped\n"
    entries = [{"result": "OK", "stdout": doctest},
               {"result": "OK", "stdout": "....\n4 passed, 1 skipped, 2 warnings in 0.21s\n"},
               {"result": "OK", "stdout": ""}]
    assert tally(tmp_path, *entries) == ("10 passed, 0 failed, 1 skipped", 0)


def test_a_program_that_fails_counts_at_least_once(tmp_path):
    crash = {"result": "FAIL", "stdout": "=== 3 passed in 65.20s (0:01:05) ===\n"}
    failures = {"result": "FAIL", "stdout": "2 failed, 1 passed, 1 error in 1.00s\n"}
    assert tally(tmp_path, crash, failures, {"result": "TIMEOUT"}) == ("4 passed, 5 failed", 1)


def test_a_log_without_tests_is_a_failure(tmp_path):
    assert tally(tmp_path) == ("0 passed, 1 failed", 1)

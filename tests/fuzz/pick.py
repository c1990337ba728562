#!/usr/bin/python3
"""Adds the best of what a fuzz target found to its corpus in the tree: the inputs that cover most
of what the corpus doesn't yet, the small ones first. `pick.py TARGET CORPUS FOUND`
"""

import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

MOST_FILES = 100         # of a corpus in the tree
MOST_BYTES = 1024        # of one that is picked


def features(target, *corpora):
    """What each input covers, by libFuzzer's own reckoning: path -> set of features."""
    with tempfile.TemporaryDirectory() as scratch:
        control = pathlib.Path(scratch, "control")
        empty = pathlib.Path(scratch, "empty")
        empty.mkdir()
        subprocess.run([target, "-merge=1", "-max_len=8192", f"-merge_control_file={control}",
                        str(empty), *map(str, corpora)], check=True, capture_output=True)
        lines = control.read_text().splitlines()
    count = int(lines[0])
    files = [pathlib.Path(line) for line in lines[2:2 + count]]
    covered = {}
    for line in lines[2 + count:]:
        if match := re.match(r"FT (\d+)(.*)", line):
            covered[files[int(match[1])]] = set(map(int, match[2].split()))
    return covered


def main(target, kept, found):
    kept, found = pathlib.Path(kept), pathlib.Path(found)
    covered = features(target, kept, found)
    known = set().union(*(f for path, f in covered.items() if path.parent == kept))
    candidates = {path: f for path, f in covered.items()
                  if path.parent != kept and path.stat().st_size <= MOST_BYTES}
    room = MOST_FILES - len(list(kept.iterdir()))
    picked = 0
    while candidates and picked < room:
        best = max(candidates, key=lambda path: len(candidates[path] - known) /
                   (path.stat().st_size + 100))
        gain = candidates.pop(best) - known
        if not gain:
            break
        known |= gain
        content = best.read_bytes()
        (kept / hashlib.sha1(content).hexdigest()[:12]).write_bytes(content)
        picked += 1
    print(f"picked {picked} of {len(covered)} inputs into {kept}")


if __name__ == "__main__":
    main(*sys.argv[1:])

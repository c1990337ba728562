"""What the benchmark says: the aligned table, JSON, and a line of progress on a terminal."""

import json
import statistics
import sys

PEER_TITLES = {"etcd": "etcd", "zk": "ZooKeeper"}


class Progress:
    """One line that is written over and over, for those who watch; nothing for a pipe."""

    def __init__(self, steps):
        self.steps = steps
        self.done = 0
        self.shown = sys.stderr.isatty()

    def step(self, text):
        self.done += 1
        if self.shown:
            print(f"\r\x1b[K[{self.done}/{self.steps}] {text}", end="", file=sys.stderr, flush=True)

    def clear(self):
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def figure(value, unit):
    if value is None:
        return "-"
    if unit == "s":
        return f"{value:.2f} s"
    if unit == "1/s":
        return f"{value:,.0f}/s".replace(",", " ")
    return f"{value:.0f} {unit}"


class Result:
    """A row's samples, and what they come to."""

    def __init__(self, row):
        self.row = row
        self.samples = {"holdfast": [], "etcd": [], "zk": []}
        self.latencies = {}

    def median(self, service):
        samples = self.samples[service]
        return statistics.median(samples) if samples else None

    def ratio(self, peer):
        """How many times better than the peer; None if either wasn't measured."""
        ours, theirs = self.median("holdfast"), self.median(peer)
        if not ours or not theirs:
            return None
        return ours / theirs if self.row.is_rate else theirs / ours

    def target(self, peer):
        return getattr(self.row, "times_" + peer)

    def verdict(self):
        """True or False, or None if nothing was there to judge by."""
        ours = self.median("holdfast")
        if ours is None:
            return None
        if not self.row.is_rate:
            return ours <= self.row.at_most
        judged = [self.ratio(peer) >= self.target(peer) for peer in PEER_TITLES
                  if self.target(peer) and self.ratio(peer) is not None]
        return all(judged) if judged else None


def verdict_text(verdict):
    return {None: "", True: "PASS", False: "MISS"}[verdict]


def table(results, with_peers):
    header = ["ROW", "WHAT", "HOLDFAST", "P50", "P99"]
    if with_peers:
        for title in PEER_TITLES.values():
            header += [title.upper(), "RATIO", "TARGET"]
    lines = [header + ["LIMIT", ""]]
    for result in results:
        row = result.row
        latency = result.latencies
        line = [row.name, row.what, figure(result.median("holdfast"), row.unit),
                *(f"{latency[key] / 1000:.2f} ms" if key in latency else ""
                  for key in ("p50Us", "p99Us"))]
        if with_peers:
            for peer in PEER_TITLES:
                ratio, target = result.ratio(peer), result.target(peer)
                line += [figure(result.median(peer), row.unit), f"{ratio:.2f}x" if ratio else "",
                         f"{target:g}x" if target else ""]
        limit = figure(row.at_most, row.unit) if row.at_most else ""
        lines.append(line + [limit, verdict_text(result.verdict())])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    texts = []
    for line in lines:
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        texts.append("  ".join(cells).rstrip())
    return "\n".join(texts)


def as_json(results):
    rows = []
    for result in results:
        row = result.row
        said = {"row": row.name, "what": row.what, "unit": row.unit}
        for service, samples in result.samples.items():
            said[service] = result.median(service)
            said[service + "Samples"] = samples
        for peer in PEER_TITLES:
            said[peer + "Ratio"] = result.ratio(peer)
            said[peer + "Target"] = result.target(peer) or None
        said["limit"] = row.at_most or None
        said["pass"] = result.verdict()
        rows.append({**said, **result.latencies})
    return json.dumps({"rows": rows}, indent=2)

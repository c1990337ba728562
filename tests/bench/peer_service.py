"""etcd or ZooKeeper under measurement, through tests/bench/peers/peers."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

PEERS = pathlib.Path(__file__).resolve().parent / "peers" / "peers"


class PeerService:
    def __init__(self, name, title, directory, seconds):
        self.name = name
        self.title = title
        self.directory = directory / "peers"
        self.seconds = seconds
        self.fresh = False  # nothing was hurt since start()

    def setup(self):
        self.peers("setup", self.name)

    def start(self):
        self.peers("up", self.name, "3")
        self.fresh = True

    def stop(self):
        self.peers("down", self.name)
        self.end_strays()

    def workload(self, row):
        return getattr(row, self.name)

    def measure(self, row):
        work = self.workload(row)
        if not self.fresh:
            self.start()
        self.fresh = not work.startswith("failover")
        return [float(json.loads(self.peers("bench", self.name, work))[row.metric])]

    def peers(self, *args):
        """Runs the script in a group of its own, so that all of it can be ended."""
        env = {**os.environ, "PEERS": str(self.directory), "SECONDS_EACH": str(self.seconds)}
        log = self.directory / "stderr.log"
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as errors, subprocess.Popen(
                [str(PEERS), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, env=env, text=True, start_new_session=True) as process:
            try:
                output, _ = process.communicate()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode != 0:
            last = log.read_text(errors="replace").splitlines()[-5:]
            raise RuntimeError(f"peers {' '.join(args)} failed; the end of {log}: {last}")
        return output

    def end_strays(self):
        """Servers whose pid wasn't written yet when the script was ended: they name our data."""
        data = os.fsencode(self.directory.resolve() / "data" / self.name)
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and data in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue  # it has ended, or is somebody else's
        shutil.rmtree(self.directory / "data" / self.name, ignore_errors=True)

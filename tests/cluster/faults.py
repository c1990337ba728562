"""The faults of a torture run: what each of them does to a cell, its network and its clients, and
how it ends again. Which come, when, to whom and for how long is drawn from the seed.

A fault is a function of (Scene, random.Random) that begins it and returns what it did, in words,
and the function that ends it. All randomness is drawn before the first look at the scene, so that
a seed draws the same faults every time, whoever leads then. Faults come in lanes: those of one lane
follow one another, those of different lanes overlap.

Clocks are faked in daemons only: libfaketime (0.9.10) moves absolute timers on CLOCK_BOOTTIME
along with the wall clock, also with FAKETIME_DONT_FAKE_MONOTONIC. A daemon has no such timer, but a
client has: it would lose its lease at a time that no clock of a real machine shows. Without that
setting CLOCK_BOOTTIME and the daemons' waits run at the rate that is asked for.
"""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import time

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
WALL_JUMPS_S = (-86_400, -3_600, -61, -5, 5, 61, 3_600, 86_400)
RATES_WITHIN = (0.993, 0.996, 1.004, 1.007)   # of a drift bound of 1 %
RATES_BEYOND = (0.5, 0.8, 1.5, 4.0)
TTL_S = 2.0
DISK_SIZE = "48m"


@dataclasses.dataclass
class Scene:
    """What there is to be broken."""

    cell: object
    network: object   # None: loopback, where nothing can be cut
    clients: object   # clients.Clients
    disks: dict       # node -> pathlib.Path of its small disk
    history: object   # recorder.Recorder of the faults
    rates: dict = dataclasses.field(default_factory=dict)  # node -> rate of its clock

    def node(self, leader_wanted, otherwise):
        """The leader if that is wanted and there is one."""
        return (leader_wanted and self.cell.leader()) or otherwise

    def others(self, one):
        return [i for i in self.cell.nodes if i != one]


def draw_node(scene, draw):
    """Half of the time the leader: it has most to do."""
    leader_wanted, otherwise = draw.random() < 0.5, draw.choice(sorted(scene.cell.nodes))
    return scene.node(leader_wanted, otherwise)


# -- the network -----------------------------------------------------------------------------------

CLIENT_HOSTS = ("client", "far")


def draw_link(scene, draw):
    """Two hosts that have something to say to each other."""
    node = draw.choice(sorted(scene.cell.nodes))
    pair = [node, draw.choice([*scene.others(node), *CLIENT_HOSTS])]
    draw.shuffle(pair)
    return pair


def isolate(scene, draw):
    node = draw_node(scene, draw)
    scene.network.isolate(node)
    return f"node {node} alone", scene.network.heal


def split_from_peers(scene, draw):
    """Its clients still reach it."""
    way = draw.choice(("mute to", "deaf to", "cut off from"))
    node = draw_node(scene, draw)
    for other in scene.others(node):
        if way != "deaf to":
            scene.network.cut(node, other)
        if way != "mute to":
            scene.network.cut(other, node)
    return f"node {node} {way} its peers", scene.network.heal


def one_way(scene, draw):
    source, target = draw_link(scene, draw)
    scene.network.cut(source, target)
    return f"{source} to {target} cut, one way", scene.network.heal


def client_cut_off(scene, draw):
    host = draw.choice(CLIENT_HOSTS)
    scene.network.isolate(host)
    return f"host {host} alone", scene.network.heal


def leave_alone(scene, *inside):
    """They reach each other and nobody else."""
    for host in inside:
        scene.network.isolate(host, *(other for other in (*scene.cell.nodes, *CLIENT_HOSTS)
                                      if other not in inside))


def minority_with_clients(scene, draw):
    host, node = draw.choice(CLIENT_HOSTS), draw_node(scene, draw)
    leave_alone(scene, host, node)
    return f"node {node} and host {host} by themselves", scene.network.heal


def loss(scene, draw):
    percent, hosts = draw.choice((5, 20, 50)), [*sorted(scene.cell.nodes), *CLIENT_HOSTS]
    everywhere, pair = draw.random() < 0.5, draw_link(scene, draw)
    pairs = [(a, b) for a in hosts for b in hosts if a != b] if everywhere else [tuple(pair)]
    scene.network.lose(percent, pairs)
    where = "everywhere" if everywhere else f"from {pair[0]} to {pair[1]}"
    return f"{percent} % lost {where}", scene.network.heal


def slow(scene, draw):
    hosts = draw.sample([*sorted(scene.cell.nodes), *CLIENT_HOSTS], draw.choice((1, 2, 5)))
    for host in hosts:
        scene.network.slow(host)
    return f"what goes to {', '.join(map(str, hosts))} is slow", scene.network.heal


def reset(scene, draw):
    source, target = draw_link(scene, draw)
    scene.network.refuse(source, target)
    return f"connections between {source} and {target} are reset", scene.network.heal


# -- daemons ---------------------------------------------------------------------------------------


def kill(scene, draw):
    node = draw_node(scene, draw)
    scene.cell.kill(node)
    return f"node {node}", lambda: scene.cell.start(node)


def kill_all(scene, draw):
    count = draw.choice((2, 3, 3))
    victims = draw.sample(sorted(scene.cell.nodes), count)
    for i in victims:
        scene.cell.nodes[i].process.kill()
    for i in victims:
        scene.cell.nodes[i].process.wait()
    return f"nodes {', '.join(map(str, victims))} at once", lambda: scene.cell.start(*victims)


def stop(scene, draw):
    node = draw_node(scene, draw)
    scene.cell.pause(node)
    return f"node {node}", lambda: scene.cell.resume(node)


def stop_all(scene, draw):
    victims = draw.sample(sorted(scene.cell.nodes), draw.choice((2, 3)))
    for i in victims:
        scene.cell.pause(i)

    def end():
        for i in victims:
            scene.cell.resume(i)
    return f"nodes {', '.join(map(str, victims))} at once", end


def stop_among_clients(scene, draw):
    """The leader, which clients that reach nobody else fill with requests while it is stopped. When
    it continues it finds them before any word of the next leader, and must not answer yes."""
    host, otherwise = draw.choice(CLIENT_HOSTS), draw.choice(sorted(scene.cell.nodes))
    node = scene.node(True, otherwise)
    leave_alone(scene, host, node)
    scene.cell.pause(node)

    def end():
        scene.cell.resume(node)
        time.sleep(0.3)  # for as long it is still alone
        scene.network.heal()
    return f"node {node}, by itself with host {host}", end


def shut_down(scene, draw):
    node = draw_node(scene, draw)
    status = scene.cell.stop(node)
    assert status == 0, f"node {node} ended with {status} on SIGTERM"
    return f"node {node}", lambda: scene.cell.start(node)


def disk_full(scene, draw):
    node = draw.choice(sorted(scene.disks))
    filler = scene.disks[node] / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)

    def end():
        filler.unlink()
        process = scene.cell.nodes[node].process
        if process.poll() is not None:
            assert process.returncode == 74, f"node {node} ended with {process.returncode}"
            scene.cell.start(node)
    return f"node {node}", end


def wall_clock(scene, draw):
    nodes = draw.sample(sorted(scene.cell.nodes), draw.choice((1, 1, 3)))
    jump, back = draw.choice(WALL_JUMPS_S), draw.random() < 0.5
    for i in nodes:
        set_wall(scene.cell, i, jump)

    def end():
        for i in nodes if back else ():
            set_wall(scene.cell, i, 0)
    return f"{jump:+d} s on {', '.join(map(str, nodes))}, {'and back' if back else 'for good'}", end


def rate(scene, draw, rates=RATES_WITHIN):
    """All clocks of the daemon, from a restart to the next."""
    factor = draw.choice(rates)
    node = draw_node(scene, draw)
    scene.cell.kill(node)
    before = scene.cell.nodes[node].env
    scene.cell.nodes[node].env = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"+0 x{factor}",
                                  "NO_FAKE_STAT": "1"}
    scene.cell.start(node)

    def end():
        scene.cell.kill(node)
        scene.cell.nodes[node].env = before
        scene.cell.start(node)
    return f"node {node} restarts with x{factor}, and again without", end


def rate_beyond(scene, draw):
    return rate(scene, draw, RATES_BEYOND)


def fake_clocks(cell):
    """From their next start on, the daemons have wall clocks that set_wall sets."""
    for i, node in cell.nodes.items():
        set_wall(cell, i, 0)
        node.env = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                    "FAKETIME_TIMESTAMP_FILE": str(wall_file(cell, i)), "NO_FAKE_STAT": "1",
                    "FAKETIME_CACHE_DURATION": "1"}


def wall_file(cell, i):
    return cell.directory / f"wall-{i}"


def set_wall(cell, i, seconds):
    """Replaced at once, as libfaketime may be reading it."""
    new = cell.directory / f"wall-{i}.new"
    new.write_text(f"{seconds:+d}\n", encoding="ascii")
    new.replace(wall_file(cell, i))


# -- clients ---------------------------------------------------------------------------------------


def stop_client(scene, draw):
    """The fault's length is drawn around the TTL: some come back just in time, some too late."""
    victim = scene.clients.choose(draw)
    pids = victim.victims()
    for pid in pids:
        signal_if_there(pid, signal.SIGSTOP)

    def end():
        for pid in pids:
            signal_if_there(pid, signal.SIGCONT)
    return victim.name, end


def kill_client(scene, draw):
    victim = scene.clients.choose(draw)
    victim.kill(scene.history)
    return victim.name, victim.start_again


def signal_if_there(pid, which):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, which)


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    lane: str
    begin: object
    weight: int = 1
    longest: float = 3.5   # seconds
    needs: str = ""        # network, disks, faketime: what must be there
    beyond_drift: bool = False


KINDS = (
    Kind("partition", "network", isolate, needs="network"),
    Kind("peers cut", "network", split_from_peers, 2, needs="network"),
    Kind("one-way cut", "network", one_way, needs="network"),
    Kind("clients cut off", "network", client_cut_off, needs="network"),
    Kind("minority", "network", minority_with_clients, needs="network"),
    Kind("loss", "network", loss, needs="network"),
    Kind("slow links", "network", slow, needs="network"),
    Kind("resets", "network", reset, longest=1.0, needs="network"),
    Kind("kill", "daemons", kill, 3, longest=2.0),
    Kind("kill at once", "daemons", kill_all, longest=1.0),
    Kind("stop", "daemons", stop, 2),
    Kind("stop at once", "daemons", stop_all),
    Kind("stop among clients", "daemons", stop_among_clients, needs="network"),
    Kind("shut down", "daemons", shut_down, longest=1.0),
    Kind("disk full", "daemons", disk_full, needs="disks"),
    Kind("wall clock", "clocks", wall_clock, 3, needs="faketime"),
    Kind("clock rate", "daemons", rate, longest=6.0, needs="faketime"),
    Kind("rate beyond ε", "daemons", rate_beyond, 3, longest=6.0, needs="faketime",
         beyond_drift=True),
    Kind("client stop", "clients", stop_client, 2, longest=2.2 * TTL_S),
    Kind("client kill", "clients", kill_client),
)


def draw_kinds(draw, able, beyond_drift):
    """Swarm testing: a run has some of the faults only, so that others get room."""
    kinds = [kind for kind in KINDS
             if (not kind.needs or kind.needs in able) and kind.beyond_drift <= beyond_drift]
    chosen = [kind for kind in kinds if kind.beyond_drift or draw.random() < 0.7]
    return chosen or kinds


@contextlib.contextmanager
def small_disk(path):
    """A filesystem of its own at `path`, which is quick to fill."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(path)],
                   check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)

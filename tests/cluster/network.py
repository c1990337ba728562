"""A network of namespaces on this machine that can be cut, also one way. Needs root and nft.

    with Network(1, 2, 3, "client") as network, Cell(network=network) as cell:
        network.cut(1, 2)        # what 1 sends doesn't reach 2
        network.isolate(3)       # nothing from or to 3
        network.lose(20, [(1, 3)])   # a fifth of what 1 sends to 3 is lost
        network.heal()

Each host is a namespace with one link to a router, another namespace, which drops what is cut.
Namespaces carry the id of this process in their names. Those that a killed test run left behind are
removed when the next one begins.
"""

import os
import re
import shutil
import subprocess

OWN_NAME = re.compile(r"^hf(\d+)-\w+")
RULES = """
table ip faults {
  set cut { type ipv4_addr . ipv4_addr; }
  set refused { type ipv4_addr . ipv4_addr; }
  chain loss { }
  chain forward {
    type filter hook forward priority 0
    ip saddr . ip daddr @cut drop
    meta l4proto tcp ip saddr . ip daddr @refused reject with tcp reset
    jump loss
  }
}
"""
# What a link that is slow does: netem where the kernel has it, else a thin pipe with a long queue.
NETEM = ("netem", "delay", "40ms", "30ms")
THIN = ("tbf", "rate", "400kbit", "burst", "4kb", "latency", "400ms")

possible = os.geteuid() == 0 and bool(shutil.which("nft"))


def ip(*args):
    done = subprocess.run(["ip", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(map(str, args))}: {done.stderr}"
    return done.stdout


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def sweep():
    """Removes what test runs that are no more have left, and ends what still runs in there."""
    for line in ip("netns", "list").splitlines():
        own = OWN_NAME.match(line)
        if own and not alive(int(own[1])):
            for pid in ip("netns", "pids", own[0]).split():
                os.kill(int(pid), 9)
            ip("netns", "delete", own[0])


class Network:
    def __init__(self, *hosts):
        self.hosts = {host: number for number, host in enumerate(hosts, 1)}
        self.router = f"hf{os.getpid()}-router"
        self._slow = set()  # hosts
        self._has_netem = None  # not known yet

    def __enter__(self):
        sweep()
        try:
            self.build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    # -- where things are --------------------------------------------------------------------------

    def namespace(self, host):
        return f"hf{os.getpid()}-{host}"

    def address(self, host):
        return f"10.83.{self.hosts[host]}.2"

    def enter(self, host):
        """What precedes a command that is to run there."""
        return ["ip", "netns", "exec", self.namespace(host)]

    # -- faults ------------------------------------------------------------------------------------

    def cut(self, source, target):
        """What `source` sends doesn't reach `target`; the other way is left as it is."""
        self.nft(f"add element ip faults cut {{ {self.address(source)} . {self.address(target)} }}")

    def isolate(self, host, *others):
        """Nothing passes between this host and the others, by default all."""
        for other in others or self.hosts:
            if other != host:
                self.cut(host, other)
                self.cut(other, host)

    def refuse(self, source, target):
        """Connections between the two are reset as soon as anything is sent over them."""
        for one, other in ((source, target), (target, source)):
            self.nft(f"add element ip faults refused "
                     f"{{ {self.address(one)} . {self.address(other)} }}")

    def lose(self, percent, pairs):
        """Of what each source sends to its target, so much is lost, at random."""
        for source, target in pairs:
            self.nft(f"add rule ip faults loss ip saddr {self.address(source)} "
                     f"ip daddr {self.address(target)} numgen random mod 100 < {percent} drop")

    def slow(self, host):
        """What goes to that host is late."""
        self.tc("add", host, *(NETEM if self.has_netem else THIN))
        self._slow.add(host)

    def heal(self):
        self.nft("flush set ip faults cut; flush set ip faults refused; flush chain ip faults loss")
        for host in self._slow:
            self.tc("delete", host)
        self._slow.clear()

    # -- making it ---------------------------------------------------------------------------------

    def tc(self, verb, host, *what):
        subprocess.run([*self.enter("router"), "tc", "qdisc", verb, "dev", self.link(host), "root",
                        *what], check=True)

    def link(self, host):
        return f"to{self.hosts[host]}"

    @property
    def has_netem(self):
        """Whether this kernel can delay packets."""
        if self._has_netem is None:
            tried = subprocess.run([*self.enter("router"), "tc", "qdisc", "add", "dev", "lo",
                                    "root", *NETEM], capture_output=True, check=False)
            self._has_netem = tried.returncode == 0
        return self._has_netem

    def nft(self, commands):
        subprocess.run([*self.enter("router"), "nft", "-f", "-"], input=commands, text=True,
                       check=True)

    def build(self):
        ip("netns", "add", self.router)
        subprocess.run([*self.enter("router"), "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
                       check=True)
        self.nft(RULES)
        for host, number in self.hosts.items():
            own, link, gateway = self.namespace(host), self.link(host), f"10.83.{number}.1"
            ip("netns", "add", own)
            ip("-n", self.router, "link", "add", link, "type", "veth",
               "peer", "name", "eth0", "netns", own)
            ip("-n", self.router, "address", "add", f"{gateway}/24", "dev", link)
            ip("-n", self.router, "link", "set", link, "up")
            ip("-n", own, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            ip("-n", own, "link", "set", "lo", "up")
            ip("-n", own, "link", "set", "eth0", "up")
            ip("-n", own, "route", "add", "default", "via", gateway)

    def remove(self):
        left = ip("netns", "list")
        for name in [*map(self.namespace, self.hosts), self.router]:
            if re.search(rf"^{name}\b", left, re.MULTILINE):
                ip("netns", "delete", name)

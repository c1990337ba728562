"""A network of namespaces on this machine that can be cut, also one way. Needs root and nft.

    with Network(1, 2, 3, "client") as network, Cell(network=network) as cell:
        network.cut(1, 2)        # what 1 sends doesn't reach 2
        network.isolate(3)       # nothing from or to 3
        network.heal()

Each host is a namespace with one link to a router, another namespace, which drops what is cut.
Namespaces carry the id of this process in their names. Those that a killed test run left behind are
removed when the next one begins.
"""

import os
import re
import shutil
import subprocess

import pytest

OWN_NAME = re.compile(r"^hf(\d+)-\w+")
RULES = """
table ip faults {
  set cut { type ipv4_addr . ipv4_addr; }
  chain forward { type filter hook forward priority 0; ip saddr . ip daddr @cut drop; }
}
"""

needed = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"),
                            reason="needs root and nft: makes network namespaces")


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

    def heal(self):
        self.nft("flush set ip faults cut")

    # -- making it ---------------------------------------------------------------------------------

    def nft(self, commands):
        subprocess.run([*self.enter("router"), "nft", "-f", "-"], input=commands, text=True,
                       check=True)

    def build(self):
        ip("netns", "add", self.router)
        subprocess.run([*self.enter("router"), "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
                       check=True)
        self.nft(RULES)
        for host, number in self.hosts.items():
            own, link, gateway = self.namespace(host), f"to{number}", f"10.83.{number}.1"
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

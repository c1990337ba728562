"""What `./dev bench` measures, a row of its table each, and what each row must reach.

A rate must be some multiple of the peers' rates, taken in the same run; the other figures have a
limit of their own.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    what: str
    unit: str
    # How Holdfast is measured: arguments of `lockctl bench`, or a method of HoldfastService.
    load: tuple = ()
    method: str = ""
    # How the peers are: the workload of tests/bench/peers/peers, and what it is called there.
    etcd: str = ""
    zk: str = ""
    metric: str = ""
    # What must be reached: multiples of the peers' rates, or the most that may be.
    times_etcd: float = 0
    times_zk: float = 0
    at_most: float = 0
    samples: int = 1  # taken in one go; the first round takes them all

    @property
    def is_rate(self):
        return not self.at_most


def _pairs(clients, times_etcd, times_zk):
    name = f"pairs-{clients}"
    return Row(name, f"acquire+release pairs, {clients} at once", "1/s",
               load=("--workload", "pairs", "--clients", clients, "--connections", 1),
               etcd=name, zk=name, metric="pairs_s", times_etcd=times_etcd, times_zk=times_zk)


ROWS = (
    _pairs(1, 3, 1.5),
    _pairs(64, 6, 2),
    _pairs(512, 5, 1.5),
    Row("handoff-100", "handoffs of one lock, 100 waiters", "1/s",
        load=("--workload", "handoff", "--clients", 100, "--connections", 1),
        etcd="handoff-100", zk="handoff-100", metric="handoffs_s", times_etcd=8, times_zk=3),
    # etcd's pipelined keepalive stream, ZooKeeper's pings: what they have.
    Row("renew-64", "renewals, a lease a call, 64 at once", "1/s",
        load=("--workload", "renew", "--clients", 64, "--connections", 1),
        etcd="renew-batch", zk="renew-batch", metric="renew_s", times_etcd=0.6),
    Row("renew-batch", "renewals, 1000 sessions of one process", "1/s",
        load=("--workload", "renew", "--batch", "--clients", 1000, "--connections", 1),
        etcd="renew-batch", zk="renew-batch", metric="renew_s", times_etcd=5),
    Row("failover-kill", "kill -9 of the leader to the next acquire", "ms",
        method="failover_kill", etcd="failover", zk="failover", metric="unavail_ms",
        at_most=300, samples=10),
    Row("failover-stop", "SIGSTOP of the leader to the next acquire", "ms",
        method="failover_stop", etcd="failover-stop", zk="failover-stop", metric="unavail_ms",
        at_most=1200, samples=10),
    Row("memory-100000", "resident leader, 100 000 leases with locks", "MB",
        method="memory", at_most=100),
    Row("restart-100000", "kill -9 of all with them to the next acquire", "s",
        method="restart", at_most=3),
)

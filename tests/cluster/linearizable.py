"""Decides whether what clients saw of one lock is linearizable: whether there is an order of all
the grants, ends and reads, each at a moment between its call and its return, that a lock could have
gone through one by one. The search is Lowe's, just in time ("Testing for linearizability", 2016).

The state is the set of tokens that hold the lock, and how many grants there were: tokens are
revisions, so grants come in their order, which keeps the search small. Operations:

- a grant of a known token: nothing that conflicts is held, and no greater token was granted before;
- an end, by a release or with its lease. One whose outcome isn't known may happen at any time after
  its call, or never;
- a read, of any kind: a predicate of the set of holders.

A grant that no client was told of (its outcome is unknown to its client) is no operation here:
nobody relies on it. It can only explain what a read shows, which is the caller's business.
"""

import collections
import dataclasses

MOST_STATES = 200_000  # at one moment: beyond that the search gives up, and says so
NEVER = float("inf")


@dataclasses.dataclass(frozen=True)
class Grant:
    token: int
    mode: str
    call: int
    returned: int


@dataclasses.dataclass(frozen=True)
class End:
    token: int
    call: int
    returned: float = NEVER


@dataclasses.dataclass(frozen=True)
class Read:
    holds: object  # frozenset of tokens -> bool
    call: int
    returned: int
    what: object   # for people


class Undecided(Exception):
    pass


class _Search:
    """States are (number of grants that have happened, tokens that hold, reads that are done)."""

    def __init__(self, grants):
        self.grants = sorted(grants, key=lambda grant: grant.token)
        self.index = {grant.token: i for i, grant in enumerate(self.grants)}
        self.called = set()   # tokens whose grant may happen
        self.ending = set()   # tokens whose end may happen
        self.reading = {}     # number -> Read
        self.states = {(0, frozenset(), frozenset())}

    def settled(self, granted, holders, reads):
        """The state with all reads done that can be: a read changes nothing, so early is best."""
        more = [n for n, read in self.reading.items() if n not in reads and read.holds(holders)]
        return granted, holders, reads.union(more) if more else reads

    def settle(self):
        self.states = {self.settled(*state) for state in self.states}

    def next_states(self, granted, holders, reads):
        for token in holders & self.ending:
            yield self.settled(granted, holders - {token}, reads)
        if granted < len(self.grants):
            grant = self.grants[granted]
            if grant.token in self.called and self.free_for(grant, holders):
                yield self.settled(granted + 1, holders | {grant.token}, reads)

    def free_for(self, grant, holders):
        return not any("exclusive" in (grant.mode, self.grants[self.index[token]].mode)
                       for token in holders)

    def force(self, happened):
        """Keeps the states in which `happened`, and those that others can become by steps."""
        good = {state for state in self.states if happened(*state)}
        known = set(self.states)
        rest = collections.deque(self.states - good)
        while rest:
            for state in self.next_states(*rest.popleft()):
                if state in known:
                    continue
                known.add(state)
                if len(known) > MOST_STATES:
                    raise Undecided(f"more than {MOST_STATES} states")
                if happened(*state):
                    good.add(state)
                else:
                    rest.append(state)
        self.states = good


def _moments(grants, ends, reads):
    """(time, whether it is a return, operation), in order; at one time calls come first."""
    moments = [(op.call, False, op) for op in (*grants, *ends, *reads)]
    moments += [(op.returned, True, op) for op in (*grants, *ends, *reads) if op.returned < NEVER]
    return sorted(moments, key=lambda moment: moment[:2])


def check(grants, ends, reads):
    """The first operation that can't have happened as it says, or None. May raise Undecided."""
    search = _Search(grants)
    number = {id(read): n for n, read in enumerate(reads)}
    for _, is_return, op in _moments(grants, ends, reads):
        if isinstance(op, Grant):
            if is_return:
                search.force(lambda granted, *_, i=search.index[op.token]: granted > i)
            else:
                search.called.add(op.token)
        elif isinstance(op, End):
            if is_return:
                search.force(lambda granted, holders, _, t=op.token:
                             granted > search.index[t] and t not in holders)
            else:
                search.ending.add(op.token)
        elif is_return:
            n = number[id(op)]
            search.force(lambda _granted, _holders, done, n=n: n in done)
            del search.reading[n]
            search.states = {(g, h, done - {n}) for g, h, done in search.states}
        else:
            search.reading[number[id(op)]] = op
            search.settle()
        if not search.states:
            return op
    return None

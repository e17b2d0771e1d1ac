"""What calls cost in gas, learned from calls of the same kind.

The kind of a call is its contract, its function and the length of its data: a batch of
twenty is another kind than a batch of ten. Calls that are sent without being tried first
take their gas from here; the margin and the repeat with more gas after
:class:`~dsq.core.chain.failures.OutOfGasError` cover what differs within a kind.
"""

from __future__ import annotations

from collections import OrderedDict

from dsq.core.chain.calls import Call

KINDS = 256
"""Kinds remembered; the one that was not used for the longest is forgotten."""

Kind = tuple[bytes, bytes, int]


def kind_of(call: Call) -> Kind:
    """What is alike in calls that cost about the same."""
    return bytes(call.to), call.data[:4], len(call.data)


class GasBook:
    """The highest estimate seen of each kind."""

    def __init__(self) -> None:
        self._most: OrderedDict[Kind, int] = OrderedDict()

    def get(self, call: Call) -> int | None:
        """Gas of a call of this kind, or None if none was seen."""
        kind = kind_of(call)
        if kind in self._most:
            self._most.move_to_end(kind)
        return self._most.get(kind)

    def learn(self, call: Call, gas: int) -> None:
        """Notes an estimate, or gas that was used."""
        kind = kind_of(call)
        self._most[kind] = max(gas, self._most.get(kind, 0))
        self._most.move_to_end(kind)
        while len(self._most) > KINDS:
            self._most.popitem(last=False)

    def forget(self, call: Call) -> None:
        """What was learned of a kind was not enough: the next one is estimated."""
        self._most.pop(kind_of(call), None)

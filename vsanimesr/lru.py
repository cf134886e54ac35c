"""A bounded store that forgets what was not used for longest."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator


class Lru[Key: Hashable, Value]:
    """At most `capacity` values; the least recently used go first, pinned ones never.

    Looking (`in`, `peek`) may be done from any thread; `get`, `put` and `clear` from one at a time.
    """

    def __init__(self, capacity: int, pinned: Callable[[Key], bool] = lambda _: False) -> None:
        """Hold at most `capacity` values, not counting those whose key is `pinned` now."""
        self.capacity = capacity
        self._pinned = pinned
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[Key]:
        """All keys; from one thread at a time, as `get`."""
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def peek(self, key: Key) -> Value | None:
        """The value, without counting as a use; None when it is not there."""
        return self._values.get(key)

    def get(self, key: Key) -> Value | None:
        """The value, now the most recently used; None when it is not there."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Store a value as the most recently used, and forget what is too much."""
        self._values[key] = value
        self._values.move_to_end(key)
        excess = len(self._values) - self.capacity
        if excess > 0:
            loose = [k for k in self._values if k != key and not self._pinned(k)]
            for old in loose[:excess]:
                del self._values[old]

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()

"""The bounded line of jobs before the model: first come, first served.

Jobs carry no name of a client, and whoever may ask is bounded by keys and rates before; so the
order is that of arrival. A group may take jobs from behind others that it cannot take (prompts of
another number of pictures, or not ready yet), but the oldest ready job always leads the next group,
so that none is passed over for ever.
"""

from collections import deque
from collections.abc import Callable
from threading import Condition

from palikit.serving.entries import Entry
from palikit.serving.jobs import OverloadedError

MAX_AHEAD_BYTES = 2**28
"""Of pixels that are ready before their turn; one job always may be."""


class WaitingLine:
    """Jobs in the order of their arrival; several threads may use it.

    Args:
        max_length: jobs that may wait.
        picture_bytes: of one preprocessed picture.
        prepare: starts to make an entry ready and returns at once; it is called in order.

    Attributes:
        changed: guards all of it, and is notified when an entry has become ready.
    """

    def __init__(
        self, max_length: int, picture_bytes: int, prepare: Callable[[Entry], object]
    ) -> None:
        self.changed = Condition()
        self._max_length = max_length
        self._picture_bytes = picture_bytes
        self._prepare = prepare
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        """Jobs that wait and are wanted."""
        with self.changed:
            return sum(not entry.ticket.is_cancelled for entry in self._entries)

    @property
    def num_ready(self) -> int:
        """Jobs that could be taken."""
        with self.changed:
            return sum(entry.ready is not None for entry in self._entries)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, not even what nobody wants any more."""
        return not self._entries

    def put(self, entry: Entry, retry_after: Callable[[int], float]) -> None:
        """At the end.

        Args:
            entry: new.
            retry_after: seconds by when so many jobs will have had their turn.

        Raises:
            OverloadedError: as many wait as may; by `retry_after` half of them will not.
        """
        with self.changed:
            self.check_room(0, retry_after)
            self._entries.append(entry)
            self._prepare_next()

    def check_room(self, coming: int, retry_after: Callable[[int], float]) -> None:
        """Raises what `put` would for one that comes after `coming` others."""
        with self.changed:
            most = self._max_length - coming
            if len(self._entries) >= most and len(self) >= most:
                seconds = retry_after((self._max_length + 1) // 2)
                raise OverloadedError(
                    f"{self._max_length} requests wait already: ask again in {seconds:.1f} s",
                    seconds,
                )

    def remove(self, is_gone: Callable[[Entry], bool]) -> list[Entry]:
        """Take out what is not to wait any more."""
        with self.changed:
            gone = [entry for entry in self._entries if is_gone(entry)]
            if gone:
                self._leave(gone)
            return gone

    def take(self, fits: Callable[[list[Entry]], bool]) -> list[Entry]:
        """The next group: the oldest ready job, and those that may be read together with it.

        Args:
            fits: whether these entries may be a group; one that may not lead waits, and all behind
                it.

        Returns:
            Entries with the same number of pictures; none where nothing is ready, or the oldest
            does not fit.
        """
        with self.changed:
            group: list[Entry] = []
            for entry in self._entries:
                if entry.ready is None or (group and entry.num_pictures != group[0].num_pictures):
                    continue
                if not fits([*group, entry]):
                    break
                group.append(entry)
            if group:
                self._leave(group)
            return group

    def _leave(self, gone: list[Entry]) -> None:
        leaving = set(map(id, gone))
        self._entries = deque(entry for entry in self._entries if id(entry) not in leaving)
        self._prepare_next()

    def _prepare_next(self) -> None:
        """Have the next jobs made ready, as far ahead as memory goes."""
        ahead = 0
        for entry in self._entries:
            ahead += entry.num_pictures * self._picture_bytes
            if entry is not self._entries[0] and ahead > MAX_AHEAD_BYTES:
                return
            if not entry.is_preparing:
                entry.is_preparing = True
                self._prepare(entry)

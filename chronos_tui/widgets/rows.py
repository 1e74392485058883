"""Which rows a table shows, in which order, and which of them are loaded. Knows nothing of drawing."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

Key = Hashable
WINDOW = 200  # rows asked for at once
NEAR = 50  # rows kept loaded beyond the edge of the view
KEPT_WINDOWS = 10  # loaded windows kept when there are more rows than fit


class Row(NamedTuple):
    """A row: what names it, and the plain data its cells are made of when it is seen."""

    key: Key
    data: Any


class Rows:
    """Positions 0 to `total - 1`, each with a key once it is loaded. Data of rows not shown is kept until forgotten."""

    def __init__(self) -> None:
        self._keys: list[Key | None] = []
        self._index: dict[Key, int] = {}
        self._data: dict[Key, Any] = {}
        self._asked: set[int] = set()

    @property
    def total(self) -> int:
        return len(self._keys)

    @property
    def partial(self) -> bool:
        """Whether some of the positions are not loaded."""
        return len(self._index) < len(self._keys)

    def key(self, position: int) -> Key | None:
        """Return the key at a position, or None if it is not loaded or there is no such position."""
        return self._keys[position] if 0 <= position < len(self._keys) else None

    def keys(self, first: int, end: int) -> list[Key | None]:
        return self._keys[max(first, 0) : end]

    def position(self, key: Key | None) -> int | None:
        return None if key is None else self._index.get(key)

    def data(self, key: Key) -> Any:
        return self._data[key]

    def shown(self) -> Iterable[Key]:
        """Return the keys of the loaded rows in their order."""
        return self._index

    def replace(self, rows: Sequence[Row], first: int, total: int) -> None:
        """Forget everything; `rows` stand at `first` and after, of `total`."""
        keys: list[Key | None] = [row.key for row in rows]
        self._keys = [None] * first + keys + [None] * (total - first - len(rows)) if total > len(rows) else keys
        self._data = dict(rows)
        self._index = {row.key: at for at, row in enumerate(rows, first)}
        self._asked.clear()

    def load(self, first: int, rows: Sequence[Row]) -> None:
        """Put a window of rows in place; windows far from it are forgotten when there are many."""
        for at, row in enumerate(rows[: max(len(self._keys) - first, 0)], first):
            self._unseat(at)
            if (elsewhere := self._index.get(row.key)) is not None:
                self._keys[elsewhere] = None
            self._keys[at] = row.key
            self._index[row.key] = at
            self._data[row.key] = row.data
        self._asked.discard(first // WINDOW)
        if len(self._index) > KEPT_WINDOWS * WINDOW:
            self._forget_far_from(first)

    def _unseat(self, position: int) -> None:
        key = self._keys[position]
        if key is not None:
            self._index.pop(key, None)
            self._data.pop(key, None)

    def _forget_far_from(self, position: int) -> None:
        reach = KEPT_WINDOWS * WINDOW // 2
        for at in [at for at in self._index.values() if abs(at - position) > reach]:
            self._unseat(at)
            self._keys[at] = None

    def put(self, key: Key, data: Any) -> bool:
        """Keep new data; return whether it differs. Of a partly loaded table, rows that are not loaded are not kept."""
        if key in self._data:
            if self._data[key] == data:
                return False
        elif self.partial:
            return False
        self._data[key] = data
        return True

    def order(self, keys: Iterable[Key]) -> None:
        """Show exactly these rows in this order; keys without data are passed over."""
        kept: list[Key | None] = [key for key in keys if key in self._data]
        self._keys = kept
        self._index = {key: at for at, key in enumerate(kept)}

    def remove(self, keys: Iterable[Key]) -> None:
        """Forget these rows, shown or not."""
        gone = set(keys)
        for key in gone:
            self._data.pop(key, None)
        if gone & self._index.keys():
            self._keys = [key for key in self._keys if key is None or key not in gone]
            self._index = {key: at for at, key in enumerate(self._keys) if key is not None}

    def wanted(self, first: int, end: int) -> list[tuple[int, int]]:
        """Return the windows (first and last position) to ask for around a view, each of them once."""
        if not self.partial:
            return []
        first, end = max(first - NEAR, 0), min(end + NEAR, self.total)
        windows = sorted({at // WINDOW for at in range(first, end) if self._keys[at] is None} - self._asked)
        self._asked.update(windows)
        return [(w * WINDOW, min((w + 1) * WINDOW, self.total) - 1) for w in windows]

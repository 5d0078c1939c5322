"""The audio connections of one meeting by how many slots they have, kept up one at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sfu.session.audio import AudioConnection


class Listeners:
    """Thousands may have equal slots, and hear the same: what is decided is decided once for each size."""

    def __init__(self) -> None:
        self._sizes: dict[AudioConnection, int] = {}
        self._by_size: dict[int, dict[AudioConnection, None]] = {}

    def put(self, audio: AudioConnection) -> bool:
        """Follow the connection's slots; whether there is now a size that there was not."""
        size = len(audio.slots)
        if self._sizes.get(audio) == size:
            return False
        self.drop(audio)
        self._sizes[audio] = size
        is_new = size not in self._by_size
        self._by_size.setdefault(size, {})[audio] = None
        return is_new

    def drop(self, audio: AudioConnection) -> None:
        """Nothing happens when it is not there."""
        size = self._sizes.pop(audio, None)
        if size is None:
            return
        del self._by_size[size][audio]
        if not self._by_size[size]:
            del self._by_size[size]

    def clear(self) -> None:
        self._sizes.clear()
        self._by_size.clear()

    @property
    def sizes(self) -> set[int]:
        return set(self._by_size)

    def of(self, sizes: Iterable[int]) -> Iterator[AudioConnection]:
        """Those with so many slots, in order of coming within a size."""
        for size in sizes:
            yield from self._by_size.get(size, ())

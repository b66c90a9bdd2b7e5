"""Draw pairs of nodes without an edge, the negatives of link prediction.

Shapes: N nodes, E directed edges, K pairs.
"""

from functools import cached_property

import numpy as np

DENSE = 0.5  # from this share of forbidden pairs on, all others are listed instead of tried


class NegativePairs:
    """Draw pairs of different nodes uniformly from those that are not forbidden.

    A directed graph has the pairs (u, v) and (v, u); an undirected one has u < v alone.

    Args:
        src, dst: int64 [E], the edges, of an undirected graph in any direction; repeats and self-loops may be there.
        num_nodes: N, below 2^31.
        directed: whether the order of the two ends counts.
    """

    def __init__(self, src: np.ndarray, dst: np.ndarray, num_nodes: int, directed: bool) -> None:
        self.num_nodes, self.directed = num_nodes, directed
        self.num_pairs = num_nodes * (num_nodes - 1) // (1 if directed else 2)
        others = src != dst
        self.forbidden = np.unique(self.keys(src[others], dst[others]))

    def __len__(self) -> int:
        """Count the pairs that may be drawn."""
        return self.num_pairs - len(self.forbidden)

    def without(self, src: np.ndarray, dst: np.ndarray) -> "NegativePairs":
        """Return a copy that forbids these pairs, too."""
        more = object.__new__(NegativePairs)
        more.num_nodes, more.directed, more.num_pairs = self.num_nodes, self.directed, self.num_pairs
        more.forbidden = np.union1d(self.forbidden, self.keys(src, dst))
        return more

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Draw pairs independently of one another: int64 [K, 2].

        Raises:
            ValueError: no pair is left.
        """
        return self._ends(self._draw(count, generator))

    def draw_distinct(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Draw pairs that all differ: int64 [K, 2].

        Raises:
            ValueError: fewer than `count` pairs are left.
        """
        if count > len(self):
            raise ValueError(f"{len(self)} pairs of nodes have no edge, {count} are needed")
        if 2 * count > len(self) or self._is_dense:
            return self._ends(generator.choice(self._allowed, count, replace=False))
        found = np.empty(0, np.int64)
        while len(found) < count:
            found = np.concatenate([found, self._draw(count, generator)])
            found = found[np.sort(np.unique(found, return_index=True)[1])]  # the first of each, in the order of drawing
        return self._ends(found[:count])

    def keys(self, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """Return one number for each pair, int64 [K]."""
        low, high = (src, dst) if self.directed else (np.minimum(src, dst), np.maximum(src, dst))
        return low * self.num_nodes + high

    def _draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        if not len(self):
            raise ValueError("every pair of nodes has an edge")
        if self._is_dense:
            return generator.choice(self._allowed, count)
        parts: list[np.ndarray] = []
        while (missing := count - sum(map(len, parts))) > 0:
            src = generator.integers(self.num_nodes, size=missing)
            dst = generator.integers(self.num_nodes - 1, size=missing)
            keys = self.keys(src, dst + (dst >= src))  # never a self-loop
            place = np.searchsorted(self.forbidden, keys)
            place[place == len(self.forbidden)] = 0
            taken = self.forbidden[place] == keys if len(self.forbidden) else np.zeros(missing, bool)
            parts.append(keys[~taken])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _ends(self, keys: np.ndarray) -> np.ndarray:
        return np.stack(np.divmod(keys, self.num_nodes), axis=1)

    @property
    def _is_dense(self) -> bool:
        return len(self.forbidden) > DENSE * self.num_pairs

    @cached_property
    def _allowed(self) -> np.ndarray:
        """List the keys that may be drawn; there are at most about as many as forbidden ones, or as asked for."""
        src, dst = np.divmod(np.arange(self.num_nodes**2), self.num_nodes)
        pairs = (src != dst) if self.directed else (src < dst)
        return np.setdiff1d((src * self.num_nodes + dst)[pairs], self.forbidden, assume_unique=True)

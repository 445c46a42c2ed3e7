"""Tables written by `millwright extract` -> arrays; the text of every number reads back as the same double."""

import csv
import hashlib
import re

import numpy as np

LEADING = 5  # machine, start_ms, end_ms, coverage, quality


class Table:
    """rows [n, F] float32 in the order of `features`; engine, cycle [n]."""

    def __init__(self, path, features=None):
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader)
            lines = list(reader)
        self.path = path
        self.features = features or header[LEADING:]
        columns = [header.index(name) for name in self.features]
        self.engine = np.array([int(re.search(r"(\d+)$", line[0]).group(1)) for line in lines])
        self.cycle = np.array([float(line[header.index("cycles")]) for line in lines])
        wide = np.array([[float(line[c]) if line[c] else np.nan for c in columns] for line in lines])
        self.rows = wide.astype(np.float32)

    def rul_to_end(self):
        """Cycles left until the last row of the same engine: the label of a run-to-failure recording."""
        last = {engine: self.cycle[self.engine == engine].max() for engine in np.unique(self.engine)}
        return np.array([last[engine] for engine in self.engine]) - self.cycle

    def last_rows(self):
        """Index of the last row of each engine, by engine number."""
        return np.array([np.flatnonzero(self.engine == engine)[-1] for engine in np.unique(self.engine)])


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()

"""Writes people.parquet and people.npz, read by the tests of the command.

Written with pandas 3.1.1, pyarrow 26.0.1 and numpy 2.4.6:
    python3 generate.py
"""

import numpy as np
import pandas as pd

generator = np.random.default_rng(20261122)
rows = 160
age = generator.integers(18, 90, rows).astype(float)
age[generator.random(rows) < 0.1] = np.nan
city = generator.choice(["Bern", "Rome", "São Paulo", "Oslo, N"], rows)
table = pd.DataFrame(
    {
        "person": [f"p{i // 2}" for i in range(rows)],
        "age": age,
        "income": generator.normal(40_000, 9_000, rows).round(2),
        "city": pd.Categorical(city),
        "member_since": pd.to_datetime("2020-01-01")
        + pd.to_timedelta(generator.integers(0, 2000, rows), unit="D"),
        "active": generator.random(rows) < 0.5,
        "note": [None if i % 7 == 0 else f"note {i % 11}" for i in range(rows)],
        "outcome": np.where(generator.random(rows) < 0.4, "yes", "no"),
    }
)
table.index.name = "row"
table.to_parquet("people.parquet", compression="zstd")
np.savez_compressed(
    "people.npz",
    x=generator.normal(size=(100, 6)).astype(np.float32),
    y=generator.integers(0, 3, 100),
)

"""Makes the data files of this folder and what they hold.

    python generate.py

Written with Python 3, numpy, pandas 3.1.1, pyarrow 26.0.1, scikit-learn 1.9.1;
`versions.txt` names those of the last run.
"""

import datetime
import decimal
import gzip
import json
import math
import pathlib
import platform
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sklearn
from sklearn.preprocessing import OneHotEncoder, StandardScaler

here = pathlib.Path(__file__).parent
(here / "versions.txt").write_text(
    f"python {platform.python_version()}\nnumpy {np.__version__}\npandas {pd.__version__}\n"
    f"pyarrow {pa.__version__}\nscikit-learn {sklearn.__version__}\n"
)

# Parquet: one table with nulls in every codec, in both kinds of pages, with and without
# dictionaries, in two row groups and small pages.
rows = 300
none = lambda values, every: [None if i % every == every - 1 else v for i, v in enumerate(values)]
table = pa.table(
    {
        "small": pa.array(none([i % 100 - 50 for i in range(rows)], 7), pa.int8()),
        "unsigned": pa.array([i * 20_000_000 % 2**32 for i in range(rows)], pa.uint32()),
        "long": pa.array([(i - 150) * 10**15 for i in range(rows)], pa.int64()),
        "float": pa.array(none([i / 8 for i in range(rows)], 5), pa.float32()),
        "double": pa.array([float(np.sin(i)) for i in range(rows)], pa.float64()),
        "flag": pa.array(none([i % 3 == 0 for i in range(rows)], 11), pa.bool_()),
        "word": pa.array(none([f"word {i * i % 17}" for i in range(rows)], 6), pa.string()),
        "category": pa.array(none([["low", "mid", "high"][i % 3] for i in range(rows)], 13)).dictionary_encode(),
        "empty": pa.array([None] * rows, pa.float64()),
        "class": pa.array(["abc"[i * i % 3 % 2] for i in range(rows)], pa.string()),
    }
)
for codec in ["zstd", "snappy", "gzip", "none", "lz4"]:
    for version in ["1.0", "2.0"]:
        pq.write_table(
            table,
            here / f"{codec}-v{version[0]}.parquet",
            compression=codec,
            data_page_version=version,
            row_group_size=170,
            data_page_size=600,
            use_dictionary=["word", "category", "small"],
        )
pq.write_table(table.slice(0, 20), here / "brotli.parquet", compression="brotli")
# All of a column missing in a page, and zstd: the compressed part of a page may be empty.
pq.write_table(
    table,
    here / "deltas.parquet",
    compression="zstd",
    data_page_version="2.0",
    use_dictionary=False,
    column_encoding={
        "small": "DELTA_BINARY_PACKED",
        "long": "DELTA_BINARY_PACKED",
        "float": "BYTE_STREAM_SPLIT",
        "double": "BYTE_STREAM_SPLIT",
        "word": "DELTA_BYTE_ARRAY",
        "class": "DELTA_LENGTH_BYTE_ARRAY",
    },
)
(here / "table.json").write_text(
    json.dumps({name: table[name].to_pylist() for name in table.column_names})
)

# Parquet: the other scalar types.
types = pa.table(
    {
        "decimal32": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-3.50")], pa.decimal128(7, 2)),
        "decimal128": pa.array([decimal.Decimal("12345678901234567890.5"), decimal.Decimal("-0.1"), None], pa.decimal128(30, 1)),
        "date": pa.array([datetime.date(1970, 1, 2), None, datetime.date(2000, 1, 1)]),
        "timestamp": pa.array([datetime.datetime(1970, 1, 1, 0, 0, 1), None, datetime.datetime(2000, 1, 1)], pa.timestamp("us")),
        "time": pa.array([datetime.time(0, 0, 1), datetime.time(12), None], pa.time32("ms")),
        "half": pa.array(np.array([1.5, -0.0009765625, 65504.0], np.float16)),
        "binary": pa.array([b"ab", None, b"cd"]),
        "huge": pa.array([2**64 - 1, 0, 2**63], pa.uint64()),
        "fixed": pa.array([b"xyz", b"abc", None], pa.binary(3)),
        "label": pa.array([0, 1, 1], pa.int16()),
    }
)
pq.write_table(types, here / "types.parquet", compression="zstd", store_decimal_as_integer=True)
old = pa.table({"when": pa.array([datetime.datetime(1970, 1, 1, 0, 0, 1), None, datetime.datetime(2000, 1, 1)]), "label": [0, 1, 1]})
pq.write_table(old, here / "int96.parquet", use_deprecated_int96_timestamps=True)
nested = pa.table({"point": [{"x": 1, "y": 2}, {"x": 3, "y": 4}], "z": [1, 2], "label": [0, 1]})
pq.write_table(nested, here / "nested.parquet")

# Parquet: images as lists, and lists that are none.
images = (np.arange(40 * 9) * 7 % 256).astype(np.uint8).reshape(40, 9)
labels = pa.array((np.arange(40) % 4).astype(np.uint8))
pq.write_table(
    pa.table({"image": pa.FixedSizeListArray.from_arrays(pa.array(images.ravel()), 9), "label": labels, "split": ["a"] * 40}),
    here / "images.parquet",
    compression="zstd",
    row_group_size=15,
    data_page_size=50,
)
pq.write_table(pa.table({"v": pa.array([[1.5, 2.5], [3.5, 4.5]]), "label": [0, 1]}), here / "lists.parquet")
pq.write_table(pa.table({"v": pa.array([[1.5, 2.5], [3.5]]), "label": [0, 1]}), here / "ragged-lists.parquet")
pq.write_table(pa.table({"v": pa.array([[1.5, 2.5], [3.5, None]]), "label": [0, 1]}), here / "gap-lists.parquet")

# NumPy arrays of every type and order.
grid = np.arange(12).reshape(4, 3)
for name in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", ">f4", ">i2"]:
    np.save(here / f"grid-{name.replace('>', 'big-')}.npy", (grid % 2 if name == "b1" else grid - 5 * (name[-2] in "if")).astype(name))
np.save(here / "grid-fortran.npy", np.asfortranarray(grid.astype("f4")))
np.save(here / "cubes.npy", np.asfortranarray(np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3)))
np.save(here / "labels-i8.npy", np.array([0, 1, 1, 0]))
np.save(here / "labels-text.npy", np.array(["no", "yes", "yes", "é"]))
np.save(here / "labels-onehot.npy", np.eye(4))
np.save(here / "objects.npy", np.array([1, "a", None, 2], dtype=object), allow_pickle=True)
np.savez(here / "plain.npz", X=grid.astype("f4"), y=np.array([0, 1, 1, 0]), person=np.array(["a", "a", "b", "b"]))
np.savez_compressed(here / "packed.npz", x_train=np.tile(grid.astype("f8"), (100, 10)), y_train=np.arange(400) % 3)

# IDX images and labels.
def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()

(here / "tiny-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images.reshape(40, 3, 3)), mtime=0))
(here / "tiny-labels-idx1-ubyte").write_bytes(idx(np.asarray(labels)))

# A small mixed table, encoded by scikit-learn from its reference rows alone.
random = np.random.default_rng(1)
mixed = pd.DataFrame(
    {
        "age": random.integers(18, 90, 60).astype(float),
        "income": np.exp(random.normal(10, 1, 60)),
        "big": 1e9 + random.normal(0, 1e-3, 60),
        "town": random.choice(["Ulm", "Aachen", "Köln, Süd"], 60),
        "job": random.choice(["a", "b", "10", "9"], 60),
        "label": random.choice(["yes", "no"], 60),
    }
)
mixed.loc[[3, 17, 40], "income"] = np.nan
mixed.loc[[5, 9], "job"] = None
mixed.to_csv(here / "mixed.csv", index=False)
mixed = pd.read_csv(here / "mixed.csv", dtype={"job": object})
reference = mixed.iloc[:45]
scaler = StandardScaler().fit(reference[["age", "income", "big"]])
numeric = scaler.transform(mixed[["age", "income", "big"]])
# scikit-learn loses digits where the mean is a million million times the spread: exact there.
big = [Fraction(value) for value in mixed["big"]]
mean = sum(big[:45]) / 45
spread = math.sqrt(sum((value - mean) ** 2 for value in big[:45]) / 45)
numeric[:, 2] = [float(value - mean) / spread for value in big]
income_missing = mixed["income"].isna().to_numpy().astype(float)
encoder = OneHotEncoder(
    categories=[sorted(reference["town"].unique()), sorted(reference["job"].dropna().unique()) + [np.nan]],
    sparse_output=False,
).fit(reference[["town", "job"]])
one_hot = encoder.transform(mixed[["town", "job"]])
encoded = np.column_stack([numeric[:, 0], np.nan_to_num(numeric[:, 1]), income_missing, numeric[:, 2], one_hot])
np.savetxt(here / "mixed-encoded.txt", encoded, fmt="%.17g")

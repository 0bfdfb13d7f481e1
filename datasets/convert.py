"""Makes the shipped data sets from Parquet copies of the UCI originals.

    python convert.py SOURCE_FOLDER

SOURCE_FOLDER holds `adult.parquet` and `breast_cancer_wdbc.parquet`, the UCI files with one
column per attribute, `label` (0/1) and, for Adult, `split`, rows in the official order.
Written with Python 3, pandas 3.1.1, pyarrow 26.0.1.
"""

import hashlib
import pathlib
import sys

import pandas as pd

source = pathlib.Path(sys.argv[1])
target = pathlib.Path(__file__).parent


def write(frame: pd.DataFrame, name: str) -> None:
    path = target / name
    frame.to_parquet(path, engine="pyarrow", compression="zstd", compression_level=19, index=False)
    content = path.read_bytes()
    assert len(content) < 1 << 20, f"{name} is too large"
    print(hashlib.sha256(content).hexdigest(), len(content), name)


adult = pd.read_parquet(source / "adult.parquet")
# The official order: the training file, then the test file.
assert (adult["split"] == ["train"] * 32_561 + ["test"] * 16_281).all()
adult = adult.drop(columns="split")
for column in adult.columns[:-1]:
    if not pd.api.types.is_numeric_dtype(adult[column]):
        adult[column] = adult[column].replace("?", None)
assert adult.isna().sum().sum() == 2_799 + 2_809 + 857
# 23.93 % earn more, as the original's documentation says.
assert adult["label"].sum() == 7_841 + 3_846
adult["label"] = adult["label"].map({0: "<=50K", 1: ">50K"})
write(adult.rename(columns={"label": "income"}), "adult.parquet")

wdbc = pd.read_parquet(source / "breast_cancer_wdbc.parquet")
# scikit-learn's coding, from which the source was made: 0 malignant (212), 1 benign (357).
assert (wdbc["label"] == 0).sum() == 212 and (wdbc["label"] == 1).sum() == 357
# Malignant tumours are the larger ones.
assert wdbc.groupby("label")["mean_radius"].mean().idxmax() == 0
wdbc["label"] = wdbc["label"].map({0: "malignant", 1: "benign"})
write(wdbc.rename(columns={"label": "diagnosis"}), "breast_cancer.parquet")

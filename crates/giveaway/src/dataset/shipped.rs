//! Data sets that come within the program; `datasets/README.md` says where they are from.

use super::parquet_file;
use super::table::{Table, TableOptions, refuse_delimiter, refuse_labels_file};
use crate::{Error, Result};

/// A data set that is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShippedData {
    /// The name to ask for it by.
    pub name: &'static str,
    /// Its title, with creators and year.
    pub title: &'static str,
    /// The number of records.
    pub records: usize,
    /// The number of feature columns.
    pub columns: usize,
    /// The column that holds the class.
    pub label: &'static str,
    /// The licence, with its address.
    pub licence: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// What was changed.
    pub changes: &'static str,
    file: &'static str,
    bytes: &'static [u8],
}

const LICENCE: &str = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/";

const SHIPPED: [ShippedData; 2] = [
    ShippedData {
        name: "adult",
        title: "Adult (census income), B. Becker and R. Kohavi, 1996",
        records: 48_842,
        columns: 14,
        label: "income",
        licence: LICENCE,
        source: "UCI Machine Learning Repository, https://doi.org/10.24432/C5XW20",
        changes: "training and test file joined in this order, \"?\" read as missing, label spelt alike in both, stored as Parquet",
        file: "adult.parquet",
        bytes: include_bytes!("../../../../datasets/adult.parquet"),
    },
    ShippedData {
        name: "breast-cancer",
        title: "Breast Cancer Wisconsin (Diagnostic), W. Wolberg, O. Mangasarian, N. Street and W. Street, 1993",
        records: 569,
        columns: 30,
        label: "diagnosis",
        licence: LICENCE,
        source: "UCI Machine Learning Repository, https://doi.org/10.24432/C5DW2B",
        changes: "identifiers left out, diagnosis spelt out, stored as Parquet",
        file: "breast_cancer.parquet",
        bytes: include_bytes!("../../../../datasets/breast_cancer.parquet"),
    },
];

/// The data sets that are shipped.
#[must_use]
pub fn shipped() -> &'static [ShippedData] {
    &SHIPPED
}

/// Reads a shipped data set; its label column is known.
pub(super) fn read(name: &str, options: &TableOptions) -> Result<Table> {
    let data = SHIPPED
        .iter()
        .find(|data| data.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = SHIPPED.iter().map(|data| data.name).collect();
            Error::usage(format!("no data set `{name}` is shipped"))
                .hint(format!("those that are: {}", names.join(", ")))
        })?;
    let mut options = options.clone();
    refuse_delimiter(&options)?;
    refuse_labels_file(&options)?;
    options.label.get_or_insert_with(|| data.label.to_owned());
    parquet_file::read(
        data.file,
        data.bytes.to_vec(),
        blake3::hash(data.bytes),
        &options,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Body, Values};

    #[test]
    fn shipped_data_are_what_their_description_says() {
        for data in shipped() {
            let table = Table::shipped(data.name, &TableOptions::default()).unwrap();
            assert_eq!(table.len(), data.records);
            assert_eq!(table.column_names().len(), data.columns);
            assert!(table.notes.is_empty(), "{:?}", table.notes);
        }
    }

    #[test]
    fn adult_has_its_published_counts() {
        let table = Table::shipped("adult", &TableOptions::default()).unwrap();
        assert_eq!(table.classes, ["<=50K", ">50K"]);
        let rich = table.labels.iter().filter(|&&label| label == 1).count();
        // 7,841 in the training file and 3,846 in the test file, as adult.names has them.
        assert_eq!(rich, 7_841 + 3_846);
        let Body::Columns(columns) = &table.body else {
            panic!("Adult has columns")
        };
        let workclass = columns.iter().find(|c| c.name == "workclass").unwrap();
        let Values::Categorical { codes, levels } = &workclass.values else {
            panic!("workclass is a category")
        };
        assert_eq!(levels.len(), 8);
        assert_eq!(
            codes.iter().filter(|&&code| code == u32::MAX).count(),
            2_799
        );
        assert_eq!(table.feature_text(0, 0), "39");
    }

    #[test]
    fn breast_cancer_has_its_published_counts() {
        let table = Table::shipped("breast-cancer", &TableOptions::default()).unwrap();
        assert_eq!(table.classes, ["benign", "malignant"]);
        assert_eq!(
            table.labels.iter().filter(|&&label| label == 1).count(),
            212
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let error = Table::shipped("mnist", &TableOptions::default()).unwrap_err();
        assert_eq!(
            error.hint_text(),
            Some("those that are: adult, breast-cancer")
        );
    }
}

//! Tables from files: what is read, and what is refused with which words.

use std::path::PathBuf;

use giveaway::dataset::{
    Body, Encoding, EncodingOptions, Table, TableOptions, UnknownCategories, Values,
};

fn write(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn label(name: &str) -> TableOptions {
    TableOptions {
        label: Some(name.to_owned()),
        ..TableOptions::default()
    }
}

fn read(content: &[u8], options: &TableOptions) -> giveaway::Result<Table> {
    let folder = tempfile::tempdir().unwrap();
    Table::read(&write(&folder, "data.csv", content), options)
}

/// The message and the hint of the error.
fn refusal(content: &[u8], options: &TableOptions) -> String {
    let error = read(content, options).unwrap_err();
    format!("{error} | {}", error.hint_text().unwrap_or_default())
}

#[test]
fn a_messy_table_is_read() {
    let content = "\u{feff}name,\"height, cm\",note,label\r\n\
        Ann,170.5,\"a, \"\"b\"\"\",yes\r\n\
        Bob,?,\"two\nlines\",no\r\n\
        , 1e2 ,NA,yes\r\n\
        Ann,-3,,no\r\n";
    let table = read(content.as_bytes(), &label("label")).unwrap();
    assert_eq!(table.len(), 4);
    assert_eq!(table.column_names(), ["name", "height, cm", "note"]);
    assert_eq!(table.classes, ["no", "yes"]);
    assert_eq!(table.labels, [1, 0, 1, 0]);
    assert_eq!(table.ids, ["0", "1", "2", "3"]);
    assert!(!table.has_id_column);
    let Body::Columns(columns) = &table.body else {
        panic!("a table has columns")
    };
    assert_eq!(
        columns[0].values,
        Values::Categorical {
            codes: vec![0, 1, u32::MAX, 0],
            levels: vec!["Ann".into(), "Bob".into()],
        }
    );
    let Values::Numeric(heights) = &columns[1].values else {
        panic!("heights are numbers")
    };
    assert_eq!(heights[0], 170.5);
    assert!(heights[1].is_nan());
    assert_eq!(heights[2..], [100.0, -3.0]);
    assert_eq!(table.feature_text(0, 2), "a, \"b\"");
    assert_eq!(table.feature_text(1, 2), "two\nlines");
    assert_eq!(table.feature_text(3, 2), "");
    let picked = table.select(&[3, 1]);
    assert_eq!(picked.ids, ["3", "1"]);
    assert_eq!(picked.feature_text(0, 1), "-3");
    assert_eq!(picked.labels, [0, 0]);
}

#[test]
fn an_unknown_category_is_named_with_its_row_in_the_file() {
    let content = b"colour,x,label\nred,1,0\nblue,2,1\nred,3,0\ngreen,4,1\n";
    let table = read(content, &label("label")).unwrap();
    let encoding = Encoding::learn(&table, &[0, 1, 2], &EncodingOptions::default()).unwrap();
    let error = encoding.encode(&table.select(&[0, 3])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "data.csv, row 4, column `colour`: the category `green` occurs in no reference record"
    );
    assert!(
        error
            .hint_text()
            .unwrap()
            .contains("--unknown-categories ignore")
    );
    let options = EncodingOptions {
        unknown_categories: UnknownCategories::Ignore,
        ..EncodingOptions::default()
    };
    let encoding = Encoding::learn(&table, &[0, 1, 2], &options).unwrap();
    let dataset = encoding.encode(&table).unwrap();
    assert_eq!(dataset.features.row(3).as_slice().unwrap()[..2], [0.0, 0.0]);
    assert!(encoding.notes_on(&table)[0].contains("in 1 records"));
}

#[test]
fn a_missing_label_column_is_answered_with_the_nearest_name() {
    let text = refusal(b"age,income\n1,2\n", &label("incme"));
    assert!(text.contains("`incme`"), "{text}");
    assert!(text.contains("did you mean `income`?"), "{text}");
    assert!(text.contains("`age`"), "{text}");
}

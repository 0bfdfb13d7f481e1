//! Tables from files: what is read, and what is refused with which words.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]
#![expect(clippy::float_cmp, reason = "values are read back exactly as written")]

use std::path::PathBuf;

use giveaway::dataset::{
    Body, Encoding, EncodingOptions, Table, TableOptions, UnknownCategories, Values,
};
use giveaway::report::records::{Values as Written, to_parquet};
use giveaway::target::QuestionValues;
use giveaway::target::questions::columns_of;

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

/// Rows of `text` that give both classes.
fn with_rows(header: &str, rows: &[&str]) -> Vec<u8> {
    let mut text = header.to_owned();
    for row in rows {
        text.push('\n');
        text.push_str(row);
    }
    text.into_bytes()
}

#[test]
fn each_fault_of_a_table_is_named() {
    let y = || label("y");
    let numeric = TableOptions {
        numeric: vec!["a".into()],
        ..y()
    };
    let cases: &[(&[u8], TableOptions, &[&str])] = &[
        (b"", y(), &["data.csv: the file is empty"]),
        (b"\xef\xbb\xbf", y(), &["the file is empty"]),
        (b"a,y\n", y(), &["a header but no rows"]),
        (b"y\n1\n0\n", y(), &["no feature column"]),
        (
            b"a,y\n1,0\n2\n",
            y(),
            &["row 2 (line 3): expected 2 values as in the header, found 1"],
        ),
        (
            b"a,y\n\"1\n\",0\n2,1,5\n",
            y(),
            &["row 2 (line 4): expected 2", "found 3"],
        ),
        (
            b"a,a,y\n1,2,0\n",
            y(),
            &["`a` occurs twice, at columns 1 and 2"],
        ),
        (b"a,,,y\n1,2,3,0\n", y(), &["column 2 has no name"]),
        (
            b"a,y\nx,0\ncaf\xe9,1\n",
            y(),
            &["row 2 (line 3), column `a`: the text is not UTF-8", "iconv"],
        ),
        (b"a,caf\xe9\n", y(), &["the header: the text is not UTF-8"]),
        (b"\xff\xfea\0,\0y\0", y(), &["UTF-16"]),
        (b"\x89PNG\r\n\x1a\n\0\0\0", y(), &["neither a text table"]),
        (
            b"a,y\n1,0\ninf,1\n",
            y(),
            &["row 2 (line 3), column `a`: the value `inf` is not finite"],
        ),
        (b"a,y\n1,0\n1e999,1\n", y(), &["`1e999` is not finite"]),
        (
            b"a,y\n1,0\nx,1\n",
            numeric,
            &[
                "row 2 (line 3), column `a`: `x` is not a number",
                "--numeric a",
            ],
        ),
        (b"a,y\n1,0\n2,0\n", y(), &["one class only, `0`"]),
        (
            b"a,y\n1,0\n2,\n3,1\n",
            y(),
            &["row 2 (line 3): the label column `y` has no value"],
        ),
        (
            b"a,y\n1,0.5\n2,1\n",
            y(),
            &[
                "`y` holds numbers that are not whole, such as 0.5",
                "regression",
            ],
        ),
        (
            b"a,b\n1,0\n",
            TableOptions::default(),
            &["is not said", "--label COLUMN", "`a`, `b`"],
        ),
        (
            b"a,y\n1,0\n2,\"1\n",
            y(),
            &["a quoted value is never closed"],
        ),
    ];
    for (content, options, words) in cases {
        let text = refusal(content, options);
        for word in *words {
            assert!(
                text.contains(word),
                "{:?}: {text}",
                String::from_utf8_lossy(content)
            );
        }
    }
}

#[test]
fn options_that_name_no_column_are_answered_with_the_nearest() {
    let content = b"age,town,y\n1,a,0\n2,b,1\n";
    let cases = [
        (
            "--drop",
            TableOptions {
                drop: vec!["twon".into()],
                ..label("y")
            },
        ),
        (
            "--numeric",
            TableOptions {
                numeric: vec!["twon".into()],
                ..label("y")
            },
        ),
        (
            "--categorical",
            TableOptions {
                categorical: vec!["twon".into()],
                ..label("y")
            },
        ),
        (
            "--group",
            TableOptions {
                group: Some("twon".into()),
                ..label("y")
            },
        ),
        (
            "--id",
            TableOptions {
                id: Some("twon".into()),
                ..label("y")
            },
        ),
    ];
    for (option, options) in cases {
        let text = refusal(content, &options);
        assert!(
            text.contains(option) && text.contains("did you mean `town`?"),
            "{text}"
        );
    }
    let both = TableOptions {
        drop: vec!["y".into()],
        ..label("y")
    };
    assert!(refusal(content, &both).contains("named by both --label and --drop"));
}

#[test]
fn a_label_column_of_many_numbers_is_no_classification() {
    let rows: Vec<String> = (0..1500).map(|row| format!("{row},{row}")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let text = refusal(&with_rows("a,y", &rows), &label("y"));
    assert!(
        text.contains("1500 distinct numbers") && text.contains("regression"),
        "{text}"
    );
}

#[test]
fn identifiers_and_groups() {
    let content = b"who,when,x,y\na,7,1,0\nb,8,2,1\na,9,3,1\n";
    let id = TableOptions {
        id: Some("who".into()),
        ..label("y")
    };
    let text = refusal(content, &id);
    assert!(
        text.contains("`a` in column `who` occurs twice: row 1 (line 2) and row 3 (line 4)")
            && text.contains("--group who"),
        "{text}"
    );
    let both = TableOptions {
        id: Some("when".into()),
        group: Some("who".into()),
        ..label("y")
    };
    let table = read(content, &both).unwrap();
    assert_eq!(table.ids, ["7", "8", "9"]);
    assert!(table.has_id_column);
    assert_eq!(table.groups.unwrap(), ["a", "b", "a"]);
    let Body::Columns(columns) = table.body else {
        panic!("a table has columns")
    };
    assert_eq!(columns.len(), 1);
    let gap = b"who,x,y\n,1,0\nb,2,1\n";
    let grouped = TableOptions {
        group: Some("who".into()),
        ..label("y")
    };
    assert!(refusal(gap, &grouped).contains("the group column `who` has no value"));
    let text = refusal(
        gap,
        &TableOptions {
            id: Some("who".into()),
            ..label("y")
        },
    );
    assert!(
        text.contains("row 1 (line 2): the id column `who` has no value"),
        "{text}"
    );
    // Beyond 2^53 an identifier read as a float would meet its neighbour.
    let large = b"n,x,y\n9007199254740993,1,0\n9007199254740992,2,1\n";
    let table = read(
        large,
        &TableOptions {
            id: Some("n".into()),
            ..label("y")
        },
    )
    .unwrap();
    assert_eq!(table.ids, ["9007199254740993", "9007199254740992"]);
}

#[test]
fn lines_are_counted_as_editors_count_them() {
    let cases: &[(&[u8], &str)] = &[
        (b"a,y\n1,0\n2\n", "row 2 (line 3)"),
        (b"a,y\r\n1,0\r\n2\r\n", "row 2 (line 3)"),
        (b"a,y\r1,0\r2\r", "row 2 (line 3)"),
        (b"\xef\xbb\xbfa,y\r\n1,0\r\n2", "row 2 (line 3)"),
        // a line break within quotes
        (b"a,y\n\"1\n\",0\n2\n", "row 2 (line 4)"),
        (b"a,y\r\n\"1\r\n\",0\r\n2\r\n", "row 2 (line 4)"),
        (b"\"a\r\nb\",y\r\n1,0\r\n2\r\n", "row 2 (line 4)"),
        // blank lines, at first too
        (b"\na,y\n\n1,0\n\n\n2\n", "row 2 (line 7)"),
        (b"\r\na,y\r\n\r\n1,0\r\n\r\n\r\n2\r\n", "row 2 (line 7)"),
    ];
    for (content, place) in cases {
        let text = refusal(content, &label("y"));
        assert!(
            text.contains(&format!("{place}: expected 2 values")),
            "{text}\n{}",
            content.escape_ascii()
        );
    }
}

#[test]
fn the_missing_markers_of_pandas_are_missing() {
    // pandas 3.1.1, sorted(pandas._libs.parsers.STR_NA_VALUES)
    const PANDAS: [&str; 19] = [
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    ];
    for marker in PANDAS {
        let content = format!("a,b,y\n1,u,0\n{marker},{marker},1\n3,v,0\n");
        let table = read(content.as_bytes(), &label("y")).unwrap();
        let Body::Columns(columns) = &table.body else {
            panic!("a table has columns")
        };
        let Values::Numeric(values) = &columns[0].values else {
            panic!("{marker}: {:?}", columns[0].values)
        };
        assert!(values[1].is_nan(), "{marker}");
        let Values::Categorical { levels, .. } = &columns[1].values else {
            panic!("{marker}: {:?}", columns[1].values)
        };
        assert_eq!(*levels, ["u", "v"], "{marker}");
    }
}

#[test]
fn numbers_written_in_other_ways_are_noted() {
    let note = |values: [&str; 4]| {
        let rows: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(i, v)| format!("{v};{}", i % 2))
            .collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let table = read(&with_rows("a;y", &rows), &label("y")).unwrap();
        table
            .notes
            .iter()
            .find(|note| note.contains("`a`"))
            .cloned()
    };
    for (values, writing, example) in [
        (["1,5", "2,25", "-3,125", "4"], "decimal commas", "`1,5`"),
        (["1.234,5", "2,25", "7,0", "4"], "decimal commas", "`2,25`"),
        (
            ["1,234", "12", "-1,234,567.8", "7"],
            "thousands separators",
            "`1,234`",
        ),
        (
            ["1.234.567", "12", "13", "7"],
            "thousands separators",
            "`1.234.567`",
        ),
        (
            ["1 234", "12", "13", "7"],
            "thousands separators",
            "`1 234`",
        ),
        (
            ["1'234", "12", "13", "7"],
            "thousands separators",
            "`1'234`",
        ),
    ] {
        let text = note(values).unwrap_or_default();
        assert!(
            text.contains(writing) && text.contains(example),
            "{values:?}: {text}"
        );
    }
    for values in [
        ["1,5", "two", "3", "4"],
        ["10.1.2.3", "10.1.2.4", "1", "2"],
        ["2020-01-02", "2020-01-03", "1", "2"],
        ["a", "b", "c", "d"],
        [",", "1", "2", "3"],
        ["1,2,3", "1", "2", "3"],
    ] {
        assert_eq!(note(values), None, "{values:?}");
    }
}

#[test]
fn a_value_that_drowns_its_column_is_refused() {
    let encode = |value: &str| {
        let content = format!("a,b,y\n1,1,0\n2,{value},1\n4,3,0\n");
        let table = read(content.as_bytes(), &label("y")).unwrap();
        Encoding::learn(&table, &[0, 1, 2], &EncodingOptions::default())
    };
    for value in ["1e300", "-1e300", "1.7976931348623157e308"] {
        let error = encode(value).unwrap_err();
        let text = format!("{error} | {}", error.hint_text().unwrap_or_default());
        for part in [
            "column `b`",
            &format!("the largest is {value}"),
            "missing value",
            "--drop b",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
    encode("1e30").unwrap();
}

#[test]
fn a_delimiter_or_labels_that_would_be_ignored_are_refused() {
    let labels_file = TableOptions {
        labels_file: Some("y.npy".into()),
        ..label("y")
    };
    let text = refusal(b"a,y\n1,0\n2,1\n", &labels_file);
    assert!(
        text.contains("--labels-file") && text.contains("--label"),
        "{text}"
    );
    let delimiter = TableOptions {
        delimiter: Some(b';'),
        ..TableOptions::default()
    };
    for content in [&b"PAR1"[..], b"\x93NUMPY", b"PK\x03\x04", b"\0\0\x08\x03"] {
        let text = refusal(content, &delimiter);
        assert!(text.contains("--delimiter"), "{text}");
    }
    assert!(refusal(b"PAR1", &labels_file).contains("--labels-file"));
}

#[test]
fn classes_sort_as_numbers_where_they_are() {
    let table = read(b"x;class\n1;10\n2;9\n3;10.0\n", &TableOptions::default()).unwrap();
    assert_eq!(table.classes, ["9", "10"]);
    assert_eq!(table.labels, [1, 0, 1]);
    assert!(
        table.notes[0].contains("`class` was taken for it"),
        "{:?}",
        table.notes
    );
    assert!(
        table.notes[1].contains("Class `9` has a single record"),
        "{:?}",
        table.notes
    );
    let table = read(b"x\ty\n1\tb\n2\ta\n3\tb\n", &label("y")).unwrap();
    assert_eq!(table.classes, ["a", "b"]);
}

#[test]
fn types_can_be_overridden_and_slips_are_noted() {
    let mut rows: Vec<String> = (0..40)
        .map(|row| format!("{},{row},{}", row % 4, row % 2))
        .collect();
    rows[7] = "3,l7,1".to_owned();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let options = TableOptions {
        categorical: vec!["a".into()],
        ..label("y")
    };
    let table = read(&with_rows("a,b,y", &rows), &options).unwrap();
    let Body::Columns(columns) = &table.body else {
        panic!("a table has columns")
    };
    let Values::Categorical { levels, .. } = &columns[0].values else {
        panic!("asked for categories")
    };
    assert_eq!(*levels, ["0", "1", "2", "3"]);
    assert!(
        table.notes[0].contains("`l7` (row 8 (line 9))"),
        "{:?}",
        table.notes
    );
}

#[test]
fn repeated_persons_are_hinted_at() {
    let rows: Vec<String> = (0..200)
        .map(|row| format!("{},{},{row},{}", row / 5, row % 3, row % 2))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let content = with_rows("PatientId,admission_type_id,valid,y", &rows);
    let table = read(&content, &label("y")).unwrap();
    assert_eq!(table.notes.len(), 1, "{:?}", table.notes);
    assert!(table.notes[0].contains("--group PatientId"));
    let grouped = TableOptions {
        group: Some("PatientId".into()),
        ..label("y")
    };
    assert!(read(&content, &grouped).unwrap().notes.is_empty());
}

#[test]
fn what_cannot_be_learnt_is_left_out_with_a_note() {
    let rows: Vec<String> = (0..600)
        .map(|row| {
            format!(
                "t{row},c{},5,,{},{}",
                row % 150 * (row % 7) / 6,
                if row < 500 { "1" } else { "" },
                row % 2
            )
        })
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let table = read(&with_rows("text,code,same,none,late,y", &rows), &label("y")).unwrap();
    let reference: Vec<u32> = (0..500).collect();
    let encoding = Encoding::learn(
        &table,
        &reference,
        &EncodingOptions {
            max_levels: 20,
            ..EncodingOptions::default()
        },
    )
    .unwrap();
    let notes = encoding.notes().join("\n");
    for words in [
        "`text` is left out: with 500 distinct values in 500",
        "`none` is left out",
        "`same` has one value",
        "the 19 most frequent are kept",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let dataset = encoding.encode(&table).unwrap();
    assert_eq!(dataset.features.ncols(), 20 + 1 + 1);
    // Each record has one level of the pooled column, known to the references or not.
    let [group] = dataset.schema.one_hot_groups.as_slice() else {
        panic!("one column of categories")
    };
    assert_eq!(group.features.len(), 20);
    for record in dataset.features.rows() {
        assert_eq!(
            group
                .features
                .iter()
                .map(|&f| record[f as usize])
                .sum::<f32>(),
            1.0
        );
    }
    assert_eq!(dataset.schema.features[19].name, "code = (other)");
    assert_eq!(encoding.notes_on(&table).len(), 1);
    assert!(encoding.notes_on(&table)[0].contains("`late` is missing in 100 records"));
}

#[test]
fn the_encoding_depends_on_reference_rows_alone() {
    let content = b"x,c,y\n1,a,0\n2,b,1\n3,a,0\n900,b,1\n";
    let changed = b"x,c,y\n1,a,0\n2,b,1\n3,a,0\n-5,a,0\n";
    let learn = |content: &[u8]| {
        let table = read(content, &label("y")).unwrap();
        Encoding::learn(&table, &[0, 1, 2], &EncodingOptions::default()).unwrap()
    };
    assert_eq!(learn(content), learn(changed));
    let table = read(content, &label("y")).unwrap();
    let other = Encoding::learn(&table, &[0, 1, 3], &EncodingOptions::default()).unwrap();
    assert_ne!(learn(content), other);
}

#[test]
fn encoding_refuses_what_it_was_not_learnt_for() {
    let table = read(b"x,c,y\n1,a,0\n2,b,1\n3,a,0\n", &label("y")).unwrap();
    let encoding = Encoding::learn(&table, &[0, 1, 2], &EncodingOptions::default()).unwrap();
    let refused = |content: &[u8], words: &str| {
        let text = encoding
            .encode(&read(content, &label("y")).unwrap())
            .unwrap_err()
            .to_string();
        assert!(text.contains(words), "{text}");
    };
    let empty = read(b"x,c,y\n,,0\n,,1\n", &label("y")).unwrap();
    let dataset = encoding.encode(&empty).unwrap();
    assert!(dataset.features.iter().all(|&value| value == 0.0));
    refused(b"x,y\n1,0\n2,1\n", "column `c` is not there");
    refused(
        b"x,c,y\n1,a,0\n2,b,2\n",
        "row 2: the class `2` is not among those",
    );
    refused(
        b"x,c,y\n1,7,0\n2,8,1\n",
        "column `c`: the column holds numbers",
    );
    refused(
        b"x,c,y\n1,a,0\nz,a,1\n",
        "row 1, column `x`: `1` is not a number",
    );
    refused(
        b"x,c,y\n1,a,0\n1e300,b,1\n",
        "row 2, column `x`: the value is too large",
    );
    assert!(Encoding::learn(&table, &[], &EncodingOptions::default()).is_err());
}

#[test]
fn gzip_is_seen_by_content() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"x,y\n1,0\n2,1\n").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(read(&packed, &label("y")).unwrap().len(), 2);
    let text = refusal(&packed[..packed.len() - 6], &label("y"));
    assert!(text.contains("damaged or cut off"), "{text}");
}

#[test]
fn the_hash_is_that_of_the_file() {
    let content = b"x,y\n1,0\n2,1\n";
    let table = read(content, &label("y")).unwrap();
    assert_eq!(
        table.content_hash,
        blake3::hash(content).to_hex().to_string()
    );
}

#[test]
fn the_index_of_pandas_is_no_feature() {
    let table = read(b",x,y\n4,1,0\n7,2,1\n", &label("y")).unwrap();
    assert_eq!(table.column_names(), ["x"]);
    assert!(
        table
            .notes
            .iter()
            .any(|note| note.contains("index that pandas writes"))
    );
    let options = TableOptions {
        id: Some("unnamed column 1".into()),
        ..label("y")
    };
    let table = read(b",x,y\n4,1,0\n7,2,1\n", &options).unwrap();
    assert_eq!(table.ids, ["4", "7"]);
    let table = read(b",x,y\n4,1,0\n4,2,1\n", &label("y")).unwrap();
    assert_eq!(table.column_names(), ["unnamed column 1", "x"]);
}

/// Texts come back as pandas (3.1.1, `read_csv` and `read_parquet`) hands them to a model: with
/// their blanks, and with what reading takes for a missing value and pandas does not.
#[test]
fn texts_are_sent_back_as_another_program_reads_them() {
    let texts = |table: &Table| -> Vec<(String, Vec<Option<String>>)> {
        columns_of(&table.body)
            .into_iter()
            .map(|column| match column.values {
                QuestionValues::Texts(texts) => (column.name, texts),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let expected = |columns: &[(&str, &[Option<&str>])]| -> Vec<(String, Vec<Option<String>>)> {
        columns
            .iter()
            .map(|(name, texts)| {
                let texts = texts.iter().map(|text| text.map(str::to_owned));
                ((*name).to_owned(), texts.collect())
            })
            .collect()
    };
    let csv = b"kind,padded,empty,mixed,y\n\
        a, x,u,?,0\n?, y,NA,m,1\na, ?,v,NA,0\n?, x,,n,1\n";
    let table = read(csv, &label("y")).unwrap();
    assert_eq!(
        texts(&table),
        expected(&[
            ("kind", &[Some("a"), Some("?"), Some("a"), Some("?")]),
            ("padded", &[Some(" x"), Some(" y"), Some(" ?"), Some(" x")]),
            ("empty", &[Some("u"), None, Some("v"), None]),
            // two ways to say missing: which record had which is not kept
            ("mixed", &[None, Some("m"), None, Some("n")]),
        ])
    );
    let Body::Columns(columns) = &table.body else {
        panic!("a table has columns")
    };
    let mixed: Vec<bool> = columns.iter().map(|c| c.spelling.is_mixed).collect();
    assert_eq!(mixed, [false, false, false, true]);
    assert_eq!(texts(&table.select(&[1])), {
        let row = |text| [text];
        expected(&[
            ("kind", &row(Some("?"))),
            ("padded", &row(Some(" y"))),
            ("empty", &row(None)),
            ("mixed", &row(Some("m"))),
        ])
    });

    // Parquet has missing values of its own, so "None" is a text there.
    let text = |values: &[Option<&str>]| {
        Written::Text(values.iter().map(|v| v.map(str::to_owned)).collect())
    };
    let columns = [
        ("result", text(&[Some("None"), Some(">7"), Some("None")])),
        ("null", text(&[None, Some("a"), Some("b")])),
        ("y", text(&[Some("n"), Some("p"), Some("n")])),
    ]
    .map(|(name, values)| (name.to_owned(), values));
    let table = read(&to_parquet(&columns, &[]).unwrap(), &label("y")).unwrap();
    assert_eq!(
        texts(&table),
        expected(&[
            ("result", &[Some("None"), Some(">7"), Some("None")]),
            ("null", &[None, Some("a"), Some("b")]),
        ])
    );
}

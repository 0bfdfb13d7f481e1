//! Records as they were read, before any encoding.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis};

use super::{
    ImageShape, array_file, cifar_file, delimited, idx_file, image, known, parquet_file, shipped,
};
use crate::{Error, Result};

/// Stands for a missing value among the codes of a categorical column.
pub const MISSING: u32 = u32::MAX;

/// How a file is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// The column (or array of an `.npz` file) that holds the class.
    pub label: Option<String>,
    /// The column that identifies a record; its values must be distinct.
    pub id: Option<String>,
    /// The column that says which rows belong together, such as those of one person.
    pub group: Option<String>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Columns to read as numbers, whatever they look like.
    pub numeric: Vec<String>,
    /// Columns to read as categories, whatever they look like.
    pub categorical: Vec<String>,
    /// The delimiter of a text table; without it, it is found from the header.
    pub delimiter: Option<u8>,
    /// The file of labels that belongs to a file of features or images.
    pub labels_file: Option<PathBuf>,
    /// The shape of the image that the features of a record make, where the file does not say it:
    /// height × width, or that with 1, 3 or 4 channels at the end or else in front.
    pub image: Option<Vec<usize>>,
}

/// Records as they were read.
///
/// Rows in messages are counted from 1 and do not count the header; the default
/// [`ids`](Self::ids) are counted from 0, as pandas counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The file name, without its folder.
    pub name: String,
    /// The features.
    pub body: Body,
    /// The class of each record, an index into `classes`.
    pub labels: Vec<u32>,
    /// The classes, sorted: by number if all are numbers, else by text. Where the file itself says
    /// that they are text (Parquet, `NumPy`) they sort as text, as scikit-learn sorts them.
    pub classes: Vec<String>,
    /// The identifier of each record: the value of the id column, else the row number counted from 0.
    pub ids: Vec<String>,
    /// Whether `ids` come from a column.
    pub has_id_column: bool,
    /// The column of index labels that was left out, if its labels are not the row numbers:
    /// numbers that name records may then mean either.
    pub other_index: Option<String>,
    /// The value of the group column for each record.
    pub groups: Option<Vec<String>>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// BLAKE3 of the file's bytes, hexadecimal; with a labels file, of the two hashes one after the other.
    pub content_hash: String,
    /// The row in the file of each record, counted from 0: stays with the record through [`select`](Self::select).
    pub rows: Vec<u32>,
}

/// The features of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Columns, each of its own type.
    Columns(Vec<Column>),
    /// One block of numbers, records × features.
    Dense {
        /// The values as they were read; every one is finite.
        values: Array2<f32>,
        /// The name of each feature.
        names: Vec<String>,
        /// How they make an image, where they do.
        image: Option<ImageShape>,
    },
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name in the file.
    pub name: String,
    /// In which type the file gave the values, whatever they are read as.
    pub kind: ColumnKind,
    /// One value per record.
    pub values: Values,
    /// How its texts are written in the file.
    pub spelling: Spelling,
}

/// What reading takes away from the texts of a column: a model that reads the file itself sees it,
/// and gets it back when it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spelling {
    /// The blanks before every text.
    pub before: String,
    /// The blanks after every text.
    pub after: String,
    /// The text that stands for missing values, where another program would take it for a value:
    /// a question mark, or any text of a format that has missing values of its own.
    pub missing: Option<String>,
    /// Whether blanks or missing values are written in several ways: then nothing is put back.
    pub is_mixed: bool,
}

impl Spelling {
    /// A text of the column, or a missing value, as the file has it.
    #[must_use]
    pub fn written(&self, text: Option<&str>) -> Option<String> {
        match text {
            Some(text) => Some(format!("{}{text}{}", self.before, self.after)),
            None => self.missing.clone(),
        }
    }

    /// Nothing is known to be written in one way.
    #[must_use]
    pub fn mixed() -> Self {
        Self {
            is_mixed: true,
            ..Self::default()
        }
    }
}

/// The type of a column in its file: a target that takes raw records gets them back in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Numbers, of which some have decimals.
    Number,
    /// Whole numbers.
    Whole,
    /// Texts.
    Text,
    /// Truth values.
    Truth,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers; NaN is a missing value.
    Numeric(Vec<f64>),
    /// Categories.
    Categorical {
        /// Indices into `levels`; [`MISSING`] is a missing value.
        codes: Vec<u32>,
        /// The distinct values, sorted as classes are.
        levels: Vec<String>,
    },
}

impl Table {
    /// Reads a file, in the format that its content and its extension say: CSV or TSV (gzip or
    /// not), Parquet, NPY, NPZ, IDX images (gzip or not), or CIFAR's binary format (`.bin`).
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is damaged or of an unknown format, when an option names
    /// a column that is not there, or when the records cannot be audited: no label, one class,
    /// no features, an infinite value, an identifier that occurs twice.
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self> {
        let name = file_name(path);
        let bytes = std::fs::read(path).map_err(|error| not_read(path, &error))?;
        Self::from_bytes(path, bytes, options)
            .and_then(|table| table.formed(options))
            .map_err(|error| error.at(name))
    }

    /// Reads a data set that is shipped within the program: see [`shipped::shipped`]. Its
    /// label column need not be named.
    ///
    /// # Errors
    ///
    /// When there is none of that name, or an option names a column that is not there.
    pub fn shipped(name: &str, options: &TableOptions) -> Result<Self> {
        shipped::read(name, options)?.formed(options)
    }

    /// Reads a known data set from the user's cache, where [`known::fetch`] put it. Its files
    /// are compared with the checksums that they were stored with.
    ///
    /// # Errors
    ///
    /// When none of that name is known, when it was not fetched or its files are changed or
    /// damaged, or an option makes no sense for it.
    pub fn cached(name: &str, options: &TableOptions) -> Result<Self> {
        let data = known::find(name)?;
        if data.is_shipped() {
            return Self::shipped(name, options);
        }
        known::read(&known::Cache::of_user()?, data, options)?.formed(options)
    }

    /// With its features as the pixels of images, if the options ask for that.
    fn formed(mut self, options: &TableOptions) -> Result<Self> {
        if let Some(shape) = &options.image {
            image::form(&mut self, shape)?;
        }
        Ok(self)
    }

    fn from_bytes(path: &Path, bytes: Vec<u8>, options: &TableOptions) -> Result<Self> {
        if bytes.is_empty() {
            return Err(
                Error::input("the file is empty").hint("give a file with a row for each record")
            );
        }
        let name = file_name(path);
        let lower = name.to_lowercase();
        let extension = |ending: &str| lower.ends_with(ending);
        let hash = blake3::hash(&bytes);
        let content = if bytes.starts_with(&[0x1f, 0x8b]) {
            idx_file::expand(&bytes)?
        } else {
            bytes
        };
        let unread = |what: &str, hint: &str| Err(Error::input(what).hint(hint));
        if extension(".bin") {
            // It has no first bytes of its own.
            return cifar_file::read(&name, &content, hash, options);
        }
        match content.as_slice() {
            [b'P', b'A', b'R', b'1', ..] => {
                refuse_delimiter(options)?;
                refuse_labels_file(options)?;
                parquet_file::read(&name, content, hash, options)
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
                array_file::read_npy(&name, &content, hash, options)
            }
            [b'P', b'K', 3 | 5, 4 | 6, ..] if !extension(".xlsx") && !extension(".ods") => {
                array_file::read_npz(&name, &content, hash, options)
            }
            [b'P', b'K', ..] => unread(
                "spreadsheets cannot be read",
                "save the sheet as CSV and audit that file",
            ),
            [0, 0, 8 | 9 | 11..=14, 1..=4, ..] => {
                idx_file::read(path, &name, &content, hash, options)
            }
            _ if extension(".parquet") => unread(
                "not a Parquet file: it does not begin with PAR1",
                "see whether the file was copied or downloaded whole",
            ),
            _ if extension(".npy") || extension(".npz") => unread(
                "not a NumPy file: its first bytes are not those of the format",
                "write it again with numpy.save or numpy.savez",
            ),
            _ if lower.contains("-ubyte") || extension(".idx") => unread(
                "not an IDX file: its first bytes are not those of the format",
                "see whether the file was copied or downloaded whole",
            ),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => unread(
                "the text is UTF-16, not UTF-8",
                "convert it, for example with: iconv -f UTF-16 -t UTF-8",
            ),
            content_bytes if content_bytes.iter().take(4096).any(|&byte| byte == 0) => unread(
                "neither a text table nor any other format that can be read",
                "CSV, TSV, Parquet, NPY, NPZ, IDX and CIFAR's .bin can be read, the text tables and IDX also compressed with gzip; archives of known data sets with: giveaway data fetch NAME --from ARCHIVE",
            ),
            _ => {
                refuse_labels_file(options)?;
                delimited::read(&name, &content, hash, options)
            }
        }
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The records of these rows, in this order; a row may occur more than once. Classes, levels and
    /// notes stay as they are.
    ///
    /// # Panics
    ///
    /// When a row is not less than [`len`](Self::len).
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        let body = match &self.body {
            Body::Columns(columns) => Body::Columns(
                columns
                    .iter()
                    .map(|column| Column {
                        name: column.name.clone(),
                        kind: column.kind,
                        spelling: column.spelling.clone(),
                        values: match &column.values {
                            Values::Numeric(values) => Values::Numeric(pick(values, rows)),
                            Values::Categorical { codes, levels } => Values::Categorical {
                                codes: pick(codes, rows),
                                levels: levels.clone(),
                            },
                        },
                    })
                    .collect(),
            ),
            Body::Dense {
                values,
                names,
                image,
            } => {
                let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
                Body::Dense {
                    values: values.select(Axis(0), &rows),
                    names: names.clone(),
                    image: *image,
                }
            }
        };
        Self {
            name: self.name.clone(),
            body,
            labels: pick(&self.labels, rows),
            classes: self.classes.clone(),
            ids: pick(&self.ids, rows),
            has_id_column: self.has_id_column,
            other_index: self.other_index.clone(),
            groups: self.groups.as_ref().map(|groups| pick(groups, rows)),
            notes: self.notes.clone(),
            content_hash: self.content_hash.clone(),
            rows: pick(&self.rows, rows),
        }
    }

    /// A value as people read it; a missing one is the empty text.
    ///
    /// # Panics
    ///
    /// When there is no such row or column.
    #[must_use]
    pub fn feature_text(&self, row: usize, column: usize) -> String {
        match &self.body {
            Body::Columns(columns) => match &columns[column].values {
                Values::Numeric(values) if values[row].is_nan() => String::new(),
                Values::Numeric(values) => values[row].to_string(),
                Values::Categorical { codes, levels } => {
                    levels.get(codes[row] as usize).cloned().unwrap_or_default()
                }
            },
            Body::Dense { values, .. } => values[[row, column]].to_string(),
        }
    }

    /// The names of the feature columns.
    #[must_use]
    pub fn column_names(&self) -> Vec<&str> {
        match &self.body {
            Body::Columns(columns) => columns.iter().map(|column| column.name.as_str()).collect(),
            Body::Dense { names, .. } => names.iter().map(String::as_str).collect(),
        }
    }
}

fn pick<T: Clone>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter()
        .map(|&row| values[row as usize].clone())
        .collect()
}

/// Why a file could not be read. A bare name may have been meant for a shipped data set.
fn not_read(path: &Path, error: &std::io::Error) -> Error {
    let failure = Error::io("read the file", path, error);
    let bare = path.extension().is_none() && path.components().count() == 1;
    if error.kind() == std::io::ErrorKind::NotFound && bare {
        let names: Vec<&str> = shipped::shipped().iter().map(|data| data.name).collect();
        return failure.hint(format!(
            "check the path; it is taken relative to the current directory. The data sets that come with the program are {}",
            names.join(" and ")
        ));
    }
    failure
}

/// Refuses a delimiter where nothing is delimited.
pub(super) fn refuse_delimiter(options: &TableOptions) -> Result<()> {
    if options.delimiter.is_some() {
        return Err(
            Error::usage("the file is no text table and has no delimiter")
                .at("--delimiter")
                .hint("leave it out"),
        );
    }
    Ok(())
}

/// Refuses a file of labels where the records have a column of them.
pub(super) fn refuse_labels_file(options: &TableOptions) -> Result<()> {
    if options.labels_file.is_some() {
        return Err(Error::usage(
            "the labels of a table are one of its columns and not a file of their own",
        )
        .at("--labels-file")
        .hint("leave it out, and name the column with --label"));
    }
    Ok(())
}

/// A number for a message: 1e300 rather than three hundred digits.
pub(super) fn shown(value: f64) -> String {
    if value.abs() >= 1e15 {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// The name of a file without its folder.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

//! Arrays as numpy writes them, and tables as pandas reads them.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// An NPY file with this type, order and shape.
pub(crate) fn npy(descriptor: &str, fortran: bool, shape: &[usize], body: &[u8]) -> Vec<u8> {
    let lengths: Vec<String> = shape.iter().map(|length| format!("{length},")).collect();
    let fortran = if fortran { "True" } else { "False" };
    let mut header = format!(
        "{{'descr': '{descriptor}', 'fortran_order': {fortran}, 'shape': ({}), }}",
        lengths.join(" ")
    );
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(body);
    bytes
}

/// float64 in C order.
pub(crate) fn doubles(shape: &[usize], values: &[f64]) -> Vec<u8> {
    assert_eq!(values.len(), shape.iter().product::<usize>());
    let body: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    npy("<f8", false, shape, &body)
}

/// float32 in C order.
pub(crate) fn singles(shape: &[usize], values: &[f64]) -> Vec<u8> {
    let body: Vec<u8> = values
        .iter()
        .flat_map(|&x| (x as f32).to_le_bytes())
        .collect();
    npy("<f4", false, shape, &body)
}

/// bool in C order.
pub(crate) fn bools(shape: &[usize], values: &[bool]) -> Vec<u8> {
    assert_eq!(values.len(), shape.iter().product::<usize>());
    let body: Vec<u8> = values.iter().map(|&x| u8::from(x)).collect();
    npy("|b1", false, shape, &body)
}

/// int64 of one axis.
pub(crate) fn whole(values: &[i32]) -> Vec<u8> {
    let body: Vec<u8> = values
        .iter()
        .flat_map(|&x| i64::from(x).to_le_bytes())
        .collect();
    npy("<i8", false, &[values.len()], &body)
}

/// The columns of a Parquet table of numbers, `NaN` for null.
pub(crate) fn columns(path: &Path) -> Vec<(String, Vec<f64>)> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    for row in reader.get_row_iter(None).unwrap() {
        for (index, (name, field)) in row.unwrap().get_column_iter().enumerate() {
            if columns.len() == index {
                columns.push((name.clone(), Vec::new()));
            }
            columns[index].1.push(match field {
                Field::Double(x) => *x,
                Field::Null => f64::NAN,
                other => panic!("{name} holds {other}"),
            });
        }
    }
    columns
}

//! What goes into a model and comes out of it, whichever engine runs it.

use ndarray::Array2;

/// The elements of a tensor, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Elements {
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    Truths(Vec<bool>),
    Texts(Vec<String>),
}

impl Elements {
    /// Those of some rows, `width` elements each. Rows from the last existing one on are copies
    /// of it: a model with a fixed batch wants all of them.
    fn rows(&self, first: usize, count: usize, rows: usize, width: usize) -> Self {
        fn part<T: Clone>(
            all: &[T],
            first: usize,
            count: usize,
            rows: usize,
            width: usize,
        ) -> Vec<T> {
            let mut part = Vec::with_capacity(count * width);
            for row in first..first + count {
                let start = row.min(rows - 1) * width;
                part.extend_from_slice(&all[start..start + width]);
            }
            part
        }
        match self {
            Self::Floats(all) => Self::Floats(part(all, first, count, rows, width)),
            Self::Doubles(all) => Self::Doubles(part(all, first, count, rows, width)),
            Self::Ints(all) => Self::Ints(part(all, first, count, rows, width)),
            Self::Longs(all) => Self::Longs(part(all, first, count, rows, width)),
            Self::Truths(all) => Self::Truths(part(all, first, count, rows, width)),
            Self::Texts(all) => Self::Texts(part(all, first, count, rows, width)),
        }
    }
}

/// A named tensor; the first dimension counts the questions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) elements: Elements,
}

impl Tensor {
    /// `count` rows from `first` on; missing ones are copies of the last.
    pub(crate) fn part(&self, first: usize, count: usize) -> Self {
        let width = self.dims[1..].iter().product();
        let mut dims = self.dims.clone();
        dims[0] = count;
        Self {
            name: self.name.clone(),
            dims,
            elements: self.elements.rows(first, count, self.dims[0], width),
        }
    }
}

/// What an output of a model held.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// `[questions × outputs]`
    Numbers(Array2<f32>),
    /// The class of each question.
    Labels(Vec<String>),
    /// A map from classes to numbers for each question.
    Maps(Vec<Vec<(String, f32)>>),
}

/// A size as ONNX writes it; none in memory is beyond `i64`.
pub(crate) fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Numbers with these dimensions as questions × outputs: one dimension is one output, and
/// dimensions of size 1 beyond the second say nothing.
pub(crate) fn as_rows(dims: &[usize], values: Vec<f32>) -> Result<Array2<f32>, String> {
    let shape = match dims {
        [rows] => (*rows, 1),
        [rows, rest @ ..] if rest.iter().filter(|&&size| size != 1).count() <= 1 => {
            (*rows, rest.iter().product())
        }
        _ => {
            return Err(format!(
                "its output has the shape {dims:?}, not questions × classes"
            ));
        }
    };
    Array2::from_shape_vec(shape, values)
        .map_err(|_| format!("its output has not the elements of its shape {dims:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_beyond_the_end_repeats_the_last_row() {
        let tensor = Tensor {
            name: "x".to_owned(),
            dims: vec![3, 2],
            elements: Elements::Floats(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        };
        let part = tensor.part(2, 2);
        assert_eq!(part.dims, [2, 2]);
        assert_eq!(part.elements, Elements::Floats(vec![4.0, 5.0, 4.0, 5.0]));
    }

    #[test]
    fn rows_are_questions() {
        let values = || vec![1.0, 2.0, 3.0, 4.0];
        assert_eq!(as_rows(&[4], values()).unwrap().dim(), (4, 1));
        assert_eq!(as_rows(&[2, 2, 1, 1], values()).unwrap().dim(), (2, 2));
        assert!(as_rows(&[1, 2, 2], values()).is_err());
        assert!(as_rows(&[], values()).is_err());
        assert!(as_rows(&[3, 2], values()).is_err());
    }
}

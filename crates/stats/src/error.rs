//! What can be wrong with the numbers a caller hands in.

use std::fmt;

/// An input that has no meaningful answer. The message names the argument, the place
/// and what is allowed.
#[derive(Clone, Debug, PartialEq)]
pub enum InputError {
    /// A value is NaN, infinite where that has no meaning, or outside its range.
    Value {
        /// The argument's name.
        argument: &'static str,
        /// Position in the argument, from zero.
        index: usize,
        /// The value found.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// Fewer (usable) values than the computation needs.
    TooFew {
        /// The argument's name.
        argument: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Two arguments that go by position have different lengths.
    Lengths {
        /// Both arguments' names.
        arguments: (&'static str, &'static str),
        /// Both lengths.
        found: (usize, usize),
    },
    /// Positions that must increase strictly do not.
    NotIncreasing {
        /// The argument's name.
        argument: &'static str,
        /// The first position that is not above the one before it.
        index: usize,
    },
    /// A single number is NaN or outside its range.
    Parameter {
        /// The argument's name.
        argument: &'static str,
        /// The value found.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A matrix, given row by row, has the wrong number of entries.
    Matrix {
        /// The argument's name.
        argument: &'static str,
        /// How many entries there are.
        found: usize,
        /// How many rows are needed.
        rows: usize,
        /// How many columns are needed.
        columns: usize,
    },
    /// A comparison of two groups in which one group is empty.
    OneGroup {
        /// The name of the empty group.
        missing: &'static str,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value {
                argument,
                index,
                value,
                allowed,
            } => write!(f, "{argument}[{index}] is {value}; it must be {allowed}"),
            Self::TooFew {
                argument,
                found,
                needed,
            } => write!(
                f,
                "{argument} has {found} usable values; at least {needed} are needed"
            ),
            Self::Lengths { arguments, found } => write!(
                f,
                "{} has {} values but {} has {}; give one for each",
                arguments.0, found.0, arguments.1, found.1
            ),
            Self::NotIncreasing { argument, index } => write!(
                f,
                "{argument}[{index}] is not above the value before it; sort the values and merge equal ones"
            ),
            Self::Parameter {
                argument,
                value,
                allowed,
            } => write!(f, "{argument} is {value}; it must be {allowed}"),
            Self::Matrix {
                argument,
                found,
                rows,
                columns,
            } => write!(
                f,
                "{argument} has {found} entries; a {rows} × {columns} matrix is needed, row by row"
            ),
            Self::OneGroup { missing } => write!(
                f,
                "there are no {missing}; both groups are needed to compare them"
            ),
        }
    }
}

impl std::error::Error for InputError {}

/// Refuses the first value for which `accept` is false.
pub(crate) fn check(
    argument: &'static str,
    values: &[f64],
    allowed: &'static str,
    accept: impl Fn(f64) -> bool,
) -> Result<(), InputError> {
    match values.iter().position(|&value| !accept(value)) {
        None => Ok(()),
        Some(index) => Err(InputError::Value {
            argument,
            index,
            value: values[index],
            allowed,
        }),
    }
}

/// Refuses a single number for which `accepted` is false.
pub(crate) fn check_parameter(
    argument: &'static str,
    value: f64,
    allowed: &'static str,
    accepted: bool,
) -> Result<(), InputError> {
    if accepted {
        Ok(())
    } else {
        Err(InputError::Parameter {
            argument,
            value,
            allowed,
        })
    }
}

/// Refuses arguments of different lengths.
pub(crate) fn check_lengths(
    arguments: (&'static str, &'static str),
    found: (usize, usize),
) -> Result<(), InputError> {
    if found.0 == found.1 {
        Ok(())
    } else {
        Err(InputError::Lengths { arguments, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_and_where() {
        let error = check("p", &[0.5, f64::NAN], "in [0, 1]", |p| {
            (0.0..=1.0).contains(&p)
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "p[1] is NaN; it must be in [0, 1]");
        let error = check_lengths(("scores", "is_member"), (3, 2)).unwrap_err();
        assert!(error.to_string().contains("scores has 3 values"));
    }
}

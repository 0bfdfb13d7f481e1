//! What a target's answers mean: columns put into the order of the classes, and what its interface
//! did to the numbers.

use ndarray::{Array2, Axis};

use super::Answers;
use super::columns::{Columns, class_of, columns_of_classes, shown, take_header_of_numbers};
use crate::channel::{Channel, OutputKind};
use crate::dataset::matrix;
use crate::error::{Error, Result};

/// The outputs of a target on every record, and what they went through.
#[derive(Clone, Debug)]
pub struct TargetOutputs {
    /// Records × classes.
    pub outputs: Array2<f32>,
    /// What the target's interface does to them.
    pub channel: Channel,
    /// Whether the rows were numbers from 0 to 1 that did not sum to one, and were divided by
    /// their sum.
    pub normalised_here: bool,
    /// Whether they were percentages, and were divided by a hundred.
    pub in_percent: bool,
}

/// The outputs of a target in the order of the classes, one row for each answer. Columns that are
/// named like classes are those, whatever else stands beside them. Of two classes a single column
/// is the probability of the second; a single column of classes by number, and labels, become 1
/// for the class and 0 for the others.
///
/// # Errors
/// If a number is not finite, the columns are not one for each class, or a label is no class.
pub fn interpret(answers: Answers, classes: &[String]) -> Result<Array2<f32>> {
    let (mut values, names) = match answers {
        Answers::Labels(labels) => return one_hot(&labels, classes),
        Answers::Numbers { values, names } => (values, names),
    };
    for ((row, column), value) in values.indexed_iter() {
        if !value.is_finite() {
            return Err(Error::input(format!("the output is {value}"))
                .at(format!("row {}, column {}", row + 1, column + 1))
                .hint("a target must answer every record with finite numbers"));
        }
    }
    if let Some(names) = &names {
        values = match columns_of_classes(names, classes)? {
            Columns::Placed(order) => values.select(Axis(1), &order),
            Columns::Named(places) if classes.len() == 2 && places.contains(&None) => {
                // the probability of one of two is that of the other as well
                let named = places.iter().flatten().copied().collect::<Vec<usize>>();
                let of_one = of_the_second(&values.select(Axis(1), &named), classes)?;
                let is_first = places[0].is_some();
                let order = if is_first { [1, 0] } else { [0, 1] };
                of_one.select(Axis(1), &order)
            }
            Columns::Named(places) => {
                let order: Option<Vec<usize>> = places.iter().copied().collect();
                let Some(order) = order else {
                    return Err(missing_columns(&places, classes));
                };
                values.select(Axis(1), &order)
            }
        };
    }
    if values.ncols() == classes.len() {
        return Ok(values);
    }
    if values.ncols() != 1 {
        return Err(Error::input(format!(
            "{} columns of outputs for {} classes",
            values.ncols(),
            classes.len()
        ))
        .hint(format!(
            "give one column per class, in this order: {}",
            classes.join(", ")
        )));
    }
    if classes.len() == 2 {
        return of_the_second(&values, classes);
    }
    let labels: Vec<String> = values.iter().map(ToString::to_string).collect();
    one_hot(&labels, classes).map_err(|_| {
        Error::input(format!("1 column of outputs for {} classes", classes.len())).hint(format!(
            "give one column per class, in this order: {}; or a column of classes",
            classes.join(", ")
        ))
    })
}

fn missing_columns(places: &[Option<usize>], classes: &[String]) -> Error {
    let without = places
        .iter()
        .zip(classes)
        .filter(|(place, _)| place.is_none());
    let without: Vec<String> = without.map(|(_, class)| class.clone()).collect();
    Error::input(format!("no column is named like {}", shown(&without)))
        .hint("give a column for every class; one that the model cannot answer has probability 0")
}

/// Reads what a file holds of so many answers: a table of numbers, or a class for each.
///
/// # Errors
/// If it is neither; whether there are as many is the caller's to see.
pub(crate) fn answers_in(bytes: Vec<u8>, rows: usize, classes: &[String]) -> Result<Answers> {
    if let Some(mut labels) = matrix::column_of_texts(&bytes) {
        // Lines may have a header, which is no class.
        if labels.len() == rows + 1 && class_of(&labels[0], classes).is_none() {
            labels.remove(0);
        }
        return Ok(Answers::Labels(labels));
    }
    let mut read = matrix::parse(bytes)?;
    take_header_of_numbers(&mut read, rows, classes);
    Ok(Answers::Numbers {
        values: read.values,
        names: read.names,
    })
}

/// Two columns from the probability of the second class.
fn of_the_second(values: &Array2<f32>, classes: &[String]) -> Result<Array2<f32>> {
    if values.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return Err(Error::input(
            "a single column of outputs must hold probabilities of the second class",
        )
        .hint(format!(
            "give two columns, for {} and {}",
            classes[0], classes[1]
        )));
    }
    // In float32, one minus a rounded number is not quite a rounded one.
    let rounded = Channel {
        kind: OutputKind::Probabilities,
        ..Channel::detect(values)
    };
    Ok(Array2::from_shape_fn(
        (values.nrows(), 2),
        |(row, class)| {
            let p = values[[row, 0]];
            if class == 1 {
                p
            } else {
                rounded.round(1.0 - p)
            }
        },
    ))
}

/// Labels as outputs: 1 for the class that is named, 0 for the others. Numbers may be written in
/// any way that means the class.
fn one_hot(labels: &[String], classes: &[String]) -> Result<Array2<f32>> {
    let mut outputs = Array2::zeros((labels.len(), classes.len()));
    for (row, label) in labels.iter().enumerate() {
        let Some(class) = class_of(label, classes) else {
            return Err(Error::input(format!("`{label}` is none of the classes"))
                .at(format!("row {}", row + 1))
                .hint(format!("the classes are {}", classes.join(", "))));
        };
        outputs[[row, class]] = 1.0;
    }
    Ok(outputs)
}

/// Whether no number is below 0 and every row sums to a hundred, within half a per cent for each
/// class: logits do that by no chance.
fn are_percentages(outputs: &Array2<f32>) -> bool {
    let off_by = 0.5 * outputs.ncols() as f32 + 0.01;
    !outputs.is_empty()
        && outputs.iter().all(|&p| p >= 0.0)
        && outputs
            .rows()
            .into_iter()
            .all(|row| (row.sum() - 100.0).abs() <= off_by)
}

/// Finds out what all outputs of a target went through, unless their kind is given. Numbers from
/// 0 to 1 that do not sum to one are divided by their sum, percentages by a hundred.
///
/// # Errors
/// If they cannot be of the kind given.
pub fn settle(mut outputs: Array2<f32>, kind: Option<OutputKind>) -> Result<TargetOutputs> {
    let mut channel = Channel::detect(&outputs);
    let mut normalised_here = false;
    let in_percent = kind != Some(OutputKind::Logits) && are_percentages(&outputs);
    if in_percent {
        outputs.mapv_inplace(|p| p / 100.0);
        channel = Channel::detect(&outputs);
    }
    let within = outputs.iter().all(|p| (0.0..=1.0).contains(p));
    if within && channel.kind == OutputKind::Logits && kind != Some(OutputKind::Logits) {
        let classes = outputs.ncols() as f32;
        for mut row in outputs.rows_mut() {
            let sum: f32 = row.sum();
            if sum > 0.0 {
                row /= sum;
            } else {
                row.fill(1.0 / classes);
            }
        }
        channel.kind = OutputKind::Probabilities;
        // what the quotients of rounded numbers are is not rounded
        channel.decimals = None;
        normalised_here = true;
    }
    if let Some(kind) = kind
        && kind != channel.kind
    {
        let wrong = |message: &str, hint: &str| Err(Error::input(message).hint(hint));
        match kind {
            OutputKind::Probabilities if !within => {
                return wrong(
                    "not all outputs are between 0 and 1",
                    "use --output-kind logits if these are logits",
                );
            }
            // a target that is always sure, and not one that gives labels
            OutputKind::Probabilities => channel.kind = kind,
            OutputKind::Labels => {
                return wrong(
                    "these outputs are no labels: each row would have a single 1, and 0 for the rest",
                    "leave --output-kind out, or give a column of classes",
                );
            }
            OutputKind::Logits => {
                channel.kind = kind;
                channel.top = None;
            }
        }
    }
    Ok(TargetOutputs {
        outputs,
        channel,
        normalised_here,
        in_percent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn classes() -> Vec<String> {
        ["no", "yes"].map(str::to_owned).to_vec()
    }

    fn named(names: &[&str], values: Array2<f32>) -> Answers {
        Answers::Numbers {
            values,
            names: Some(names.iter().map(|&name| name.to_owned()).collect()),
        }
    }

    #[test]
    fn columns_go_to_their_classes_or_are_refused() {
        let values = array![[0.9_f32, 0.1], [0.25, 0.75]];
        let turned = array![[0.1_f32, 0.9], [0.75, 0.25]];
        let read = |names: &[&str]| interpret(named(names, values.clone()), &classes());
        assert_eq!(read(&["yes", "no"]).unwrap(), turned);
        assert_eq!(read(&["LABEL_1", "LABEL_0"]).unwrap(), turned);
        assert_eq!(read(&["0", "1"]).unwrap(), values);
        // one of two, beside an index
        let one = |name| read(&[name, ""]).unwrap().mapv(|p| (p * 100.0).round());
        assert_eq!(one("no"), array![[90.0, 10.0], [25.0, 75.0]]);
        assert_eq!(one("yes"), array![[10.0, 90.0], [75.0, 25.0]]);
        let three = ["a", "b", "c"].map(str::to_owned);
        let error = interpret(named(&["a", "c"], values.clone()), &three).unwrap_err();
        assert!(error.to_string().contains("named like b"), "{error}");
        for (names, says) in [(["left", "right"], "left, right"), (["yes", "n0"], "n0")] {
            let error = read(&names).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_file_of_classes_may_have_a_header() {
        let read = |text: &str, rows| answers_in(text.as_bytes().to_vec(), rows, &classes());
        let labels =
            |names: &[&str]| Answers::Labels(names.iter().map(|&n| n.to_owned()).collect());
        assert_eq!(read("class\nno\nyes\n", 2).unwrap(), labels(&["no", "yes"]));
        // one row too many is no header
        let three = labels(&["no", "yes", "no"]);
        assert_eq!(read("no\nyes\nno\n", 2).unwrap(), three);
        // A header that pandas wrote is one, an answer that looks like it is none.
        assert_eq!(read("0,1\n0.25,0.75\n1.0,0.0\n", 2).unwrap().len(), 2);
        assert_eq!(read("0,1\n0.25,0.75\n1,0\n", 2).unwrap().len(), 3);
        // nor is the first row of an array
        let mut bytes = crate::dataset::array_file::header("<f4", &[3, 2]);
        for value in [1.0_f32, 0.0, 0.0, 1.0, 0.0, 1.0] {
            bytes.extend(value.to_le_bytes());
        }
        let numbers = ["0".to_owned(), "1".to_owned()];
        assert_eq!(answers_in(bytes, 2, &numbers).unwrap().len(), 3);
    }

    #[test]
    fn percentages_are_no_logits() {
        let percent = array![[90.5_f32, 9.5], [25.0, 75.0], [33.3, 66.6]];
        let settled = settle(percent.clone(), None).unwrap();
        assert!(settled.in_percent && !settled.normalised_here);
        assert_eq!(settled.channel.kind, OutputKind::Probabilities);
        assert_eq!(settled.channel.decimals, Some(3));
        assert!((settled.outputs[[0, 0]] - 0.905).abs() < 1e-6);
        let logits = settle(percent, Some(OutputKind::Logits)).unwrap();
        assert!(!logits.in_percent && logits.channel.kind == OutputKind::Logits);
        let plain = settle(array![[90.5_f32, -9.5], [25.0, 75.0]], None).unwrap();
        assert_eq!(plain.channel.kind, OutputKind::Logits);
    }
}

//! What a target's answers mean: columns put into the order of the classes, and what its interface
//! did to the numbers.

use ndarray::{Array2, Axis};

use super::Answers;
use crate::channel::{Channel, OutputKind};
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
        let plain = |name: &str| name.trim().to_lowercase();
        let order = |same: &dyn Fn(&str, &str) -> bool| -> Option<Vec<usize>> {
            let place = |class: &String| names.iter().position(|name| same(name, class));
            classes.iter().map(place).collect()
        };
        // "Yes" is the class "yes", unless there is a class "Yes".
        if let Some(order) = order(&|name, class| name == class)
            .or_else(|| order(&|name, class| plain(name) == plain(class)))
        {
            values = values.select(Axis(1), &order);
        }
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
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let mut outputs = Array2::zeros((labels.len(), classes.len()));
    for (row, label) in labels.iter().enumerate() {
        let class = classes.iter().position(|class| class == label).or_else(|| {
            let wanted = number(label)?;
            classes
                .iter()
                .position(|class| number(class).is_some_and(|n| n.total_cmp(&wanted).is_eq()))
        });
        let Some(class) = class else {
            return Err(Error::input(format!("`{label}` is none of the classes"))
                .at(format!("row {}", row + 1))
                .hint(format!("the classes are {}", classes.join(", "))));
        };
        outputs[[row, class]] = 1.0;
    }
    Ok(outputs)
}

/// Finds out what all outputs of a target went through, unless their kind is given. Numbers from
/// 0 to 1 that do not sum to one are divided by their sum.
///
/// # Errors
/// If they cannot be of the kind given.
pub fn settle(mut outputs: Array2<f32>, kind: Option<OutputKind>) -> Result<TargetOutputs> {
    let mut channel = Channel::detect(&outputs);
    let mut normalised_here = false;
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
    })
}

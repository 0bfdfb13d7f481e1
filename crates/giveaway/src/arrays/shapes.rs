//! Which axis of which array is what, and what to say where one is in the wrong place.
//!
//! The number of records is what the arrays agree on that have no other axis. An array that
//! fits with its axes in another order is in the wrong orientation, and is named with what
//! puts it right.

use super::npy::Npy;
use crate::error::{Error, Result};

/// Sizes that all arrays share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Reference models.
    pub(super) models: usize,
    /// Audited records.
    pub(super) records: usize,
    /// Queries for each record: 1 without augmentations.
    pub(super) queries: usize,
    /// Outputs for each record and query: 1 for a signal that is one number.
    pub(super) classes: usize,
}

/// An axis: what it is called, and its length where that is known.
type Axis = (&'static str, Option<usize>);

/// The arrays that tell the sizes.
pub(super) struct Arrays<'a> {
    pub(super) signals: &'a Npy,
    pub(super) membership: &'a Npy,
    pub(super) target: &'a mut Npy,
    /// Arrays with one number for each record: labels, membership of the target, canaries.
    pub(super) by_record: Vec<&'a mut Npy>,
    /// Whether each record has a row of outputs.
    pub(super) with_classes: bool,
}

/// Finds the sizes and looks whether every array has them.
pub(super) fn layout(arrays: Arrays<'_>) -> Result<Layout> {
    let Arrays {
        signals,
        membership,
        target,
        mut by_record,
        with_classes,
    } = arrays;
    let has_queries = has_queries(signals, with_classes)?;
    for array in &mut by_record {
        one_axis(array)?;
    }
    has_records(target)?;
    as_one_model(target, signals)?;
    let (records, source) = records(signals, membership, target, &by_record);
    if records == 0 {
        return Err(Error::input("there are no records")
            .at(target.place())
            .hint("give at least one record"));
    }
    agree(&by_record, records, &source)?;
    let known = |name: &'static str, length: usize| (name, Some(length));
    let mut axes: Vec<Axis> = vec![known("records", records)];
    if has_queries {
        axes.push(("queries", signals.shape().get(2).copied()));
    }
    if with_classes {
        axes.push(("classes", signals.shape().last().copied()));
    }
    // Which of two arrays is turned round is told by the records.
    if target.shape().first() == Some(&records) {
        axes = axes
            .iter()
            .zip(target.shape())
            .map(|(&(name, _), &length)| (name, Some(length)))
            .collect();
    }
    fits(target, &axes, records, &source)?;
    let models = match *membership.shape() {
        [models, n] | [n, models] if n == records => Some(models),
        _ => None,
    };
    let rest = axes[1..].to_vec();
    let expected = |models: Option<usize>| {
        let mut all: Vec<Axis> = vec![("models", models), known("records", records)];
        all.extend(&rest);
        all
    };
    if let Err(error) = fits(signals, &expected(models), records, &source) {
        // Right but for the number of models: then both arrays are to be named.
        if fits(signals, &expected(None), records, &source).is_ok() {
            return Err(counts_differ(signals, membership, models));
        }
        return Err(error);
    }
    let models = signals.shape()[0];
    let axes = [known("models", models), known("records", records)];
    if let Err(error) = fits(membership, &axes, records, &source) {
        let of_models = membership.shape().first().copied();
        if membership.shape().len() == 2 && membership.shape()[1] == records {
            return Err(counts_differ(signals, membership, of_models));
        }
        return Err(error);
    }
    let shape = signals.shape();
    let classes = if with_classes {
        shape[shape.len() - 1]
    } else {
        1
    };
    let queries = if has_queries { shape[2] } else { 1 };
    if with_classes && classes < 2 {
        return Err(Error::input(format!(
            "there are {classes} classes, and outputs of one class tell nothing"
        ))
        .at(signals.place())
        .hint("give all classes, or one number per record with --signal confidence"));
    }
    if queries == 0 {
        return Err(Error::input("there are no queries")
            .at(signals.place())
            .hint("give at least one, or leave the axis out"));
    }
    Ok(Layout {
        models,
        records,
        queries,
        classes,
    })
}

/// Whether the signals have an axis of queries, by the number of their axes.
fn has_queries(signals: &Npy, with_classes: bool) -> Result<bool> {
    let base = 2 + usize::from(with_classes);
    let found = signals.shape().len();
    let wanted = if with_classes {
        "[models x records x classes], or [models x records x queries x classes]"
    } else {
        "[models x records], or [models x records x queries]"
    };
    if found != base && found != base + 1 {
        let hint = match (with_classes, found) {
            (true, 2) => {
                "for one number per record and model, give --signal scaled-logit, loss or confidence"
            }
            (false, 4) => {
                "for an output per class, give --signal logits or probabilities, with --labels"
            }
            _ => "put the axes in this order, with numpy.stack over the models",
        };
        return Err(Error::input(format!(
            "the array has shape {:?}, where {wanted} is wanted",
            signals.shape()
        ))
        .at(signals.place())
        .hint(hint));
    }
    Ok(found == base + 1)
}

/// Looks whether arrays with one number for each record have that many.
fn agree(by_record: &[&mut Npy], records: usize, source: &str) -> Result<()> {
    for array in by_record {
        if array.count() != records {
            return Err(Error::input(format!(
                "{} has {} elements, and there are {records} records ({source})",
                array.name(),
                array.count()
            ))
            .at(array.place())
            .hint("give one for each record, in the order of the other arrays"));
        }
    }
    Ok(())
}

/// The shape of a population: its number of records, and whether its arrays have queries.
pub(super) fn population(
    signals: &Npy,
    target: &mut Npy,
    by_record: &mut [&mut Npy],
    membership: Option<&Npy>,
    of_audited: Layout,
    with_classes: bool,
) -> Result<Layout> {
    for array in &mut *by_record {
        one_axis(array)?;
    }
    has_records(target)?;
    as_one_model(target, signals)?;
    let records = by_record
        .first()
        .map(|array| array.count())
        .or_else(|| target.shape().first().copied())
        .unwrap_or(0);
    let source = by_record
        .first()
        .map_or_else(|| target.name(), |array| array.name());
    if records == 0 {
        return Err(Error::input("there are no population records")
            .at(target.place())
            .hint("give at least one, or leave the population out"));
    }
    let base = 1 + usize::from(with_classes);
    let has_queries = target.shape().len() == base + 1;
    let mut axes: Vec<Axis> = vec![("records", Some(records))];
    if has_queries {
        axes.push(("queries", target.shape().get(1).copied()));
    }
    if with_classes {
        axes.push(("classes", Some(of_audited.classes)));
    }
    fits(target, &axes, records, &source)?;
    axes.insert(0, ("models", Some(of_audited.models)));
    fits(signals, &axes, records, &source)?;
    if let Some(membership) = membership {
        fits(membership, &axes[..2], records, &source)?;
    }
    let queries = if has_queries { target.shape()[1] } else { 1 };
    if queries == 0 {
        return Err(Error::input("there are no queries")
            .at(target.place())
            .hint("give at least one, or leave the axis out"));
    }
    Ok(Layout {
        records,
        queries,
        ..of_audited
    })
}

/// Refuses a single number in place of an array.
fn has_records(target: &Npy) -> Result<()> {
    if !target.shape().is_empty() {
        return Ok(());
    }
    Err(Error::input(
        "the array has shape [], a single number, where [records] or [records x classes] is wanted",
    )
    .at(target.place())
    .hint(format!(
        "give a number for each record: {}.reshape(1) for one record",
        target.variable()
    )))
}

/// Takes axes of one element away, down to one axis.
pub(super) fn one_axis(array: &mut Npy) -> Result<()> {
    while array.shape().len() > 1
        && let Some(axis) = array.shape().iter().position(|&length| length == 1)
    {
        array.drop_axis(axis);
    }
    if array.shape().len() == 1 {
        return Ok(());
    }
    Err(Error::input(format!(
        "the array has shape {:?}, where one number for each record is wanted",
        array.shape()
    ))
    .at(array.place())
    .hint("give [records]; one-hot labels become numbers by .argmax(axis=1)"))
}

/// Takes the axis of models away from the target's signals, where it is one model.
fn as_one_model(target: &mut Npy, signals: &Npy) -> Result<()> {
    let (axes, of_signals) = (target.shape().len(), signals.shape().len());
    if axes != of_signals {
        return Ok(());
    }
    if target.shape().first() == Some(&1) {
        target.drop_axis(0);
    } else if axes == 2 && target.shape().last() == Some(&1) {
        target.drop_axis(1);
    } else {
        return Err(Error::input(format!(
            "{} has shape {:?}, as many axes as {}: it seems to hold {} models, and the target is one",
            target.name(),
            target.shape(),
            signals.name(),
            target.shape().first().unwrap_or(&0)
        ))
        .at(target.place())
        .hint(format!("give one of them, such as {}[0] in numpy", target.variable())));
    }
    Ok(())
}

/// The number of records, and which array says so.
fn records(
    signals: &Npy,
    membership: &Npy,
    target: &Npy,
    by_record: &[&mut Npy],
) -> (usize, String) {
    let of_matrices = [signals.shape().get(1), membership.shape().get(1)];
    let of_target = target.shape().first();
    let mut said: Vec<(usize, String)> = Vec::new();
    if target.shape().len() == 1 {
        said.push((target.count(), target.name()));
    }
    said.extend(by_record.iter().map(|array| (array.count(), array.name())));
    // Two matrices that agree outvote a target that nothing agrees with, unless they agree
    // with it in the other orientation.
    if let &[Some(a), Some(b)] = &of_matrices
        && a == b
        && let Some(&c) = of_target
        && c != *a
        && signals.shape().first() != Some(&c)
        && by_record.iter().all(|array| array.count() != c)
        && target.shape().len() + 1 == signals.shape().len()
        && !target.shape().contains(a)
    {
        return (*a, signals.name());
    }
    // Where the matrices and the target agree, a single array that does not is the one at fault.
    if let (&[Some(a), Some(b)], Some(c)) = (&of_matrices, of_target)
        && a == b
        && b == c
        && said.iter().filter(|said| said.0 != *a).count() <= 1
    {
        return (*a, target.name());
    }
    let votes = |records: usize| said.iter().filter(|said| said.0 == records).count();
    // The first of those with most votes; the target comes first.
    let mut best: Option<(usize, String)> = None;
    for (records, name) in &said {
        if best
            .as_ref()
            .is_none_or(|(other, _)| votes(*records) > votes(*other))
        {
            best = Some((*records, name.clone()));
        }
    }
    best.unwrap_or_else(|| match of_matrices {
        [Some(a), Some(b)] if a == b && target.shape().contains(a) => (*a, signals.name()),
        _ => (of_target.copied().unwrap_or(0), target.name()),
    })
}

fn counts_differ(signals: &Npy, membership: &Npy, models: Option<usize>) -> Error {
    Error::input(format!(
        "{} has {} models, and {} has {}",
        signals.name(),
        signals.shape().first().unwrap_or(&0),
        membership.name(),
        models.unwrap_or(0)
    ))
    .at(membership.place())
    .hint("give the signals and the membership of the same models, in the same order")
}

/// Looks whether an array has these axes; if it has them in another order, says which.
fn fits(array: &Npy, expected: &[Axis], records: usize, source: &str) -> Result<()> {
    let found = array.shape();
    let agrees = |order: &[usize]| {
        expected
            .iter()
            .zip(order)
            .all(|(&(_, length), &axis)| length.is_none_or(|length| length == found[axis]))
    };
    let identity: Vec<usize> = (0..found.len()).collect();
    let wanted = shown(&expected.iter().map(|&(name, _)| name).collect::<Vec<_>>());
    if found.len() == expected.len() {
        if agrees(&identity) {
            return Ok(());
        }
        if let Some(order) = orders(found.len()).into_iter().find(|order| agrees(order)) {
            let mut names = vec![""; found.len()];
            for (&(name, _), &axis) in expected.iter().zip(&order) {
                names[axis] = name;
            }
            let variable = array.variable();
            let remedy = if found.len() == 2 {
                format!("{variable}.T")
            } else {
                let order: Vec<String> = order.iter().map(ToString::to_string).collect();
                format!("{variable}.transpose({})", order.join(", "))
            };
            return Err(Error::input(format!(
                "{} has shape {found:?}; with {records} records in {source} it seems to be {}",
                array.name(),
                shown(&names)
            ))
            .at(array.place())
            .hint(format!("give it as {wanted}: {remedy} in numpy")));
        }
    }
    let lengths: Vec<String> = expected
        .iter()
        .filter_map(|&(name, length)| {
            // what a length comes from is not always plain
            let from = if name == "records" {
                format!(" ({source})")
            } else {
                String::new()
            };
            length.map(|length| format!("{length} {name}{from}"))
        })
        .collect();
    Err(Error::input(format!(
        "{} has shape {found:?}, where {wanted} is wanted, with {}",
        array.name(),
        lengths.join(" and ")
    ))
    .at(array.place())
    .hint("all arrays are of the same models, records and classes, in the same order"))
}

fn shown(names: &[&str]) -> String {
    format!("[{}]", names.join(" x "))
}

/// All orders of so many axes.
fn orders(axes: usize) -> Vec<Vec<usize>> {
    if axes == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for order in orders(axes - 1) {
        for position in 0..axes {
            let mut longer = order.clone();
            longer.insert(position, axes - 1);
            all.push(longer);
        }
    }
    // those that move fewest axes first
    all.sort_by_key(|order| {
        (
            order.iter().enumerate().filter(|(i, a)| i != *a).count(),
            order.clone(),
        )
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_all_permutations_and_the_identity_is_first() {
        let all = orders(3);
        assert_eq!(all.len(), 6);
        assert_eq!(all[0], [0, 1, 2]);
        let mut distinct = all.clone();
        distinct.dedup();
        assert_eq!(distinct.len(), 6);
    }
}

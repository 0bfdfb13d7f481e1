//! Which column of a table of outputs is which class.

use crate::dataset::matrix::{Matrix, is_index};
use crate::error::{Error, Result};

/// What the columns of a table are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Their names are the classes': the column of each class, where there is one.
    Named(Vec<Option<usize>>),
    /// Their names tell nothing: these columns, in this order.
    Placed(Vec<usize>),
}

/// Finds the classes' columns by name. Names may be written as the classes are, as the same number
/// (1 and 1.0), in another case, or behind something that all share (`P(yes)` is not understood,
/// `proba_yes` is). Where no name is a class, names that count 0, 1, … are places, as is a single
/// column of any name. What pandas writes as an index is left out, and so is what stands beside
/// all classes.
///
/// # Errors
/// If two columns are named like one class, or there are columns that are no class while some
/// class has none: one of them may be misspelt, and an order that is guessed may be the wrong one.
pub(crate) fn columns_of_classes(names: &[String], classes: &[String]) -> Result<Columns> {
    let outputs: Vec<usize> = (0..names.len()).filter(|&i| !is_index(&names[i])).collect();
    let own: Vec<&str> = outputs.iter().map(|&i| names[i].trim()).collect();
    let expected = || {
        format!(
            "write one column per class, in this order or named so: {}",
            shown(classes)
        )
    };
    let shorter = behind_what_is_shared(&own);
    let is_class = |name: &str| class_of(name, classes).is_some();
    let own = if own.iter().any(|name| is_class(name)) || !shorter.iter().all(|name| is_class(name))
    {
        own
    } else {
        shorter
    };
    let mut place = vec![None; classes.len()];
    let mut strange = Vec::new();
    for (&column, name) in outputs.iter().zip(&own) {
        match class_of(name, classes) {
            Some(class) if place[class].is_some() => {
                return Err(Error::input(format!(
                    "two columns are named like the class {}",
                    classes[class]
                ))
                .hint(expected()));
            }
            Some(class) => place[class] = Some(column),
            None => strange.push(names[column].clone()),
        }
    }
    let found = place.iter().flatten().count();
    if found == 0 {
        if outputs.len() == 1 {
            return Ok(Columns::Placed(outputs));
        }
        // Numbers may be places or classes, if these are numbers too.
        let has_numbers = classes.iter().any(|class| class.parse::<f64>().is_ok());
        if !has_numbers && let Some(order) = order_of_counts(&own) {
            return Ok(Columns::Placed(
                order.into_iter().map(|i| outputs[i]).collect(),
            ));
        }
    }
    if found == 0 || found < classes.len() && !strange.is_empty() {
        return Err(
            Error::input(format!("columns that are no classes: {}", shown(&strange)))
                .hint(expected()),
        );
    }
    Ok(Columns::Named(place))
}

/// The class of this name: as it is written, as the same number, or in another case where no two
/// classes differ in case alone.
pub(crate) fn class_of(name: &str, classes: &[String]) -> Option<usize> {
    let only = |is: &dyn Fn(&String) -> bool| {
        let mut places = (0..classes.len()).filter(|&class| is(&classes[class]));
        places.next().filter(|_| places.next().is_none())
    };
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let as_written = classes.iter().position(|class| class == name);
    as_written
        .or_else(|| {
            let wanted = number(name)?;
            only(&|class| number(class).is_some_and(|n| n.total_cmp(&wanted).is_eq()))
        })
        .or_else(|| {
            let plain = name.trim().to_lowercase();
            only(&|class| class.trim().to_lowercase() == plain)
        })
}

/// Takes the first row of a text for its header where there is one row more than there are
/// answers, and the row holds the classes, if these are numbers, or 0, 1, …, as pandas counts. A
/// row that may be an answer, such as 0 and 1, is one, unless it alone is written in whole numbers.
pub(crate) fn take_header_of_numbers(read: &mut Matrix, rows: usize, classes: &[String]) {
    if read.names.is_some() || !read.is_text || read.values.nrows() != rows + 1 {
        return;
    }
    let header: Vec<String> = read.values.row(0).iter().map(ToString::to_string).collect();
    let sum: f32 = read.values.row(0).sum();
    let may_be_answer = (sum - 1.0).abs() < 0.01 && read.values.row(0).iter().all(|p| *p <= 1.0);
    if may_be_answer && !read.begins_with_whole {
        return;
    }
    let counts = || {
        header
            .iter()
            .enumerate()
            .all(|(i, name)| *name == i.to_string())
    };
    if header.iter().all(|name| class_of(name, classes).is_some()) || counts() {
        read.values.remove_index(ndarray::Axis(0), 0);
        read.names = Some(header);
    }
}

/// The order in which these names count 0, 1, …, if they do, with or without something in front
/// that all share.
fn order_of_counts(names: &[&str]) -> Option<Vec<usize>> {
    let mut order = vec![None; names.len()];
    for (place, name) in behind_letters_that_are_shared(names)
        .into_iter()
        .enumerate()
    {
        let number: usize = name
            .parse()
            .ok()
            .filter(|n: &usize| n.to_string() == name)?;
        let slot = order.get_mut(number).filter(|slot| slot.is_none())?;
        *slot = Some(place);
    }
    order.into_iter().collect()
}

/// The names without what all begin with, up to the last sign that is no letter or digit.
fn behind_what_is_shared<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let length = shared(names);
    let ends = names.first().map_or(0, |first| {
        let signs = first[..length].char_indices().rev();
        let mut signs = signs.filter(|(_, sign)| !sign.is_alphanumeric());
        signs.next().map_or(0, |(at, sign)| at + sign.len_utf8())
    });
    names.iter().map(|name| &name[ends..]).collect()
}

/// The names without what all begin with, but for digits.
fn behind_letters_that_are_shared<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let length = shared(names);
    let ends = names.first().map_or(0, |first| {
        first[..length]
            .trim_end_matches(|sign: char| sign.is_ascii_digit())
            .len()
    });
    names.iter().map(|name| &name[ends..]).collect()
}

/// The bytes that all names begin with.
fn shared(names: &[&str]) -> usize {
    let Some((first, others)) = names.split_first() else {
        return 0;
    };
    let ends = first.char_indices().map(|(at, sign)| at + sign.len_utf8());
    let mut length = 0;
    for end in ends {
        if !others.iter().all(|name| name.starts_with(&first[..end])) {
            break;
        }
        length = end;
    }
    length
}

/// Some names, for a message.
pub(crate) fn shown(names: &[String]) -> String {
    const MOST: usize = 12;
    let mut text = names[..names.len().min(MOST)].join(", ");
    if names.len() > MOST {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        line.split('|').map(str::to_owned).collect()
    }

    fn columns(names: &str, classes: &str) -> Result<Columns> {
        columns_of_classes(&texts(names), &texts(classes))
    }

    #[test]
    fn names_tell_the_columns() {
        let named = |order: &[usize]| Columns::Named(order.iter().map(|&c| Some(c)).collect());
        let placed = |order: &[usize]| Columns::Placed(order.to_vec());
        for (names, classes, expected) in [
            ("yes|no", "no|yes", named(&[1, 0])),
            (" YES |no", "no|yes", named(&[1, 0])),
            ("Unnamed: 0|id|yes|no", "no|yes", named(&[3, 2])),
            ("proba_yes|proba_no", "no|yes", named(&[1, 0])),
            ("2.0|1", "1|2", named(&[1, 0])),
            ("p_2|p_10", "10|2", named(&[1, 0])),
            // as written before in another case
            ("yes|Yes", "Yes|yes", named(&[1, 0])),
            ("0|1|2", "a|b|c", placed(&[0, 1, 2])),
            ("LABEL_1|LABEL_0", "a|b", placed(&[1, 0])),
            (
                "p10|p11|p1|p0|p2|p3|p4|p5|p6|p7|p8|p9",
                "a|b|c|d|e|f|g|h|i|j|k|l",
                { placed(&[3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1]) },
            ),
            ("index_p", "no|yes", placed(&[0])),
            ("|score", "no|yes", placed(&[1])),
        ] {
            assert_eq!(columns(names, classes).unwrap(), expected, "{names}");
        }
        let missing = columns("b|c", "a|b|c").unwrap();
        assert_eq!(missing, Columns::Named(vec![None, Some(0), Some(1)]));
    }

    #[test]
    fn an_order_that_is_guessed_is_refused() {
        for (names, classes, says) in [
            ("yes|n0", "no|yes", "no classes: n0"),
            ("left|right", "no|yes", "no classes: left, right"),
            // 0 and 1 may be places or classes
            ("0|1", "1|2", "no classes: 0"),
            ("p0|p1", "1|2", "no classes: p0, p1"),
            ("LABEL_1|LABEL_2", "a|b", "no classes"),
            ("0|00", "a|b", "no classes"),
            ("yes|YES|no", "no|yes", "two columns"),
            ("YES|other", "Yes|yes", "no classes: YES, other"),
        ] {
            let error = columns(names, classes).unwrap_err();
            assert!(error.to_string().contains(says), "{names}: {error}");
            assert!(error.hint_text().is_some());
        }
    }
}

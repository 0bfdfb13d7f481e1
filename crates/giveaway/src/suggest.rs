//! What was probably meant by a name that nobody knows.

/// The known name that is most like `name`, if one is like it.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |text: &str| text.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|other| (edit_distance(&alike(name), &alike(other)), other))
        .min()
        .filter(|&(distance, other)| distance <= 2.min(other.len() / 2).max(other.len() / 4))
        .map(|(_, other)| other)
}

/// Levenshtein's distance between two texts, in characters.
#[must_use]
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut current = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let change = previous[j] + usize::from(from != to);
            current.push(change.min(previous[j + 1] + 1).min(current[j] + 1));
        }
        previous = current;
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, distance) in [
            ("kitten", "sitting", 3),
            ("", "abc", 3),
            ("same", "same", 0),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(edit_distance(a, b), distance);
        }
    }

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["models", "hidden", "learning-rate", "l2"];
        for (slip, meant) in [
            ("modles", Some("models")),
            ("learning_rate", Some("learning-rate")),
            ("Hidden", Some("hidden")),
            ("l3", Some("l2")),
            ("temperature", None),
        ] {
            assert_eq!(nearest(slip, known), meant, "{slip}");
        }
    }
}

//! What children must not see and messages must not show.

use std::fmt;

/// Shown in place of a secret.
const MASK: &str = "***";

/// Variables of the environment that children do not inherit, and texts that are masked in
/// whatever a child says: the values of these variables and others.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    variables: Vec<String>,
    values: Vec<String>,
}

impl Secrets {
    /// Secrets in variables of these names, and others of these values.
    #[must_use]
    pub fn new(variables: Vec<String>, values: Vec<String>) -> Self {
        let mut values: Vec<String> = variables
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .chain(values)
            .flat_map(|value| {
                // A file of a token often ends with a new line.
                let trimmed = value.trim().to_owned();
                [value, trimmed]
            })
            .filter(|value| !value.trim().is_empty())
            .collect();
        // A secret that holds another is masked as a whole.
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self { variables, values }
    }

    /// Names of variables that children do not inherit.
    pub(super) fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Bytes of the longest secret.
    pub(super) fn longest(&self) -> usize {
        self.values.first().map_or(0, String::len)
    }

    /// The text with every secret masked. `is_cut` says that something stood before it: then what
    /// may be the end of a secret is taken off its beginning.
    pub(super) fn mask(&self, text: &str, is_cut: bool) -> String {
        let mut start = 0;
        if is_cut {
            for value in &self.values {
                start = value
                    .char_indices()
                    .map(|(at, _)| &value[at..])
                    .find(|end| text.starts_with(end))
                    .map_or(start, |end| start.max(end.len()));
            }
        }
        let mut masked = text[start..].to_owned();
        for value in &self.values {
            masked = masked.replace(value.as_str(), MASK);
        }
        masked
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("variables", &self.variables)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_whole_and_in_part() {
        let secrets = Secrets::new(vec![], vec!["geheim".to_owned(), "geheimnis\n".to_owned()]);
        assert_eq!(
            secrets.mask("geheimnis, geheim, heim", false),
            "***, ***, heim"
        );
        assert_eq!(secrets.mask("heim: geheim", true), ": ***");
        assert_eq!(secrets.mask("nisgeheim", true), "***");
        assert!(!format!("{secrets:?}").contains("geheim"));
    }

    #[test]
    fn no_secret_masks_nothing() {
        let secrets = Secrets::new(vec!["GIVEAWAY_TEST_UNSET".to_owned()], vec![" ".to_owned()]);
        assert_eq!(secrets.mask("a b", true), "a b");
        assert_eq!(secrets.longest(), 0);
    }
}

//! Secrets: where they come from, and that they are not shown.

use std::fmt;
use std::path::Path;

use giveaway::error::{Error, Result};

/// What stands in a message where a secret stood.
const MASK: &str = "***";
/// Shorter values hide nothing and would make a message unreadable.
const SHORTEST: usize = 4;
/// A token file is no larger.
const LARGEST_TOKEN: u64 = 64 << 10;

/// The secrets of one target, kept to take them out of what others say.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// The longest first, so that none is left in part.
    values: Vec<String>,
    /// Whether there is any, too short to be looked for or not.
    any: bool,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

impl Secrets {
    /// Puts the environment's values in place of `${NAME}`, each passed through `form` first.
    pub(crate) fn expand(&mut self, text: &str, form: impl Fn(&str) -> String) -> Result<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            expanded.push_str(&rest[..start]);
            let after = &rest[start + 2..];
            let end = after.find('}').ok_or_else(|| {
                Error::usage("${ has no end")
                    .hint("write ${NAME}, for a variable of the environment")
            })?;
            let name = &after[..end];
            if !is_name(name) {
                return Err(Error::usage("what stands in ${} is no name of a variable")
                    .hint("write ${NAME}: letters, digits and _"));
            }
            let value = variable(name)?;
            let formed = form(&value);
            self.keep(&value);
            self.keep(&formed);
            expanded.push_str(&formed);
            rest = &after[end + 1..];
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// The bearer token from the environment.
    pub(crate) fn token_from_env(&mut self, name: &str) -> Result<String> {
        if !is_name(name) {
            // Not repeated: who mistakes the setting writes the token itself.
            return Err(Error::usage("not the name of a variable")
                .at("token-env")
                .hint("give the name of the variable that holds the token, not the token"));
        }
        let value = variable(name).map_err(|error| error.at("token-env"))?;
        self.token(value.trim(), &format!("token-env {name}"))
    }

    /// The bearer token from a file.
    pub(crate) fn token_from_file(&mut self, path: &Path) -> Result<String> {
        use std::io::Read;
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST_TOKEN).read_to_string(&mut text))
            .map_err(|error| Error::io("read the token", path, &error).at("token-file"))?;
        self.token(text.trim(), &format!("token-file {}", path.display()))
    }

    fn token(&mut self, token: &str, place: &str) -> Result<String> {
        if token.is_empty() {
            return Err(Error::usage("the token is empty").at(place));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::usage(
                "this is no token: it holds blanks, line ends or other characters",
            )
            .at(place)
            .hint("give the token alone, without the word Bearer"));
        }
        self.keep(token);
        Ok(token.to_owned())
    }

    fn keep(&mut self, value: &str) {
        self.any = true;
        // As it is, and as it would stand in JSON.
        let quoted = serde_json::Value::from(value).to_string();
        for form in [value, quoted.trim_matches('"')] {
            if form.len() >= SHORTEST && !self.values.iter().any(|known| known == form) {
                self.values.push(form.to_owned());
            }
        }
        self.values
            .sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    }

    /// The text without the secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for value in &self.values {
            if masked.contains(value.as_str()) {
                masked = masked.replace(value.as_str(), MASK);
            }
        }
        masked
    }

    /// Whether there is any secret, short ones that are not masked included.
    pub(crate) fn any(&self) -> bool {
        self.any
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn variable(name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) => Err(Error::usage(format!("the environment's {name} is empty"))),
        Err(std::env::VarError::NotPresent) => {
            Err(Error::usage(format!("the environment has no {name}"))
                .hint(format!("set it for this command: {name}=… giveaway …")))
        }
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::usage(format!("the environment's {name} is no text")))
        }
    }
}

/// Whether a header, query parameter or field of this name holds a secret, as far as names tell.
pub(crate) fn looks_secret(name: &str) -> bool {
    let mut words = vec![String::new()];
    let mut before_lower = false;
    for character in name.chars() {
        let new_word = !character.is_alphanumeric() || (before_lower && character.is_uppercase());
        if new_word {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
        before_lower = character.is_lowercase() || character.is_numeric();
    }
    let joined = words.concat();
    words.iter().any(|word| {
        matches!(
            word.as_str(),
            "key"
                | "apikey"
                | "token"
                | "secret"
                | "sig"
                | "signature"
                | "password"
                | "passwd"
                | "pwd"
                | "passphrase"
                | "auth"
                | "authorization"
                | "credential"
                | "credentials"
                | "code"
                | "jwt"
                | "sas"
        )
    }) || [
        "apikey",
        "accesskey",
        "token",
        "secret",
        "password",
        "credential",
    ]
    .iter()
    .any(|part| joined.contains(part))
}

/// The refusal of a secret that is written out.
pub(crate) fn needs_variable(place: &str) -> Error {
    Error::usage("this looks like a secret, and settings are kept with the run")
        .at(place)
        .hint("write ${NAME} in its place, and set NAME in the environment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_and_others_are_not() {
        for name in [
            "key",
            "api_key",
            "apiKey",
            "X-Api-Key",
            "access_token",
            "sig",
            "X-Amz-Signature",
            "code",
            "Ocp-Apim-Subscription-Key",
            "clientSecret",
            "PASSWORD",
            "X-Auth",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in [
            "monkey", "model", "version", "X-Team", "design", "keyboard", "encode", "author",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_masked_as_it_is_and_as_json_has_it() {
        let mut secrets = Secrets::default();
        secrets.keep("ab\"cd");
        secrets.keep("abcdef");
        secrets.keep("abcdefgh");
        assert_eq!(
            secrets.mask(r#"x abcdefgh abcdef {"e": "ab\"cd"} ab"cd"#),
            r#"x *** *** {"e": "***"} ***"#
        );
        assert!(!format!("{secrets:?}").contains("abcdef"));
    }

    #[test]
    fn variables_are_put_in_and_bad_ones_named() {
        let mut secrets = Secrets::default();
        // Cargo sets this for every test.
        let name = std::env::var("CARGO_PKG_NAME").unwrap();
        let expanded = secrets
            .expand("a ${CARGO_PKG_NAME}.", str::to_owned)
            .unwrap();
        assert_eq!(expanded, format!("a {name}."));
        assert_eq!(secrets.mask(&expanded), "a ***.");
        for (text, word) in [
            ("${NO_SUCH_VARIABLE_HERE}", "NO_SUCH_VARIABLE_HERE"),
            ("${", "no end"),
            ("${a-b}", "no name"),
            ("${}", "no name"),
        ] {
            let error = secrets.expand(text, str::to_owned).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_token_given_in_place_of_its_variable_is_not_repeated() {
        let error = Secrets::default()
            .token_from_env("hunter2.xyz")
            .unwrap_err();
        assert!(!format!("{error} {:?}", error.hint_text()).contains("hunter2"));
    }

    #[test]
    fn a_token_file_is_trimmed_and_must_hold_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let mut secrets = Secrets::default();
        std::fs::write(&path, "abc.def\n").unwrap();
        assert_eq!(secrets.token_from_file(&path).unwrap(), "abc.def");
        for (text, word) in [
            ("", "empty"),
            ("two words", "no token"),
            ("a\nb", "no token"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = secrets.token_from_file(&path).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        assert!(
            secrets
                .token_from_file(&folder.path().join("none"))
                .is_err()
        );
    }
}

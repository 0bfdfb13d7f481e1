//! Text from files made safe to print.

use std::fmt::Write;

/// The text with every character that would act on the terminal, or hide or reorder what
/// stands beside it, written out as Rust writes it: `\n`, `\u{1b}`.
///
/// These are the control characters (C0, delete, C1), the line and paragraph separators and
/// the invisible formatting characters, those of writing direction among them.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "{}", character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Whether a character does something else than stand there. The two joiners (U+200C, U+200D)
/// are part of how some languages are spelt.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{061c}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_out() {
        assert_eq!(printable("a\x1b[31mred"), "a\\u{1b}[31mred");
        assert_eq!(printable("two\nlines\tand\r"), "two\\nlines\\tand\\r");
        assert_eq!(printable("\u{9b}1m\u{7f}"), "\\u{9b}1m\\u{7f}");
        assert_eq!(
            printable("\u{202e}txt.exe\u{2066}"),
            "\\u{202e}txt.exe\\u{2066}"
        );
        assert_eq!(printable("a\u{2028}b\u{feff}"), "a\\u{2028}b\\u{feff}");
    }

    #[test]
    fn what_does_not_stays() {
        let text = "Zoë \"O'Neil\" <=50K, 東京, \\n, \u{a0}👩\u{200d}🔬";
        assert_eq!(printable(text), text);
    }
}

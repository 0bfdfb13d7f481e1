//! How numbers are written for people, alike in the terminal and on the page.

use crate::evaluate::Estimate;

/// A rate with its interval, without leading zeros.
pub(crate) fn rate(estimate: Estimate) -> String {
    match (estimate.value, estimate.lower, estimate.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{} [{}–{}]", digits(value), digits(lower), digits(upper))
        }
        (Some(value), ..) => digits(value),
        _ => "n/a".to_owned(),
    }
}

/// Three decimals, or more for small rates, without the leading zero.
pub(crate) fn digits(value: f64) -> String {
    if value < 0.0 {
        return format!("-{}", digits(-value));
    }
    let text = if value != 0.0 && value < 0.01 {
        format!("{value:.4}")
    } else {
        format!("{value:.3}")
    };
    match text.strip_prefix("0.") {
        Some(rest) => format!(".{rest}"),
        None => text,
    }
}

/// A p-value: four decimals, or two digits and a power of ten.
pub(crate) fn small(p: f64) -> String {
    if p.is_nan() {
        "n/a".to_owned()
    } else if p > 0.0 && p < 0.001 {
        format!("{p:.1e}")
    } else {
        format!("{p:.4}")
    }
}

/// Two digits of a number, as a decimal where that is short.
pub(crate) fn significant(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    if rounded != 0.0 && rounded.abs() < 1e-3 {
        format!("{rounded:e}")
    } else {
        format!("{rounded}")
    }
}

/// A count with commas between thousands.
pub(crate) fn whole(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A percentage; its sign is tied to it by a space that does not break.
pub(crate) fn percent(share: f64) -> String {
    let value = 100.0 * share;
    if (99.5..100.0).contains(&value) {
        // What is not all must not look like it.
        let nines = (1..6).map(|decimals| format!("{value:.decimals$}"));
        let text = nines.into_iter().find(|text| !text.starts_with("100"));
        return format!("{}\u{a0}%", text.unwrap_or_else(|| "99.99999".to_owned()));
    }
    if (value - value.round()).abs() < 1e-9 || value.abs() >= 10.0 {
        format!("{value:.0}\u{a0}%")
    } else {
        format!("{value:.1}\u{a0}%")
    }
}

/// A percentage with its interval.
pub(crate) fn percent_interval(estimate: Estimate) -> String {
    let value = estimate.value.map_or("n/a".to_owned(), percent);
    match (estimate.lower, estimate.upper) {
        (Some(lower), Some(upper)) => {
            format!("{value} [{}–{}]", percent(lower), percent(upper))
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(digits(0.5), ".500");
        assert_eq!(digits(-0.123), "-.123");
        assert_eq!(whole(1_234_567), "1,234,567");
        assert_eq!(whole(12), "12");
        assert_eq!(digits(0.0012), ".0012");
        assert_eq!(digits(0.0), ".000");
        assert_eq!(digits(1.0), "1.000");
        assert_eq!(small(3.2e-7), "3.2e-7");
        assert_eq!(small(1.1e-4), "1.1e-4");
        assert_eq!(small(0.0), "0.0000");
        assert_eq!(percent(0.9996), "99.96\u{a0}%");
        assert_eq!(percent(1.0), "100\u{a0}%");
        assert_eq!(percent(0.05), "5\u{a0}%");
        assert_eq!(percent(0.025), "2.5\u{a0}%");
    }
}

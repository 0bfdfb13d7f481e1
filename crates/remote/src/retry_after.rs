//! How long a server asks to wait: `Retry-After` (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

/// The wait, as seconds or as a date. A date is compared with the server's own `Date` where it
/// sends one, so that clocks that differ do no harm.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = date(text)?;
    let now = headers
        .get("date")
        .and_then(|value| date(value.to_str().ok()?))
        .unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or(Duration::ZERO))
}

/// A date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<SystemTime> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    Some(parser.parse_timestamp(text.trim()).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(lines: &[(&'static str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.insert(*name, value.parse().unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(wait(&[("retry-after", "120")]), seconds(120));
        assert_eq!(
            wait(&[("retry-after", "99999999999999999999")]),
            seconds(u64::MAX)
        );
        let at = "Sun, 06 Nov 1994 08:49:37 GMT";
        let before = "Sun, 06 Nov 1994 08:49:00 GMT";
        assert_eq!(wait(&[("retry-after", at), ("date", before)]), seconds(37));
        assert_eq!(wait(&[("retry-after", before), ("date", at)]), seconds(0));
        assert_eq!(wait(&[("retry-after", at)]), seconds(0));
        assert!(wait(&[("retry-after", "Fri, 06 Nov 2099 08:49:37 GMT")]) > seconds(1 << 30));
        for text in ["", "soon", "-1", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wait(&[("retry-after", text)]), None, "{text}");
        }
        assert_eq!(wait(&[]), None);
    }
}

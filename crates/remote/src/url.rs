//! Addresses: which are taken, how they are shown, and what a protocol adds to them.

use giveaway::error::{Error, Result};
use ureq::http::Uri;

use crate::secrets::{Secrets, looks_secret, needs_variable};

/// An address as it is sent, and as it may be shown: without its query, and with `${NAME}`
/// where a variable was put in.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    shown: String,
    sent: Hidden,
}

#[derive(Clone)]
struct Hidden(Uri);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

const HIDDEN: &str = "…";

impl Address {
    /// The address `url` with `tail` behind its path.
    pub(crate) fn new(url: &str, tail: &str, secrets: &mut Secrets) -> Result<Self> {
        check(url)?;
        let (front, query) = match url.split_once('?') {
            Some((front, query)) => (front, Some(query)),
            None => (url, None),
        };
        let front = if tail.is_empty() {
            front
        } else {
            front.trim_end_matches('/')
        };
        let mut sent = secrets.expand(front, str::to_owned)? + tail;
        if let Some(query) = query {
            sent.push('?');
            sent.push_str(&secrets.expand(query, percent_encoded)?);
        }
        let bad = || {
            Error::usage("not an address that can be asked")
                .at(shown(url))
                .hint("write http://host:port or https://host:port, and no blanks")
        };
        // A variable may hold anything; what it makes of the address is looked at again.
        check_form(&sent).map_err(|_| bad())?;
        let uri: Uri = sent.parse().map_err(|_| bad())?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(bad());
        }
        Ok(Self {
            shown: shown(url).trim_end_matches('/').to_owned() + tail,
            sent: Hidden(uri),
        })
    }

    /// Where a server sends on to. Unlike an address in settings its query may hold anything;
    /// a name and a password it may not.
    pub(crate) fn redirected(written: &str, uri: Uri) -> Option<Self> {
        let clean = !uri.authority()?.as_str().contains('@');
        clean.then(|| Self {
            shown: shown(written),
            sent: Hidden(uri),
        })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn sent(&self) -> &Uri {
        &self.sent.0
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.sent.0.scheme_str() == Some("https")
    }

    /// Whether this machine is meant.
    pub(crate) fn is_here(&self) -> bool {
        self.sent.0.host().is_some_and(is_here)
    }
}

/// Whether a host is this machine.
pub(crate) fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// An address without what may be secret in it: who logs in, and the query.
pub(crate) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.rsplit('@').next().unwrap_or_default().to_owned();
    };
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    if !has_proper_port(host) {
        return format!("{scheme}://{HIDDEN}");
    }
    format!("{scheme}://{host}{path}")
}

/// Whether what follows the host is a port. A password may hold a slash, and then what seems
/// to be the port is the password.
fn has_proper_port(authority: &str) -> bool {
    let after = authority
        .rsplit_once(']')
        .map_or(authority, |(_, after)| after);
    let port = after.split_once(':').map_or("", |(_, port)| port);
    port.contains("${") || port.bytes().all(|byte| byte.is_ascii_digit())
}

/// The path of an address as it is written.
pub(crate) fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').map_or("", |at| &rest[at..])
}

/// Whether an address, as it is written, is one that may stand in settings.
pub(crate) fn check(url: &str) -> Result<()> {
    check_form(url)?;
    for pair in url
        .split_once('?')
        .map_or("", |(_, query)| query)
        .split('&')
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if looks_secret(name) && !value.is_empty() && !value.contains("${") {
            return Err(needs_variable(&format!("query parameter {name}")));
        }
    }
    Ok(())
}

fn check_form(url: &str) -> Result<()> {
    if url.is_empty() {
        return Err(
            Error::usage("no address is given").hint("write http://host:port or https://host:port")
        );
    }
    let scheme = url
        .split_once("://")
        .map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let Some((scheme, rest)) = scheme else {
        return Err(Error::usage("not an address with a scheme")
            .hint("write http://host:port or https://host:port"));
    };
    if scheme != "http" && scheme != "https" {
        return Err(Error::usage("neither http nor https")
            .hint("write http://host:port or https://host:port"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(Error::usage("an address without a host")
            .hint("write http://host:port or https://host:port"));
    }
    if authority.contains('@') || !has_proper_port(authority) {
        return Err(
            Error::usage("an address may not hold a name and a password")
                .hint("set headers.Authorization = \"Basic ${NAME}\", or token-env"),
        );
    }
    if url.contains('#') {
        return Err(Error::usage("an address to be asked has no part behind #"));
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::usage("an address has no blanks"));
    }
    Ok(())
}

/// Text for a segment of a path or a value of a query.
pub(crate) fn percent_encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(url: &str, tail: &str) -> String {
        Address::new(url, tail, &mut Secrets::default())
            .unwrap()
            .sent()
            .to_string()
    }

    #[test]
    fn a_protocol_adds_to_the_path_and_leaves_the_query() {
        assert_eq!(sent("http://h:1", "/v2"), "http://h:1/v2");
        assert_eq!(sent("http://h:1/", "/v2"), "http://h:1/v2");
        assert_eq!(
            sent("https://h/a/b/?x=1&y", "/v2"),
            "https://h/a/b/v2?x=1&y"
        );
        assert_eq!(sent("https://h/a/?x=1", ""), "https://h/a/?x=1");
        assert_eq!(sent("http://[::1]:80/", "/v2"), "http://[::1]:80/v2");
    }

    #[test]
    fn what_a_variable_holds_is_sent_and_not_shown() {
        let mut secrets = Secrets::default();
        let url = "http://h/${CARGO_PKG_NAME}/x?key=${CARGO_PKG_DESCRIPTION}";
        let address = Address::new(url, "/y", &mut secrets).unwrap();
        assert_eq!(address.shown(), "http://h/${CARGO_PKG_NAME}/x/y");
        let sent = address.sent().to_string();
        assert!(
            sent.starts_with("http://h/giveaway-remote/x/y?key=Models%20behind"),
            "{sent}"
        );
        let words = format!("{address:?} {}", secrets.mask(&sent));
        assert!(
            !words.contains("giveaway-remote") && !words.contains("behind"),
            "{words}"
        );
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        for url in [
            "",
            "h:80",
            "ftp://h",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://u:p@h",
            "http://u@h",
            "http://u:p/w@h",
            "http://h/a b",
            "http://h/#x",
            "https://h?api-key=1",
        ] {
            let error = Address::new(url, "", &mut Secrets::default()).unwrap_err();
            assert!(!error.to_string().contains("p@"), "{error}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        assert_eq!(shown("http://u:p@h/x?key=1"), "http://h/x");
        assert_eq!(shown("u:p@h"), "h");
        assert_eq!(shown("http://u:p/w@h"), "http://…");
        assert_eq!(shown("http://h:80/a@b"), "http://h:80/a@b");
        assert_eq!(path("http://h/a/b?c"), "/a/b");
        assert_eq!(path("http://h"), "");
    }

    #[test]
    fn this_machine_is_known() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "LOCALHOST"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "128.0.0.1"] {
            assert!(!is_here(host), "{host}");
        }
    }

    #[test]
    fn segments_are_encoded() {
        assert_eq!(percent_encoded("a b/ü-1"), "a%20b%2F%C3%BC-1");
    }
}

//! Fetches a public file.

use std::error::Error as _;
use std::io::{Read, Write};
use std::time::Duration;

use giveaway::error::{Error, Result};
use ureq::Agent;
use ureq::http::{Uri, header};

use crate::http::{LARGEST_HEADERS, USER_AGENT, plain_words, proxy, tls_problem, tls_refusal};
use crate::secrets::Secrets;
use crate::tls;
use crate::url::{Address, is_here, shown};

/// Redirects that are followed, at most.
const REDIRECTS: usize = 10;
/// How long a connection may take, and how long nothing may come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches a public file into `out`, no more than `limit` bytes of it. `progress` is told how
/// many bytes have come and how many there are, where the server says so.
///
/// Redirects are followed, to https only (or within this machine). Nothing secret is sent. What
/// came is not checked: that is for the caller, who knows a checksum.
///
/// # Errors
/// If there is no network, the server has no such file, it is larger than `limit`, or breaks
/// off; the message names the address. If `out` cannot be written.
pub fn download(
    url: &str,
    out: &mut dyn Write,
    limit: u64,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<()> {
    let mut address = Address::new(url, "", &mut Secrets::default())?;
    for _ in 0..=REDIRECTS {
        let response = agent(&address)?
            .get(address.sent())
            .call()
            .map_err(|error| no_file(&error, &address))?;
        let (parts, body) = response.into_parts();
        let status = parts.status;
        if status.is_redirection() {
            let location = parts.headers.get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            address = followed(&address, location)?;
            continue;
        }
        if !status.is_success() {
            return Err(failed(
                &format!("the server answered with {}", status.as_u16()),
                &address,
            ));
        }
        return receive(body, out, limit, progress, &address);
    }
    Err(failed(
        &format!("more than {REDIRECTS} redirects"),
        &address,
    ))
}

fn agent(address: &Address) -> Result<Agent> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_resolve(Some(PATIENCE))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .max_response_header_size(LARGEST_HEADERS)
        // What is checked against a checksum must come as it is.
        .accept_encoding("identity")
        .user_agent(USER_AGENT)
        .proxy(proxy(address.is_here()));
    if address.is_tls() {
        config = config.tls_config(tls::settings(None)?);
    }
    Ok(config.build().new_agent())
}

/// The address that a redirect names, if it may be followed.
fn followed(from: &Address, location: Option<&str>) -> Result<Address> {
    let Some(location) = location else {
        return Err(failed("a redirect to nowhere", from));
    };
    let own = from.sent();
    let scheme = own.scheme_str().unwrap_or("https");
    let authority = own.authority().map_or("", |authority| authority.as_str());
    // What stands before the first of these may be a scheme; a path or query may hold anything.
    let head = location.split(['/', '?', '#']).next().unwrap_or_default();
    let absolute = if head.contains(':') {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.is_empty() || location.starts_with(['?', '#']) {
        format!("{scheme}://{authority}{}{location}", own.path())
    } else {
        let folder = own.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let refused = |why: &str| failed(&format!("it sends on to {}, {why}", shown(&absolute)), from);
    let uri: Uri = absolute
        .parse()
        .map_err(|_| refused("which is no address"))?;
    let host = uri.host().unwrap_or_default();
    let allowed = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_here(host) && from.is_here(),
        _ => false,
    };
    if !allowed {
        return Err(refused("and only https is followed"));
    }
    Address::redirected(&absolute, uri).ok_or_else(|| refused("which holds a name and a password"))
}

fn receive(
    body: ureq::Body,
    out: &mut dyn Write,
    limit: u64,
    progress: &mut dyn FnMut(u64, Option<u64>),
    address: &Address,
) -> Result<()> {
    let total = body.content_length();
    let too_large = || failed(&format!("it is larger than {limit} bytes"), address);
    if total.is_some_and(|total| total > limit) {
        return Err(too_large());
    }
    let mut reader = body.into_reader();
    let mut buffer = vec![0; 64 << 10];
    let mut come = 0_u64;
    progress(0, total);
    loop {
        let read = reader
            .read(&mut buffer)
            .map_err(|error| match ureq::Error::from(error) {
                ureq::Error::Timeout(_) => failed(
                    &format!(
                        "after {come} bytes nothing came for {} s",
                        PATIENCE.as_secs()
                    ),
                    address,
                ),
                error => failed(
                    &format!("it broke off after {come} bytes ({})", plain_words(&error)),
                    address,
                ),
            })?;
        if read == 0 {
            break;
        }
        come += read as u64;
        if come > limit {
            return Err(too_large());
        }
        out.write_all(&buffer[..read]).map_err(|error| {
            Error::unexpected(format!("cannot write what was fetched: {error}"))
                .at(address.shown())
                .hint("see whether there is room, and fetch again")
        })?;
        progress(come, total);
    }
    Ok(())
}

fn no_file(error: &ureq::Error, address: &Address) -> Error {
    if let Some(problem) = tls_problem(error) {
        let refusal = tls_refusal(problem, address);
        let hint = refusal.hint_text().unwrap_or_default().to_owned();
        return Error::input(format!("cannot be fetched: {refusal}")).hint(hint);
    }
    let words = match error {
        ureq::Error::HostNotFound => "the host is not known, or there is no network".to_owned(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        other => match other.source() {
            Some(source) => format!("{} ({source})", plain_words(other)),
            None => plain_words(other),
        },
    };
    failed(&words, address)
}

fn failed(why: &str, address: &Address) -> Error {
    Error::input(format!("cannot be fetched: {why}"))
        .at(address.shown())
        .hint("without a network, fetch the file elsewhere and give it here as a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_to(location: &str) -> std::result::Result<String, String> {
        let from =
            Address::new("https://h.test:8443/a/b?c=d", "", &mut Secrets::default()).unwrap();
        match followed(&from, Some(location)) {
            Ok(address) => Ok(address.sent().to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The cases are those of RFC 3986, 5.4, that servers send.
    #[test]
    fn an_address_is_absolute_by_what_stands_first() {
        for (location, sent) in [
            (
                "/get?u=https://x.test",
                "https://h.test:8443/get?u=https://x.test",
            ),
            (
                "get?u=http://x.test",
                "https://h.test:8443/a/get?u=http://x.test",
            ),
            ("/https://x.test/y", "https://h.test:8443/https://x.test/y"),
            (
                "?u=https://x.test",
                "https://h.test:8443/a/b?u=https://x.test",
            ),
            ("//x.test/y:z", "https://x.test/y:z"),
            ("https://x.test/y", "https://x.test/y"),
            ("HTTPS://x.test/y", "https://x.test/y"),
        ] {
            assert_eq!(from_to(location).as_deref(), Ok(sent), "{location}");
        }
        for location in [
            "http://x.test/y",
            "ftp://x.test/y",
            "mailto:x",
            "file:///etc/passwd",
        ] {
            let error = from_to(location).unwrap_err();
            assert!(error.contains("sends on to"), "{location}: {error}");
        }
    }
}

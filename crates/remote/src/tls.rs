//! TLS: rustls, with cryptography that needs no C compiler.

use std::path::Path;
use std::sync::Arc;

use giveaway::error::{Error, Result};
use rustls::crypto::CryptoProvider;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// A file of certificates is no larger.
const LARGEST_FILE: u64 = 16 << 20;

/// The settings of TLS: Mozilla's authorities, or those in a PEM file in their place.
pub(crate) fn settings(ca_file: Option<&Path>) -> Result<TlsConfig> {
    let roots = match ca_file {
        Some(path) => RootCerts::from(certificates(path).map_err(|error| error.at("ca-file"))?),
        None => RootCerts::WebPki,
    };
    Ok(TlsConfig::builder()
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(cryptography()?)
        .build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    use std::io::Read;
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut pem))
        .map_err(|error| Error::io("read the certificates", path, &error))?;
    let broken = |what: &str| {
        Error::input(what.to_owned())
            .at(path.display())
            .hint("give a PEM file with the certificates of the authorities to trust")
    };
    let mut found = Vec::new();
    let mut store = rustls::RootCertStore::empty();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => {
                let der = rustls::pki_types::CertificateDer::from(certificate.der());
                store
                    .add(der)
                    .map_err(|_| broken("a certificate in it cannot be understood"))?;
                found.push(certificate.to_owned());
            }
            // A key may stand in the same file; it is not looked at.
            Ok(_) => {}
            Err(_) => return Err(broken("this is no proper PEM file")),
        }
    }
    if found.is_empty() {
        return Err(broken("there is no certificate in it"));
    }
    Ok(found)
}

#[cfg(feature = "ring")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the other providers may be missing"
)]
fn cryptography() -> Result<Arc<CryptoProvider>> {
    Ok(Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(all(
    not(feature = "ring"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn cryptography() -> Result<Arc<CryptoProvider>> {
    // Graviola panics where these are missing.
    if !graviola::util::is_cpu_supported() {
        return Err(no_tls(
            "this processor lacks instructions that the built-in cryptography needs (AES, and on x86-64 AVX2, BMI and ADX)",
        ));
    }
    Ok(Arc::new(rustls_graviola::default_provider()))
}

#[cfg(all(
    not(feature = "ring"),
    not(any(target_arch = "x86_64", target_arch = "aarch64"))
))]
fn cryptography() -> Result<Arc<CryptoProvider>> {
    Err(no_tls(
        "the built-in cryptography is for x86-64 and aarch64 only",
    ))
}

#[cfg(not(feature = "ring"))]
fn no_tls(why: &str) -> Error {
    Error::usage(format!("no https here: {why}")).hint(
        "build giveaway with the feature ring (it needs a C compiler), or ask by http through a tunnel",
    )
}

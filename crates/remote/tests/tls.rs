//! TLS against a real server of rustls on this machine. The certificates are made by
//! `certificates/make.sh`.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::path::PathBuf;
use std::sync::Arc;

use fake::{Reply, Server, Stream};
use giveaway::target::{Answers, Delivery, Questions, Refusal, Target};
use giveaway_remote::{Endpoint, connect, download};
use ndarray::array;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/certificates")
        .join(name)
}

/// A server with this certificate, for these versions of TLS.
fn server(certificate: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> Server {
    let chain = vec![CertificateDer::from_pem_file(file(&format!("{certificate}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file(&format!("{certificate}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let wrap: fake::Wrap = Arc::new(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).ok()?;
        Some(Box::new(StreamOwned::new(connection, stream)) as Box<dyn Stream>)
    });
    Server::with(
        Some(wrap),
        |_| 1,
        |_| Reply::json(r#"{"p": [[0.25, 0.75]]}"#),
    )
}

fn target(url: &str, ca: Option<&str>) -> Box<dyn Target> {
    let mut endpoint: Endpoint = toml::from_str(&format!(
        "url = '{url}'\nprotocol = 'json'\nrequest = '{{{{rows}}}}'\nprobabilities = 'p'\ntimeout = 10"
    ))
    .unwrap();
    endpoint.ca_file = ca.map(file);
    connect(&endpoint, &["no".into(), "yes".into()]).unwrap()
}

fn ask(server: &Server, host: &str, ca: Option<&str>) -> Result<Answers, Refusal> {
    let questions = Questions {
        features: array![[0.5]],
        feature_names: vec!["f".into()],
        columns: Vec::new(),
    };
    target(&format!("https://{host}:{}", server.port()), ca).ask(&questions)
}

#[test]
fn a_certificate_of_an_authority_that_is_named_is_good() {
    for versions in [[&rustls::version::TLS13], [&rustls::version::TLS12]] {
        let server = server("good", &versions);
        for host in ["localhost", "127.0.0.1"] {
            let answers = ask(&server, host, Some("authority.pem")).unwrap();
            assert_eq!(answers.len(), 1);
        }
        assert_eq!(server.requests(), 2);
    }
}

#[test]
fn other_certificates_are_refused_before_anything_is_sent() {
    for (certificate, ca, words, hint) in [
        ("good", None, "authority that is not known", "ca-file"),
        (
            "elsewhere",
            Some("authority.pem"),
            "for another host",
            "url",
        ),
        ("expired", Some("authority.pem"), "has expired", "renewed"),
    ] {
        let server = server(certificate, rustls::ALL_VERSIONS);
        let refusal = ask(&server, "localhost", ca).unwrap_err();
        assert!(
            refusal.error.to_string().contains(words),
            "{}",
            refusal.error
        );
        assert!(refusal.error.hint_text().unwrap().contains(hint));
        assert!(!refusal.again);
        assert_eq!(refusal.delivery, Delivery::NotSent);
        assert_eq!(server.requests(), 0);
    }
}

#[test]
fn plain_http_to_a_server_that_speaks_tls_is_not_http() {
    let server = server("good", rustls::ALL_VERSIONS);
    let questions = Questions {
        features: array![[0.5]],
        feature_names: vec!["f".into()],
        columns: Vec::new(),
    };
    let refusal = target(&format!("http://localhost:{}", server.port()), None)
        .ask(&questions)
        .unwrap_err();
    assert!(!refusal.again);
    assert!(
        refusal.error.hint_text().unwrap().contains("https"),
        "{}",
        refusal.error
    );
}

#[test]
fn a_file_that_holds_no_certificate_is_refused() {
    for name in ["good.key", "make.sh", "none.pem"] {
        let mut endpoint: Endpoint = toml::from_str(
            "url = 'https://localhost'\nprotocol = 'json'\nrequest = '{{rows}}'\nprobabilities = 'p'",
        )
        .unwrap();
        endpoint.ca_file = Some(file(name));
        let error = connect(&endpoint, &["no".into(), "yes".into()])
            .err()
            .unwrap();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn downloads_over_tls_trust_public_authorities_only() {
    let server = server("good", rustls::ALL_VERSIONS);
    let url = format!("https://localhost:{}/file", server.port());
    let error = download(&url, &mut Vec::new(), 100, &mut |_, _| {}).unwrap_err();
    assert!(
        error.to_string().contains("authority that is not known"),
        "{error}"
    );
    assert!(error.to_string().contains(&url), "{error}");
}

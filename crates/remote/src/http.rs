//! One request, one answer or a refusal that says why.

use std::cell::Cell;
use std::io::{self, Read};
use std::time::Duration;

use giveaway::error::{Error, ErrorKind, Result};
use giveaway::target::Refusal;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use ureq::{Agent, Proxy, SendBody};

use crate::endpoint::Endpoint;
use crate::retry_after::retry_after;
use crate::secrets::Secrets;
use crate::tls;
use crate::url::{self, Address};

/// Bytes of headers that are read, at most.
pub(crate) const LARGEST_HEADERS: usize = 64 << 10;
/// Bytes of an error's body that are read, and characters that are shown.
const ERROR_BODY: u64 = 16 << 10;
const ERROR_SHOWN: usize = 300;
/// Servers close connections that nobody uses, uvicorn after five seconds; who asks just then
/// gets no answer. So connections are given up earlier.
const IDLE: Duration = Duration::from_secs(2);
/// The program, as it names itself.
pub(crate) const USER_AGENT: &str = concat!("giveaway/", env!("CARGO_PKG_VERSION"));

/// What a server is asked by: its connections, headers and secrets.
pub(crate) struct Client {
    agent: Agent,
    headers: HeaderMap,
    secrets: Secrets,
    wait: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// An answer that is no error.
pub(crate) struct Reply {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Reads the token, the headers' variables and the certificates. `addresses` are those to
    /// be asked, `secrets` what went into them.
    pub(crate) fn open(
        endpoint: &Endpoint,
        addresses: &[&Address],
        mut secrets: Secrets,
    ) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in &endpoint.headers {
            let place = format!("headers.{name}");
            let value = secrets
                .expand(value, str::to_owned)
                .map_err(|error| error.at(&place))?;
            let bad = || Error::usage("not a header that HTTP can carry").at(&place);
            let name: HeaderName = name.parse().map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let token = match (&endpoint.token_env, &endpoint.token_file) {
            (Some(name), _) => Some(secrets.token_from_env(name)?),
            (_, Some(path)) => Some(secrets.token_from_file(path)?),
            _ => None,
        };
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Error::usage("the token is none that HTTP can carry"))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let address = addresses[0];
        if secrets.any() && !address.is_tls() && !address.is_here() && !endpoint.plain_token {
            return Err(Error::usage(
                "over http everyone on the way could read the token or what ${NAME} stands for",
            )
            .at(address.shown())
            .hint("use https, or set plain-token = true in a network that you trust"));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(endpoint.wait()))
            .max_response_header_size(LARGEST_HEADERS)
            .max_idle_connections(endpoint.concurrency)
            .max_idle_connections_per_host(endpoint.concurrency)
            .max_idle_age(IDLE)
            .accept_encoding("identity")
            .user_agent(USER_AGENT)
            .proxy(proxy(address.is_here()));
        if address.is_tls() {
            config = config.tls_config(tls::settings(endpoint.ca_file.as_deref())?);
        } else if endpoint.ca_file.is_some() {
            return Err(
                Error::usage("certificates are for https, and url says http").at("ca-file"),
            );
        }
        Ok(Self {
            agent: config.build().new_agent(),
            headers,
            secrets,
            wait: endpoint.wait(),
        })
    }

    /// What is secret here.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Sends a body once. No more than `limit` bytes of the answer are read.
    pub(crate) fn post(
        &self,
        address: &Address,
        own_headers: &[(&'static str, String)],
        body: &[u8],
        limit: u64,
    ) -> std::result::Result<Reply, Refusal> {
        let mut watched = Watched {
            rest: body,
            taken: Cell::new(false),
        };
        let mut request = Request::post(address.sent()).header(header::CONTENT_LENGTH, body.len());
        for (name, value) in own_headers {
            request = request.header(*name, value);
        }
        let answer = self.send(address, request, SendBody::from_reader(&mut watched), limit);
        let taken = watched.taken.get();
        match answer {
            Ok((status, headers, body)) => self.judged(address, status, headers, body),
            Err(failure) => {
                let refusal = self.failed(address, &failure, taken);
                Err(if taken { refusal } else { refusal.not_sent() })
            }
        }
    }

    /// Asks for something that is not about records. `None` where the server has no such thing.
    pub(crate) fn get(
        &self,
        address: &Address,
        limit: u64,
    ) -> std::result::Result<Option<Reply>, Refusal> {
        let request = Request::get(address.sent());
        match self.send(address, request, SendBody::none(), limit) {
            Ok((status, ..)) if matches!(status.as_u16(), 400 | 404 | 405 | 406 | 410 | 501) => {
                Ok(None)
            }
            Ok((status, headers, body)) => self.judged(address, status, headers, body).map(Some),
            Err(failure) => Err(self.failed(address, &failure, true)),
        }
        .map_err(Refusal::not_sent)
    }

    fn send(
        &self,
        address: &Address,
        request: ureq::http::request::Builder,
        body: SendBody<'_>,
        limit: u64,
    ) -> std::result::Result<(StatusCode, HeaderMap, Vec<u8>), Failure> {
        let mut request = request;
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
        }
        let request = request
            .body(body)
            .map_err(|error| Failure::Network(error.into()))?;
        let response = self.agent.run(request).map_err(Failure::Network)?;
        let (parts, body) = response.into_parts();
        if parts.status.is_redirection() {
            return Err(Failure::Redirect(redirected(
                address,
                parts.status,
                &parts.headers,
            )));
        }
        let encoding = parts.headers.get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.is_empty() && encoding != "identity") {
            return Err(Failure::Compressed);
        }
        let success = parts.status.is_success();
        let limit = if success { limit } else { ERROR_BODY };
        let too_large = || Failure::TooLarge(limit);
        if success && body.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut read = Vec::new();
        let mut reader = body.into_reader().take(limit.saturating_add(1));
        let outcome = reader.read_to_end(&mut read);
        if success {
            outcome.map_err(|error| Failure::Broken(read.len(), error.into()))?;
            if read.len() as u64 > limit {
                return Err(too_large());
            }
        }
        // Of an error's body, what could be read will do.
        Ok((parts.status, parts.headers, read))
    }

    /// An answer, or the refusal that its status is.
    fn judged(
        &self,
        address: &Address,
        status: StatusCode,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> std::result::Result<Reply, Refusal> {
        if status.is_success() {
            return Ok(Reply { headers, body });
        }
        let code = status.as_u16();
        let mut message = format!("the server answered with {code}");
        if let Some(reason) = status.canonical_reason() {
            message = format!("{message} ({reason})");
        }
        let said = self.excerpt(&body);
        if !said.is_empty() {
            message = format!("{message}: {said}");
        }
        let error = target(message, address);
        // Too early, too many, and failures of the server or of what stands before it.
        let passing =
            matches!(code, 408 | 425 | 429) || (code >= 500 && code != 501 && code != 505);
        if passing {
            return Err(Refusal::passing(error).after(retry_after(&headers)));
        }
        let hint = match code {
            401 | 403 => "check the token (token-env or token-file) and what it may ask",
            404 | 405 => "check url, model and version",
            413 => "set a smaller batch-size",
            _ => "the server says what it wants; see docs/endpoints.md for what is sent",
        };
        Err(Refusal::lasting(error.hint(hint)))
    }

    /// What a server said, shortened, on one line, without secrets.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        // Masked before anything is cut, so that no part of a secret is left.
        let text = self.secrets.mask(&String::from_utf8_lossy(body));
        let words: Vec<&str> = text.split_whitespace().collect();
        let line: String = words
            .join(" ")
            .chars()
            .filter(|character| !character.is_control())
            .collect();
        match line.char_indices().nth(ERROR_SHOWN) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    fn failed(&self, address: &Address, failure: &Failure, sent: bool) -> Refusal {
        let seconds = self.wait.as_secs_f64();
        match failure {
            Failure::Redirect(what) => Refusal::lasting(
                target(self.secrets.mask(what), address)
                    .hint("questions are not sent on; write the address that is meant in url"),
            ),
            Failure::Compressed => Refusal::lasting(
                target("the answer is compressed, which was not asked for".into(), address)
                    .hint("have the server, or what stands before it, send it as it is"),
            ),
            Failure::TooLarge(limit) => Refusal::lasting(
                target(format!("the answer is larger than {limit} bytes; no more was read"), address)
                    .hint("check that this is the model meant; a smaller batch-size or a larger max-answer-bytes helps if it is"),
            ),
            Failure::Broken(read, ureq::Error::Timeout(_)) => Refusal::passing(
                target(format!("the answer was not whole after {seconds} s: {read} bytes had come"), address)
                    .hint("set a longer timeout, or a smaller batch-size"),
            ),
            Failure::Broken(read, error) => Refusal::passing(target(
                format!("the answer broke off after {read} bytes ({})", self.words(error)),
                address,
            )),
            Failure::Network(error) => self.not_answered(address, error, sent),
        }
    }

    fn not_answered(&self, address: &Address, error: &ureq::Error, sent: bool) -> Refusal {
        if let Some(problem) = tls_problem(error) {
            return if sent {
                // In the middle of a conversation that had begun well.
                Refusal::passing(target(
                    format!("the encrypted connection broke: {problem}"),
                    address,
                ))
            } else {
                Refusal::lasting(tls_refusal(problem, address))
            };
        }
        let words = self.words(error);
        let passing = |message: String| Refusal::passing(target(message, address));
        let lasting = |message: String, hint: &str| {
            Refusal::lasting(target(message, address).hint(hint.to_owned()))
        };
        match error {
            ureq::Error::Timeout(_) if sent => {
                let mut refusal =
                    passing(format!("no answer within {} s", self.wait.as_secs_f64()));
                refusal.error = refusal
                    .error
                    .hint("set a longer timeout, or a smaller batch-size");
                refusal
            }
            ureq::Error::Timeout(_) => passing(format!(
                "no connection within {} s",
                self.wait.as_secs_f64()
            )),
            ureq::Error::HostNotFound => {
                let mut refusal = passing("the host is not known".into());
                refusal.error = refusal.error.hint("check url and the network");
                refusal
            }
            ureq::Error::Io(io) if !sent || io.kind() == io::ErrorKind::ConnectionRefused => {
                let mut refusal = passing(if io.kind() == io::ErrorKind::ConnectionRefused {
                    "the connection was refused".into()
                } else {
                    format!("no connection: {words}")
                });
                refusal.error = refusal
                    .error
                    .hint("check that the server runs, and its address (--target-url)");
                refusal
            }
            ureq::Error::Io(_) => passing(format!("the connection broke: {words}")),
            ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => {
                passing(format!("no connection: {words}"))
            }
            ureq::Error::LargeResponseHeader(..) => lasting(
                format!("the answer has more than {LARGEST_HEADERS} bytes of headers"),
                "check that this is the model meant",
            ),
            ureq::Error::Protocol(_) => lasting(
                format!("the answer is not HTTP: {words}"),
                "check the scheme (http or https) and the port in url",
            ),
            _ => lasting(format!("cannot be asked: {words}"), "check url"),
        }
    }

    /// An error of the network in words, without secrets.
    fn words(&self, error: &ureq::Error) -> String {
        self.secrets.mask(&plain_words(error))
    }
}

/// An error of the network in words.
pub(crate) fn plain_words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            "the other side closed it".into()
        }
        ureq::Error::Io(io) => io.to_string(),
        other => other.to_string(),
    }
}

/// The proxy that the environment names, unless this machine itself is meant.
pub(crate) fn proxy(here: bool) -> Option<Proxy> {
    if here { None } else { Proxy::try_from_env() }
}

/// An error of the target at an address.
pub(crate) fn target(message: String, address: &Address) -> Error {
    Error::new(ErrorKind::Target, message).at(address.shown())
}

enum Failure {
    Network(ureq::Error),
    /// Where to.
    Redirect(String),
    Compressed,
    TooLarge(u64),
    /// After so many bytes of the body.
    Broken(usize, ureq::Error),
}

/// A redirect in words: another host is named, of the own host the path.
fn redirected(address: &Address, status: StatusCode, headers: &HeaderMap) -> String {
    let code = status.as_u16();
    let Some(location) = headers.get(header::LOCATION).and_then(|l| l.to_str().ok()) else {
        return format!("the server answered with {code} and no address");
    };
    let authority = |text: &str| {
        let rest = text.split_once("//")?.1;
        let authority = rest.split(['/', '?', '#']).next()?;
        Some(authority.rsplit('@').next()?.to_ascii_lowercase())
    };
    let own = address
        .sent()
        .authority()
        .map(|a| a.as_str().to_ascii_lowercase());
    match authority(location) {
        Some(host) if Some(&host) != own.as_ref() => {
            let host: String = host.chars().filter(|c| !c.is_control()).take(253).collect();
            format!("the server answered with {code} and sends to another host, {host}")
        }
        _ => {
            let place: String = url::shown(location)
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            format!(
                "the server answered with {code} and sends to another address of its own, {place}"
            )
        }
    }
}

/// What rustls says is wrong, if it is that.
pub(crate) fn tls_problem(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(problem) => Some(problem),
        ureq::Error::Io(io) => {
            let inner = io.get_ref()?;
            inner
                .downcast_ref::<rustls::Error>()
                .or_else(|| inner.source()?.downcast_ref::<rustls::Error>())
        }
        _ => None,
    }
}

/// A TLS connection that did not come about.
pub(crate) fn tls_refusal(problem: &rustls::Error, address: &Address) -> Error {
    use rustls::CertificateError as Certificate;
    let (message, hint) = match problem {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => (
            "the server's certificate is from an authority that is not known here".to_owned(),
            "if it is your own, name its certificate in ca-file (PEM)",
        ),
        rustls::Error::InvalidCertificate(
            Certificate::Expired | Certificate::ExpiredContext { .. },
        ) => (
            "the server's certificate has expired".to_owned(),
            "have it renewed, and check the clock of this machine",
        ),
        rustls::Error::InvalidCertificate(
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. },
        ) => (
            "the server's certificate is not valid yet".to_owned(),
            "check the clock of this machine",
        ),
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => (
            "the server's certificate is for another host".to_owned(),
            "write the host's name in url as the certificate has it",
        ),
        rustls::Error::InvalidCertificate(other) => (
            format!("the server's certificate is not valid: {other}"),
            "see what the server was given as its certificate",
        ),
        rustls::Error::InvalidMessage(_) => (
            "the server does not speak TLS".to_owned(),
            "check the scheme (http or https) and the port in url",
        ),
        other => (
            format!("no encrypted connection: {other}"),
            "see what TLS the server offers; 1.2 and 1.3 are spoken here",
        ),
    };
    target(message, address).hint(hint)
}

/// A body that notes whether anything of it was taken to be sent.
struct Watched<'a> {
    rest: &'a [u8],
    taken: Cell<bool>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.taken.set(true);
        self.rest.read(buffer)
    }
}

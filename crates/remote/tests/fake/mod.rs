//! A server on this machine that answers what a test wants, and misbehaves on demand. It counts
//! what it was asked. Nothing but the standard library, so that other tests can use it as well.

#![expect(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which one it is, from 0.
    pub number: usize,
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What the server does with a request.
pub enum Reply {
    /// An answer: status, headers beside the length, body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes as they are; then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, and then this one, without end, until the other side hangs up.
    Endless(Vec<u8>, u8),
    /// These bytes, and then the others one by one, each so much after the one before.
    Dripping(Vec<u8>, Vec<u8>, Duration),
    /// This much later, the reply.
    Late(Duration, Box<Reply>),
    /// The connection is reset (RST), with no answer.
    Reset,
    /// The connection is closed, with no answer.
    Close,
}

impl Reply {
    pub fn json(body: impl Into<String>) -> Self {
        let kind = ("Content-Type", "application/json".to_owned());
        Self::Full(200, vec![kind], body.into().into_bytes())
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self::Full(status, Vec::new(), body.into())
    }
}

/// Turns a stream into one that is encrypted, for servers that do so.
pub type Wrap = Arc<dyn Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync>;

/// Both ways.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A server; it stops when dropped.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    records: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    /// Bytes that it could send before the other side hung up.
    pub sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// A server that counts records with `records` and answers with `answer`.
    pub fn start(
        records: impl Fn(&Request) -> usize + Send + Sync + 'static,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::with(None, records, answer)
    }

    /// A server whose requests hold no records that matter.
    pub fn answering(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(None, |_| 0, answer)
    }

    pub fn with(
        wrap: Option<Wrap>,
        records: impl Fn(&Request) -> usize + Send + Sync + 'static,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            records: Arc::default(),
            answered: Arc::default(),
            sent: Arc::default(),
            stop: Arc::default(),
        };
        let shared = Arc::new(Shared {
            seen: Arc::clone(&server.seen),
            records: Arc::clone(&server.records),
            answered: Arc::clone(&server.answered),
            sent: Arc::clone(&server.sent),
            stop: Arc::clone(&server.stop),
            count: Box::new(records),
            answer: Box::new(answer),
        });
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (shared, wrap) = (Arc::clone(&shared), wrap.clone());
                thread::spawn(move || match wrap {
                    None => shared.serve_plain(stream),
                    Some(wrap) => {
                        if let Some(mut stream) = wrap(stream) {
                            while shared.serve(&mut *stream, None) {}
                        }
                    }
                });
            }
        });
        server
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests that came, whole.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How many records were in them.
    pub fn records(&self) -> usize {
        self.records.load(Ordering::SeqCst)
    }

    /// How many records were in those that were answered with success.
    pub fn records_answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.address);
    }
}

struct Shared {
    seen: Arc<Mutex<Vec<Request>>>,
    records: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    count: Box<dyn Fn(&Request) -> usize + Send + Sync>,
    answer: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
}

impl Shared {
    fn serve_plain(&self, mut stream: TcpStream) {
        let Ok(peeking) = stream.try_clone() else {
            return;
        };
        while self.serve(&mut stream, Some(&peeking)) {}
    }

    /// Serves one request; whether the connection goes on.
    fn serve(&self, stream: &mut dyn Stream, peeking: Option<&TcpStream>) -> bool {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) if head.len() < 1 << 20 => head.push(byte[0]),
                _ => return false,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        let method = first.next().unwrap_or_default().to_owned();
        let path = first.next().unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let mut request = Request {
            number: 0,
            method,
            path,
            headers,
            body: Vec::new(),
        };
        let length = request
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        request.body = vec![0; length];
        // The last byte is only looked at: a socket closed before all is read resets.
        let left = usize::from(peeking.is_some() && length > 0);
        if stream
            .read_exact(&mut request.body[..length - left])
            .is_err()
        {
            return false;
        }
        if let (1, Some(peeking)) = (left, peeking)
            && !matches!(peeking.peek(&mut request.body[length - 1..]), Ok(1))
        {
            return false;
        }
        let records = (self.count)(&request);
        {
            let mut seen = self.seen.lock().unwrap();
            request.number = seen.len();
            seen.push(request.clone());
            self.records.fetch_add(records, Ordering::SeqCst);
        }
        let mut reply = (self.answer)(&request);
        while let Reply::Late(wait, later) = reply {
            thread::sleep(wait);
            reply = *later;
        }
        if matches!(reply, Reply::Reset) {
            return false;
        }
        if left == 1 && stream.read_exact(&mut byte).is_err() {
            return false;
        }
        match reply {
            Reply::Full(status, headers, body) => {
                let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    text.extend([name, ": ", &value, "\r\n"]);
                }
                text.push_str("\r\n");
                if (200..300).contains(&status) {
                    self.answered.fetch_add(records, Ordering::SeqCst);
                }
                stream.write_all(text.as_bytes()).is_ok()
                    && stream.write_all(&body).is_ok()
                    && stream.flush().is_ok()
            }
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                let _ = stream.flush();
                if let Some(stream) = peeking {
                    let _ = stream.shutdown(Shutdown::Write);
                }
                false
            }
            Reply::Endless(start, byte) => {
                let block = vec![byte; 64 << 10];
                if stream.write_all(&start).is_ok() {
                    while !self.stop.load(Ordering::SeqCst) && stream.write_all(&block).is_ok() {
                        self.sent.fetch_add(block.len(), Ordering::SeqCst);
                    }
                }
                false
            }
            Reply::Dripping(start, drops, apart) => {
                self.drip(stream, &start, &drops, apart);
                false
            }
            Reply::Late(..) | Reply::Reset | Reply::Close => false,
        }
    }

    /// Sends a beginning and then one byte at a time, until the other side hangs up.
    fn drip(&self, stream: &mut dyn Stream, start: &[u8], drops: &[u8], apart: Duration) {
        if stream.write_all(start).is_err() {
            return;
        }
        for &drop in drops {
            thread::sleep(apart);
            if self.stop.load(Ordering::SeqCst) || stream.write_all(&[drop]).is_err() {
                return;
            }
            self.sent.fetch_add(1, Ordering::SeqCst);
        }
    }
}

//! HTTP by hand: a server that records what it is asked and answers as the test says, and a client for one request.
//!
//! By hand, because the answers of interest are the wrong ones: late, broken, none at all.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET`, `POST`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The whole body.
    pub body: String,
}

impl Asked {
    /// A header, or the empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// How it is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Beside `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// It comes this much later.
    pub late: Duration,
    /// It never comes: the connection stays open until the other side gives up.
    pub never: bool,
}

impl Answer {
    /// A status and a body, at once.
    #[must_use]
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), late: Duration::ZERO, never: false }
    }

    /// None, ever.
    #[must_use]
    pub fn never() -> Self {
        Self { never: true, ..Self::new(200, "") }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Only after a while.
    #[must_use]
    pub const fn late(mut self, by: Duration) -> Self {
        self.late = by;
        self
    }
}

/// One request and the status it was answered with; 0 when it never was.
pub type Exchange = (Asked, u16);

#[derive(Default)]
struct Shared {
    exchanges: Mutex<Vec<Exchange>>,
    ended: AtomicBool,
    bell: (Mutex<()>, Condvar),
}

/// A server; it ends with the value.
pub struct Web {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Web {
    /// Listens on a free port of loopback; `answer` is given each request and how many came before it.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let shared = Arc::new(Shared::default());
        let (inside, answer) = (Arc::clone(&shared), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if inside.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, answer) = (Arc::clone(&inside), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &shared, &*answer));
            }
        });
        Self { address, shared }
    }

    /// An address on it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was asked so far, and how it answered, in order.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.shared.exchanges).clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.bell.1.notify_all();
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request a connection: who keeps connections open learns of a restart late.
fn serve(mut stream: TcpStream, shared: &Shared, answer: &dyn Fn(&Asked, usize) -> Answer) {
    let Ok(asked) = read_request(&stream) else { return };
    let (answer, place) = {
        let mut exchanges = lock(&shared.exchanges);
        let answer = answer(&asked, exchanges.len());
        exchanges.push((asked, 0));
        (answer, exchanges.len() - 1)
    };
    if answer.never {
        let _ = stream.read(&mut [0; 1]);
        return;
    }
    if !answer.late.is_zero() {
        let guard = lock(&shared.bell.0);
        drop(shared.bell.1.wait_timeout_while(guard, answer.late, |()| !shared.ended.load(Ordering::SeqCst)));
    }
    lock(&shared.exchanges)[place].1 = answer.status;
    let mut text = format!("HTTP/1.1 {} Said\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{}", answer.body.len(), answer.body));
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

pub(crate) fn read_request(stream: &TcpStream) -> io::Result<Asked> {
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    let mut words = first.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Asked { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn read_head(reader: &mut impl BufRead) -> io::Result<(String, BTreeMap<String, String>)> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Ok((first.trim_end().to_owned(), headers))
}

/// Sends one request and reads the whole answer: status, headers, body.
///
/// # Errors
/// Nobody listens, or the answer breaks off.
pub fn ask(
    address: &str,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<(u16, BTreeMap<String, String>, String)> {
    ask_within(Duration::from_secs(60), address, (method, path), headers, body)
}

/// The same, when no word of the answer may take longer than `limit`.
///
/// # Errors
/// Nobody listens, or the answer breaks off or does not come.
pub fn ask_within(
    limit: Duration,
    address: &str,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<(u16, BTreeMap<String, String>, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(limit))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(text.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut body = String::new();
    reader.read_to_string(&mut body)?;
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, headers, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_told_and_remembers() {
        let web = Web::start(|asked, before| match before {
            0 => Answer::new(429, "later").with("retry-after", "7"),
            _ => Answer::new(200, asked.body.to_uppercase()).late(Duration::from_millis(1)),
        });
        let address = web.address.to_string();
        let (status, headers, body) = ask(&address, ("GET", "/a?b=c"), &[("X-One", "1")], "").unwrap();
        assert_eq!((status, headers["retry-after"].as_str(), body.as_str()), (429, "7", "later"));
        let (status, _, body) = ask(&address, ("POST", "/d"), &[], "word").unwrap();
        assert_eq!((status, body.as_str()), (200, "WORD"));
        let exchanges = web.exchanges();
        assert_eq!(exchanges.len(), 2);
        assert_eq!(
            (exchanges[0].0.path.as_str(), exchanges[0].0.header("x-one"), exchanges[0].1),
            ("/a?b=c", "1", 429)
        );
        assert_eq!(
            (exchanges[1].0.method.as_str(), exchanges[1].0.body.as_str(), exchanges[1].1),
            ("POST", "word", 200)
        );
    }
}

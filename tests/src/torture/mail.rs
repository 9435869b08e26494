//! The mail server: takes mails, notes the Message-ID of each, and sometimes breaks off just after it took one.
//!
//! Owns: as much of SMTP (RFC 5321) as it takes. Refuses to know: who sends.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;

use super::{agents::drawn, history::History};

/// The server; it ends with the value.
pub struct Mail {
    /// Where it listens.
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Mail {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start(history: Arc<History>, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let ended = Arc::new(AtomicBool::new(false));
        let (over, taken) = (Arc::clone(&ended), Arc::new(Mutex::new(BTreeSet::new())));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (history, taken) = (Arc::clone(&history), Arc::clone(&taken));
                // Who breaks off in mid-word has sent no mail.
                std::thread::spawn(move || converse(&stream, &history, (&taken, seed)));
            }
        });
        Self { address, ended }
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(stream: &TcpStream, history: &History, (taken, seed): (&Mutex<BTreeSet<String>>, u64)) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let say = |text: &str| {
        let mut writer = stream;
        writer.write_all(format!("{text}\r\n").as_bytes())
    };
    say("220 localhost torture")?;
    loop {
        let mut command = String::new();
        if reader.read_line(&mut command)? == 0 {
            return Ok(());
        }
        match command.trim_end().get(..4).unwrap_or_default().to_uppercase().as_str() {
            "EHLO" => say("250-localhost\r\n250-8BITMIME\r\n250 SMTPUTF8")?,
            "DATA" => {
                say("354 go on, end with a dot")?;
                let data = message(&mut reader)?;
                let (id, subject) = (header(&data, "message-id"), header(&data, "subject"));
                let first = taken.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
                let breaks = first && drawn(seed, &[&id]).is_multiple_of(12);
                history.note(json!({"what": "mail", "id": id, "subject": subject, "answered": !breaks}));
                if breaks {
                    return Ok(());
                }
                say("250 taken")?;
            }
            "QUIT" => return say("221 bye"),
            "HELO" | "NOOP" | "MAIL" | "RCPT" | "RSET" => say("250 well")?,
            _ => say("500 what?")?,
        }
    }
}

fn message(reader: &mut impl BufRead) -> io::Result<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim_end() == "." {
            return Ok(data);
        }
        data.push_str(&line);
    }
}

/// A header of a mail, unfolded.
fn header(data: &str, name: &str) -> String {
    let mut value = String::new();
    let mut inside = false;
    for line in data.lines().take_while(|line| !line.trim_end().is_empty()) {
        let found = line.split_once(':').filter(|(found, _)| found.eq_ignore_ascii_case(name));
        match found {
            Some((_, rest)) => (inside, value) = (true, rest.trim().to_owned()),
            None if inside && line.starts_with([' ', '\t']) => value.push_str(line.trim_end()),
            None => inside = false,
        }
    }
    value
}

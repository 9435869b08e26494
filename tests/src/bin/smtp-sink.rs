//! A mail server for tests: a process that speaks SMTP (RFC 5321) and prints each mail it takes.
//!
//! Owns: one JSON object a line on stdout: first the port, then each mail as `{from, to, data}`, written before it
//! is answered. A recipient that begins with `refuse` is refused for good, one that begins with `busy` for now, the
//! first time it is named. Ends when its stdin is closed. Refuses to know: the product.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    line(&json!({ "port": listener.local_addr()?.port() }));
    std::thread::spawn(move || {
        let busy = Arc::new(Mutex::new(BTreeSet::new()));
        for stream in listener.incoming().map_while(Result::ok) {
            let busy = Arc::clone(&busy);
            std::thread::spawn(move || converse(&stream, &busy));
        }
    });
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

fn line(value: &Value) {
    let mut out = io::stdout().lock();
    // A reader that is gone has closed stdin too, and the process is about to end.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

#[derive(Default)]
struct Envelope {
    from: String,
    to: Vec<String>,
}

fn converse(stream: &TcpStream, busy: &Mutex<BTreeSet<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let say = |text: &str| {
        let mut writer = stream;
        writer.write_all(format!("{text}\r\n").as_bytes())
    };
    say("220 localhost sink")?;
    let mut envelope = Envelope::default();
    loop {
        let mut command = String::new();
        if reader.read_line(&mut command)? == 0 {
            return Ok(());
        }
        let command = command.trim_end();
        let verb = command.get(..4).unwrap_or(command).to_uppercase();
        match verb.as_str() {
            "EHLO" => say("250-localhost\r\n250-8BITMIME\r\n250 SMTPUTF8")?,
            "HELO" | "NOOP" => say("250 localhost")?,
            "MAIL" => {
                envelope = Envelope { from: address(command), to: Vec::new() };
                say("250 sender taken")?;
            }
            "RCPT" => say(recipient(&mut envelope, address(command), busy))?,
            "DATA" if envelope.to.is_empty() => say("503 nobody to send it to")?,
            "DATA" => {
                say("354 go on, end with a dot")?;
                let data = message(&mut reader)?;
                line(&json!({ "from": envelope.from, "to": envelope.to, "data": data }));
                say("250 taken as sink-1")?;
            }
            "RSET" => {
                envelope = Envelope::default();
                say("250 forgotten")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("500 what?")?,
        }
    }
}

fn address(command: &str) -> String {
    let start = command.find('<').map_or(0, |at| at + 1);
    let end = command.find('>').unwrap_or(command.len());
    command.get(start..end).unwrap_or_default().to_owned()
}

fn recipient(envelope: &mut Envelope, to: String, busy: &Mutex<BTreeSet<String>>) -> &'static str {
    if to.starts_with("refuse") {
        return "550 5.1.1 nobody of that name here";
    }
    if to.starts_with("busy") && busy.lock().unwrap_or_else(PoisonError::into_inner).insert(to.clone()) {
        return "451 4.7.1 come back later";
    }
    envelope.to.push(to);
    "250 recipient taken"
}

/// Lines up to the lone dot; a dot that was doubled on the way is single again.
fn message(reader: &mut impl BufRead) -> io::Result<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if line == "." {
            return Ok(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(line));
        data.push('\n');
    }
}

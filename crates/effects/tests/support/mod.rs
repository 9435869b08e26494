//! Shared by the tests: a content store, an HTTP server that misbehaves on order, an SMTP server, calls and looks.
//!
//! Owns: real sockets on loopback. Refuses to know: what is asserted.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use nightshift_domain::{
    content::{Cursor, Digest, Item, Material, SourceSpec, Text},
    ids::{RunId, ShardId},
    time::Timestamp,
};
use nightshift_effects::{EffectsConfig, digest_of, performers};
use nightshift_ports::{
    blobs::Blobs,
    log::StoreError,
    memory::MemoryStepCache,
    performer::{Call, Look, Performers},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// 2026-11-23T08:00:00Z, a Monday.
pub const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);

/// A content store in memory.
#[derive(Default)]
pub struct Memory(pub Mutex<BTreeMap<Digest, Vec<u8>>>);

#[async_trait]
impl Blobs for Memory {
    async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.0.lock().unwrap().insert(digest.clone(), bytes);
        Ok(())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(digest).cloned())
    }
}

pub fn build(config: EffectsConfig) -> Performers {
    let _ = rustls::crypto::ring::default_provider().install_default();
    performers(config, Arc::new(Memory::default()), Arc::new(MemoryStepCache::default())).unwrap()
}

pub fn call() -> Call {
    Call {
        run: run(7),
        step: "fetch".into(),
        idempotency_key: "key-1".into(),
        attempt: 2,
        fencing_token: "3.4.5".into(),
        timeout_ms: 20_000,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        now: NOW,
        cache: None,
    }
}

pub fn run(n: u128) -> RunId {
    RunId::on_shard(uuid::Uuid::from_u128(n), ShardId(0))
}

pub fn look(spec: SourceSpec) -> Look {
    Look { spec, cursor: Cursor::new(), known: Arc::default(), now: NOW, timeout_ms: 20_000 }
}

pub fn inline(text: &str) -> Text {
    Text { digest: digest_of(text.as_bytes()), bytes: text.len() as u64, inline: Some(text.to_owned()) }
}

pub fn known(items: &[Item]) -> Arc<BTreeMap<String, Digest>> {
    Arc::new(items.iter().map(|item| (item.item_id.clone(), item.text.digest.clone())).collect())
}

/// What the HTTP server does with one connection.
#[derive(Clone)]
pub enum Act {
    /// Answers with these bytes.
    Answer(Vec<u8>),
    /// Reads the request and says nothing, for ever.
    Hang,
    /// Reads the request and closes.
    Close,
    /// Promises more than it sends, then closes.
    Short,
    /// Sends a success without end.
    Flood,
    /// Reads the request and resets the connection.
    Reset,
    /// Begins a success and then says nothing more, for ever.
    Stall,
    /// Announces 10 GB and begins to send them.
    Huge,
    /// Answers with the request, as JSON under `said`.
    Echo,
}

pub fn answer(status: &str, headers: &[&str], body: &str) -> Act {
    let mut text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
    Act::Answer(format!("{text}\r\n{body}").into_bytes())
}

/// A server that plays its acts in order, the last one for ever, and keeps what it was sent.
pub struct Http {
    pub url: String,
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Http {
    pub async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        tokio::spawn(async move {
            let mut at = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let act = acts[at.min(acts.len() - 1)].clone();
                at += 1;
                tokio::spawn(play(stream, act, kept.clone()));
            }
        });
        Self { url, requests }
    }

    pub fn request(&self, at: usize) -> String {
        self.requests.lock().unwrap()[at].clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn play(mut stream: TcpStream, act: Act, requests: Arc<Mutex<Vec<String>>>) {
    let request = read_request(&mut stream).await;
    requests.lock().unwrap().push(request.clone());
    match act {
        Act::Reset => stream.set_zero_linger().unwrap(),
        Act::Stall => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{").await;
            std::future::pending::<()>().await;
        }
        Act::Huge => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n").await;
            while stream.write_all(&[b' '; 65536]).await.is_ok() {}
        }
        Act::Echo => {
            let body = serde_json::json!({"said": request}).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
        Act::Answer(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Act::Hang => std::future::pending::<()>().await,
        Act::Close => {}
        Act::Short => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        }
        Act::Flood => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.map_or(0, |length| length.trim().parse().unwrap()) {
                return text;
            }
        }
        if read == 0 {
            return text;
        }
    }
}

/// An SMTP server that takes every mail, or answers `refuse` to the command that `at` names.
pub struct Smtp {
    pub port: u16,
    pub mails: Arc<Mutex<Vec<String>>>,
}

impl Smtp {
    pub async fn start(refuse: Option<(&'static str, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = mails.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, refuse, kept.clone()));
            }
        });
        Self { port, mails }
    }
}

async fn serve(stream: TcpStream, refuse: Option<(&str, &str)>, mails: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 test ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        if let Some((at, said)) = refuse.filter(|(at, _)| *at == verb) {
            if said == "hang" {
                std::future::pending::<()>().await;
            }
            write.write_all(format!("{said}\r\n").as_bytes()).await?;
            let _ = at;
            continue;
        }
        let reply = match verb.as_str() {
            "EHLO" => "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    mail.push_str(&line);
                    mail.push('\n');
                }
                mails.lock().unwrap().push(mail);
                "250 queued as 42\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        write.write_all(reply.as_bytes()).await?;
    }
    Ok(())
}

/// Composes by extraction and gives the text.
pub async fn extract(material: &Material) -> (String, Vec<String>) {
    let draft = build(EffectsConfig::default()).composing.compose(material, &call()).await.unwrap();
    (draft.text.inline.unwrap(), draft.warnings)
}

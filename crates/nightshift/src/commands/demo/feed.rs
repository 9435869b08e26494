//! A feed of package news, made of the changelogs on this machine and served on loopback with an ETag.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use nightshift_ports::blobs::digest_of;

use super::workspace::Workspace;
use crate::exit::Exit;

/// Entries in the feed at most.
const ENTRIES_MAX: usize = 12;

struct Feed {
    body: String,
    etag: String,
}

/// Serves the feed until the process ends and gives its address; none when there is no changelog here.
///
/// # Errors
/// No port could be taken on loopback.
pub async fn serve(workspace: &Workspace) -> Result<Option<String>, Exit> {
    let entries = entries();
    if entries.is_empty() {
        println!("  feed:       none, no package changelogs on this machine");
        return Ok(None);
    }
    let body = atom(&entries);
    std::fs::write(workspace.root.join("feed.xml"), &body)?;
    let etag = format!("\"{}\"", digest_of(body.as_bytes()));
    let routes = Router::new().route("/packages.xml", get(feed)).with_state(Arc::new(Feed { body, etag }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    println!("  feed:       {} entries of package news at http://{address}/packages.xml", entries.len());
    Ok(Some(format!("http://{address}/packages.xml")))
}

async fn feed(State(feed): State<Arc<Feed>>, headers: HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let etag = [(header::ETAG, feed.etag.clone())];
    if known == Some(feed.etag.as_str()) {
        return (StatusCode::NOT_MODIFIED, etag).into_response();
    }
    let kind = [(header::CONTENT_TYPE, "application/atom+xml")];
    (etag, kind, feed.body.clone()).into_response()
}

struct Entry {
    title: String,
    text: String,
    date: String,
    path: PathBuf,
}

/// The newest entry of the changelogs that changed last.
fn entries() -> Vec<Entry> {
    let Ok(packages) = Path::new("/usr/share/doc").read_dir() else { return Vec::new() };
    let changelogs = packages.filter_map(Result::ok).map(|package| package.path().join("changelog.Debian.gz"));
    let mut changelogs: Vec<PathBuf> = changelogs.filter(|path| path.is_file()).collect();
    changelogs.sort_by_key(|path| std::cmp::Reverse(path.metadata().and_then(|data| data.modified()).ok()));
    changelogs.into_iter().take(4 * ENTRIES_MAX).filter_map(|path| entry(&path)).take(ENTRIES_MAX).collect()
}

/// `package (version) suite; urgency=…`, then changes, then ` -- Maintainer <mail>  Date`.
fn entry(path: &Path) -> Option<Entry> {
    #[expect(clippy::disallowed_methods, reason = "the demo reads compressed changelogs")]
    let output = Command::new("zcat").arg(path).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines();
    let title = lines.next()?.split(';').next()?.trim().to_owned();
    let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with(" -- ")).map(str::trim).collect();
    let signed = text.lines().find(|line| line.starts_with(" -- "))?;
    let date = signed.rsplit_once("  ").map(|(_, date)| date.trim())?;
    let date = chrono::DateTime::parse_from_rfc2822(date).ok()?.to_rfc3339();
    let text = body.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    Some(Entry { title, text, date, path: path.to_owned() })
}

fn atom(entries: &[Entry]) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let newest = entries.iter().map(|entry| entry.date.as_str()).max().unwrap_or_default();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <title>Packages of this machine</title><id>urn:nightshift:demo:packages</id><updated>{newest}</updated>\n"
    );
    for entry in entries {
        let (title, text, path) = (escape(&entry.title), escape(&entry.text), entry.path.display());
        xml.push_str(&format!(
            "<entry><title>{title}</title><id>file://{path}</id><updated>{}</updated>\
             <link href=\"file://{path}\"/><content type=\"text\">{text}</content></entry>\n",
            entry.date
        ));
    }
    xml.push_str("</feed>\n");
    xml
}

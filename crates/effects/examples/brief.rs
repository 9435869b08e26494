//! Prints the brief that extraction makes of folders, repositories and feeds named on the command line.
//!
//! `cargo run -p nightshift-effects --example brief -- [--strategy S] [--sections "A,B"] [--limit N] PATH|URL ...`
//!
//! A path with a `.git` in it, or ending in `.git`, is read as a repository; any other path as a folder.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use nightshift_domain::{
    content::{Brief, Cursor, Digest, Material, MaterialGroup, Observation, SourceFailure, SourceSnapshot, SourceSpec},
    ids::{RunId, UserId},
    time::Timestamp,
};
use nightshift_effects::{EffectsConfig, digest_of, full_text, performers};
use nightshift_ports::{
    blobs::Blobs,
    log::StoreError,
    memory::MemoryStepCache,
    performer::{Call, Look},
};

/// A content store for one run.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<Digest, Vec<u8>>>);

#[async_trait]
impl Blobs for Memory {
    async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.0.lock().expect("no writer panics").insert(digest.clone(), bytes);
        Ok(())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().expect("no writer panics").get(digest).cloned())
    }
}

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    strategy: String,
    sections: Vec<String>,
    limit: Option<usize>,
    specs: Vec<SourceSpec>,
}

fn arguments() -> Result<Arguments, String> {
    let mut wanted = Arguments { strategy: "platform_bound".to_owned(), ..Arguments::default() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--strategy" => wanted.strategy = value()?,
            "--sections" => wanted.sections = value()?.split(',').map(|part| part.trim().to_owned()).collect(),
            "--limit" => wanted.limit = Some(value()?.parse().map_err(|error| format!("--limit: {error}"))?),
            _ => wanted.specs.push(spec(word)?),
        }
    }
    if wanted.specs.is_empty() {
        return Err("name at least one folder, repository or feed".to_owned());
    }
    Ok(wanted)
}

fn spec(word: String) -> Result<SourceSpec, String> {
    if word.starts_with("http://") || word.starts_with("https://") {
        return Ok(SourceSpec::Feed { url: word });
    }
    let path = std::path::absolute(&word).map_err(|error| format!("{word}: {error}"))?;
    let bare = path.join("HEAD").is_file() && path.join("objects").is_dir();
    let path = path.to_string_lossy().into_owned();
    Ok(if bare || Path::new(&path).join(".git").exists() {
        SourceSpec::Git { path, branch: None }
    } else {
        SourceSpec::Folder { path, include: Vec::new(), exclude: Vec::new() }
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wanted = arguments()?;
    let blobs: Arc<dyn Blobs> = Arc::new(Memory::default());
    let performers = performers(EffectsConfig::default(), blobs.clone(), Arc::new(MemoryStepCache::default()))?;
    let mut groups = Vec::new();
    for spec in &wanted.specs {
        let look = Look {
            spec: spec.clone(),
            cursor: Cursor::new(),
            known: Arc::default(),
            now: Timestamp::default(),
            timeout_ms: 60_000,
        };
        groups.push(group(spec, performers.sources.observe(look).await, wanted.limit));
    }
    let nominal = groups.iter().filter_map(|group| group.snapshot.source_latest_at).max().unwrap_or_default();
    groups.iter_mut().for_each(|group| group.snapshot.synced_at = nominal);
    let material = Material { brief: brief(&wanted, nominal), groups, feedback: Vec::new() };
    let call = Call {
        run: RunId::from_uuid(uuid::Uuid::nil()),
        step: "compose".to_owned(),
        idempotency_key: "example".to_owned(),
        attempt: 1,
        fencing_token: "0.0.0".to_owned(),
        timeout_ms: 60_000,
        traceparent: None,
        now: nominal,
        cache: None,
    };
    let draft = performers.composing.compose(&material, &call).await?;
    println!("{}", full_text(&draft.text, blobs.as_ref()).await?.unwrap_or_default());
    for warning in draft.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

fn brief(wanted: &Arguments, nominal: Timestamp) -> Brief {
    Brief {
        title: "Weekly brief".to_owned(),
        description: String::new(),
        deliverable_type: "weekly_status".to_owned(),
        strategy: wanted.strategy.clone(),
        recipient: None,
        sections: wanted.sections.clone(),
        nominal,
        timezone: "Europe/Berlin".to_owned(),
        version_number: 1,
        previous_at: None,
    }
}

fn group(spec: &SourceSpec, looked: Result<Observation, SourceFailure>, limit: Option<usize>) -> MaterialGroup {
    let error = looked.as_ref().err().map(ToString::to_string);
    let empty = Observation { items: Vec::new(), removed: Vec::new(), omitted: Vec::new(), cursor: Cursor::new() };
    let mut observation = looked.unwrap_or(empty);
    let skipped = limit.map_or(0, |limit| observation.items.len().saturating_sub(limit));
    let items = observation.items.split_off(skipped);
    let snapshot = SourceSnapshot {
        source_id: spec.source_id(&UserId::default(), 64),
        platform: spec.platform().to_owned(),
        resource_id: spec.resource_id(),
        resource_name: spec.resource_name(),
        synced_at: Timestamp::default(),
        upto_version: 1,
        platform_cursor: None,
        item_count: u32::try_from(items.len()).unwrap_or(u32::MAX),
        source_latest_at: items.iter().filter_map(|item| item.source_at).max(),
        digest: digest_of(b""),
        error,
    };
    MaterialGroup { snapshot, items, removed: observation.removed, omitted: observation.omitted }
}

//! The one place where tasks outside actors are started.

/// Starts a task whose end nobody waits for; it must report what became of its work by itself.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

/// Starts a task and gives its handle.
pub fn spawn_watched(work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(work)
}

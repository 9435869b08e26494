//! The one place where tasks outside actors are started.
//!
//! Work goes in a box: a task is compiled for each kind of runtime, and the work in it need not be.

use std::{panic::AssertUnwindSafe, pin::Pin};

use futures::FutureExt;

/// Starts a task whose end nobody waits for; it must report what became of its work by itself.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    drop(spawn_watched(work));
}

/// Starts a task and gives its handle.
pub fn spawn_watched<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    let work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
    tokio::spawn(work)
}

/// Starts a task that must not vanish: a panic inside becomes a call of `panicked` with its text.
pub fn spawn_guarded(work: impl Future<Output = ()> + Send + 'static, panicked: impl FnOnce(String) + Send + 'static) {
    spawn(async move {
        if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
            let why = panic_text(&*panic);
            tracing::error!(why, "a task panicked");
            panicked(why);
        }
    });
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

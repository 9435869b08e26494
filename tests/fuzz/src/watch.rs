//! Looks at a target while it reads one input: panics, time, and a process that dies.
//!
//! Owns: what a fault is, the bound of processor time for one input, and where the input under way is found when nothing
//! is left that could tell. Refuses to know: where inputs come from.

use std::{
    cell::RefCell,
    fs::{self, File},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::FileExt as _,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::{Once, mpsc},
    thread,
    time::Duration,
};

use crate::Target;

/// More processor time than this for one input is a fault: inputs are small, and builds for tests are slow.
pub const INPUT_MS_MAX: u64 = 10_000;
/// An input that is not done after so long will not be.
const STUCK: Duration = Duration::from_secs(600);

/// A property that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it was found: a line of the source, or `time`.
    pub place: String,
    /// What was said.
    pub message: String,
}

impl Fault {
    /// Whether looking at it again costs little.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.place != "time"
    }
}

thread_local! {
    /// The last panic of this thread while an input is watched.
    static LAST: RefCell<Option<Option<Fault>>> = const { RefCell::new(None) };
}

/// Panics of watched inputs are told by the run, not by the thread.
fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or("nowhere".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
            let message = info.payload_as_str().unwrap_or("a panic without words").to_owned();
            let watched = LAST.with_borrow_mut(|last| {
                let watched = last.is_some();
                if watched {
                    *last = Some(Some(Fault { place, message }));
                }
                watched
            });
            if !watched {
                before(info);
            }
        }));
    });
}

/// Watches one run.
pub struct Watch {
    /// The input under way.
    open: File,
    path: PathBuf,
    beat: mpsc::Sender<()>,
    began_ms: u64,
    input_ms_max: u64,
}

impl Watch {
    /// Over a run of a target.
    ///
    /// # Panics
    /// The folder for findings cannot be written.
    #[must_use]
    pub fn over(name: &'static str, input_ms_max: u64) -> Self {
        hook();
        let folder = folder(name);
        fs::create_dir_all(&folder).expect("the folder for findings can be made");
        let path = folder.join(format!("under-way-{}", std::process::id()));
        let open = File::create(&path).expect("the folder for findings can be written");
        let (beat, beats) = mpsc::channel();
        let shown = path.display().to_string();
        thread::spawn(move || {
            loop {
                match beats.recv_timeout(STUCK) {
                    Ok(()) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        eprintln!("fuzz: {name} does not come to an end of an input; it is in {shown}");
                        std::process::abort();
                    }
                }
            }
        });
        Self { open, path, beat, began_ms: used_ms(), input_ms_max }
    }

    /// Shows the target one input: a number that stands for its answer, and the processor time in milliseconds.
    ///
    /// # Errors
    /// A property does not hold.
    pub fn watched(&self, target: &Target, input: &[u8]) -> Result<(u64, u64), Fault> {
        // When the stack overflows nothing can be told any more; what was read then is in this file.
        let written = self.open.set_len(input.len() as u64).and_then(|()| self.open.write_all_at(input, 0));
        let _ = (written, self.beat.send(()));
        let before = used_ms();
        LAST.set(Some(None));
        let said = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        let last = LAST.take().flatten();
        let ms = used_ms().saturating_sub(before);
        match said {
            Err(_) => Err(last.unwrap_or(Fault { place: "nowhere".to_owned(), message: "a panic".to_owned() })),
            Ok(_) if ms > self.input_ms_max => {
                let message =
                    format!("{} bytes took {ms} ms of processor time; at most {}", input.len(), self.input_ms_max);
                Err(Fault { place: "time".to_owned(), message })
            }
            Ok(answer) => Ok((number_of(&answer), ms)),
        }
    }

    /// Processor time since it began, in seconds.
    #[must_use]
    pub fn used_s(&self) -> u64 {
        used_ms().saturating_sub(self.began_ms) / 1_000
    }

    /// The run is over.
    pub fn end(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Stands for an answer without what came out of the input: numbers, and what is in quotes.
fn number_of(answer: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut quoted = false;
    for byte in answer.bytes().take(400) {
        match byte {
            b'"' => quoted = !quoted,
            b'0'..=b'9' => {}
            _ if quoted => {}
            other => other.hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Processor time of this thread in milliseconds, which other processes do not make longer; 0 where the system does not
/// tell.
fn used_ms() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0) / 1_000_000
}

fn folder(name: &str) -> PathBuf {
    crate::root().join("target/fuzz").join(name)
}

/// Keeps an input that breaks a property, and says where.
#[must_use]
pub fn keep(name: &str, input: &[u8]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = folder(name).join(format!("found-{:016x}", hasher.finish()));
    let _ = fs::write(&path, input);
    path
}

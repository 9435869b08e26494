//! A way to a server that breaks when it is told to: between the program and PostgreSQL or agents, on loopback.
//!
//! Owns: cutting connections, losing an answer of the server after it did what it was asked, delay, and connections that
//! are open and carry nothing.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Default)]
struct Shared {
    /// Both ends of each connection.
    open: Mutex<BTreeMap<u64, [TcpStream; 2]>>,
    next: AtomicU64,
    lose_next: AtomicBool,
    lost: AtomicU32,
    cut: AtomicU32,
    ended: AtomicBool,
    /// Each word comes so many milliseconds later.
    late_ms: AtomicU64,
    /// Nothing is carried.
    still: AtomicBool,
    bell: (Mutex<()>, Condvar),
}

impl Shared {
    /// Waits until `is_over`, at most for `limit`; who changes something rings.
    fn wait(&self, limit: Duration, is_over: impl Fn() -> bool) {
        let guard = lock(&self.bell.0);
        drop(self.bell.1.wait_timeout_while(guard, limit, |()| !is_over()));
    }

    fn ring(&self) {
        drop(lock(&self.bell.0));
        self.bell.1.notify_all();
    }

    /// Holds a word back for as long as the way is slow or stands still.
    fn hold_back(&self) {
        let over = || self.ended.load(Ordering::SeqCst);
        let late = Duration::from_millis(self.late_ms.load(Ordering::SeqCst));
        if !late.is_zero() {
            self.wait(late, over);
        }
        while self.still.load(Ordering::SeqCst) && !over() {
            self.wait(Duration::from_secs(60), || !self.still.load(Ordering::SeqCst) || over());
        }
    }
}

/// The proxy; it ends with the value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `upstream`.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn to(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if inside.ended.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(server) = TcpStream::connect(&upstream) {
                    pass_on(&inside, &client, &server);
                }
            }
        });
        Self { address, shared }
    }

    /// Host and port of it.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// A database address that goes through this proxy, and the proxy.
    #[must_use]
    pub fn before(url: &str) -> (String, Self) {
        let start = url.find('@').map_or_else(|| url.find("://").map_or(0, |at| at + 3), |at| at + 1);
        let end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
        let proxy = Self::to(url[start..end].to_owned());
        (format!("{}{}{}", &url[..start], proxy.address, &url[end..]), proxy)
    }

    /// Cuts every connection in mid-word.
    pub fn cut_all(&self) {
        let open = std::mem::take(&mut *lock(&self.shared.open));
        for stream in open.into_values().flatten() {
            if stream.shutdown(Shutdown::Both).is_ok() {
                self.shared.cut.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// The next word of the server is lost, and its connection with it: what it did is done, and nobody knows.
    pub fn lose_next_answer(&self) {
        self.shared.lose_next.store(true, Ordering::SeqCst);
    }

    /// Each word comes so much later from now on; zero: at once.
    pub fn delay(&self, by: Duration) {
        self.shared.late_ms.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Connections stay open and carry nothing, until [`Self::heal`].
    pub fn stand_still(&self) {
        self.shared.still.store(true, Ordering::SeqCst);
    }

    /// The way is good again; what was open while it stood still is cut, as the system does in the end.
    pub fn heal(&self) {
        self.delay(Duration::ZERO);
        if self.shared.still.load(Ordering::SeqCst) {
            self.cut_all();
        }
        self.shared.still.store(false, Ordering::SeqCst);
        self.shared.ring();
    }

    /// Answers lost so far.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// Ends of connections cut so far.
    #[must_use]
    pub fn cut(&self) -> u32 {
        self.shared.cut.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.ring();
        self.cut_all();
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn pass_on(shared: &Arc<Shared>, client: &TcpStream, server: &TcpStream) {
    let (Ok(from_client), Ok(to_client)) = (client.try_clone(), client.try_clone()) else { return };
    let (Ok(from_server), Ok(to_server)) = (server.try_clone(), server.try_clone()) else { return };
    let (Ok(near), Ok(far)) = (client.try_clone(), server.try_clone()) else { return };
    let _ = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
    let id = shared.next.fetch_add(1, Ordering::SeqCst);
    lock(&shared.open).insert(id, [near, far]);
    let (loser, holder) = (Arc::clone(shared), Arc::clone(shared));
    std::thread::spawn(move || {
        pump(from_client, to_server, || {
            holder.hold_back();
            false
        });
    });
    std::thread::spawn(move || {
        pump(from_server, to_client, || {
            loser.hold_back();
            let lost = loser.lose_next.swap(false, Ordering::SeqCst);
            loser.lost.fetch_add(u32::from(lost), Ordering::SeqCst);
            lost
        });
        lock(&loser.open).remove(&id);
    });
}

/// Copies until either side ends, or until `is_lost` says that a word does not arrive.
fn pump(mut from: TcpStream, mut to: TcpStream, is_lost: impl Fn() -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if is_lost() || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

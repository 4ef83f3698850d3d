//! A thread that must show progress: FFmpeg can block in a read or a lock where nothing can interrupt it, so whoever
//! waits for it stops waiting instead, and the thread is abandoned.

use super::VideoError;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// The heartbeat of a watched thread.
#[derive(Debug, Clone)]
pub(crate) struct Pulse(Arc<State>);

#[derive(Debug)]
struct State {
    started: Instant,
    /// Milliseconds from `started` to the last sign of life.
    last_beat: AtomicU64,
    /// The thread waits for its consumer: that is no stall.
    waiting: AtomicBool,
    /// The consumer has gone; the thread is to end as soon as it can.
    abandoned: AtomicBool,
}

impl Pulse {
    fn new() -> Self {
        Self(Arc::new(State {
            started: Instant::now(),
            last_beat: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        }))
    }

    /// Shows life: a packet was read, a frame decoded.
    pub(crate) fn beat(&self) {
        self.0.last_beat.store(self.0.started.elapsed().as_millis() as u64, Relaxed);
    }

    /// Whether nobody waits for the thread's results any more.
    pub(crate) fn abandoned(&self) -> bool {
        self.0.abandoned.load(Relaxed)
    }

    fn abandon(&self) {
        self.0.abandoned.store(true, Relaxed);
    }

    fn idle(&self) -> Duration {
        if self.0.waiting.load(Relaxed) {
            return Duration::ZERO;
        }
        self.0.started.elapsed().saturating_sub(Duration::from_millis(self.0.last_beat.load(Relaxed)))
    }
}

enum Message<T> {
    Item(T),
    Failed(VideoError),
    /// Tells the end of the items from the death of the thread.
    Done,
}

/// Where a watched thread puts its items.
pub(crate) struct Outlet<T> {
    messages: Sender<Message<T>>,
    pulse: Pulse,
}

impl<T> Outlet<T> {
    /// Hands over one item, waiting while the channel is full. `false`: nobody wants it any more.
    pub(crate) fn send(&self, item: T) -> bool {
        self.put(Message::Item(item))
    }

    fn put(&self, message: Message<T>) -> bool {
        self.pulse.0.waiting.store(true, Relaxed);
        let sent = self.messages.send(message).is_ok();
        // In this order, so that the consumer never sees an old beat of a thread that no longer waits.
        self.pulse.beat();
        self.pulse.0.waiting.store(false, Relaxed);
        sent
    }
}

/// The consumer's end of a watched thread. Dropping it lets the thread end at its next beat.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    messages: Receiver<Message<T>>,
    pulse: Pulse,
    timeout: Duration,
    path: PathBuf,
    ended: bool,
}

/// Starts `job` in a thread of its own, at most `ahead` items ahead of the consumer. An error that `job` returns is the
/// last item.
pub(crate) fn watch<T: Send + 'static>(
    path: &Path,
    timeout: Duration,
    ahead: usize,
    job: impl FnOnce(Pulse, &Outlet<T>) -> Result<(), VideoError> + Send + 'static,
) -> Result<Watched<T>, VideoError> {
    let (sender, receiver) = bounded(ahead);
    let pulse = Pulse::new();
    let outlet = Outlet { messages: sender, pulse: pulse.clone() };
    thread::Builder::new()
        .name("decoder".into())
        .spawn(move || {
            let end = job(outlet.pulse.clone(), &outlet).map_or_else(Message::Failed, |()| Message::Done);
            outlet.put(end);
        })
        .map_err(|e| VideoError::Unreadable { path: path.into(), reason: format!("no thread for decoding: {e}") })?;
    Ok(Watched { messages: receiver, pulse, timeout, path: path.into(), ended: false })
}

impl<T> Watched<T> {
    /// The only item of a job that sends one.
    pub(crate) fn only(mut self) -> Result<T, VideoError> {
        self.next().unwrap_or_else(|| Err(self.died()))
    }

    fn died(&self) -> VideoError {
        VideoError::Unreadable { path: self.path.clone(), reason: "the decoder died".into() }
    }
}

impl<T> Iterator for Watched<T> {
    type Item = Result<T, VideoError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let patience = self.timeout.saturating_sub(self.pulse.idle()).max(Duration::from_millis(1));
            let error = match self.messages.recv_timeout(patience) {
                Ok(Message::Item(item)) => return Some(Ok(item)),
                Ok(Message::Done) => {
                    self.ended = true;
                    return None;
                }
                Ok(Message::Failed(error)) => error,
                Err(RecvTimeoutError::Disconnected) => self.died(),
                Err(RecvTimeoutError::Timeout) if self.pulse.idle() < self.timeout => continue,
                Err(RecvTimeoutError::Timeout) => {
                    self.pulse.abandon();
                    VideoError::Stalled { path: self.path.clone(), timeout: self.timeout }
                }
            };
            self.ended = true;
            return Some(Err(error));
        }
        None
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.pulse.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(200);

    #[test]
    fn silence_is_a_stall_and_is_reported_once() {
        let mut watched = watch(Path::new("x"), TIMEOUT, 1, |pulse, outlet: &Outlet<u8>| {
            outlet.send(1);
            while !pulse.abandoned() {
                thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(watched.next().unwrap().unwrap(), 1);
        assert!(matches!(watched.next(), Some(Err(VideoError::Stalled { timeout: TIMEOUT, .. }))));
        assert!(watched.next().is_none());
    }

    #[test]
    fn waiting_for_a_slow_consumer_is_no_stall() {
        let mut watched = watch(Path::new("x"), TIMEOUT, 1, |_, outlet| {
            assert!((0..4u8).all(|i| outlet.send(i)));
            Ok(())
        })
        .unwrap();
        thread::sleep(TIMEOUT * 2);
        assert_eq!(watched.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn beats_without_items_are_no_stall() {
        let watched = watch(Path::new("x"), TIMEOUT, 1, |pulse, outlet| {
            for _ in 0..20 {
                thread::sleep(TIMEOUT / 10);
                pulse.beat();
            }
            outlet.send(7u8);
            Ok(())
        })
        .unwrap();
        assert_eq!(watched.only().unwrap(), 7);
    }

    #[test]
    fn a_thread_that_dies_is_an_error() {
        let mut watched = watch(Path::new("x"), TIMEOUT, 1, |_, outlet| {
            outlet.send(1u8);
            std::panic::resume_unwind(Box::new("a bug"));
        })
        .unwrap();
        assert!(matches!(watched.next(), Some(Ok(1))));
        assert!(matches!(watched.next(), Some(Err(VideoError::Unreadable { .. }))));
        assert!(watched.next().is_none());
    }

    #[test]
    fn an_error_is_the_last_item() {
        let mut watched = watch(Path::new("x"), TIMEOUT, 1, |_, outlet| {
            outlet.send(1u8);
            Err(VideoError::Empty { path: "x".into() })
        })
        .unwrap();
        assert!(matches!(watched.next(), Some(Ok(1))));
        assert!(matches!(watched.next(), Some(Err(VideoError::Empty { .. }))));
        assert!(watched.next().is_none());
    }
}

//! Ready-made RSA keys, so that nobody waits for one to be made: 60 to 600 ms, at 4096 bits a second or more.
//!
//! In memory only, and made by one thread at the lowest priority. When the stock of a size is used up, callers have theirs
//! made while they wait, as without a stock. A key is given once.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use skerry_keys::{PreparedKey, RsaBits};

/// A stock of RSA keys. Its thread ends when the stock is dropped, after the key that it is at.
pub struct Stock {
    shared: Arc<Shared>,
}

/// How many keys of each size are kept ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Keys of 2048 bits.
    pub b2048: usize,
    /// Keys of 3072 bits.
    pub b3072: usize,
    /// Keys of 4096 bits.
    pub b4096: usize,
}

impl Wanted {
    fn of(&self, bits: RsaBits) -> usize {
        match bits {
            RsaBits::B2048 => self.b2048,
            RsaBits::B3072 => self.b3072,
            RsaBits::B4096 => self.b4096,
        }
    }
}

struct Shared {
    wanted: Wanted,
    shelf: Mutex<Shelf>,
    changed: Condvar,
}

#[derive(Default)]
struct Shelf {
    keys: HashMap<RsaBits, Vec<PreparedKey>>,
    closed: bool,
}

impl Stock {
    /// No keys, and no thread.
    pub fn none() -> Stock {
        Stock { shared: Arc::new(Shared::new(Wanted::default())) }
    }

    /// Starts to make as many keys as are wanted, the smallest first, and to replace those that are taken.
    pub fn start(wanted: Wanted) -> io::Result<Stock> {
        Stock::start_with(wanted, |bits| PreparedKey::generate(bits).ok())
    }

    /// `make` gives no key when the library fails: from then on there is no stock.
    fn start_with(wanted: Wanted, make: impl Fn(RsaBits) -> Option<PreparedKey> + Send + 'static) -> io::Result<Stock> {
        let shared = Arc::new(Shared::new(wanted));
        let filled = Arc::clone(&shared);
        thread::Builder::new().name("rsa-stock".to_owned()).spawn(move || {
            // Without the right to it the keys are made all the same.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOWEST_PRIORITY);
            filled.fill(make);
        })?;
        Ok(Stock { shared })
    }

    /// A key of this size, if one is ready.
    pub fn take(&self, bits: RsaBits) -> Option<PreparedKey> {
        let taken = self.shared.lock().keys.get_mut(&bits).and_then(Vec::pop);
        self.shared.changed.notify_all();
        taken
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        let mut shelf = self.shared.lock();
        shelf.closed = true;
        shelf.keys.clear();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn new(wanted: Wanted) -> Shared {
        Shared { wanted, shelf: Mutex::default(), changed: Condvar::new() }
    }

    fn fill(&self, make: impl Fn(RsaBits) -> Option<PreparedKey>) {
        while let Some(bits) = self.next() {
            let Some(key) = make(bits) else { return };
            let mut shelf = self.lock();
            if shelf.closed {
                return;
            }
            shelf.keys.entry(key.bits()).or_default().push(key);
            self.changed.notify_all();
        }
    }

    /// The smallest size of which too few are ready; waits while there is none.
    fn next(&self) -> Option<RsaBits> {
        let mut shelf = self.lock();
        loop {
            if shelf.closed {
                return None;
            }
            match RsaBits::ALL.into_iter().find(|bits| shelf.count(*bits) < self.wanted.of(*bits)) {
                Some(bits) => return Some(bits),
                None => shelf = self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn count(&self, bits: RsaBits) -> usize {
        self.keys.get(&bits).map_or(0, Vec::len)
    }
}

/// setpriority(2).
const LOWEST_PRIORITY: i32 = 19;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use std::sync::mpsc;

    use super::*;

    const WANTED: Wanted = Wanted { b2048: 2, b3072: 1, b4096: 0 };

    /// A stock whose maker says which size it is at, and waits to be told to go on, or to fail.
    fn stock(wanted: Wanted) -> (Stock, mpsc::Receiver<RsaBits>, mpsc::Sender<bool>) {
        let (made, making) = mpsc::channel();
        let (go_on, told) = mpsc::channel::<bool>();
        let make = move |bits| {
            made.send(bits).ok()?;
            told.recv().ok()?.then_some(())?;
            PreparedKey::generate(bits).ok()
        };
        (Stock::start_with(wanted, make).unwrap(), making, go_on)
    }

    /// The stock is filled to what is wanted, smallest first, no further; what is taken is replaced; no key is given twice.
    #[test]
    fn what_is_taken_is_replaced_and_given_once() {
        let (stock, making, go_on) = stock(WANTED);
        for expected in [RsaBits::B2048, RsaBits::B2048, RsaBits::B3072] {
            assert_eq!(making.recv().unwrap(), expected);
            go_on.send(true).unwrap();
        }
        let full = stock.shared.lock();
        let full = stock.shared.changed.wait_while(full, |shelf| shelf.count(RsaBits::B3072) < 1).unwrap();
        assert_eq!([2, 1, 0], RsaBits::ALL.map(|bits| full.count(bits)));
        drop(full);
        assert!(making.try_recv().is_err(), "nothing more is wanted");
        let first = stock.take(RsaBits::B2048).unwrap();
        assert_eq!(making.recv().unwrap(), RsaBits::B2048);
        let second = stock.take(RsaBits::B2048).unwrap();
        assert!(stock.take(RsaBits::B2048).is_none(), "the third is not made yet");
        assert!(stock.take(RsaBits::B4096).is_none(), "none is wanted");
        assert_eq!([first.bits(), second.bits()], [RsaBits::B2048; 2]);
        go_on.send(true).unwrap();
        assert_eq!(making.recv().unwrap(), RsaBits::B2048);
    }

    /// A stock that fails is an empty one; its callers make their own.
    #[test]
    fn a_stock_that_fails_is_empty() {
        let (stock, making, go_on) = stock(WANTED);
        making.recv().unwrap();
        go_on.send(false).unwrap();
        assert!(making.recv().is_err(), "its thread has ended");
        assert!(stock.take(RsaBits::B2048).is_none());
    }

    /// Without a stock there is nothing to take.
    #[test]
    fn none_has_none() {
        assert!(Stock::none().take(RsaBits::B2048).is_none());
    }
}

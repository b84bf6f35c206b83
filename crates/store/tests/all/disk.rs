//! A disk that loses what was not synced, fails when told, and stops when told.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use redb::StorageBackend;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

/// Octets that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What a process sees.
    seen: Vec<u8>,
    /// What is there after a loss of power, whatever else is.
    durable: Vec<u8>,
    /// What was written since the last sync, in sectors or less.
    pending: Vec<Pending>,
    syncs: usize,
    writes: usize,
    fault: Option<Fault>,
    gate: Option<Gate>,
}

#[derive(Debug)]
enum Pending {
    Write(usize, Vec<u8>),
    Len(usize),
}

/// How the disk goes wrong. After it every call fails, as after a loss of power.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The sync after this many more fails, having done nothing.
    Sync(usize),
    /// The sync after this many more fails, having done its work.
    SyncDone(usize),
    /// The write after this many more fails.
    Write(usize),
    Dead,
}

/// The test's side of syncs that wait for it.
pub(crate) struct Syncs {
    pub(crate) entered: Receiver<()>,
    go: Sender<()>,
}

impl Syncs {
    /// Lets every sync pass, now and from now on.
    pub(crate) fn release(self) {
        drop(self.go);
    }
}

/// The disk's side.
#[derive(Debug)]
struct Gate {
    enter: Sender<()>,
    gate: Arc<Mutex<Receiver<()>>>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self::holding(Vec::new())
    }

    /// A disk with these octets on it.
    pub(crate) fn holding(octets: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State {
            seen: octets.clone(),
            durable: octets,
            pending: Vec::new(),
            syncs: 0,
            writes: 0,
            fault: None,
            gate: None,
        })))
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// From now on each sync says that it was entered and waits for a word.
    pub(crate) fn hold_syncs(&self) -> Syncs {
        let (enter, entered) = channel();
        let (go, gate) = channel();
        self.state().gate = Some(Gate { enter, gate: Arc::new(Mutex::new(gate)) });
        Syncs { entered, go }
    }

    pub(crate) fn syncs(&self) -> usize {
        self.state().syncs
    }

    pub(crate) fn writes(&self) -> usize {
        self.state().writes
    }

    /// What is left after a loss of power that loses everything since the last sync.
    pub(crate) fn durable(&self) -> Vec<u8> {
        self.state().durable.clone()
    }

    /// What is left after a loss of power at which some sectors had been written before their sync: each or not, by
    /// the seed. Growth of the file is kept, as file systems journal it.
    pub(crate) fn torn(&self, seed: u64) -> Vec<u8> {
        self.left(&mut ChaCha20Rng::seed_from_u64(seed), 50)
    }

    /// What is left after a loss of power at which so many sectors of a hundred had been written before their sync, in any
    /// order: of one that was written twice, the first may be there.
    pub(crate) fn left(&self, random: &mut ChaCha20Rng, kept: u32) -> Vec<u8> {
        let state = self.state();
        let mut octets = state.durable.clone();
        for pending in &state.pending {
            if matches!(pending, Pending::Len(_)) || random.next_u32() % 100 < kept {
                pending.apply(&mut octets);
            }
        }
        octets
    }

    /// Something else writes over everything from an offset on.
    pub(crate) fn overwrite(&self, offset: usize, octet: u8) {
        self.state().seen[offset..].fill(octet);
    }

    /// Something else writes these octets over those, wherever they are; gives in how many places.
    pub(crate) fn replace(&self, old: &[u8], new: &[u8]) -> usize {
        assert_eq!(old.len(), new.len());
        let mut state = self.state();
        let places = (0..=state.seen.len() - old.len()).filter(|at| state.seen[*at..].starts_with(old));
        let places: Vec<_> = places.collect();
        for at in &places {
            state.seen[*at..*at + new.len()].copy_from_slice(new);
        }
        places.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn pass_gate(&self) {
        let gate = self.state().gate.as_ref().map(|gate| (gate.enter.clone(), Arc::clone(&gate.gate)));
        if let Some((enter, gate)) = gate {
            let _ = enter.send(());
            let _ = gate.lock().unwrap().recv();
        }
    }
}

impl Pending {
    fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Len(len) => octets.resize(*len, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                octets.resize(octets.len().max(end), 0);
                octets[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl State {
    fn change(&mut self, pending: Pending) {
        pending.apply(&mut self.seen);
        self.pending.push(pending);
    }

    fn make_durable(&mut self) {
        self.durable = self.seen.clone();
        self.pending.clear();
    }

    fn check(&self) -> io::Result<()> {
        if matches!(self.fault, Some(Fault::Dead)) { Err(failure()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.check()?;
        self.syncs += 1;
        match &mut self.fault {
            Some(Fault::Sync(0)) => self.die(false),
            Some(Fault::SyncDone(0)) => self.die(true),
            Some(Fault::Sync(left) | Fault::SyncDone(left)) => {
                *left -= 1;
                self.make_durable();
                Ok(())
            }
            _ => {
                self.make_durable();
                Ok(())
            }
        }
    }

    fn die(&mut self, durable: bool) -> io::Result<()> {
        if durable {
            self.make_durable();
        }
        self.fault = Some(Fault::Dead);
        Err(failure())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().seen.len().try_into().unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        state.check()?;
        let offset = usize::try_from(offset).unwrap();
        let from = state.seen.get(offset..offset + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.check()?;
        state.change(Pending::Len(len.try_into().unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.pass_gate();
        self.state().sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.check()?;
        state.writes += 1;
        if let Some(Fault::Write(left)) = &mut state.fault {
            if *left == 0 {
                return state.die(false);
            }
            *left -= 1;
        }
        let offset = usize::try_from(offset).unwrap();
        for (number, sector) in data.chunks(SECTOR).enumerate() {
            state.change(Pending::Write(offset + number * SECTOR, sector.to_vec()));
        }
        Ok(())
    }
}

fn failure() -> io::Error {
    ErrorKind::StorageFull.into()
}

//! Remembers what a directory looked like before each operation, and makes directories out of it again: as the death
//! of the process leaves them, and as a power cut may.
//!
//! Between two operations a file changes by stores into a mapping alone, which the kernel keeps when the process dies.
//! What a power cut leaves of a file that was not synced: any mixture of sectors that are as they were at the last
//! sync and as they are now, at either length. The kernel writes a page back whenever it likes, also between two stores
//! of an append into a mapping: so each page may be as it was at any time since the last sync, and in between. Of a
//! directory that was not synced, any state since its last sync is left.

use crate::random::Random;
use crate::world::Promised;
use milena_storage::file::{Faults, Op};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A power cut leaves a sector as a whole.
const SECTOR: usize = 512;
/// The kernel writes pages back.
const PAGE: usize = 4096;

/// A file or directory, whatever its name. An inode number that is used again is another file.
type Id = (u64, u32);
type Names = BTreeMap<PathBuf, Id>;
type Bytes = Arc<Vec<u8>>;

/// A directory tree: names by directory, and what is in the files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// By the directory's path below the root. The paths of directories do not change in these tests.
    dirs: BTreeMap<PathBuf, Names>,
    files: BTreeMap<Id, Bytes>,
}

/// The directory before an operation, and what had been promised then.
pub(crate) struct State {
    pub(crate) op: Op,
    path: PathBuf,
    pub(crate) promised: Promised,
    tree: Tree,
}

#[derive(Default)]
struct Inner {
    states: Vec<State>,
    uses: BTreeMap<u64, u32>,
    present: BTreeSet<u64>,
    last: BTreeMap<Id, Bytes>,
}

/// Sees every operation on a directory.
pub(crate) struct Recorder {
    root: PathBuf,
    promised: Arc<Mutex<Promised>>,
    inner: Mutex<Inner>,
}

impl Recorder {
    pub(crate) fn new(root: &Path, promised: Arc<Mutex<Promised>>) -> Arc<Self> {
        Arc::new(Self { root: root.to_path_buf(), promised, inner: Mutex::default() })
    }

    /// Faults that let nothing fail.
    pub(crate) fn faults(self: &Arc<Self>) -> Box<Faults> {
        let recorder = self.clone();
        Box::new(move |op, path| {
            // Reading changes nothing.
            if !matches!(op, Op::OpenRead | Op::ReadAtOnce) {
                recorder.record(op, path);
            }
            Ok(())
        })
    }

    /// Remembers the directory as it is.
    pub(crate) fn record(&self, op: Op, path: &Path) {
        let promised = self.promised.lock().clone();
        let mut inner = self.inner.lock();
        let tree = inner.look(&self.root);
        let path = path.strip_prefix(&self.root).unwrap_or(path).to_path_buf();
        inner.states.push(State { op, path, promised, tree });
    }

    /// All that was remembered.
    pub(crate) fn take(&self) -> Vec<State> {
        std::mem::take(&mut self.inner.lock().states)
    }
}

impl Inner {
    fn look(&mut self, root: &Path) -> Tree {
        let (mut tree, mut present) = (Tree::default(), BTreeSet::new());
        let mut below = vec![PathBuf::new()];
        while let Some(dir) = below.pop() {
            let names = tree.dirs.entry(dir.clone()).or_default();
            let Ok(entries) = fs::read_dir(root.join(&dir)) else { continue };
            for entry in entries {
                let entry = entry.unwrap();
                let (name, metadata) = (PathBuf::from(entry.file_name()), entry.metadata().unwrap());
                let number = metadata.ino();
                present.insert(number);
                let uses = self.uses.entry(number).or_default();
                *uses += u32::from(!self.present.contains(&number));
                let id = (number, *uses);
                names.insert(name.clone(), id);
                if metadata.is_dir() {
                    below.push(dir.join(name));
                } else {
                    let bytes = fs::read(entry.path()).unwrap();
                    let known = self.last.get(&id).filter(|known| ***known == bytes).cloned();
                    let bytes = known.unwrap_or_else(|| Arc::new(bytes));
                    self.last.insert(id, bytes.clone());
                    tree.files.insert(id, bytes);
                }
            }
        }
        self.present = present;
        tree
    }
}

fn write(root: &Path, dirs: &BTreeMap<PathBuf, Names>, mut content: impl FnMut(Id) -> Vec<u8>) {
    fs::create_dir_all(root).unwrap();
    for (dir, names) in dirs {
        let top = dirs.get(Path::new("")).expect("the root was seen");
        if dir.components().next().is_some() && !top.contains_key(dir) {
            continue;
        }
        fs::create_dir_all(root.join(dir)).unwrap();
        for (name, id) in names {
            if !dirs.contains_key(&dir.join(name)) {
                fs::write(root.join(dir).join(name), content(*id)).unwrap();
            }
        }
    }
}

impl State {
    /// Writes the directory as the death of the process before the operation leaves it.
    pub(crate) fn after_death(&self, root: &Path) {
        write(root, &self.tree.dirs, |id| self.tree.files[&id].to_vec());
    }

    /// The same for a death within the operation: of the bytes that it changes only some are written. `next` is the
    /// state after it. False if it changes no file.
    pub(crate) fn after_death_within(&self, next: &Self, root: &Path, random: &mut Random) -> bool {
        let mut torn = None;
        for (id, after) in &next.tree.files {
            let Some(before) = self.tree.files.get(id).filter(|before| *before != after) else { continue };
            let from = before.iter().zip(after.iter()).take_while(|(a, b)| a == b).count();
            if from < after.len() {
                let cut = from + random.below(after.len() - from);
                let mut bytes = after[..cut].to_vec();
                bytes.extend_from_slice(before.get(cut..).unwrap_or_default());
                torn = Some((*id, bytes));
            }
        }
        let Some((torn, bytes)) = torn else { return false };
        write(
            root,
            &self.tree.dirs,
            |id| {
                if id == torn { bytes.clone() } else { self.tree.files[&id].to_vec() }
            },
        );
        true
    }
}

/// What is on the device, while the states of a run go by.
#[derive(Default)]
pub(crate) struct Device {
    synced: BTreeMap<Id, Bytes>,
    /// What was in each file since its last sync, that included.
    versions: BTreeMap<Id, Vec<Bytes>>,
    /// States of each directory since its last sync, that one included.
    dirs: BTreeMap<PathBuf, Vec<Names>>,
    /// The last content of every file that there was.
    latest: BTreeMap<Id, Bytes>,
}

impl Device {
    /// Takes note of the next state, and of its operation, which has not been done yet.
    pub(crate) fn see(&mut self, state: &State) {
        for (id, bytes) in &state.tree.files {
            self.latest.insert(*id, bytes.clone());
            let versions = self.versions.entry(*id).or_default();
            if versions.last().is_none_or(|last| !Arc::ptr_eq(last, bytes)) {
                versions.push(bytes.clone());
            }
        }
        for (dir, names) in &state.tree.dirs {
            let seen = self.dirs.entry(dir.clone()).or_default();
            if seen.last() != Some(names) {
                seen.push(names.clone());
            }
        }
    }

    /// Takes note that the operation of that state was done.
    pub(crate) fn done(&mut self, state: &State) {
        match state.op {
            Op::SyncAll => {
                self.synced = state.tree.files.clone();
                self.versions.values_mut().for_each(keep_last);
                self.dirs.values_mut().for_each(keep_last);
            }
            Op::Sync => match self.dirs.get_mut(&state.path) {
                Some(seen) => keep_last(seen),
                None => {
                    let (dir, name) = (state.path.parent().unwrap(), state.path.file_name().unwrap());
                    let id = state.tree.dirs[dir][Path::new(name)];
                    self.synced.insert(id, state.tree.files[&id].clone());
                    self.versions.get_mut(&id).into_iter().for_each(keep_last);
                }
            },
            Op::Open | Op::OpenRead | Op::ReadAtOnce | Op::Write | Op::Rename | Op::Touch => {}
        }
    }

    /// Writes a directory that a power cut may leave.
    pub(crate) fn after_power_cut(&self, root: &Path, random: &mut Random) {
        let mode = random.below(4);
        let dirs: BTreeMap<PathBuf, Names> = self
            .dirs
            .iter()
            .map(|(dir, seen)| {
                let at = match mode {
                    0 => 0,
                    1 => seen.len() - 1,
                    _ => random.below(seen.len()),
                };
                (dir.clone(), seen[at].clone())
            })
            .collect();
        write(root, &dirs, |id| {
            let synced = self.synced.get(&id).map_or(&[][..], |bytes| bytes);
            let latest = self.latest.get(&id).map_or(&[][..], |bytes| bytes);
            match self.versions.get(&id).filter(|_| random.one_in(2)) {
                Some(versions) => pages(synced, versions, random),
                None => torn(synced, latest, random),
            }
        });
    }
}

fn keep_last<T>(seen: &mut Vec<T>) {
    seen.drain(..seen.len() - 1);
}

/// A file that was `synced` once and is `latest` now, after a power cut.
fn torn(synced: &[u8], latest: &[u8], random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => return synced.to_vec(),
        1 => return latest.to_vec(),
        _ => {}
    }
    let mut bytes = synced.to_vec();
    bytes.resize(random.pick(&[synced.len(), latest.len()]), 0);
    for (at, sector) in bytes.chunks_mut(SECTOR).enumerate() {
        let new = latest.get(at * SECTOR..).unwrap_or_default();
        let len = new.len().min(sector.len());
        if random.one_in(2) {
            sector[..len].copy_from_slice(&new[..len]);
        }
    }
    bytes
}

/// A file of which every page was written back at some time since it was `synced`, or not at all. Between two versions an
/// append stores its bytes piece by piece: of such a page some bytes are new, and those before and behind them old.
fn pages(synced: &[u8], versions: &[Bytes], random: &mut Random) -> Vec<u8> {
    let length = versions[random.below(versions.len())].len();
    let mut bytes = vec![0; length];
    for (at, page) in bytes.chunks_mut(PAGE).enumerate() {
        let part = |from: &[u8], to: &mut [u8]| {
            let from = from.get(at * PAGE..).unwrap_or_default();
            let len = from.len().min(to.len());
            to[..len].copy_from_slice(&from[..len]);
            to[len..].fill(0);
        };
        let version = random.below(versions.len() + 1);
        part(version.checked_sub(1).map_or(synced, |before| &versions[before]), page);
        if let Some(next) = versions.get(version).filter(|_| random.one_in(2)) {
            let mut newer = vec![0; page.len()];
            part(next, &mut newer);
            let same = |pair: &(usize, (&u8, &u8))| pair.1.0 == pair.1.1;
            let changed = page.iter().zip(&newer).enumerate().skip_while(same).map(|(at, _)| at).next();
            let Some(first) = changed else { continue };
            // Where a header ends, or the prefix that makes a batch one; or anywhere.
            let anywhere = random.below(page.len() - first);
            let from = (first + random.pick(&[0, 12, 61, anywhere])).min(page.len());
            let to = from + random.below(page.len() - from + 1);
            page[from..to].copy_from_slice(&newer[from..to]);
        }
    }
    bytes
}

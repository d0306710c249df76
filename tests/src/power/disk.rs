//! Simulates a disk from a trace: what is durable, and what a power cut may do to the rest.
//!
//! The rules are those of a journalling file system in the worst case:
//!
//! - data written to a file is durable once the file was synced; until then each of its pages, or each sector of a
//!   page, may contain whatever it contained at any moment since the last sync;
//! - the length of the file is independent: it may be any length it had since the last sync;
//! - changes of names (creating, renaming, removing) are durable once their directory was synced; until then a cut
//!   keeps the first few changes of a directory, in order;
//! - after a failed sync, what it should have written may or may not be on the disk, and later syncs do not write it
//!   unless the page was written again (Linux marks such pages clean).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;

use super::trace::Event;

const PAGE: u64 = 4096;
const SECTOR: usize = 512;

type Page = Arc<[u8; PAGE as usize]>;

/// How a cut treats unsynced data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mercy {
    /// All of it is lost.
    None,
    /// All of it is kept, as when only the process is killed.
    All,
    /// Each page is independently lost, kept or partly written.
    Pages,
    /// The same, and sectors of a page differ.
    Sectors,
    /// Each file is as it was at one moment.
    Moments,
}

impl Mercy {
    /// Chooses one of them.
    pub fn random(rng: &mut StdRng) -> Mercy {
        match rng.random_range(0..10) {
            0..2 => Mercy::None,
            2 => Mercy::All,
            3..6 => Mercy::Pages,
            6..9 => Mercy::Sectors,
            _ => Mercy::Moments,
        }
    }
}

#[derive(Debug, Default, Clone)]
struct Inode {
    durable: HashMap<u64, Page>,
    durable_len: u64,
    /// The versions of pages since the last sync, and when they were written.
    versions: BTreeMap<u64, Vec<(u64, Page)>>,
    lens: Vec<(u64, u64)>,
    /// The pages that a sync would write.
    dirty: HashSet<u64>,
}

impl Inode {
    fn len(&self) -> u64 {
        self.lens.last().map_or(self.durable_len, |(_, len)| *len)
    }

    fn page(&self, number: u64) -> [u8; PAGE as usize] {
        let newest = self
            .versions
            .get(&number)
            .and_then(|versions| versions.last());
        let page = newest
            .map(|(_, page)| page)
            .or_else(|| self.durable.get(&number));
        page.map_or([0; PAGE as usize], |page| **page)
    }

    /// Writes `len` bytes, zeros without `data`.
    fn write(&mut self, now: u64, at: u64, len: u64, data: Option<&[u8]>) {
        let (mut from, end) = (at, at + len);
        while from < end {
            let (number, inside) = (from / PAGE, (from % PAGE) as usize);
            let count = (PAGE as usize - inside).min((end - from) as usize);
            let mut page = self.page(number);
            let part = &mut page[inside..inside + count];
            match data {
                Some(data) => part.copy_from_slice(&data[(from - at) as usize..][..count]),
                None => part.fill(0),
            }
            self.versions
                .entry(number)
                .or_default()
                .push((now, Arc::new(page)));
            self.dirty.insert(number);
            from += count as u64;
        }
    }

    fn set_len(&mut self, now: u64, len: u64) {
        let before = self.len();
        if len < before {
            self.write(now, len, before - len, None);
        }
        self.lens.push((now, len));
    }

    fn sync(&mut self) {
        for number in self.dirty.drain() {
            let versions = self.versions.remove(&number).unwrap_or_default();
            if let Some((_, page)) = versions.into_iter().next_back() {
                self.durable.insert(number, page);
            }
        }
        self.durable_len = self.len();
        self.lens.clear();
    }

    /// Returns what a cut leaves of it.
    fn cut(&self, mercy: Mercy, rng: &mut StdRng) -> (u64, BTreeMap<u64, [u8; PAGE as usize]>) {
        let moments: Vec<u64> = self
            .versions
            .values()
            .flatten()
            .map(|(when, _)| *when)
            .collect();
        let moment = match mercy {
            Mercy::Moments if !moments.is_empty() => moments[rng.random_range(0..moments.len())],
            Mercy::All => u64::MAX,
            _ => 0,
        };
        let kept = match mercy {
            Mercy::None => 0,
            Mercy::All => self.lens.len(),
            Mercy::Moments => self.lens.iter().filter(|(when, _)| *when <= moment).count(),
            Mercy::Pages | Mercy::Sectors => rng.random_range(0..=self.lens.len()),
        };
        let (len_at, len) = match kept {
            0 => (0, self.durable_len),
            kept => self.lens[kept - 1],
        };
        let mut pages: BTreeMap<u64, _> = self
            .durable
            .iter()
            .map(|(number, page)| (*number, **page))
            .collect();
        for (number, versions) in &self.versions {
            // Keeping a length keeps the zeros after an earlier, shorter one.
            let cut_off = self
                .lens
                .iter()
                .filter(|(when, len)| *when <= len_at && *len <= number * PAGE);
            let least = cut_off.map(|(when, _)| *when).max().unwrap_or(0);
            let must = versions.iter().filter(|(when, _)| *when <= least).count();
            let pick = |rng: &mut StdRng| match mercy {
                Mercy::None => must,
                Mercy::All => versions.len(),
                Mercy::Moments => versions
                    .iter()
                    .filter(|(when, _)| *when <= moment)
                    .count()
                    .max(must),
                Mercy::Pages | Mercy::Sectors => match rng.random_range(0..3) {
                    0 => must,
                    1 => versions.len(),
                    _ => rng.random_range(must..=versions.len()),
                },
            };
            let zero = [0; PAGE as usize];
            let before = pages.get(number).copied().unwrap_or(zero);
            let at = |kept: usize| match kept {
                0 => &before,
                kept => &*versions[kept - 1].1,
            };
            let mut page = *at(pick(rng));
            if mercy == Mercy::Sectors && rng.random() {
                for sector in page.chunks_mut(SECTOR).enumerate() {
                    let from = sector.0 * SECTOR;
                    sector
                        .1
                        .copy_from_slice(&at(pick(rng))[from..from + SECTOR]);
                }
            }
            pages.insert(*number, page);
        }
        (len, pages)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(u64),
    Directory(u64),
}

#[derive(Debug, Clone)]
enum Change {
    Add(String, Node),
    Remove(String),
    /// Remove and Add in one step.
    Move(String, String, Node),
}

#[derive(Debug, Default, Clone)]
struct Names {
    durable: BTreeMap<String, Node>,
    changes: Vec<Change>,
}

fn apply(names: &mut BTreeMap<String, Node>, change: &Change) {
    match change {
        Change::Add(name, node) => names.insert(name.clone(), *node),
        Change::Remove(name) => names.remove(name),
        Change::Move(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node)
        }
    };
}

impl Names {
    fn after(&self, changes: usize) -> BTreeMap<String, Node> {
        let mut names = self.durable.clone();
        self.changes[..changes]
            .iter()
            .for_each(|change| apply(&mut names, change));
        names
    }

    fn now(&self) -> BTreeMap<String, Node> {
        self.after(self.changes.len())
    }
}

/// The simulated disk.
#[derive(Debug, Clone)]
pub struct Disk {
    inodes: HashMap<u64, Inode>,
    directories: HashMap<u64, Names>,
    handles: HashMap<u64, Node>,
    now: u64,
}

const ROOT: u64 = 0;

impl Disk {
    /// Creates a disk that durably holds the contents of `dir`.
    pub fn of(dir: &Path) -> Disk {
        let mut disk = Disk {
            inodes: HashMap::new(),
            directories: HashMap::from([(ROOT, Names::default())]),
            handles: HashMap::new(),
            now: 0,
        };
        disk.load(dir, ROOT);
        disk
    }

    fn load(&mut self, dir: &Path, directory: u64) {
        for entry in fs::read_dir(dir).expect("a directory") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("UTF-8");
            let number = self.fresh();
            let node = if entry.path().is_dir() {
                self.directories.insert(number, Names::default());
                self.load(&entry.path(), number);
                Node::Directory(number)
            } else {
                let bytes = fs::read(entry.path()).expect("a file");
                let mut inode = Inode::default();
                inode.write(0, 0, bytes.len() as u64, Some(&bytes));
                inode.set_len(0, bytes.len() as u64);
                inode.sync();
                self.inodes.insert(number, inode);
                Node::File(number)
            };
            let names = self.directories.get_mut(&directory).expect("a directory");
            names.durable.insert(name, node);
        }
    }

    fn fresh(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn find(&self, path: &str) -> Option<Node> {
        let mut node = Node::Directory(ROOT);
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let Node::Directory(directory) = node else {
                return None;
            };
            node = *self.directories[&directory].now().get(part)?;
        }
        Some(node)
    }

    fn change(&mut self, path: &str, change: impl FnOnce(String) -> Change) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(Node::Directory(parent)) = self.find(parent) else {
            panic!("no directory for {path}");
        };
        let names = self.directories.get_mut(&parent).expect("a directory");
        names.changes.push(change(name.to_owned()));
    }

    fn file(&mut self, handle: u64) -> Option<&mut Inode> {
        match self.handles.get(&handle)? {
            Node::File(number) => self.inodes.get_mut(number),
            Node::Directory(_) => None,
        }
    }

    /// Applies an event.
    pub fn apply(&mut self, event: &Event) {
        let now = self.fresh();
        match event {
            Event::Open {
                handle,
                path,
                made,
                cut,
            } => self.open(*handle, path, *made, *cut),
            Event::Write { handle, at, data } => {
                if let Some(inode) = self.file(*handle) {
                    let len = data.len() as u64;
                    inode.write(now, *at, len, Some(data));
                    if at + len > inode.len() {
                        inode.lens.push((now, at + len));
                    }
                }
            }
            Event::SetLen { handle, len } => {
                if let Some(inode) = self.file(*handle) {
                    inode.set_len(now, *len);
                }
            }
            Event::Zero { handle, at, len } => {
                if let Some(inode) = self.file(*handle) {
                    let len = (*len).min(inode.len().saturating_sub(*at));
                    inode.write(now, *at, len, None);
                }
            }
            Event::Sync(handle) => match self.handles.get(handle) {
                Some(Node::File(number)) => {
                    self.inodes.get_mut(number).expect("an open file").sync();
                }
                Some(Node::Directory(number)) => {
                    let names = self.directories.get_mut(number).expect("a directory");
                    names.durable = names.now();
                    names.changes.clear();
                }
                None => {}
            },
            Event::SyncFailed(handle) => {
                if let Some(inode) = self.file(*handle) {
                    inode.dirty.clear();
                }
            }
            Event::Rename(from, to) => {
                self.rename(from, to);
            }
            Event::Remove(path) => self.change(path, Change::Remove),
            Event::Mkdir(path) => {
                self.directories.insert(now, Names::default());
                self.change(path, |name| Change::Add(name, Node::Directory(now)));
            }
            Event::Mark(_) | Event::Failed(_) => {}
            Event::Unknown(what) => panic!("the layer does not follow {what}"),
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        let Some(node) = self.find(from) else {
            return;
        };
        let (directory, name) = from.rsplit_once('/').unwrap_or(("", from));
        if to.rsplit_once('/').unwrap_or(("", to)).0 == directory {
            self.change(to, |to| Change::Move(name.to_owned(), to, node));
        } else {
            self.change(to, |to| Change::Add(to, node));
            self.change(from, Change::Remove);
        }
    }

    fn open(&mut self, handle: u64, path: &str, made: bool, cut: bool) {
        let now = self.now;
        if made {
            self.inodes.insert(now, Inode::default());
            self.change(path, |name| Change::Add(name, Node::File(now)));
        }
        if let Some(node) = self.find(path) {
            self.handles.insert(handle, node);
        }
        if cut && let Some(inode) = self.file(handle) {
            inode.set_len(now, 0);
        }
    }

    /// Creates in `dir` what a cut at this moment leaves.
    pub fn cut(&self, dir: &Path, mercy: Mercy, rng: &mut StdRng) {
        fs::create_dir_all(dir).expect("a directory");
        self.cut_directory(ROOT, dir, mercy, rng);
    }

    fn cut_directory(&self, number: u64, dir: &Path, mercy: Mercy, rng: &mut StdRng) {
        let names = &self.directories[&number];
        let kept = match mercy {
            Mercy::None => 0,
            Mercy::All => names.changes.len(),
            Mercy::Pages | Mercy::Sectors | Mercy::Moments => {
                rng.random_range(0..=names.changes.len())
            }
        };
        for (name, node) in names.after(kept) {
            let path = dir.join(name);
            match node {
                Node::Directory(number) => {
                    fs::create_dir_all(&path).expect("a directory");
                    self.cut_directory(number, &path, mercy, rng);
                }
                Node::File(number) => {
                    let (len, pages) = self.inodes[&number].cut(mercy, rng);
                    let file = fs::File::create(&path).expect("a file");
                    for (number, page) in pages {
                        let at = number * PAGE;
                        let count = len.saturating_sub(at).min(PAGE) as usize;
                        if page.iter().any(|byte| *byte != 0) {
                            file.write_all_at(&page[..count], at).expect("space");
                        }
                    }
                    file.set_len(len).expect("space");
                }
            }
        }
    }
}

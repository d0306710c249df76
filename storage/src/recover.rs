//! Opens a store: first the main sled, then the part of the log that is not in it yet.
//!
//! That part of the log is read but not folded: the checkpoint folds it later, while the store is already in use.
//! Messages in sled are not read, except where the log acknowledges part of a chunk: every count is exact.

use std::{path::Path, sync::Arc, time::Instant};

use crate::{
    catalogue::Catalogue,
    census::{Census, Extents},
    checkpoint::remove_segment,
    convert, definitions,
    directory::{CleanClose, Directory, Marker, segments_text},
    error::StorageError,
    io::{Disk, sync_parent},
    log::{self, SegmentEnd},
    options::Options,
    progress::Stage,
    replay::Replay,
    schema::{self, Chunk, QueueMarks},
    segment::{End, Segment},
    sled_store::{Found, SledStore},
    sleds::Sleds,
    stats::{RecoveredQueue, Report},
    types::{Position, QueueId, u32_at, u64_at},
    usage::UsageDelta,
    volumes::Volumes,
};
use bytes::Bytes;

/// The state of a store as found on disk.
pub(crate) struct Recovered {
    pub(crate) sleds: Sleds,
    pub(crate) catalogue: Catalogue,
    pub(crate) definitions: Vec<(Bytes, Bytes)>,
    pub(crate) queues: Vec<RecoveredQueue>,
    pub(crate) extents: Extents,
    pub(crate) report: Report,
    /// The log segments that are not in sled yet.
    pub(crate) log: Vec<SegmentEnd>,
    /// The number of the log's next segment.
    pub(crate) next_seq: u64,
}

/// Opens the store in a locked directory, or creates one if the directory is empty.
///
/// # Errors
/// Something is missing, damaged or of an unsupported version, or the disk failed.
pub(crate) fn recover(directory: &Directory, options: &Options) -> Result<Recovered, StorageError> {
    let start = Instant::now();
    let mut report = Report::default();
    let (main, marker) = open_main(directory, options, &mut report)?;
    let folded = folded_through(&main)?;
    if marker.version < schema::VERSION {
        if marker.version == schema::VERSION_WITHOUT_VOLUMES {
            convert_older(directory, options, &main, &mut report)?;
        }
        // From here on, data that only this version can read may be written.
        set_version(&main)?;
        directory.write_marker(marker.identity, marker.generation)?;
    }
    let (catalogue, usage) = load_catalogue(&main, folded, options, &mut report)?;
    let volumes = find_volumes(directory, options, &usage)?;
    let mut replay = replay(directory, options, folded, &mut report)?;
    let last = replay.closed.last().map_or(folded, |last| last.seq);
    // The record is missing or outdated if an older version wrote the store, or after a crash before it was written.
    if directory.last_segment()? < last {
        directory
            .write_last_segment(&Disk, last)
            .map_err(|e| directory.error("write a file in", e))?;
    }
    directory.remove_clean_close()?;
    let changed = std::mem::take(&mut replay.definitions);
    let definitions = definitions::load(&main, &changed)?;
    let mut catalogue = catalogue;
    let (published, log) = replay.into_catalogue(&mut catalogue);
    let census = Census {
        volumes: &volumes,
        log: &directory.log,
        weigh: options.weigh,
        progress: &options.progress,
    };
    let (queues, extents) = census.take(&catalogue, &published)?;
    let sleds = Sleds::new(directory, marker, options.cache_capacity, main, volumes);
    report.elapsed = start.elapsed();
    Ok(Recovered {
        sleds,
        catalogue,
        definitions,
        queues,
        extents,
        report,
        log,
        next_seq: last + 1,
    })
}

/// Opens the main sled and checks that it belongs to this store.
fn open_main(
    directory: &Directory,
    options: &Options,
    report: &mut Report,
) -> Result<(SledStore, Marker), StorageError> {
    let marker = directory.marker()?;
    let path = directory.main(marker.map_or(0, |marker| marker.generation));
    if marker.is_some() && !path.join("db").exists() {
        let name = path.file_name().unwrap_or_default().display();
        return Err(directory.missing(&format!("the database in `{name}`")));
    }
    // The marker is written before the first segment.
    if marker.is_none() && (!directory.segments()?.is_empty() || directory.last_segment()? > 0) {
        return Err(directory.missing("the marker file `store`"));
    }
    let main = SledStore::open(&path, options.cache_capacity, &mut report.repairs)?;
    let Some(marker) = marker else {
        // An interrupted creation leaves a sled with nothing but our own metadata.
        if !main.holds_only(b'm')? {
            return Err(directory.missing("the marker file `store`"));
        }
        report.created = true;
        let marker = create(directory, &main)?;
        return Ok((main, marker));
    };
    // A newer version that was interrupted while it took the store over has not changed the marker yet.
    if let Found::Value(version) = main.get(schema::KEY_VERSION)?
        && let Some(version) = u32_at(&version, 0)
    {
        directory.known_version(u64::from(version))?;
    }
    directory.remove_other_mains(marker.generation)?;
    match main.get(schema::KEY_IDENTITY)? {
        Found::Value(found) if u64_at(&found, 0) == Some(marker.identity) => Ok((main, marker)),
        Found::Value(_) | Found::Nothing => Err(directory.missing("its database in `sled`")),
        Found::Damaged => Err(StorageError::DamagedRecord {
            what: "identity of the store".to_owned(),
        }),
    }
}

fn convert_older(
    directory: &Directory,
    options: &Options,
    main: &SledStore,
    report: &mut Report,
) -> Result<(), StorageError> {
    let volumes = find_volumes(directory, options, &UsageDelta::default())?;
    convert::into_volumes(main, &volumes, options.weigh, &options.progress)?;
    report
        .repairs
        .push(format!("converted to schema {}", schema::VERSION));
    Ok(())
}

/// Records this schema version, durably.
fn set_version(main: &SledStore) -> Result<(), StorageError> {
    let mut out = main.changes();
    out.put(schema::KEY_VERSION, &schema::VERSION.to_be_bytes());
    out.apply()?;
    main.flush_synced()
}

fn find_volumes(
    directory: &Directory,
    options: &Options,
    usage: &UsageDelta,
) -> Result<Volumes, StorageError> {
    let missing = |number| directory.missing(&format!("volume {number} in `volumes`"));
    Volumes::find(&directory.volumes, options.cache_capacity, usage)?.map_err(missing)
}

/// Creates a store. The marker is written last; from then on everything must be there.
fn create(directory: &Directory, main: &SledStore) -> Result<Marker, StorageError> {
    let identity = log::random();
    let mut out = main.changes();
    out.put(schema::KEY_VERSION, &schema::VERSION.to_be_bytes());
    out.put(schema::KEY_IDENTITY, &identity.to_be_bytes());
    out.apply()?;
    main.flush_synced()?;
    let path = directory.main(0);
    // Up to the directory that the operator named, as each may have just been created.
    let above = directory.path.ancestors().take(2).map(Path::to_owned);
    for path in [path.join("db"), path].into_iter().chain(above) {
        sync_parent(&path).map_err(|e| directory.error("sync", e))?;
    }
    directory.write_marker(identity, 0)?;
    Ok(Marker {
        identity,
        generation: 0,
        version: schema::VERSION,
    })
}

fn folded_through(store: &SledStore) -> Result<u64, StorageError> {
    match store.get(schema::KEY_FOLDED)? {
        Found::Nothing => Ok(0),
        Found::Value(value) if value.len() == 8 => Ok(u64_at(&value, 0).unwrap_or(0)),
        Found::Value(_) | Found::Damaged => Err(StorageError::DamagedRecord {
            what: "number of the last folded log segment".to_owned(),
        }),
    }
}

/// Loads the catalogue from sled and removes chunks of an unfinished fold.
fn load_catalogue(
    store: &SledStore,
    folded: u64,
    options: &Options,
    report: &mut Report,
) -> Result<(Catalogue, UsageDelta), StorageError> {
    let progress = &options.progress;
    progress.begin(Stage::Catalogue, 0);
    let mut catalogue = Catalogue::default();
    let mut usage = UsageDelta::default();
    let losses = &mut report.losses;
    let mut lost = |what: String| {
        if !options.accept_losses {
            return Err(StorageError::DamagedRecord { what });
        }
        losses.push(format!("{what} is damaged"));
        Ok(())
    };
    store.scan(&[schema::QUEUE], |key, value| {
        match (
            schema::parse_queue_key(key),
            value.and_then(QueueMarks::decode),
        ) {
            (Some(queue), Some(marks)) => catalogue.queues.entry(queue).or_default().marks = marks,
            (queue, _) => lost(format!(
                "record of the queue with id {}",
                queue.map_or(0, |queue| queue.0)
            ))?,
        }
        Ok(())
    })?;
    let (mut out, mut discarded) = (store.changes(), 0);
    store.scan(&[schema::CATALOGUE], |key, value| {
        progress.add(1);
        let (queue, first) = schema::parse_catalogue_key(key).unwrap_or((QueueId(0), Position(0)));
        match value
            .and_then(Chunk::decode)
            .filter(|chunk| chunk.last >= first.0)
        {
            Some(chunk) if chunk.segment > folded => {
                out.remove(key);
                discarded += 1;
            }
            Some(chunk) => {
                usage.add(&chunk);
                let entry = catalogue.queues.entry(queue).or_default();
                entry.add_chunk(first.0, chunk);
            }
            None => lost(format!(
                "catalogue of the queue with id {}, for messages from {} on,",
                queue.0, first.0
            ))?,
        }
        out.apply_if_large()
    })?;
    out.apply()?;
    if discarded > 0 {
        report.repairs.push(format!(
            "removed {discarded} chunks of an unfinished checkpoint"
        ));
    }
    Ok((catalogue, usage))
}

/// Reads every segment that is not in sled yet.
fn replay(
    directory: &Directory,
    options: &Options,
    folded: u64,
    report: &mut Report,
) -> Result<Replay, StorageError> {
    let segments = unfolded(directory, folded)?;
    let clean = directory.clean_close()?;
    let noted = directory.last_segment()?;
    let last = segments.last().map_or(folded, |segment| segment.header.seq);
    let known = clean.map_or(noted, |clean| noted.max(clean.seq));
    if known > last {
        return Err(directory.missing(&segments_text(last + 1, known)));
    }
    report.clean =
        clean.is_some_and(|clean| clean.seq == last || (clean.seq == 0 && segments.is_empty()));
    let (progress, mut read) = (&options.progress, 0);
    progress.begin(Stage::Log, total_bytes(&segments)?);
    let mut replay = Replay::new(options.weigh);
    for (at, segment) in segments.iter().enumerate() {
        let end = match (segments.get(at + 1), clean) {
            (Some(next), _) => End::Known(next.header.previous_end),
            (None, Some(CleanClose { seq, end })) if seq == segment.header.seq => End::Known(end),
            (None, _) => End::Torn,
        };
        let scan = replay.read(segment, end, options.accept_losses, |offset| {
            progress.reach(read + offset);
        })?;
        read += segment.file_len()?;
        progress.reach(read);
        if at + 1 == segments.len() {
            // A killed process leaves unsynced writes in the page cache. From now on they count as found, so they must
            // survive a power cut.
            segment.sync()?;
        }
        report.replayed_bytes += scan.end;
        report.replayed_segments += 1;
        report.torn_bytes += scan.torn;
        for (from, to) in scan.losses {
            report.losses.push(format!(
                "commits in bytes {from} to {to} of {}",
                segment.path.display()
            ));
        }
    }
    Ok(replay)
}

/// Returns the size of all segments, a space that is allocated and not used yet included.
fn total_bytes(segments: &[Arc<Segment>]) -> Result<u64, StorageError> {
    segments.iter().map(|segment| segment.file_len()).sum()
}

/// Opens the segments that are not in sled yet, which must have no gaps, and removes those that are.
fn unfolded(directory: &Directory, folded: u64) -> Result<Vec<Arc<Segment>>, StorageError> {
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    let mut expected = folded + 1;
    for (seq, path) in directory.segments()? {
        if seq <= folded {
            remove_segment(&path)?;
            continue;
        }
        let segment = Segment::open(&path)?;
        let follows = segments.is_empty() || segment.header.previous_end > 0;
        if seq != expected || segment.header.seq != seq || !follows {
            return Err(directory.missing(&segments_text(expected, (seq - 1).max(expected))));
        }
        segments.push(segment);
        expected += 1;
    }
    Ok(segments)
}

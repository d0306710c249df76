//! Opening a store: the main sled first, then what of the log is not in it yet.
//!
//! The rest of the log is read through but not folded: that is the checkpoint's work, as ever, while the store is in use
//! already. Messages in sled are not looked at, except where the log says that some of a chunk are done with: every count
//! is exact.

use std::{path::Path, sync::Arc, time::Instant};

use crate::{
    catalogue::Catalogue,
    census::{Census, Extents},
    checkpoint::remove_segment,
    convert, definitions,
    directory::{CleanClose, Directory, Marker, segments_text},
    error::StorageError,
    io::{Disk, sync_parent},
    log::{self, Closed},
    options::Options,
    record::u64_at,
    replay::Replay,
    schema::{self, Chunk, QueueMarks},
    segment::{End, Segment},
    sled_store::{Found, SledStore},
    sleds::Sleds,
    stats::{RecoveredQueue, Report},
    types::{Position, QueueId},
    usage::Changed,
    volumes::Volumes,
};
use bytes::Bytes;

/// A store as it was found.
pub(crate) struct Recovered {
    pub(crate) sleds: Sleds,
    pub(crate) catalogue: Catalogue,
    pub(crate) definitions: Vec<(Bytes, Bytes)>,
    pub(crate) queues: Vec<RecoveredQueue>,
    pub(crate) extents: Extents,
    pub(crate) report: Report,
    /// Segments of the log that are not in sled yet.
    pub(crate) log: Vec<Closed>,
    /// The log's next segment.
    pub(crate) next_seq: u64,
}

/// Opens what is in a locked directory, or makes a store in an empty one.
///
/// # Errors
/// Something is missing, damaged, or of another version; or the disk failed.
pub(crate) fn recover(directory: &Directory, options: &Options) -> Result<Recovered, StorageError> {
    let start = Instant::now();
    let mut report = Report::default();
    let (main, marker) = open_main(directory, options, &mut report)?;
    let folded = folded_through(&main)?;
    if marker.version < schema::VERSION {
        if marker.version == schema::VERSION_WITHOUT_VOLUMES {
            convert_older(directory, options, &main, &mut report)?;
        }
        // From here on what only this version reads may be written.
        set_version(&main)?;
        directory.write_marker(marker.identity, marker.generation)?;
    }
    let (catalogue, usage) = load_catalogue(&main, folded, options, &mut report)?;
    let volumes = find_volumes(directory, options, &usage)?;
    let mut replay = replay(directory, options, folded, &mut report)?;
    let last = replay.closed.last().map_or(folded, |last| last.seq);
    // A version without this note, or a crash before it was written.
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

/// Opens the main sled and checks that it is the one that belongs here.
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
    // The marker is written before there is any segment.
    if marker.is_none() && (!directory.segments()?.is_empty() || directory.last_segment()? > 0) {
        return Err(directory.missing("the marker file `store`"));
    }
    let main = SledStore::open(&path, options.cache_capacity, &mut report.repairs)?;
    let Some(marker) = marker else {
        // A creation that was interrupted leaves sled with our own facts in it at most.
        if !main.holds_only(b'm')? {
            return Err(directory.missing("the marker file `store`"));
        }
        report.created = true;
        let marker = create(directory, &main)?;
        return Ok((main, marker));
    };
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
    let volumes = find_volumes(directory, options, &Changed::default())?;
    convert::into_volumes(main, &volumes, options.weigh)?;
    report
        .repairs
        .push(format!("converted to schema {}", schema::VERSION));
    Ok(())
}

/// Notes this version, durably.
fn set_version(main: &SledStore) -> Result<(), StorageError> {
    let mut out = main.changes();
    out.put(schema::KEY_VERSION, &schema::VERSION.to_be_bytes());
    out.apply()?;
    main.flush_synced()
}

fn find_volumes(
    directory: &Directory,
    options: &Options,
    usage: &Changed,
) -> Result<Volumes, StorageError> {
    let missing = |number| directory.missing(&format!("volume {number} in `volumes`"));
    Volumes::find(&directory.volumes, options.cache_capacity, usage)?.map_err(missing)
}

/// Makes a store: the marker comes last, and says that from now on everything must be there.
fn create(directory: &Directory, main: &SledStore) -> Result<Marker, StorageError> {
    let identity = log::random();
    let mut out = main.changes();
    out.put(schema::KEY_VERSION, &schema::VERSION.to_be_bytes());
    out.put(schema::KEY_IDENTITY, &identity.to_be_bytes());
    out.apply()?;
    main.flush_synced()?;
    let path = directory.main(0);
    // Up to the directory that the operator named: each may be as new as the store.
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

/// Loads what sled knows of the queues, and removes chunks of a fold that did not come to its end.
fn load_catalogue(
    store: &SledStore,
    folded: u64,
    options: &Options,
    report: &mut Report,
) -> Result<(Catalogue, Changed), StorageError> {
    let mut catalogue = Catalogue::default();
    let mut usage = Changed::default();
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
                "record of queue {}",
                queue.map_or(0, |queue| queue.0)
            ))?,
        }
        Ok(())
    })?;
    let (mut out, mut discarded) = (store.changes(), 0);
    store.scan(&[schema::CATALOGUE], |key, value| {
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
                "catalogue of queue {}, messages from {}",
                queue.0, first.0
            ))?,
        }
        out.breathe()
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
    let mut replay = Replay::new(options.weigh);
    for (at, segment) in segments.iter().enumerate() {
        let end = match (segments.get(at + 1), clean) {
            (Some(next), _) => End::Known(next.header.previous_end),
            (None, Some(CleanClose { seq, end })) if seq == segment.header.seq => End::Known(end),
            (None, _) => End::Torn,
        };
        let scan = replay.read(segment, end, options.accept_losses)?;
        if at + 1 == segments.len() {
            // A process that was killed leaves what it wrote and had not synced yet in the page cache. From now on it
            // counts as found, so it must not vanish with the power.
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

/// Opens the segments that are not in sled yet, without a gap; removes those that are.
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

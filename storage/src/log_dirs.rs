//! All entries of `log.dirs` together: whose they are, and which of them can serve (`MetaPropertiesEnsemble`,
//! `KafkaRaftServer.initializeLogDirs`, `LogManager.createAndValidateLogDirs`).
//!
//! | found | what becomes of it |
//! |---|---|
//! | another cluster or node, ids that come twice, version 0, a foreign directory, a held lock | the start is refused |
//! | the metadata log outside of the metadata directory | the start is refused |
//! | no permission, an I/O error, not a directory, a broken `meta.properties` | that directory is offline |
//! | the same in the metadata directory, or in all of them | the start is refused |
//! | no `meta.properties` | a new directory of the same cluster, which gets an id |
//!
//! **Invariant:** [`Survey::of`] changes nothing, and [`Survey::open`] writes only when it holds every lock: what is
//! refused stays as it was, byte for byte.

use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{self, PartitionDirRole};
use crate::log_dir::{Identity, LogDir, lock, new_cluster_id, partition_dirs, random_uuid, write_identity};
use milena_protocol::stored::meta_properties::{MetaProperties, MetaPropertiesVersion};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Topic of the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Ids up to this one have a meaning of their own (`DirectoryId.reserved`).
const RESERVED_IDS: u128 = 100;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// `log.dirs`, at least one, each once.
    pub roots: &'a [PathBuf],
    /// `metadata.log.dir`; it need not be one of them.
    pub metadata: &'a Path,
    /// `node.id`.
    pub node_id: i32,
    /// The cluster that it must be; `None` takes what is found, or a new one.
    pub cluster_id: Option<&'a str>,
}

/// Directories that were looked at, with nothing against them.
#[derive(Debug)]
pub struct Survey {
    /// In the order of `log.dirs`, behind them the metadata directory if it is not one of them.
    places: Vec<Place>,
    metadata: usize,
    data: usize,
    node_id: i32,
    cluster_id: Option<String>,
}

/// One of them.
#[derive(Debug)]
struct Place {
    disk: Disk,
    found: Result<Option<MetaProperties>>,
}

/// The directories of a running broker.
#[derive(Debug)]
pub struct LogDirs {
    /// Those of `log.dirs` that serve, in their order.
    pub online: Vec<LogDir>,
    /// Those that do not.
    pub offline: Vec<PathBuf>,
    /// The directory of the metadata log, if it is not one of `log.dirs`.
    pub metadata_only: Option<LogDir>,
    /// Where it is.
    pub metadata_root: PathBuf,
}

impl LogDirs {
    /// The directory of the metadata log.
    #[must_use]
    pub fn metadata(&self) -> &LogDir {
        let among = || self.online.iter().find(|dir| dir.disk().root() == self.metadata_root);
        self.metadata_only.as_ref().or_else(among).expect("a start without it is refused")
    }
}

impl Survey {
    /// Looks at directories without changing anything. `disk` gives access to each.
    ///
    /// # Errors
    /// [`Error::Identity`] if the start must be refused; the first of them.
    pub fn of(wanted: &Wanted<'_>, disk: impl Fn(&Path) -> Disk) -> Result<Self> {
        let mut places: Vec<Place> = Vec::new();
        for root in wanted.roots {
            places.push(Place::look(disk(root), root == wanted.metadata)?);
        }
        let data = places.len();
        let metadata = wanted.roots.iter().position(|root| root == wanted.metadata);
        let metadata = match metadata {
            Some(at) => at,
            None => {
                places.push(Place::look(disk(wanted.metadata), true)?);
                data
            }
        };
        check_paths(&places)?;
        let cluster_id = check_ids(&places, wanted.node_id, wanted.cluster_id)?;
        if let Err(error) = &places[metadata].found {
            let reason = format!("{error}; without the metadata directory the broker cannot start");
            return Err(Error::Identity { path: wanted.metadata.to_path_buf(), reason });
        }
        none_left(&places[..data])?;
        Ok(Self { places, metadata, data, node_id: wanted.node_id, cluster_id })
    }

    /// Access to the metadata directory, which may not be there yet.
    #[must_use]
    pub fn metadata(&self) -> &Disk {
        &self.places[self.metadata].disk
    }

    /// The cluster that the directories are of; `None` if all of them are new.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Makes new directories those of cluster `id`, if there is none that is of a cluster already.
    #[must_use]
    pub fn or_cluster_id(mut self, id: &str) -> Self {
        self.cluster_id.get_or_insert_with(|| id.to_owned());
        self
    }

    /// Takes the directories: makes missing ones, locks all of them, and gives an identity to those that have none.
    ///
    /// # Errors
    /// [`Error::Locked`] if another broker runs on one of them; any error in the metadata directory, or if there is no
    /// directory without one.
    pub fn open(self, now_ms: i64) -> Result<LogDirs> {
        let Self { mut places, metadata, data, node_id, cluster_id } = self;
        let locks = lock_all(&mut places)?;
        let cluster_id = cluster_id.unwrap_or_else(new_cluster_id);
        let (mut online, mut offline, mut metadata_only) = (Vec::new(), Vec::new(), None);
        let metadata_root = places[metadata].disk.root().to_path_buf();
        for (at, (Place { disk, found }, lock)) in places.into_iter().zip(locks).enumerate() {
            let root = disk.root().to_path_buf();
            let opened = found.and_then(|found| {
                let lock = lock.ok_or_else(|| Error::Offline(root.clone()))?;
                let identity = take(&disk, found, node_id, &cluster_id, now_ms)?;
                LogDir::take(disk, identity, lock)
            });
            match opened {
                Ok(dir) if at >= data => metadata_only = Some(dir),
                Ok(dir) => online.push(dir),
                Err(error) if at == metadata => return Err(error),
                Err(error) => {
                    tracing::error!(
                        "log directory {} is offline, its partitions are not served: {error}; mend it, then restart \
                         the broker",
                        root.display()
                    );
                    offline.push(root);
                }
            }
        }
        if online.is_empty() {
            let reason = "none of the directories in log.dirs can be used".into();
            return Err(Error::Identity { path: offline.swap_remove(0), reason });
        }
        Ok(LogDirs { online, offline, metadata_only, metadata_root })
    }
}

impl Place {
    /// Looks at one directory. The error is a reason to refuse the start; what only takes the directory out is inside.
    fn look(disk: Disk, is_metadata: bool) -> Result<Self> {
        let found = match usable(disk.root()) {
            Ok(false) => Ok(None),
            Ok(true) => match partition_dirs(&disk) {
                Ok(dirs) => {
                    for (path, name) in dirs {
                        if !is_metadata && name.topic == METADATA_TOPIC && name.role == PartitionDirRole::Live
                        {
                            let reason =
                                "the metadata log is in a directory that is not metadata.log.dir; set \
                                          metadata.log.dir to that directory, or move it away"
                                    .into();
                            return Err(Error::Identity { path, reason });
                        }
                    }
                    identity_in(&disk)?
                }
                Err(refusal @ Error::Identity { .. }) => return Err(refusal),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        Ok(Self { disk, found })
    }

    fn path(&self) -> PathBuf {
        self.disk.root().join(file_name::META_PROPERTIES)
    }
}

/// Whether there is a directory; an error if it cannot be read, written and searched.
fn usable(root: &Path) -> Result<bool> {
    use nix::unistd::{AccessFlags, access};
    match fs::metadata(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io("stat", root, e)),
        Ok(found) if !found.is_dir() => {
            return Err(Error::io("open directory", root, io::ErrorKind::NotADirectory.into()));
        }
        Ok(_) => {}
    }
    access(root, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|errno| Error::io("write to", root, errno.into()))?;
    Ok(true)
}

/// What `meta.properties` says, if it is there. The outer error refuses the start.
fn identity_in(disk: &Disk) -> Result<Result<Option<MetaProperties>>> {
    let path = disk.root().join(file_name::META_PROPERTIES);
    let bytes = match disk.read_if_there(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    if bytes.iter().all(|byte| *byte == 0) {
        // Its length, or not even that, has reached the device. Nothing in it contradicts what the broker is told to be.
        tracing::error!(
            "{} is empty, as a power cut leaves a file that was not synced: the directory gets a new identity",
            path.display()
        );
        return Ok(Ok(None));
    }
    let found = match MetaProperties::parse(&bytes) {
        Ok(found) => found,
        Err(error) => return Ok(Err(Error::Identity { path, reason: error.to_string() })),
    };
    if found.version == MetaPropertiesVersion::V0 {
        let reason = "version=0 is of a broker that ran on ZooKeeper; migrate it to KRaft with Apache Kafka 3.9 first, \
                      or choose other log.dirs"
            .into();
        return Err(Error::Identity { path, reason });
    }
    Ok(Ok(Some(found)))
}

/// The same directory must not come twice by different names.
fn check_paths(places: &[Place]) -> Result<()> {
    let mut seen: Vec<(PathBuf, &Path)> = Vec::new();
    for place in places {
        let root = place.disk.root();
        let Ok(canonical) = fs::canonicalize(root) else { continue };
        if let Some((_, other)) = seen.iter().find(|(path, _)| *path == canonical) {
            let reason = format!(
                "this is the same directory as {}; name every data directory once in log.dirs",
                other.display()
            );
            return Err(Error::Identity { path: root.to_path_buf(), reason });
        }
        seen.push((canonical, root));
    }
    Ok(())
}

/// All that have an identity must be of one cluster and of this node. Gives the cluster.
fn check_ids(places: &[Place], node_id: i32, cluster_id: Option<&str>) -> Result<Option<String>> {
    let mut cluster: Option<(String, String)> =
        cluster_id.map(|id| (id.to_owned(), "this broker".to_owned()));
    let mut ids: Vec<(Uuid, &Path)> = Vec::new();
    for place in places {
        let Ok(Some(found)) = &place.found else { continue };
        let refuse = |reason| Err(Error::Identity { path: place.path(), reason });
        if let Some(found) = found.node_id.filter(|id| *id != node_id) {
            return refuse(format!(
                "the directory belongs to node.id={found}, this broker is node.id={node_id}; set node.id={found} or \
                 choose other log.dirs"
            ));
        }
        match (&found.cluster_id, &cluster) {
            (Some(found), Some((wanted, whose))) if found != wanted => {
                return refuse(format!(
                    "the directory belongs to cluster {found}, {whose} to {wanted}; choose other log.dirs"
                ));
            }
            (Some(found), None) => {
                cluster = Some((found.clone(), place.disk.root().display().to_string()));
            }
            _ => {}
        }
        let Some(id) = found.directory_id else { continue };
        if id.as_u128() < RESERVED_IDS {
            return refuse("its directory.id is one that no directory may have; remove that line".into());
        }
        if let Some((_, other)) = ids.iter().find(|(known, _)| *known == id) {
            return refuse(format!(
                "the directory has the directory.id of {}; one of them is a copy: take it out of log.dirs",
                other.display()
            ));
        }
        ids.push((id, place.disk.root()));
    }
    Ok(cluster.map(|(id, _)| id))
}

/// Refuses the start if no directory is left to serve.
fn none_left(places: &[Place]) -> Result<()> {
    if places.iter().any(|place| place.found.is_ok()) {
        return Ok(());
    }
    let Some(Place { disk, found: Err(error) }) = places.first() else { return Ok(()) };
    let reason = format!("{error}; none of the directories in log.dirs can be used");
    Err(Error::Identity { path: disk.root().to_path_buf(), reason })
}

/// Locks every directory that is good. Those that some broker has used before come first: only when nobody holds one of
/// them is anything created.
fn lock_all(places: &mut [Place]) -> Result<Vec<Option<File>>> {
    let mut locks: Vec<Option<File>> = places.iter().map(|_| None).collect();
    for is_new in [false, true] {
        for (place, held) in places.iter_mut().zip(&mut locks) {
            let root = place.disk.root().to_path_buf();
            if place.found.is_err() || root.join(file_name::LOCK_FILE).exists() == is_new || held.is_some() {
                continue;
            }
            match place.disk.create_dir(&root).and_then(|()| lock(&place.disk, &root)) {
                Ok(lock) => *held = Some(lock),
                Err(refusal @ Error::Locked(_)) => return Err(refusal),
                Err(error) => place.found = Err(error),
            }
        }
    }
    Ok(locks)
}

/// The identity of a directory; one that has none gets it.
fn take(
    disk: &Disk,
    found: Option<MetaProperties>,
    node_id: i32,
    cluster_id: &str,
    now_ms: i64,
) -> Result<Identity> {
    let directory_id = found.and_then(|found| found.directory_id);
    let identity = Identity {
        cluster_id: cluster_id.to_owned(),
        node_id,
        directory_id: directory_id.unwrap_or_else(random_uuid),
    };
    if directory_id.is_none() {
        write_identity(disk, &identity, now_ms)?;
    }
    Ok(identity)
}

#[cfg(test)]
mod tests;

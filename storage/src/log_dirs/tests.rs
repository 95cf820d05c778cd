use super::{LogDirs, Survey, Wanted};
use crate::error::{Error, Result};
use crate::file::{Disk, Op};
use milena_protocol::stored::meta_properties::MetaProperties;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

/// Every path below a folder with its bytes (`None` for a directory).
fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            all.insert(path, None);
        } else {
            let bytes = fs::read(&path).unwrap();
            all.insert(path, Some(bytes));
        }
    }
    all
}

fn roots(temp: &TempDir) -> Vec<PathBuf> {
    ["a", "b"].iter().map(|name| temp.path().join(name)).collect()
}

fn open(roots: &[PathBuf]) -> Result<LogDirs> {
    open_with(roots, &roots[0], None, Disk::new)
}

fn open_with(
    roots: &[PathBuf],
    metadata: &Path,
    cluster_id: Option<&str>,
    disk: impl Fn(&Path) -> Disk,
) -> Result<LogDirs> {
    Survey::of(&Wanted { roots, metadata, node_id: 1, cluster_id }, disk)?.open(0)
}

fn meta(root: &Path, text: &str) {
    fs::create_dir_all(root).unwrap();
    fs::write(root.join("meta.properties"), text).unwrap();
}

fn formatted(root: &Path, cluster: &str, node: i32, directory: u128) {
    meta(root, &MetaProperties::v1(cluster.into(), node, Uuid::from_u128(directory)).format(0));
}

#[test]
fn new_directories_are_of_one_cluster_and_keep_their_ids_in_any_order() {
    let temp = tempfile::tempdir().unwrap();
    let mut roots = roots(&temp);
    let ids = |dirs: &LogDirs| -> BTreeMap<PathBuf, Uuid> {
        dirs.online.iter().map(|dir| (dir.disk().root().into(), dir.identity().directory_id)).collect()
    };
    let first = open(&roots).unwrap();
    assert_eq!(first.online[0].identity().cluster_id, first.online[1].identity().cluster_id);
    assert_eq!(first.metadata().disk().root(), roots[0]);
    let before = ids(&first);
    assert_eq!(before.len(), 2);
    drop(first);
    let metadata = roots[0].clone();
    roots.reverse();
    roots.push(temp.path().join("added"));
    let second = open_with(&roots, &metadata, None, Disk::new).unwrap();
    let after = ids(&second);
    assert!(before.iter().all(|(root, id)| after[root] == *id));
    assert_eq!((after.len(), second.metadata().disk().root()), (3, &*metadata));
}

#[test]
fn the_metadata_directory_may_be_one_of_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let (roots, metadata) = (roots(&temp), temp.path().join("metadata"));
    let dirs = open_with(&roots, &metadata, None, Disk::new).unwrap();
    assert_eq!((dirs.online.len(), dirs.metadata().disk().root()), (2, &*metadata));
    assert!(dirs.metadata_only.is_some());
}

type Prepare = fn(&Path, &Path);
type Spoil = fn(&Path);

#[test]
fn what_is_not_ours_is_refused_and_left_as_it_is() {
    let cases: [(&str, Prepare, &str); 9] = [
        ("another node", |a, b| (formatted(a, "c", 1, 1000), formatted(b, "c", 2, 1001)).1, "node.id=2"),
        ("another cluster", |a, b| (formatted(a, "c", 1, 1000), formatted(b, "d", 1, 1001)).1, "cluster d"),
        ("one id twice", |a, b| (formatted(a, "c", 1, 1000), formatted(b, "c", 1, 1000)).1, "directory.id"),
        ("a reserved id", |a, b| (formatted(a, "c", 1, 1000), formatted(b, "c", 1, 2)).1, "directory.id"),
        (
            "ZooKeeper",
            |a, b| (formatted(a, "c", 1, 1000), meta(b, "version=0\nbroker.id=1\n")).1,
            "ZooKeeper",
        ),
        ("no version", |a, b| (formatted(a, "c", 1, 1000), meta(b, "broker.id=1\n")).1, "ZooKeeper"),
        ("something else's", |_, b| fs::create_dir_all(b.join("photos")).unwrap(), "photos"),
        (
            "the metadata log in the wrong place",
            |_, b| fs::create_dir_all(b.join("__cluster_metadata-0")).unwrap(),
            "metadata.log.dir",
        ),
        (
            "one directory by two names",
            |a, b| {
                fs::create_dir_all(a).unwrap();
                std::os::unix::fs::symlink(a, b).unwrap();
            },
            "same directory",
        ),
    ];
    for (name, prepare, word) in cases {
        let temp = tempfile::tempdir().unwrap();
        let roots = roots(&temp);
        prepare(&roots[0], &roots[1]);
        let before = tree(temp.path());
        let error = open(&roots).unwrap_err();
        assert!(matches!(error, Error::Identity { .. }), "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains(word) && !text.contains('\n'), "{name}: {text}");
        assert_eq!(tree(temp.path()), before, "{name}");
    }
}

#[test]
fn another_cluster_than_the_one_wanted_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let roots = roots(&temp);
    formatted(&roots[1], "c", 1, 1000);
    let before = tree(temp.path());
    let error = open_with(&roots, &roots[0], Some("d"), Disk::new).unwrap_err().to_string();
    assert!(error.contains("cluster c, this broker to d"), "{error}");
    assert_eq!(tree(temp.path()), before);
    let dirs = open_with(&roots, &roots[0], Some("c"), Disk::new).unwrap();
    assert_eq!(dirs.online[0].identity().cluster_id, "c");
}

#[test]
fn a_directory_that_is_in_use_is_refused_and_nothing_is_written_to_the_others() {
    let temp = tempfile::tempdir().unwrap();
    let roots = roots(&temp);
    let running = open(&roots[1..]).unwrap();
    let before = tree(temp.path());
    assert!(matches!(open(&roots), Err(Error::Locked(root)) if root == roots[1]));
    assert_eq!(tree(temp.path()), before);
    drop(running);
    open(&roots).unwrap();
}

#[test]
fn a_broken_directory_is_offline_unless_it_holds_the_metadata() {
    let cases: [(&str, Spoil); 4] = [
        ("a file", |root| fs::write(root, "").unwrap()),
        ("not properties", |root| meta(root, "version=one\n")),
        ("a newer version", |root| meta(root, "version=2\ncluster.id=c\nnode.id=1\n")),
        ("an unreadable file", |root| {
            fs::create_dir(root).unwrap();
            std::os::unix::fs::symlink("meta.properties", root.join("meta.properties")).unwrap();
        }),
    ];
    for (name, spoil) in cases {
        let temp = tempfile::tempdir().unwrap();
        let roots = roots(&temp);
        spoil(&roots[1]);
        let dirs = open(&roots).unwrap();
        assert_eq!((dirs.online.len(), &dirs.offline[..]), (1, &roots[1..]), "{name}");
        drop(dirs);
        let error = open_with(&roots, &roots[1], None, Disk::new).unwrap_err().to_string();
        assert!(error.contains("metadata directory"), "{name}: {error}");
        let error = open(&roots[1..]).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{name}: {error}");
    }
}

#[test]
fn a_device_that_fails_while_it_is_taken_is_offline() {
    let temp = tempfile::tempdir().unwrap();
    let roots = roots(&temp);
    for op in [Op::Open, Op::Write, Op::Sync, Op::Rename] {
        let _ = fs::remove_dir_all(&roots[1]);
        let bad = roots[1].clone();
        let disk = |root: &Path| {
            let is_bad = root == bad;
            Disk::with_faults(
                root,
                Box::new(move |what, _| match is_bad && what == op {
                    true => Err(io::Error::from_raw_os_error(nix::libc::EIO)),
                    false => Ok(()),
                }),
            )
        };
        let dirs = open_with(&roots, &roots[0], None, disk).unwrap();
        assert_eq!((dirs.online.len(), &dirs.offline[..]), (1, &roots[1..]), "{op:?}");
        drop(dirs);
        assert!(open_with(&roots, &roots[1], None, disk).is_err(), "{op:?}");
    }
}

#[test]
fn a_checkpoint_that_cannot_be_read_takes_its_directory_offline() {
    let temp = tempfile::tempdir().unwrap();
    let roots = roots(&temp);
    drop(open(&roots).unwrap());
    let name = "recovery-point-offset-checkpoint";
    std::os::unix::fs::symlink(name, roots[1].join(name)).unwrap();
    assert_eq!(open(&roots).unwrap().offline, roots[1..]);
}

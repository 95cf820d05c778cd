use super::{Disk, Op};
use crate::error::Error;
use nix::libc::{EACCES, EIO, ENOENT, ENOSPC, EROFS};
use std::io;
use std::path::Path;

type Change = fn(&Disk, &Path) -> Result<(), Error>;

#[test]
fn a_device_that_refuses_to_change_names_is_offline() {
    let changes: [(&str, Change); 6] = [
        ("create", |disk, path| disk.create(path).map(drop)),
        ("create a directory", Disk::create_dir),
        ("create a directory within", Disk::create_dir_within),
        ("rename", |disk, path| disk.rename(path, &path.with_extension("b"))),
        ("remove", Disk::remove),
        ("remove a directory", Disk::remove_dir),
    ];
    for (what, change) in changes {
        for (errno, offline) in
            [(EIO, true), (EROFS, true), (EACCES, false), (ENOSPC, false), (ENOENT, false)]
        {
            let temp = tempfile::tempdir().unwrap();
            let faults = Box::new(move |_: Op, _: &Path| Err(io::Error::from_raw_os_error(errno)));
            let disk = Disk::with_faults(temp.path(), faults);
            let done = change(&disk, &temp.path().join("a"));
            assert!(done.is_err() || errno == ENOENT && what.starts_with("remove"), "{what}, {errno}");
            assert_eq!(disk.is_offline(), offline, "{what}, {errno}");
        }
    }
}

#[test]
fn what_goes_with_its_broker_is_not_waited_for() {
    for lasts in [true, false] {
        let temp = tempfile::tempdir().unwrap();
        let faults = |op: Op, _: &Path| match op {
            Op::Sync | Op::SyncAll => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(()),
        };
        let disk = Disk::made(temp.path(), lasts, Some(Box::new(faults)));
        let path = temp.path().join("a");
        let written = disk.write_atomically(&path, b"a", true);
        let done = [written, disk.sync_dir(temp.path()), disk.sync_all(), Disk::sync_together(&[&disk])];
        assert!(done.iter().all(|done| done.is_err() == lasts), "{lasts}: {done:?}");
        assert_eq!(path.exists(), !lasts);
    }
}

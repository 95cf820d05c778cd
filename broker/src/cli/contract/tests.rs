use super::{Contract, quoted, reachable, write_descriptor, write_file};
use crate::embedded::Topic;
use std::io::Read;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

fn taken(line: &str) -> Result<(Contract, Vec<(String, String)>), String> {
    let mut contract = Contract::default();
    let mut keys = Vec::new();
    let mut words = line.split_whitespace().map(Into::into);
    while let Some(word) = words.next() {
        let word = std::ffi::OsString::into_string(word).expect("a word");
        let (name, inline) = word.split_once('=').map_or((&*word, None), |(name, value)| (name, Some(value)));
        keys.extend(contract.take(name, inline, &mut words)?.ok_or("not of the contract")?);
    }
    Ok((contract, keys))
}

#[test]
fn options() {
    let (contract, keys) =
        taken("--port 0 --topic a:3 --topic=b --ready-fd 3 --ready-file=/x --exit-with-parent=7")
            .expect("taken");
    let listeners = ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned());
    assert_eq!(keys, [listeners, ("advertised.listeners".to_owned(), String::new())]);
    assert_eq!(contract.topics, [Topic::new("a", 3), Topic::new("b", -1)]);
    assert_eq!((contract.ready_fd, contract.ready_file), (Some(3), Some("/x".into())));
    assert_eq!(contract.parent, Some(Some(7)));
    assert_eq!(taken("--exit-with-parent").expect("taken").0.parent, Some(None));
    for (line, expected) in [
        ("--port", "--port needs a port"),
        ("--port 65536", "--port needs a port, which 65536 is not"),
        ("--topic a:0", "--topic: topic a:0: the number of partitions is at least 1"),
        ("--ready-fd -1", "--ready-fd needs the number of a descriptor, which -1 is not"),
        ("--exit-with-parent=x", "--exit-with-parent needs the id of a process, which x is not"),
        ("--other", "not of the contract"),
    ] {
        assert_eq!(taken(line).expect_err(line), expected);
    }
}

#[test]
fn pipes_and_sockets_and_files_take_the_line() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let (mut near, far) = UnixStream::pair().expect("a pair");
    let fd = writer.as_raw_fd();
    write_descriptor(writer.into_raw_fd(), "pipe\n").expect("written");
    write_descriptor(far.into_raw_fd(), "socket\n").expect("written");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("the other end is closed");
    near.read_to_string(&mut text).expect("the other end is closed");
    assert_eq!(text, "pipe\nsocket\n");
    assert!(write_descriptor(1 << 20, "x").is_err(), "no such descriptor, unlike {fd}");

    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("ready");
    write_file(&path, "file\n").expect("written");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "file\n");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
    assert!(write_file(&dir.path().join("no/ready"), "x").is_err());

    // What an earlier broker has left does not pass for the line of this one; what is not there is noticed in time.
    let contract = |fd, file: &Path| Contract {
        ready_fd: fd,
        ready_file: Some(file.to_path_buf()),
        ..Contract::default()
    };
    contract(Some(1), &path).prepare().expect("standard output is there");
    assert!(!path.exists());
    contract(None, &path).prepare().expect("it need not be there");
    assert!(contract(Some(1 << 20), &path).prepare().is_err());
    assert!(contract(None, dir.path()).prepare().is_err(), "a folder is no file");
    assert!(contract(None, &path).idle().is_err(), "nobody will ever serve");
}

#[test]
fn what_goes_into_the_line() {
    assert_eq!(quoted("a\"b\\c\n\u{1}\u{e4}"), "\"a\\\"b\\\\c\\u000a\\u0001\u{e4}\"");
    for (address, expected) in [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("[::]:1", "127.0.0.1:1"),
        ("[::1]:1", "[::1]:1"),
        ("10.0.0.1:1", "10.0.0.1:1"),
    ] {
        assert_eq!(reachable(address.parse().expect("an address")).to_string(), expected);
    }
}

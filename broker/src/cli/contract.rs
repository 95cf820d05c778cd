//! What the process that starts milena is told, and how milena ends with it.
//!
//! A program in any language starts a broker with `serve --ephemeral --port 0 --ready-fd 3 --exit-with-parent`, reads one
//! line of JSON from the pipe that it gave as descriptor 3, and has a broker:
//!
//! ```text
//! {"bootstrap":"127.0.0.1:41873","port":41873,"pid":4711,"cluster_id":"MkU3OEVBNTcwNTJENDM2Qk","node_id":1,
//!  "data_dirs":["/tmp/milena-0c0f"],"ephemeral":true,"version":"0.1.0"}
//! ```
//!
//! The line comes when clients are served and all topics are there; then the descriptor is closed. Where the start fails
//! there is no line, the reason is on standard error and the exit code is 1. Members may be added, none goes away.
//!
//! systemd is told the same by its datagram (`Type=notify`).

mod notify;
mod parent;

pub use parent::{Parent, ParentError};

use crate::broker::Broker;
use crate::embedded::Topic;
use nix::sys::socket::{MsgFlags, send};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// The options of the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contract {
    /// Topics that are there when the broker is ready.
    pub topics: Vec<Topic>,
    ready_fd: Option<RawFd>,
    ready_file: Option<PathBuf>,
    /// Whether the broker ends with a process, and the id of that one if it was given.
    parent: Option<Option<u32>>,
}

/// Why somebody could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// There is no broker in this process.
    #[error(
        "process.roles=controller serves no clients, so --ready-fd and --ready-file have nothing to tell"
    )]
    Nothing,
    /// `--ready-fd`
    #[error("cannot write to descriptor {fd} of --ready-fd: {source}")]
    Descriptor {
        /// Its number.
        fd: RawFd,
        /// What the system said.
        source: io::Error,
    },
    /// `--ready-file`
    #[error("cannot write {} of --ready-file: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Contract {
    /// Takes an option of the contract: the keys of the configuration that it sets, or `None` if it is none of these.
    pub(super) fn take(
        &mut self,
        name: &str,
        inline: Option<&str>,
        words: &mut impl Iterator<Item = OsString>,
    ) -> Result<Option<Vec<(String, String)>>, String> {
        let mut value = |what: &str| match inline {
            Some(value) => Ok(value.to_owned()),
            None => {
                let word = words.next().ok_or_else(|| format!("{name} needs {what}"))?;
                word.into_string().map_err(|word| format!("{} is not valid UTF-8", word.display()))
            }
        };
        let number = |what: &str, text: String| {
            text.parse::<u32>().map_err(|_| format!("{name} needs {what}, which {text} is not"))
        };
        match name {
            "--port" => {
                let text = value("a port")?;
                let port: u16 =
                    text.parse().map_err(|_| format!("{name} needs a port, which {text} is not"))?;
                let listeners = format!("PLAINTEXT://127.0.0.1:{port}");
                // The address of another broker, in the environment or in a file, is not that of this one.
                let advertised = ("advertised.listeners".into(), String::new());
                return Ok(Some(vec![("listeners".into(), listeners), advertised]));
            }
            "--topic" => {
                let text = value("NAME[:PARTITIONS[:CLEANUP_POLICY]]")?;
                self.topics.push(text.parse().map_err(|error| format!("{name}: {error}"))?);
            }
            "--ready-fd" => {
                let fd = number("the number of a descriptor", value("the number of a descriptor")?)?;
                self.ready_fd = Some(RawFd::try_from(fd).map_err(|error| format!("{name}: {error}"))?);
            }
            "--ready-file" => self.ready_file = Some(value("a path")?.into()),
            "--exit-with-parent" => {
                let pid = inline.map(|text| number("the id of a process", text.to_owned())).transpose()?;
                self.parent = Some(pid);
            }
            _ => return Ok(None),
        }
        Ok(Some(Vec::new()))
    }

    /// Looks at what [`ready`](Self::ready) will need. To be called before the process opens anything: later the number
    /// may be that of one of its own files.
    ///
    /// # Errors
    /// There is no such descriptor, or what an earlier broker has left in the file cannot be removed.
    pub fn prepare(&self) -> Result<(), ReadyError> {
        if let Some(fd) = self.ready_fd {
            fs::read_link(format!("/proc/self/fd/{fd}"))
                .map_err(|source| ReadyError::Descriptor { fd, source })?;
        }
        if let Some(path) = &self.ready_file
            && let Err(source) = fs::remove_file(path)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(ReadyError::File { path: path.clone(), source });
        }
        Ok(())
    }

    /// Begins to watch the process that the broker ends with.
    ///
    /// # Errors
    /// It is gone already, or cannot be watched.
    pub fn watch_parent(&self) -> Result<Parent, ParentError> {
        self.parent.map_or(Ok(Parent::nobody()), Parent::watch)
    }

    /// Tells that the broker serves.
    ///
    /// # Errors
    /// Descriptor or file cannot be written: nobody knows of this broker, which should end.
    pub fn ready(&self, broker: &Broker) -> Result<(), ReadyError> {
        let line = line(broker);
        if let Some(fd) = self.ready_fd {
            write_descriptor(fd, &line).map_err(|source| ReadyError::Descriptor { fd, source })?;
        }
        if let Some(path) = &self.ready_file {
            write_file(path, &line).map_err(|source| ReadyError::File { path: path.clone(), source })?;
        }
        notify::send("READY=1\nSTATUS=serving\n");
        Ok(())
    }

    /// Tells that the process is there and serves nobody.
    ///
    /// # Errors
    /// Somebody waits for an address.
    pub fn idle(&self) -> Result<(), ReadyError> {
        if self.ready_fd.is_some() || self.ready_file.is_some() {
            return Err(ReadyError::Nothing);
        }
        notify::send("READY=1\nSTATUS=idle\n");
        Ok(())
    }

    /// Tells that the broker is about to end.
    pub fn stopping(&self) {
        notify::send("STOPPING=1\nSTATUS=closing the logs\n");
    }
}

/// The line, with its end.
fn line(broker: &Broker) -> String {
    let config = broker.config();
    let bootstrap = broker.addresses().first().copied().map(reachable);
    let dirs: Vec<String> = config.log.dirs.iter().map(|dir| quoted(&dir.to_string_lossy())).collect();
    format!(
        "{{\"bootstrap\":{},\"port\":{},\"pid\":{},\"cluster_id\":{},\"node_id\":{},\"data_dirs\":[{}],\"ephemeral\":{},\"version\":{}}}\n",
        quoted(&bootstrap.map(|address| address.to_string()).unwrap_or_default()),
        bootstrap.map_or(0, |address| address.port()),
        std::process::id(),
        quoted(broker.cluster_id()),
        config.node_id,
        dirs.join(","),
        config.is_ephemeral,
        quoted(env!("CARGO_PKG_VERSION")),
    )
}

/// Who listens on every interface is reached by the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    }
    address
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// Whoever sees the file sees the whole line.
fn write_file(path: &Path, line: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let written = fs::write(&beside, line).and_then(|()| fs::rename(&beside, path));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// The descriptor is the parent's gift, so it is known by its number alone. A socket takes the line by that; everything
/// else is opened once more.
fn write_descriptor(fd: RawFd, line: &str) -> io::Result<()> {
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match send(fd, rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => rest = &rest[sent..],
            Err(nix::Error::EINTR) => {}
            Err(nix::Error::ENOTSOCK) => {
                fs::OpenOptions::new().append(true).open(format!("/proc/self/fd/{fd}"))?.write_all(rest)?;
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if fd > 2 {
        nix::unistd::close(fd)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

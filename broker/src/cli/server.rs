//! `kafka-server-start -daemon`, `kafka-server-stop` and `zookeeper-server-start`.

use super::args::{Command, parse};
use super::failure::Failure;
use super::screen::Screen;
use super::tools::Run;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// `kafka-server-stop`.
pub(crate) const STOP: Run = Run::Words(stop);
/// `zookeeper-server-start`.
pub(crate) const ZOOKEEPER: Run = Run::Words(zookeeper);
/// What begins a broker in the background.
pub(crate) const DAEMON: &str = "-daemon";

/// Starts a broker in the background. Its output goes to `kafkaServer.out` in `LOG_DIR`, or in the temporary folder.
pub(crate) fn start_daemon(words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        let text = "USAGE: kafka-server-start [-daemon] server.properties [--override property=value]*";
        return Err(Failure::text(text));
    }
    let folder = std::env::var_os("LOG_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let output = std::fs::File::options().create(true).append(true).open(folder.join("kafkaServer.out"))?;
    let rest = words.iter().filter(|word| *word != DAEMON);
    std::process::Command::new(std::env::current_exe()?)
        .arg("serve")
        .args(rest)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // A group of its own: what ends the shell does not end the broker.
        .process_group(0)
        .spawn()?;
    Ok(())
}

/// Asks all brokers of this binary to stop.
fn stop(screen: &mut Screen, _: &[String]) -> Result<(), Failure> {
    let binary = identity(&std::env::current_exe()?);
    let me = std::process::id();
    let mut stopped = 0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != me) else { continue };
        // What cannot be read belongs to somebody else.
        if identity(&entry.path().join("exe")) != binary || !serves(&entry.path().join("cmdline")) {
            continue;
        }
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        if pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok()) {
            stopped += 1;
        }
    }
    if stopped == 0 {
        screen.say("No kafka server to stop")?;
        return Err(Failure::Said);
    }
    Ok(())
}

fn zookeeper(screen: &mut Screen, _: &[String]) -> Result<(), Failure> {
    screen.say("There is no ZooKeeper here, and none is needed: milena keeps its metadata itself. This process only waits.")?;
    screen.flush()?;
    loop {
        std::thread::park();
    }
}

/// Device and number of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Whether a process with such words is a broker.
fn serves(cmdline: &Path) -> bool {
    let Ok(bytes) = std::fs::read(cmdline) else { return false };
    let words = bytes.strip_suffix(&[0]).unwrap_or(&bytes).split(|byte| *byte == 0);
    matches!(parse(words.map(|word| OsString::from_vec(word.to_vec()))), Ok(Command::Serve(_)))
}

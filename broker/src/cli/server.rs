//! `kafka-server-start -daemon`, `kafka-server-stop` and `zookeeper-server-start`.

use super::args::{Command, parse};
use super::connect::load;
use super::failure::Failure;
use super::screen::Screen;
use super::tools::Run;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// `kafka-server-stop`.
pub(crate) const STOP: Run = Run::Words(stop);
/// `zookeeper-server-start`.
pub(crate) const ZOOKEEPER: Run = Run::Words(zookeeper);
/// What begins a broker in the background.
pub(crate) const DAEMON: &str = "-daemon";
/// How long nobody is accepted after a connection could not be.
const REST: Duration = Duration::from_millis(100);

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

/// Waits, and listens on the port that the file names: there are libraries for tests that wait for it. Whoever connects is hung
/// up on.
fn zookeeper(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let listener = words.first().map(|file| zookeeper_listener(file)).transpose()?.flatten();
    screen.say("There is no ZooKeeper here, and none is needed: milena keeps its metadata itself. This process only waits.")?;
    screen.flush()?;
    if let Some(listener) = listener {
        loop {
            if listener.accept().is_err() {
                // For want of descriptors, perhaps: not again at once.
                std::thread::sleep(REST);
            }
        }
    }
    loop {
        std::thread::park();
    }
}

fn zookeeper_listener(file: &str) -> Result<Option<TcpListener>, Failure> {
    let properties = load(file)?;
    let Some(text) = properties.get("clientPort") else { return Ok(None) };
    let refused = |why: String| Failure::text(format!("clientPort={text} in {file}: {why}"));
    let port: u16 = text.trim().parse().map_err(|_| refused("not a port".to_owned()))?;
    let listener =
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(|error| refused(error.to_string()))?;
    Ok(Some(listener))
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

#[cfg(test)]
mod tests {
    use super::zookeeper_listener;
    use std::net::TcpStream;

    #[test]
    fn the_port_of_zookeeper_is_listened_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zookeeper.properties");
        let listener = |text: &str| {
            std::fs::write(&file, text).unwrap();
            zookeeper_listener(file.to_str().unwrap()).map_err(|failure| failure.to_string())
        };
        assert!(listener("dataDir=/var/lib/zookeeper/data\n").unwrap().is_none());
        let found = listener("clientPort=0\n").unwrap().unwrap();
        TcpStream::connect(("127.0.0.1", found.local_addr().unwrap().port())).unwrap();
        let refusal = listener("clientPort=x\n").unwrap_err();
        assert_eq!(refusal, format!("clientPort=x in {}: not a port", file.display()));
        assert!(zookeeper_listener("/none").is_err());
    }
}

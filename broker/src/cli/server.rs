//! `kafka-server-start -daemon`, `kafka-server-stop` and `zookeeper-server-start`.

use super::args::{Command, ServeArgs, parse};
use super::connect::load;
use super::failure::Failure;
use super::flags::{Flag, Given, help, value};
use super::gather::{MOUNTED_FILES, SYSTEM_FILE};
use super::screen::Screen;
use super::tools::Run;
use crate::config::{BrokerConfig, Sources};
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
const STOP_FLAGS: &[Flag] = &[
    value("node-id", "N", "Only the broker with this number."),
    value("process-role", "ROLES", "Only brokers with these roles; --node-id wins over it."),
];
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

/// Asks the brokers of this binary to stop: all of them, or those that the flags mean.
fn stop(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    // Other words than flags mean nothing, as in Kafka's script.
    let given = Given::read(STOP_FLAGS, words)?;
    if given.has("help") {
        let text = "usage: kafka-server-stop [--node-id N | --process-role ROLES]";
        return Ok(screen.say(format_args!("{text}\n{}", help(STOP_FLAGS).trim_end()))?);
    }
    let meant = Meant { node: given.number("node-id")?, roles: given.one("process-role")? };
    let binary = identity(&std::env::current_exe()?);
    let me = std::process::id();
    let mut stopped = 0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != me) else { continue };
        // What cannot be read belongs to somebody else.
        if identity(&entry.path().join("exe")) != binary {
            continue;
        }
        let Some(args) = serves(&entry.path().join("cmdline")) else { continue };
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        if meant.is(&args, &entry.path()) && pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok()) {
            stopped += 1;
        }
    }
    if stopped == 0 {
        screen.say("No kafka server to stop")?;
        return Err(Failure::Said);
    }
    Ok(())
}

/// Which brokers are to stop.
#[derive(Debug)]
struct Meant<'g> {
    node: Option<i32>,
    roles: Option<&'g str>,
}

impl Meant<'_> {
    /// Whether a broker is one of them, as far as its words, its files and its variables tell.
    fn is(&self, broker: &ServeArgs, process: &Path) -> bool {
        if self.node.is_none() && self.roles.is_none() {
            return true;
        }
        let read = |path: PathBuf| Some((path.clone(), std::fs::read(process.join("cwd").join(path)).ok()?));
        let system = (!broker.ephemeral).then(|| SYSTEM_FILE.into());
        let mounted = if broker.image { &MOUNTED_FILES[..] } else { &[] };
        let variables = std::fs::read(process.join("environ")).unwrap_or_default();
        let variables = variables.split(|byte| *byte == 0).filter_map(|pair| std::str::from_utf8(pair).ok());
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sources = Sources {
            file: broker.properties.clone().or(system).and_then(read),
            mounted: mounted.iter().filter_map(|path| read(path.into())).collect(),
            environment: variables.filter_map(pair).collect(),
            in_image: broker.image,
            overrides: broker.overrides.clone(),
            ..Sources::default()
        };
        let Ok(config) = BrokerConfig::load(&sources, Path::new("/")) else { return false };
        let own = config.written().get("process.roles").map_or("broker,controller", |raw| &raw.value);
        let sorted = |roles: &str| {
            let mut roles: Vec<String> = roles.split(',').map(|role| role.trim().to_owned()).collect();
            roles.sort_unstable();
            roles
        };
        match (self.node, self.roles) {
            (Some(node), _) => config.node_id == node,
            (None, roles) => roles.is_some_and(|roles| sorted(roles) == sorted(own)),
        }
    }
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

/// How a process with such words was started, if it is a broker.
fn serves(cmdline: &Path) -> Option<ServeArgs> {
    let bytes = std::fs::read(cmdline).ok()?;
    let words = bytes.strip_suffix(&[0]).unwrap_or(&bytes).split(|byte| *byte == 0);
    match parse(words.map(|word| OsString::from_vec(word.to_vec()))) {
        Ok(Command::Serve(args)) => Some(args),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Meant, serves, zookeeper_listener};
    use std::net::TcpStream;
    use std::os::unix::fs::symlink;

    #[test]
    fn brokers_are_told_apart_by_number_and_roles() {
        let process = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(process.path().join(name), text).unwrap();
        symlink(process.path(), process.path().join("cwd")).unwrap();
        write("server.properties", "node.id=2\nprocess.roles=broker,controller\n");
        write(
            "controller.properties",
            "node.id=3\nprocess.roles=controller\ncontroller.quorum.voters=3@a:1\n",
        );
        for (cmdline, environ, node, roles) in [
            ("milena\0server.properties\0", "A=b\0", 2, "controller,broker"),
            ("milena\0server.properties\0--override\0node.id=4\0", "", 4, "broker,controller"),
            ("kafka-server-start\0controller.properties\0", "", 3, "controller"),
            ("milena\0compat\0serve\0", "KAFKA_NODE_ID=5\0X\0", 5, "broker,controller"),
            ("milena\0serve\0", "NODE_ID=5\0", 1, "broker,controller"),
        ] {
            write("cmdline", cmdline);
            write("environ", environ);
            let args = serves(&process.path().join("cmdline")).expect(cmdline);
            let is = |node, roles| Meant { node, roles }.is(&args, process.path());
            let found = [
                is(None, None),
                is(Some(node), None),
                is(Some(node), Some("nobody")),
                is(None, Some(roles)),
                is(Some(node + 1), None),
                is(Some(node + 1), Some(roles)),
                is(None, Some("broker")),
            ];
            assert_eq!(found, [true, true, true, true, false, false, false], "{cmdline}");
        }
        write("cmdline", "milena\0topic\0list\0");
        assert!(serves(&process.path().join("cmdline")).is_none());
    }

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

//! A broker under test: started on a folder of its own, stopped, killed and started again.

use crate::process::{self, Usage};
use crate::raw::Connection;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The line by which every start is known to be over.
pub const READY: &str = "Kafka Server started";

/// How long a start or a stop may take before the test gives up; a broker takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// What tests set unless they say otherwise: groups form at once, sessions may be short, and records with a timestamp of
/// long ago stay.
const DEFAULTS: [(&str, &str); 3] = [
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1000"),
    ("log.retention.ms", "-1"),
];

/// A broker that a test talks to; the process ends with it.
#[derive(Debug)]
pub struct Broker {
    process: Option<Process>,
    options: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    port: u16,
    address: String,
    directory: Option<TempDir>,
}

impl Broker {
    /// A broker for a test that only talks to it: the one that `MILENA_TEST_BROKER` names, or one of its own.
    #[must_use]
    pub fn any() -> Self {
        match env::var("MILENA_TEST_BROKER") {
            Ok(address) => Self {
                process: None,
                options: Vec::new(),
                environment: Vec::new(),
                port: 0,
                address,
                directory: None,
            },
            Err(_) => Self::start(&[]),
        }
    }

    /// A broker that the test may configure, stop and kill; `None`, said aloud, if an external one was given.
    #[must_use]
    pub fn own(options: &[(&str, &str)]) -> Option<Self> {
        if env::var_os("MILENA_TEST_BROKER").is_some() {
            skipped("it starts and stops its own broker, and MILENA_TEST_BROKER names an external one");
            return None;
        }
        Some(Self::start(options))
    }

    /// Like [`Self::own`], for a test of what is milena's alone (its memory, its words, its speed).
    #[must_use]
    pub fn milena(options: &[(&str, &str)]) -> Option<Self> {
        if env::var_os("MILENA_TEST_SERVER").is_some() {
            skipped("it tests what is milena's alone, and MILENA_TEST_SERVER names another broker");
            return None;
        }
        Self::own(options)
    }

    /// Like [`Self::milena`], with variables in its environment.
    #[must_use]
    pub fn milena_with(environment: &[(&str, &str)], options: &[(&str, &str)]) -> Option<Self> {
        // As those without say it aloud.
        let external =
            ["MILENA_TEST_SERVER", "MILENA_TEST_BROKER"].iter().any(|key| env::var_os(key).is_some());
        if external {
            return Self::milena(options);
        }
        Some(Self::start_with(tempfile::tempdir().expect("a temporary folder"), options, environment))
    }

    /// Starts a broker on a folder of its own.
    fn start(options: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), options)
    }

    /// Starts a broker on `directory`, which goes when the broker does.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_in(directory: TempDir, options: &[(&str, &str)]) -> Self {
        Self::start_with(directory, options, &[])
    }

    fn start_with(directory: TempDir, options: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut all: Vec<(String, String)> = Vec::new();
        for (key, value) in DEFAULTS.iter().chain(options) {
            all.retain(|(known, _)| known != key);
            all.push(((*key).to_owned(), (*value).to_owned()));
        }
        let mut broker = Self {
            process: None,
            options: all,
            environment: environment.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            port,
            address: format!("127.0.0.1:{port}"),
            directory: Some(directory),
        };
        broker.launch();
        broker
    }

    /// Starts a stopped broker again, on the same folder and port.
    ///
    /// # Panics
    /// If it runs, is external, or does not start.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "the broker runs");
        let mut command = command(self.directory(), self.port, &self.options);
        let process = Process::spawn(command.envs(self.environment.iter().cloned()));
        process.wait_for_line(READY);
        self.process = Some(process);
    }

    /// `host:port` for clients.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its data directory.
    ///
    /// # Panics
    /// If the broker is external.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.as_ref().expect("a broker of one's own").path()
    }

    /// A new connection to it.
    #[must_use]
    pub fn connect(&self) -> Connection {
        Connection::open(&self.address)
    }

    /// Memory and handles, or `None` if the broker is external.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        process::usage(self.pid()?)
    }

    /// Its process id, or `None` if the broker is external.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether these are the kernel's figures of milena itself, which tests may hold to its promises.
    #[must_use]
    pub fn is_milena(&self) -> bool {
        self.process.is_some() && env::var_os("MILENA_TEST_SERVER").is_none()
    }

    /// Ends it as an operator does: SIGTERM. How it exited, and after how long.
    ///
    /// # Panics
    /// If it does not run.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        self.process.take().expect("a running broker").end(Signal::SIGTERM)
    }

    /// Ends it as a power cut of the process does: SIGKILL.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let _ended = self.process.take().expect("a running broker").end(Signal::SIGKILL);
    }

    /// The lines that it has printed since it was started.
    #[must_use]
    pub fn output(&self) -> Vec<String> {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }
}

/// Says aloud that a test was skipped and why.
pub fn skipped(reason: &str) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    // Not eprintln!, which the test harness keeps to itself while a test passes.
    let _ = writeln!(io::stderr(), "SKIPPED {name}: {reason}");
}

/// A name that no other test of this or another run uses.
#[must_use]
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A port that nobody listens on, below the range that the kernel gives to clients, so that none of them takes it.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..10_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 97;
        let port = 12_000 + u16::try_from(step % 9_000).unwrap_or(0);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 12000 and 21000");
}

/// The command line that runs a broker on `directory` and `port`.
#[must_use]
pub fn command(directory: &Path, port: u16, options: &[(String, String)]) -> Command {
    if let Ok(script) = env::var("MILENA_TEST_SERVER") {
        let mut command = Command::new(script);
        command.arg(directory).arg(port.to_string());
        command.args(options.iter().map(|(key, value)| format!("{key}={value}")));
        return command;
    }
    let mut command = Command::new(binary());
    command.arg("--override").arg(format!("listeners=PLAINTEXT://127.0.0.1:{port}"));
    command.arg("--override").arg(format!("log.dirs={}", directory.display()));
    for (key, value) in options {
        command.arg("--override").arg(format!("{key}={value}"));
    }
    command
}

/// The broker's binary, up to date: what `MILENA_BINARY` names, or the one beside this program, built by cargo first.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("MILENA_BINARY") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// Builds the binary into the folder that this program was built into; cargo does nothing where nothing changed.
fn build() -> PathBuf {
    let program = env::current_exe().expect("the path of this program");
    let profile = program
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "debug" || name == "release"))
        .expect("this program lies in target/debug or target/release");
    let binary = profile.join("milena");
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let Some(root) = manifest.as_deref().or(Some(profile)).and_then(workspace_above) else {
        assert!(binary.exists(), "{} is missing, and so is the workspace to build it from", binary.display());
        return binary;
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // All binaries rather than `-p milena`: so the features of the dependencies are those of `cargo test`, and nothing
    // is compiled twice.
    cargo.args(["build", "--quiet", "--bins"]).current_dir(root);
    cargo.env("CARGO_TARGET_DIR", profile.parent().expect("a target folder"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "cargo could not build the broker");
    binary
}

fn workspace_above(start: &Path) -> Option<&Path> {
    start.ancestors().find(|folder| folder.join("Cargo.lock").exists())
}

/// What a process printed so far, line by line, and whether it may print more.
#[derive(Debug, Default)]
struct Output {
    lines: Vec<String>,
    readers: usize,
}

/// A child process whose output is collected.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<(Mutex<Output>, Condvar)>,
}

impl Process {
    /// Runs `command`.
    ///
    /// # Panics
    /// If it cannot be run at all.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = Arc::new((Mutex::new(Output { lines: Vec::new(), readers: 2 }), Condvar::new()));
        collect(child.stdout.take().expect("a pipe"), Arc::clone(&output));
        collect(child.stderr.take().expect("a pipe"), Arc::clone(&output));
        Self { child, output }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it prints a line with `text`.
    ///
    /// # Panics
    /// If it ends before, or takes too long.
    pub fn wait_for_line(&self, text: &str) {
        let (lock, changed) = &*self.output;
        let guard = lock.lock().expect("no reader panics");
        let (guard, timeout) = changed
            .wait_timeout_while(guard, PATIENCE, |output| {
                output.readers > 0 && !output.lines.iter().any(|line| line.contains(text))
            })
            .expect("no reader panics");
        let found = guard.lines.iter().any(|line| line.contains(text));
        let why = if timeout.timed_out() { "in time" } else { "before it ended" };
        assert!(found, "the broker did not print '{text}' {why}; it printed:\n{}", guard.lines.join("\n"));
    }

    /// The lines printed so far on both streams.
    #[must_use]
    pub fn output(&self) -> Vec<String> {
        self.output.0.lock().expect("no reader panics").lines.clone()
    }

    /// Waits until it ends by itself: how, and every line it printed.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        {
            let (lock, changed) = &*self.output;
            let guard = lock.lock().expect("no reader panics");
            let (guard, _) = changed
                .wait_timeout_while(guard, PATIENCE, |output| output.readers > 0)
                .expect("no reader panics");
            assert_eq!(guard.readers, 0, "it still runs; it printed:\n{}", guard.lines.join("\n"));
        }
        let status = self.child.wait().expect("a child can be waited for");
        (status, self.output())
    }

    /// Sends `signal` and waits for the end: how it exited, and after how long.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn end(self, signal: Signal) -> (ExitStatus, Duration) {
        let sent = Instant::now();
        kill(self.nix_pid(), signal).expect("the process runs");
        let (status, _) = self.wait();
        (status, sent.elapsed())
    }

    /// Sends SIGKILL: every line that it had printed by then.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn kill(self) -> Vec<String> {
        kill(self.nix_pid(), Signal::SIGKILL).expect("the process runs");
        self.wait().1
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }
}

impl Drop for Process {
    /// A panic of the broker is a defect, even where it goes on and a client sees no more than a closed connection.
    fn drop(&mut self) {
        let runs = matches!(self.child.try_wait(), Ok(None));
        if runs {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            if runs {
                eprintln!("the broker's last lines:");
                self.output().iter().rev().take(30).rev().for_each(|line| eprintln!("  {line}"));
            }
            return;
        }
        let (lock, changed) = &*self.output;
        let guard = lock.lock().expect("no reader panics");
        let all = changed.wait_timeout_while(guard, PATIENCE, |output| output.readers > 0);
        let (output, _) = all.expect("no reader panics");
        let panics: Vec<&str> =
            output.lines.iter().map(String::as_str).filter(|line| line.contains("panicked at")).collect();
        assert!(panics.is_empty(), "the broker has a defect: {panics:#?}");
    }
}

/// Reads lines until the stream ends, and tells whoever waits.
fn collect(stream: impl Read + Send + 'static, output: Arc<(Mutex<Output>, Condvar)>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            output
                .0
                .lock()
                .expect("no waiter panics")
                .lines
                .push(String::from_utf8_lossy(&line).into_owned());
            output.1.notify_all();
        }
        output.0.lock().expect("no waiter panics").readers -= 1;
        output.1.notify_all();
    });
}

#[cfg(test)]
mod tests {
    use super::Process;
    use std::process::Command;

    #[test]
    #[should_panic(expected = "the broker has a defect")]
    fn a_panic_that_the_broker_survives_fails_the_test() {
        let said = "thread 'tokio-rt-worker' panicked at broker/src/api.rs:1:1:";
        let broker =
            Process::spawn(Command::new("sh").args(["-c", &format!("echo \"{said}\" >&2; exec sleep 60")]));
        broker.wait_for_line("panicked");
    }
}

//! The brokers that are measured: how they are started, and what the kernel says of them.

use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use milena_integration_tests::broker::{Process, READY, binary, free_port};
use milena_integration_tests::process::{Usage, cpu_seconds, usage};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::records::{Batch, now_ms};
use milena_integration_tests::requests::{CREATE_TOPICS, PRODUCE, create_topic, name, produce};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A broker that can be started.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// Its column.
    pub(super) name: String,
    /// `COMMAND DIR PORT [key=value..]`; none for milena's binary.
    script: Option<String>,
}

impl Kind {
    /// The binary of this workspace.
    pub(super) fn milena() -> Self {
        // Built before any clock runs.
        assert!(binary().exists(), "{} is missing", binary().display());
        Self { name: "milena".to_owned(), script: None }
    }

    /// Apache Kafka, by a command that runs it.
    pub(super) fn kafka(script: String) -> Self {
        Self { name: "Apache Kafka".to_owned(), script: Some(script) }
    }

    /// Whether it is Apache Kafka.
    pub(super) fn is_kafka(&self) -> bool {
        self.script.is_some()
    }

    /// Bytes of the executable, where there is one.
    pub(super) fn binary_size(&self) -> Option<u64> {
        if self.script.is_some() { None } else { std::fs::metadata(binary()).ok().map(|file| file.len()) }
    }

    fn command(&self, folder: &Path, port: u16, settings: &[(&str, &str)]) -> Command {
        let settings = settings.iter().map(|(key, value)| format!("{key}={value}"));
        if let Some(script) = &self.script {
            let mut command = Command::new(script);
            command.arg(folder).arg(port.to_string()).args(settings);
            return command;
        }
        let mut command = Command::new(binary());
        command.arg("--override").arg(format!("listeners=PLAINTEXT://127.0.0.1:{port}"));
        command.arg("--override").arg(format!("log.dirs={}", folder.display()));
        settings.for_each(|setting| {
            command.arg("--override").arg(setting);
        });
        command
    }
}

/// Whether there is a Java to run Kafka with.
pub(super) fn has_java() -> bool {
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new("java").arg("-version")).is_ok_and(|status| status.success())
}

/// A running broker on a folder of its own.
pub(super) struct Server {
    process: Process,
    folder: TempDir,
    /// `host:port`.
    pub(super) address: String,
}

impl Server {
    /// Starts one on a fresh folder and waits until it says that it is ready.
    pub(super) fn start(kind: &Kind) -> Self {
        Self::start_with(kind, &[])
    }

    /// As [`start`](Self::start), with these settings.
    pub(super) fn start_with(kind: &Kind, settings: &[(&str, &str)]) -> Self {
        let server = Self::spawn(kind, None, settings);
        server.process.wait_for_line(READY);
        server
    }

    /// Starts one and asks until a first record is acknowledged: how long that took, from before the process was made.
    pub(super) fn start_timed(kind: &Kind, folder: Option<TempDir>) -> (Self, Duration) {
        let topic = CreatableTopic::default()
            .with_name(name("first"))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let create = CreateTopicsRequest::default().with_timeout_ms(10_000).with_topics(vec![topic]);
        let record =
            produce("first", 0, 1, Batch { base_timestamp: now_ms(), ..Batch::of(["first"]) }.encode());
        Self::start_until(kind, folder, &[], |connection| {
            // Created, or there from the last start.
            let known = matches!(connection.call(CREATE_TOPICS, &create).topics[0].error_code, 0 | 36);
            known && {
                let answer = connection.call(PRODUCE, &record);
                answer.responses[0].partition_responses[0].error_code == 0
            }
        })
    }

    /// Starts one and asks until it is as it should be: how long that took, from before the process was made.
    pub(super) fn start_until(
        kind: &Kind,
        folder: Option<TempDir>,
        settings: &[(&str, &str)],
        mut is_as_it_should_be: impl FnMut(&mut Connection) -> bool,
    ) -> (Self, Duration) {
        let started = Instant::now();
        let server = Self::spawn(kind, folder, settings);
        let mut connection = loop {
            match Connection::try_open(&server.address) {
                Ok(connection) => break connection,
                Err(_) => thread::sleep(Duration::from_micros(500)),
            }
        };
        while !is_as_it_should_be(&mut connection) {
            assert!(started.elapsed() < Duration::from_secs(120), "what is waited for did not come");
            thread::sleep(Duration::from_micros(500));
        }
        (server, started.elapsed())
    }

    fn spawn(kind: &Kind, folder: Option<TempDir>, settings: &[(&str, &str)]) -> Self {
        let folder = folder.unwrap_or_else(|| tempfile::tempdir().expect("a temporary folder"));
        let port = free_port();
        let process = Process::spawn(&mut kind.command(folder.path(), port, settings));
        Self { process, folder, address: format!("127.0.0.1:{port}") }
    }

    /// Creates topics and puts a record into every partition.
    pub(super) fn fill(&self, topics: u64, partitions: i32) {
        let mut connection = Connection::open(&self.address);
        for number in 0..topics {
            let topic = format!("topic-{number}");
            create_topic(&mut connection, &topic, partitions, &[]);
            for partition in 0..partitions {
                let batch = Batch { base_timestamp: now_ms(), ..Batch::of(["one"]) };
                connection.call(PRODUCE, &produce(&topic, partition, 1, batch.encode()));
            }
        }
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where its data lies.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Memory and threads now.
    pub(super) fn usage(&self) -> Usage {
        usage(self.process.pid()).unwrap_or_default()
    }

    /// Processor seconds so far.
    pub(super) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.process.pid())
    }

    /// Gives it time to put away what it needed for the last load.
    pub(super) fn settle(&self) {
        thread::sleep(Duration::from_secs(2));
    }

    /// Stops it by SIGTERM: how long that took. Its folder goes.
    pub(super) fn stop(self) -> Duration {
        self.process.end(Signal::SIGTERM).1
    }

    /// Stops it and keeps its folder.
    pub(super) fn stop_and_keep(self, signal: Signal) -> TempDir {
        self.stop_timed(signal).0
    }

    /// Stops it and keeps its folder; how long that took.
    pub(super) fn stop_timed(self, signal: Signal) -> (TempDir, Duration) {
        let took = self.process.end(signal).1;
        (self.folder, took)
    }
}

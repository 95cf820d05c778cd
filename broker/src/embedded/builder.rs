//! What an embedded broker is started with.

use super::{Broker, EphemeralDir, Error, Plan, Thread, Topic, launch};
use crate::broker::Broker as Engine;
use crate::config::{BrokerConfig, Origin, RawConfig};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Keys that the builder sets itself, and with what.
const RESERVED: [(&str, &str); 4] = [
    ("listeners", "port"),
    ("advertised.listeners", "port"),
    ("log.dirs", "data_dir"),
    ("log.dir", "data_dir"),
];

/// Enough for a test; a request stays on its thread.
const WORKER_THREADS: usize = 2;

/// A broker that is still to be started.
#[derive(Clone, Debug)]
pub struct Builder {
    port: u16,
    data_dir: Option<PathBuf>,
    topics: Vec<Topic>,
    config: Vec<(String, String)>,
    worker_threads: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            port: 0,
            data_dir: None,
            topics: Vec::new(),
            config: Vec::new(),
            worker_threads: WORKER_THREADS,
        }
    }
}

impl Builder {
    /// Keeps the data in a temporary directory that goes with the broker: the default, said aloud.
    #[must_use]
    pub fn ephemeral(mut self) -> Self {
        self.data_dir = None;
        self
    }

    /// Keeps the data in this directory, made if it is not there, and leaves it there.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Listens on this port of 127.0.0.1; 0, the default, takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// A topic that is there when the broker has started. In a directory that has one of this name it stays as it is.
    #[must_use]
    pub fn topic(self, name: impl Into<String>, partitions: i32) -> Self {
        self.topic_with(Topic::new(name, partitions))
    }

    /// As [`Builder::topic`], for a topic with settings of its own.
    #[must_use]
    pub fn topic_with(mut self, topic: Topic) -> Self {
        self.topics.push(topic);
        self
    }

    /// Sets a key of `server.properties`; the last value of a key counts.
    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// How many threads serve requests, at least one; two by default.
    #[must_use]
    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.worker_threads = threads.max(1);
        self
    }

    /// Starts the broker, under any executor. It serves when this returns. Dropping the future ends what was begun, and
    /// waits for that.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running or lying around then.
    pub async fn start(self) -> Result<Broker, Error> {
        let (thread, handle, answer) = launch(self.plan()?)?;
        let engine = answer.await.unwrap_or(Err(Error::Ended))?;
        Ok(broker(thread, handle, &engine))
    }

    /// As [`Builder::start`], for programs without an executor.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running or lying around then.
    ///
    /// # Panics
    /// In a task of a tokio runtime, which must not block.
    pub fn start_blocking(self) -> Result<Broker, Error> {
        let (thread, handle, answer) = launch(self.plan()?)?;
        let engine = answer.blocking_recv().unwrap_or(Err(Error::Ended))?;
        Ok(broker(thread, handle, &engine))
    }

    fn plan(self) -> Result<Plan, Error> {
        let mut written = RawConfig::default();
        let mut set = |key: &str, value: &str| written.set(key, value, Origin::Program);
        for (key, value) in &self.config {
            let key = key.trim();
            if let Some((_, method)) = RESERVED.iter().find(|(reserved, _)| *reserved == key) {
                return Err(Error::Reserved { key: key.to_owned(), method });
            }
            set(key, value);
        }
        set("listeners", &format!("PLAINTEXT://127.0.0.1:{}", self.port));
        let (dir, ephemeral) = match self.data_dir {
            // As `log.dir` it would name several.
            Some(path) if path.to_str().is_none_or(|path| path.contains(',')) => {
                let source = io::Error::new(io::ErrorKind::InvalidInput, "it has a comma, or is not UTF-8");
                return Err(Error::Directory { path, source });
            }
            Some(dir) => (dir, None),
            None => {
                let ephemeral = EphemeralDir::new()?;
                (ephemeral.path().to_owned(), Some(ephemeral))
            }
        };
        let mut config = BrokerConfig::new(written, &dir)?;
        config.is_ephemeral = ephemeral.is_some();
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Plan { config, topics: self.topics, worker_threads: self.worker_threads, ephemeral })
    }
}

fn broker(thread: Thread, handle: Handle, engine: &Arc<Engine>) -> Broker {
    let port = engine.addresses().first().map_or(0, std::net::SocketAddr::port);
    Broker {
        thread,
        engine: Arc::downgrade(engine),
        handle,
        bootstrap_servers: format!("127.0.0.1:{port}"),
        port,
        cluster_id: engine.cluster_id().to_owned(),
        data_dir: engine.config().log.dirs.first().cloned().unwrap_or_default(),
    }
}

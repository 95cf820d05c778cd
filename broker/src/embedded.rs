//! A broker inside another program: for tests, for tools, for programs that want a queue of their own.
//!
//! [`Broker`] brings its own threads, so it works in any test harness and under any executor. Several live in one process
//! without knowing of each other: nothing here is configured by the environment, installs a signal handler, a logger or an
//! allocator, or changes a limit of the process. What it has to say goes to [`tracing`]. It listens on 127.0.0.1 alone.
//!
//! ```
//! # fn main() -> Result<(), milena::embedded::Error> {
//! let broker = milena::Broker::builder().topic("orders", 3).start_blocking()?;
//! let servers = broker.bootstrap_servers(); // for the `bootstrap.servers` of any Kafka client
//! assert_eq!(servers, format!("127.0.0.1:{}", broker.port()));
//! drop(broker); // stops it and removes its directory
//! # Ok(())
//! # }
//! ```
//!
//! The process's allocator is used. With one that touches memory as it is reserved, a hostile frame can be expensive:
//! the `milena` binary brings one that does not.

mod builder;
mod ephemeral;
mod topic;

pub use builder::Builder;
pub use ephemeral::EphemeralDir;
pub use topic::{Topic, TopicError};

use crate::broker::{Broker as Engine, StartError};
use crate::config::{BrokerConfig, ConfigError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long work that was moved aside (reads of cold ranges, a pass of compaction) may go on when all else has ended.
const LEFTOVERS: Duration = Duration::from_secs(2);

/// Why a broker did not start, or a topic was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot be right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A setting that has a method of [`Builder`].
    #[error("{key} cannot be set here: use Builder::{method}")]
    Reserved {
        /// The key.
        key: String,
        /// What to use in its place.
        method: &'static str,
    },
    /// A data directory, or the port.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The temporary directory cannot be made.
    #[error("cannot create {}: {source}", path.display())]
    Directory {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The threads cannot be started.
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
    /// The broker's threads are gone; the panic that ended them was printed.
    #[error("the broker has ended")]
    Ended,
}

/// A running broker with threads of its own.
///
/// Dropping it stops it as [`Broker::stop`] does, and waits for that: some milliseconds, up to a second while clients
/// have requests in flight. A process that ends without dropping it (`std::process::exit`) leaves the temporary
/// directory behind, and otherwise what `kill -9` leaves: nothing that was acknowledged is lost.
#[derive(Debug)]
pub struct Broker {
    thread: Thread,
    /// Weak, so that its files are closed before the thread removes their directory.
    engine: Weak<Engine>,
    handle: Handle,
    bootstrap_servers: String,
    port: u16,
    cluster_id: String,
    data_dir: PathBuf,
}

impl Broker {
    /// A broker that is still to be started: on a free port and a temporary directory, unless it is told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `127.0.0.1:PORT`, for `bootstrap.servers` of clients.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Id of the cluster, as clients see it.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Where the data is.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Makes a topic, or leaves it as it is if there is one of that name. Clients can use it when this returns.
    ///
    /// # Errors
    /// [`Error::Topic`], and [`Error::Ended`].
    pub async fn create_topic(&self, topic: Topic) -> Result<(), Error> {
        self.creation(topic).await.unwrap_or(Err(Error::Ended))
    }

    /// As [`Broker::create_topic`], for programs without an executor.
    ///
    /// # Errors
    /// [`Error::Topic`], and [`Error::Ended`].
    ///
    /// # Panics
    /// In a task of a tokio runtime, which must not block.
    pub fn create_topic_blocking(&self, topic: Topic) -> Result<(), Error> {
        self.creation(topic).blocking_recv().unwrap_or(Err(Error::Ended))
    }

    /// Stops it: answers what is in flight, closes the logs, and removes the directory if it is a temporary one.
    pub async fn stop(mut self) {
        self.thread.stop = None;
        if let Some(ended) = self.thread.ended.take() {
            // An error says that the thread is gone, which is what is waited for.
            let _ = ended.await;
        }
    }

    fn creation(&self, topic: Topic) -> oneshot::Receiver<Result<(), Error>> {
        let (answer, answered) = oneshot::channel();
        if let Some(engine) = self.engine.upgrade() {
            self.handle.spawn(async move {
                let _ = answer.send(engine.create_topics(&[topic]).map_err(Error::Topic));
            });
        }
        answered
    }
}

/// The thread that owns runtime and broker. Dropping this ends it and waits for it.
#[derive(Debug)]
struct Thread {
    /// Dropped to end the broker.
    stop: Option<oneshot::Sender<()>>,
    /// Says when all is done.
    ended: Option<oneshot::Receiver<()>>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

/// What the thread of a broker is started with.
#[derive(Debug)]
struct Plan {
    config: BrokerConfig,
    topics: Vec<Topic>,
    worker_threads: usize,
    /// Removed when the broker has ended, or has not started.
    ephemeral: Option<EphemeralDir>,
}

/// What became of a start.
type Outcome = Result<Arc<Engine>, Error>;

/// Starts the thread. The answer comes when the broker serves, or will not.
fn launch(plan: Plan) -> Result<(Thread, Handle, oneshot::Receiver<Outcome>), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(plan.worker_threads)
        .thread_name("milena-worker")
        .enable_all()
        .build()
        .map_err(Error::Threads)?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    let (ended, watched) = oneshot::channel();
    let (started, answer) = oneshot::channel();
    let thread = std::thread::Builder::new().name("milena".into()).spawn(move || {
        let Plan { config, topics, ephemeral, .. } = plan;
        runtime.block_on(serve(config, topics, started, stopped));
        runtime.shutdown_timeout(LEFTOVERS);
        drop(ephemeral);
        let _ = ended.send(());
    });
    let thread =
        Thread { stop: Some(stop), ended: Some(watched), handle: Some(thread.map_err(Error::Threads)?) };
    Ok((thread, handle, answer))
}

async fn serve(
    config: BrokerConfig,
    topics: Vec<Topic>,
    started: oneshot::Sender<Outcome>,
    stopped: oneshot::Receiver<()>,
) {
    let engine = match Engine::start(config, &topics).await {
        Ok(engine) => engine,
        Err(error) => {
            let error = match error {
                StartError::Topic(error) => error.into(),
                error => error.into(),
            };
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(engine.clone()));
    // Its sender is dropped, never used.
    let _ = stopped.await;
    engine.stop().await;
}

#[cfg(test)]
mod tests;

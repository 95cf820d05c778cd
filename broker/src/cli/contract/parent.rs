//! Ending with another process.
//!
//! The kernel's own way, `PR_SET_PDEATHSIG`, goes by the *thread* that has started the child, which in a pool of threads
//! ends long before its process. A pidfd goes by the process, and by any process.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use tokio::sync::oneshot;

/// A process that the broker ends with.
#[derive(Debug)]
pub struct Parent(Option<oneshot::Receiver<()>>);

/// Why there is nobody to end with.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// It has ended before.
    #[error("the process of --exit-with-parent has ended already")]
    Gone,
    /// The kernel, or who watches over it, does not allow to.
    #[error("cannot watch process {pid} of --exit-with-parent: {source}")]
    Unwatched {
        /// Its id.
        pid: i32,
        /// What the system said.
        source: io::Error,
    },
}

impl Parent {
    /// One that never ends.
    pub(super) const fn nobody() -> Self {
        Self(None)
    }

    /// Watches the process of this id, or that which has started this one.
    pub(super) fn watch(pid: Option<u32>) -> Result<Self, ParentError> {
        let pid = match pid {
            Some(pid) => i32::try_from(pid).ok().and_then(Pid::from_raw),
            None => getppid(),
        };
        let pid = pid.ok_or(ParentError::Gone)?;
        let unwatched = |source| ParentError::Unwatched { pid: pid.as_raw_nonzero().get(), source };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Err(ParentError::Gone),
            Err(error) => return Err(unwatched(error.into())),
        };
        let (gone, ended) = oneshot::channel();
        // A thread that sleeps in the kernel: to wait for a handle that is no socket, tokio asks for unsafe code.
        let spawned = std::thread::Builder::new().name("parent".into()).spawn(move || wait(&handle, gone));
        spawned.map(|_| Self(Some(ended))).map_err(unwatched)
    }

    /// Waits until it has ended.
    pub async fn ended(self) {
        match self.0 {
            // An error says that the thread is gone, as it is when the process has ended.
            Some(ended) => drop(ended.await),
            None => std::future::pending().await,
        }
    }
}

/// A pidfd becomes readable when its process has ended.
fn wait(handle: &OwnedFd, gone: oneshot::Sender<()>) {
    let mut handles = [PollFd::new(handle, PollFlags::IN)];
    while poll(&mut handles, None) == Err(rustix::io::Errno::INTR) {}
    let _ = gone.send(());
}

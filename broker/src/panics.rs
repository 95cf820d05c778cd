//! What becomes of a panic in the background.
//!
//! A panic is a defect. In a connection it ends that connection. Work that goes on as long as the broker does must not end
//! unnoticed, until the disk is full or no group has a deadline any more: what is done in rounds is done again
//! ([`survive`]), and where nothing can go on the broker ends ([`guard`]).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use tokio::sync::watch;

/// Runs a piece of work; `None` and one line in the log if it panics.
pub(crate) fn survive<T>(what: &str, work: impl FnOnce() -> T) -> Option<T> {
    // Locks are not poisoned, and a published state is always whole: what follows finds it as after an early return.
    let done = catch_unwind(AssertUnwindSafe(work));
    done.inspect_err(|panic| {
        tracing::error!("{}; the broker goes on, please report it", text(what, &**panic))
    })
    .ok()
}

/// Polls work that ends with the broker; a panic in it becomes the reason why the broker cannot go on.
pub(crate) async fn guard(
    what: &'static str,
    failure: watch::Sender<Option<String>>,
    work: impl Future<Output = ()> + Send,
) {
    let mut work = Box::pin(work);
    std::future::poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        polled.unwrap_or_else(|panic| {
            failure.send_replace(Some(format!("{}, please report it", text(what, &*panic))));
            Poll::Ready(())
        })
    })
    .await;
}

fn text(what: &str, panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason was given");
    format!("{what}: a defect of the broker: {text}")
}

#[cfg(test)]
mod tests {
    use super::{guard, survive};
    use tokio::sync::watch;

    #[test]
    fn a_panic_ends_the_piece_and_nothing_else() {
        assert_eq!(survive("a test", || 7), Some(7));
        assert_eq!(survive::<u8>("a test", || panic!("{}", "on purpose")), None);
    }

    #[tokio::test]
    async fn a_panic_in_what_cannot_go_on_is_the_reason_why_the_broker_ends() {
        let failure = watch::Sender::new(None);
        guard("a test", failure.clone(), async { tokio::task::yield_now().await }).await;
        assert_eq!(*failure.borrow(), None);
        let work = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        guard("a test", failure.clone(), work).await;
        let reason = failure.borrow().clone().unwrap();
        assert_eq!(reason, "a test: a defect of the broker: on purpose, please report it");
    }
}

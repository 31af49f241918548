//! What is asked of one session, in one place it can look at for the price of one load.
//!
//! A relay that waited on a channel per cause would poll each of them on every wake-up. Here every
//! cause is a bit of one byte: whoever sets one wakes the session, and the session reads them all at
//! once.

use std::future::poll_fn;
use std::ops::{BitAnd, BitOr, Not};
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

/// A set of causes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flags(u8);

impl Flags {
    /// Nothing is asked.
    pub(crate) const NONE: Self = Self(0);
    /// End now, whatever runs.
    pub(crate) const KILL: Self = Self(1);
    /// The process stops: end as soon as nothing runs. Stays.
    pub(crate) const DRAIN: Self = Self(2);
    /// Another policy or catalog is in force since this was last [taken](Signal::take). Set at the
    /// beginning too: what changed while the session was being made is then noticed at its start.
    pub(crate) const POLICY: Self = Self(4);
    /// Begin nothing new upstream. Goes away with RESUME.
    pub(crate) const PAUSE: Self = Self(8);

    /// One of them is set here.
    pub(crate) fn any(self, of: Self) -> bool {
        self & of != Self::NONE
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Flags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Flags {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

/// One session's flags. Any task may raise them; one task, the session's, waits for them.
pub(crate) struct Signal {
    flags: AtomicU8,
    waker: AtomicWaker,
}

impl Signal {
    pub(super) fn new(flags: Flags) -> Self {
        Self {
            flags: AtomicU8::new(flags.0),
            waker: AtomicWaker::new(),
        }
    }

    /// What is set now: one load.
    pub(crate) fn now(&self) -> Flags {
        Flags(self.flags.load(Ordering::SeqCst))
    }

    /// What is set now; the task is woken when that changes.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Flags {
        // In this order: what is raised in between is seen, or wakes.
        self.waker.register(cx.waker());
        self.now()
    }

    /// Waits until one of these is set, and says what is.
    pub(crate) async fn any(&self, of: Flags) -> Flags {
        self.until(|flags| flags.any(of)).await
    }

    /// Waits until none of these is set.
    pub(crate) async fn none(&self, of: Flags) {
        self.until(|flags| !flags.any(of)).await;
    }

    async fn until(&self, holds: impl Fn(Flags) -> bool) -> Flags {
        poll_fn(|cx| {
            let flags = self.poll(cx);
            if holds(flags) {
                Poll::Ready(flags)
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Clears what is dealt with once and for all, [`Flags::POLICY`] that is; says what of it was
    /// set.
    pub(crate) fn take(&self, what: Flags) -> Flags {
        Flags(self.flags.fetch_and((!what).0, Ordering::SeqCst)) & what
    }

    pub(super) fn raise(&self, what: Flags) {
        let before = Flags(self.flags.fetch_or(what.0, Ordering::SeqCst));
        if before & what != what {
            self.waker.wake();
        }
    }

    pub(super) fn lower(&self, what: Flags) {
        if self.take(what) != Flags::NONE {
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::{Flags, Signal};

    #[tokio::test]
    async fn a_flag_wakes_whoever_waits_for_it_and_no_other() {
        let signal = Signal::new(Flags::NONE);
        let mut waiting = Box::pin(signal.any(Flags::KILL | Flags::DRAIN));
        assert!(poll!(waiting.as_mut()).is_pending());
        signal.raise(Flags::PAUSE);
        assert!(poll!(waiting.as_mut()).is_pending());
        signal.raise(Flags::DRAIN);
        assert!(waiting.await.any(Flags::DRAIN));
        signal.lower(Flags::PAUSE);
        assert_eq!(signal.now(), Flags::DRAIN);
    }

    #[tokio::test]
    async fn raising_wakes_another_task() {
        let signal = std::sync::Arc::new(Signal::new(Flags::PAUSE));
        let held = std::sync::Arc::clone(&signal);
        let waiting = tokio::spawn(async move { held.none(Flags::PAUSE).await });
        tokio::task::yield_now().await;
        signal.lower(Flags::PAUSE);
        waiting.await.unwrap();
    }

    #[test]
    fn a_flag_is_taken_once() {
        let signal = Signal::new(Flags::POLICY);
        assert_eq!(signal.take(Flags::POLICY), Flags::POLICY);
        assert_eq!(signal.take(Flags::POLICY), Flags::NONE);
    }
}

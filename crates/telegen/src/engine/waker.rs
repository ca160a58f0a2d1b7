//! Threads that wait for the kernel and for each other at once.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// A bounded channel whose reader can wait for a descriptor as well.
pub(crate) fn channel<T>(capacity: usize) -> io::Result<(Sender<T>, Inbox<T>)> {
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (sender, receiver) = sync_channel(capacity);
    Ok((Sender { sender: Some(sender), wake: wake.clone() }, Inbox { receiver, wake }))
}

/// The sending end; waits while the channel is full. The reader is woken when the last one is dropped.
pub(crate) struct Sender<T> {
    /// `None` only while being dropped.
    sender: Option<SyncSender<T>>,
    wake: Arc<OwnedFd>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), wake: self.wake.clone() }
    }
}

impl<T> Sender<T> {
    /// Sends, unless the reader is gone.
    pub(crate) fn send(&self, message: T) -> Result<(), SendError<T>> {
        match &self.sender {
            Some(sender) => sender.send(message)?,
            None => return Err(SendError(message)),
        }
        self.wake();
        Ok(())
    }

    /// Sends if that needs no waiting; false if not.
    pub(crate) fn offer(&self, message: T) -> bool {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.try_send(message).is_ok());
        if sent {
            self.wake();
        }
        sent
    }

    fn wake(&self) {
        // Fails only if 2^64 - 1 wake-ups are outstanding, when the reader wakes anyhow.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // First let go of the channel, then wake the reader to see it.
        self.sender = None;
        self.wake();
    }
}

/// The reading end.
pub(crate) struct Inbox<T> {
    receiver: Receiver<T>,
    wake: Arc<OwnedFd>,
}

/// What ended a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Woken {
    /// There may be a message.
    pub(crate) message: bool,
    /// The descriptor is readable.
    pub(crate) descriptor: bool,
}

impl<T> Inbox<T> {
    /// Waits for a message, for the descriptor if there is one, or for time to pass.
    pub(crate) fn wait(
        &self,
        descriptor: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> io::Result<Woken> {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(descriptor.as_ref().map(|descriptor| PollFd::new(descriptor, PollFlags::IN)));
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let message = !fds[0].revents().is_empty();
        let descriptor = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if message {
            let mut count = [0; 8];
            // Nothing to read means that somebody was faster, which the caller finds out by an empty channel.
            let _ = rustix::io::read(self.wake.as_fd(), &mut count);
        }
        Ok(Woken { message, descriptor })
    }

    /// A message, if there is one; [`TryRecvError::Disconnected`] when no sender is left.
    pub(crate) fn take(&self) -> Result<T, TryRecvError> {
        self.receiver.try_recv()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_a_wait_and_is_there() {
        let (sender, inbox) = channel(4).unwrap();
        let thread = std::thread::spawn(move || sender.send(7).unwrap());
        let woken = inbox.wait(None, Some(Duration::from_secs(10))).unwrap();
        assert!(woken.message && !woken.descriptor);
        thread.join().unwrap();
        assert_eq!(inbox.take(), Ok(7));
        assert_eq!(inbox.take(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn the_end_of_the_last_sender_ends_a_wait() {
        let (sender, inbox) = channel::<()>(1).unwrap();
        assert!(!inbox.wait(None, Some(Duration::ZERO)).unwrap().message);
        drop(sender);
        assert!(inbox.wait(None, Some(Duration::from_secs(10))).unwrap().message);
        assert!(!inbox.wait(None, Some(Duration::ZERO)).unwrap().message, "once");
    }

    #[test]
    fn a_descriptor_ends_a_wait() {
        let (_sender, inbox) = channel::<()>(1).unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, b"x").unwrap();
        let woken = inbox.wait(Some(reader.as_fd()), None).unwrap();
        assert_eq!(woken, Woken { message: false, descriptor: true });
    }
}

//! How a service says on a descriptor that it is ready (`[ready] fd`): a newline, as under s6.

use crate::store::READY;
use crate::supervisor::{NOTIFICATION, Supervisor};
use service::machine::Event;
use std::os::fd::OwnedFd;

impl Supervisor {
    pub(crate) fn watch_notification(&mut self, reader: Option<OwnedFd>) {
        // Of one that is taken up again init's copy stays.
        if let Some(old) = self.notification.take() {
            let _ = self.poller.remove(&old);
        }
        if let Some(reader) = reader {
            let _ = sys::fd::set_nonblocking(&reader);
            let _ = self.poller.add(&reader, NOTIFICATION);
            self.notification = Some(reader);
        }
    }

    /// A newline means ready, as under s6; the end without one means never. The newline stays in the pipe until
    /// it is on disk that it came.
    pub(crate) fn read_notification(&mut self) {
        let Some(reader) = &self.notification else { return };
        let mut buffer = [0; 256];
        match sys::pipe::peek(reader, &mut buffer) {
            Ok(0) => self.close_notification(),
            Ok(count) if buffer.iter().take(count).any(|byte| *byte == b'\n') => {
                if !std::mem::replace(&mut self.said_ready, true) {
                    self.queue.push_back(Event::Ready);
                }
            }
            Ok(count) => {
                let _ = sys::socket::read(reader, buffer.get_mut(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => self.close_notification(),
        }
    }

    pub(crate) fn close_notification(&mut self) {
        // Of this run: the next one has yet to say so.
        self.said_ready = false;
        if let Some(reader) = self.notification.take() {
            let _ = self.poller.remove(&reader);
            self.let_go(READY);
        }
    }
}

//! What init and clients say, and what becomes of it.

use crate::supervisor::Supervisor;
use service::machine::Event;
use service::status::{State, Want};
use service::wire::Command;

impl Supervisor {
    pub(crate) fn read_channel(&mut self, writable: bool) {
        if writable {
            self.send_report();
        }
        let mut buffer = [0; service::wire::LINE_MAX];
        while let Some(channel) = self.channel.as_ref().filter(|_| !self.inattentive()) {
            match sys::socket::receive(channel, &mut buffer) {
                Ok(Some((length, passed))) => {
                    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                    self.taken += 1;
                    match Command::parse(&text) {
                        Some(Command::Died(pid, status)) => self.adopted_died(pid, status),
                        Some(Command::Connect(end)) => self.pipeline.connect(end, passed),
                        Some(Command::Disconnect) => self.pipeline.disconnect(),
                        Some(command) => {
                            self.answer_at_rest(command);
                            self.command(command);
                        }
                        None => {
                            self.say(&format!(
                                "warning: init says \"{text}\", which is no command (ignored)"
                            ));
                        }
                    }
                }
                Ok(None) => {
                    // Init is gone or another: it will start us anew if it wants us. The service stays.
                    let _ = self.poller.remove(channel);
                    self.channel = None;
                }
                Err(_) => break,
            }
        }
    }

    /// To be told to stop what is down already changes nothing; but init, which may not have heard from the
    /// supervisor before this one that it is down, waits for that.
    fn answer_at_rest(&mut self, command: Command) {
        let stops = matches!(command, Command::Stop | Command::Halt | Command::Exit);
        self.dirty |= stops && self.machine.state() == State::Down;
    }

    pub(crate) fn command_from(&mut self, client: u64, line: &str) {
        let Some(command) = Command::parse(line) else {
            return self.clients.answer(client, &format!("error unknown command \"{line}\"\n"));
        };
        let running = self.machine.pid().is_some();
        match command {
            Command::Status => {
                self.settle();
                let text = self.status().encode();
                self.clients.answer(client, &format!("{text}ok\n"));
            }
            Command::Events => {
                // What others have asked for is done, and on disk, before it is told of.
                self.settle();
                self.clients.subscribe(client);
                let line = self.report_line();
                self.clients.answer(client, &format!("ok\n{line}\n"));
            }
            Command::Died(..) | Command::Connect(_) | Command::Disconnect => {
                self.clients.answer(client, "error only init can say that\n");
            }
            Command::Reexec => self.begin_replacement(Some(client)),
            Command::Reload | Command::Kill(_) | Command::Pause | Command::Continue if !running => {
                self.clients.answer(client, "error not running\n");
            }
            Command::Reload if !self.machine.may_reload() => {
                let what = if self.machine.reloading() { "reloading already" } else { "not ready" };
                self.clients.answer(client, &format!("error {what}\n"));
            }
            Command::Pause if self.machine.state() == State::Stopping => {
                self.clients.answer(client, "error stopping\n");
            }
            Command::Restart if self.machine.want() == Want::Down => {
                self.clients.answer(client, "error not wanted up\n");
            }
            Command::Start
            | Command::Once
            | Command::Stop
            | Command::Restart
            | Command::Reload
            | Command::Kill(_)
            | Command::Pause
            | Command::Continue
            | Command::Halt
            | Command::Exit => {
                self.note_request(client, command);
                self.command(command);
                // Who is told that it was taken relies on that, whatever becomes of us.
                self.handle_queue();
                self.file_for_the_next();
                self.clients.answer(client, "ok\n");
            }
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        if command == Command::Events {
            // Init is another now, and wants to know: once what it has said before is done.
            self.report_pending = true;
            return;
        }
        if command == Command::Reexec {
            return self.begin_replacement(None);
        }
        self.queue.push_back(match command {
            Command::Start => Event::Start,
            Command::Once => Event::Once,
            Command::Stop => Event::Stop,
            Command::Restart => Event::Restart,
            Command::Reload => Event::Reload,
            Command::Kill(signal) => Event::Kill(signal),
            Command::Pause => Event::Pause,
            Command::Continue => Event::Continue,
            Command::Halt => Event::Halt,
            Command::Exit => Event::Exit,
            Command::Died(..)
            | Command::Connect(_)
            | Command::Disconnect
            | Command::Status
            | Command::Events
            | Command::Reexec => return,
        });
    }
}

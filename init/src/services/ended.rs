//! Supervisors that have died, and processes that they leave to init.

use super::RESPAWN_DELAY;
use crate::runtime::Init;
use crate::store::{begins, may_be_repeated};
use service::definition::Kind;
use service::graph::Index;
use service::status::{State, Want};
use service::wire::Command;
use service::{Pid, WaitStatus};

impl Init {
    /// A supervisor has died: it is started again, and takes over what it left behind.
    pub(crate) fn supervisor_ended(&mut self, index: Index, status: WaitStatus) {
        // Its last words may still lie in the channel.
        self.read_channel(index, false);
        let now = sys::clock::now();
        let going_down = self.graph.going_down();
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get_mut(index))
        else {
            return;
        };
        let mut worked = false;
        if let Some(supervisor) = service.supervisor.take() {
            worked = !supervisor.new;
            let _ = self.poller.remove(&supervisor.channel);
            service.closing.push(supervisor.channel);
            // To what is at rest only a start makes a difference.
            let rest = !service.needs_supervisor();
            service.unheard = supervisor.waiting;
            service.unheard.retain(|command| may_be_repeated(command) && (!rest || begins(command)));
        }
        service.awaits = None;
        let name = node.entry.name.clone();
        // A longrun that has ended has one too, so that it can be spoken to.
        let longrun = node.entry.kind == Kind::Longrun;
        let ended = longrun && matches!(service.state, Some(State::Failed | State::Done));
        let signalled = matches!(status, WaitStatus::Signalled { .. });
        service.left_behind |= service.needs_supervisor() && (signalled || service.state.is_some());
        // What is killed with everything else is not started again.
        let last = self.going.as_ref().is_some_and(crate::power::Going::past_services);
        let at_rest = !service.left_behind && !service.needs_supervisor();
        if self.graph.told_to_stop(index) && at_rest && !last {
            // It ended with its service, before it heard of that.
            service.unheard.clear();
            if !node.can_be_undone() {
                return self.graph.report(index, State::Down, Want::Down, false);
            }
            service.resume = true;
            service.restart_at = Some(now);
            return;
        }
        // What a oneshot has done is yet to be undone, when its turn comes.
        let done = at_rest && node.can_be_undone();
        if going_down && (last || !(service.left_behind || done)) {
            service.unheard.clear();
            return self.graph.report(index, State::Down, Want::Down, false);
        }
        if service.needs_supervisor()
            || self.graph.stopping(index)
            || !service.unheard.is_empty()
            || (ended && signalled)
        {
            let soon = service.started.is_some_and(|started| now.since(started) < RESPAWN_DELAY);
            service.restart_at = Some(if soon { now.after(RESPAWN_DELAY) } else { now });
            service.resume = true;
            // One that cannot do its work tries again and again, and is told of once.
            if worked || service.trouble != Some(status) {
                service.trouble = Some(status);
                let text = format!("{name}: its supervisor ended with {status} (starting it again)");
                self.messages.warning(&text);
            }
            return;
        }
        service.unheard.clear();
        service.closing.extend(service.kept.drain(..).map(|(_, descriptor)| descriptor));
        self.forget_if_left(index);
    }

    /// The main process of a service was ours to reap, since the supervisor that started it is gone. The
    /// supervisor that has adopted it, or will, is told.
    pub(crate) fn main_process_ended(&mut self, index: Index, pid: Pid, status: WaitStatus) {
        self.main_reaped(index, status);
        let Some(service) = self.services.get_mut(index) else { return };
        service.main = None;
        self.deaths.note(pid, status);
        let Some(service) = self.services.get_mut(index) else { return };
        if service.has_supervisor() || service.left_behind {
            self.tell(index, Command::Died(pid, status));
        }
    }
}

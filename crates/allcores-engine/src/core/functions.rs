//! Functions, and other values that each worker is sent once: before the first batch that names them.
//!
//! One that is forgotten stays until no unfinished batch, and no other function, needs it.

use super::{Core, Effects, WorkerLink, touch};
use crate::error::EngineError;
use crate::ids::{FnId, IdMap};
use crate::link::Task;
use crate::payload::Payload;
use crate::traffic::Traffic;

/// A value that workers are sent once.
pub(super) struct Function {
    pub(super) payload: Payload,
    pub(super) unfinished: u32,
    pub(super) forgotten: bool,
}

impl Core {
    pub(crate) fn register(&mut self, payload: Payload) -> FnId {
        let id = FnId(self.next_function);
        self.next_function += 1;
        for need in payload.needs() {
            if let Some(needed) = self.functions.get_mut(need) {
                needed.unfinished += 1;
            }
        }
        self.functions.insert(id, Function { payload, unfinished: 0, forgotten: false });
        id
    }

    pub(crate) fn forget(&mut self, id: FnId, fx: &mut Effects) {
        if let Some(function) = self.functions.get_mut(&id) {
            function.forgotten = true;
            self.drop_if_unused(id);
            self.collect_sleepers(fx);
        }
    }

    fn drop_if_unused(&mut self, id: FnId) {
        let unused = self.functions.get(&id).is_some_and(|f| f.forgotten && f.unfinished == 0);
        if !unused {
            return;
        }
        let gone = self.functions.remove(&id);
        self.scheduler.on_function_forgotten(id);
        for (worker, link) in &mut self.links {
            if link.functions.remove(&id) {
                // A peer that has gone needs not forget; the collector sees its end.
                let _gone = link.sender.send_forget(id);
                touch(&mut self.touched, *worker, link);
            }
        }
        if let Some(gone) = gone {
            self.need_no_more(gone.payload.needs().iter());
        }
    }

    /// A batch or a function that needed these has gone.
    pub(super) fn need_no_more<'a>(&mut self, functions: impl Iterator<Item = &'a FnId>) {
        for id in functions {
            if let Some(function) = self.functions.get_mut(id) {
                function.unfinished = function.unfinished.saturating_sub(1);
                if function.forgotten {
                    self.drop_if_unused(*id);
                }
            }
        }
    }
}

/// Sends a batch, after what its worker does not have yet.
pub(super) fn send_over(
    link: &mut WorkerLink,
    task: &Task,
    payload: &Payload,
    functions: &IdMap<FnId, Function>,
    traffic: &mut Traffic,
) -> Result<(), EngineError> {
    for id in payload.needs().iter().chain(&task.function) {
        teach(link, *id, functions, traffic)?;
    }
    count(traffic, link, payload);
    link.sender.send_task(task, payload.cargo())
}

/// Sends a function that the worker does not have, after what that needs itself.
fn teach(
    link: &mut WorkerLink,
    id: FnId,
    functions: &IdMap<FnId, Function>,
    traffic: &mut Traffic,
) -> Result<(), EngineError> {
    let Some(function) = functions.get(&id) else { return Ok(()) };
    if link.functions.contains(&id) {
        return Ok(());
    }
    for need in function.payload.needs() {
        // What is needed was registered before, so this comes to an end.
        teach(link, *need, functions, traffic)?;
    }
    link.sender.send_function(id, function.payload.cargo())?;
    link.functions.insert(id);
    count(traffic, link, &function.payload);
    Ok(())
}

fn count(traffic: &mut Traffic, link: &WorkerLink, payload: &Payload) {
    if link.sender.lends_parcels() {
        traffic.lent(payload);
    } else {
        traffic.written(payload);
    }
}

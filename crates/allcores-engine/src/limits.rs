//! When somebody must look whether an item has run for too long.
//!
//! The collector sleeps until then and no longer. A worker may start a limited batch that it holds at
//! any moment without telling, so while there are any the collector looks as often as the shortest of
//! their limits; while there are none, nothing here is asked.

use crate::care::Terms;

/// What is known of all unfinished batches with a limit.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    unfinished: usize,
    shortest_ns: u64,
    /// The collector is sure to look by then, unless it is awake anyway.
    look_by_ns: Option<u64>,
}

impl Limits {
    /// A batch came.
    pub(crate) fn begin(&mut self, terms: &Terms) {
        if let Some(limit_ns) = terms.limit_ns() {
            let others = if self.unfinished == 0 { u64::MAX } else { self.shortest_ns };
            self.shortest_ns = others.min(limit_ns);
            self.unfinished += 1;
        }
    }

    /// A batch has ended.
    pub(crate) fn end(&mut self, limit_ns: Option<u64>) {
        self.unfinished -= usize::from(limit_ns.is_some());
    }

    /// A batch was sent now: whether the collector must be woken for it.
    pub(crate) fn sent(&mut self, limit_ns: Option<u64>, now_ns: u64) -> bool {
        let Some(limit_ns) = limit_ns else { return false };
        let by_ns = now_ns.saturating_add(limit_ns);
        let too_late = self.look_by_ns.is_none_or(|look_by_ns| look_by_ns > by_ns);
        if too_late {
            self.look_by_ns = Some(by_ns);
        }
        too_late
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        self.unfinished > 0
    }

    /// The collector goes to sleep. What runs will have run for too long at `running_until_ns`. When it
    /// has to look again.
    pub(crate) fn sleep(
        &mut self,
        now_ns: u64,
        running_until_ns: impl Iterator<Item = u64>,
    ) -> u64 {
        let unseen = now_ns.saturating_add(self.shortest_ns);
        let by_ns = running_until_ns.fold(unseen, u64::min);
        self.look_by_ns = Some(by_ns);
        by_ns
    }

    /// The collector goes to sleep, and there are none.
    pub(crate) fn sleep_without(&mut self) {
        self.look_by_ns = None;
    }
}

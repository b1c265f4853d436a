//! Loops over a `range`, and how loops look up.
//!
//! Where a range ends is computed before its first turn, as a number that its counter meets, so that a
//! turn has one comparison whatever the step.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, MemFlagsData, Value as Register, types};

use crate::call::WORD_OFFSET;
use crate::emit::{Emitter, Ended, Loop, Value};
use crate::guard::Guard;
use crate::interval::Interval;
use crate::ir::{Expression, Local, Statement, assigns};
use crate::ranges::{Head, of_range};
use crate::statements::Flow;

impl Emitter<'_, '_> {
    /// Looks whether somebody wants something of this thread; a Ctrl-C ends the item.
    pub(crate) fn poll(&mut self) {
        self.look_up(self.leave);
    }

    /// Looks up once before the first loop, where it leads to every way out.
    ///
    /// The generator computes what a loop doesn't change before the loop, as long as it finds itself
    /// in it; it doesn't any more after a block that only the loop leads to and that doesn't lead
    /// back, as ways out would be. Then a quotient that was computed before the loop is computed anew
    /// each turn.
    pub(crate) fn before_loops(&mut self) {
        if self.anchor.is_none() && self.loops.is_empty() {
            let anchor = self.builder.create_block();
            self.builder.append_block_param(anchor, types::I64);
            self.builder.set_cold_block(anchor);
            self.look_up(anchor);
            self.anchor = Some(anchor);
        }
    }

    /// The way out is given the guard's word.
    fn look_up(&mut self, out: Block) {
        let look = self.builder.create_block();
        let next = self.builder.create_block();
        self.builder.set_cold_block(look);
        // Atomic, or the generator may take the answer of an earlier look.
        let flag =
            self.builder.ins().atomic_load(types::I32, MemFlagsData::trusted(), self.context);
        self.builder.ins().brif(flag, look, &[], next, &[]);
        self.go_on_in(look);
        self.builder.ins().call(self.pause, &[self.context]);
        let flags = MemFlagsData::trusted();
        let word = self.builder.ins().load(types::I64, flags, self.context, WORD_OFFSET);
        self.builder.ins().brif(word, out, &[BlockArg::Value(word)], next, &[]);
        self.go_on_in(next);
    }

    /// `target` is set from a counter that the body can't see, so that it may do with it what it likes.
    pub(crate) fn for_range(
        &mut self,
        target: Local,
        range: &[Expression; 3],
        body: &[Statement],
        otherwise: &[Statement],
    ) -> Flow {
        self.before_loops();
        let mut bounds = Vec::new();
        for bound in range {
            let value = self.expression(bound)?;
            bounds.push((self.int_of(&value), value.range()));
        }
        let [(start, first), (stop, last), (step, by)] = bounds[..] else { return Err(Ended) };
        let head = Head::For(target, of_range([first, last, by]));
        let at_head = self.scope.at_head(&self.ranges, head, body);
        let next = self.builder.declare_var(types::I64);
        self.builder.def_var(next, start);
        let [inside, out] = [(); 2].map(|()| self.builder.create_block());
        let ends = Loop { next: self.builder.create_block(), end: self.builder.create_block() };
        let before = self.bound.clone();
        let (some, limit) = self.limit((start, stop, step), by);
        self.builder.ins().brif(some, inside, &[], out, &[]);
        self.builder.switch_to_block(inside);
        let value = self.builder.use_var(next);
        self.ranges.clone_from(&at_head);
        self.set_local(target, &Value::within(value, of_range([first, last, by])));
        self.within.clear();
        if by.constant().is_some_and(|by| by > 0) {
            self.note_below(target, &range[1]);
            // The length is that of what the variable was before the first turn.
            self.within.retain(|(_, sequence)| *sequence != target && !assigns(body, *sequence));
        }
        let end = self.loop_body(body, ends);
        self.within.clear();
        self.go_on_in(ends.next);
        self.poll();
        let value = self.builder.use_var(next);
        let following = self.builder.ins().iadd(value, step);
        self.builder.def_var(next, following);
        let goes_on = self.builder.ins().icmp(IntCC::NotEqual, following, limit);
        self.builder.ins().brif(goes_on, inside, &[], out, &[]);
        self.builder.seal_block(inside);
        self.bound.clone_from(&before);
        self.ranges = at_head;
        self.go_on_in(out);
        self.after_loop((otherwise, ends), end);
        self.bound = before;
        self.go_on_in(ends.end);
        Ok(())
    }

    /// Has `range(start, stop, step)` any numbers, and what follows the last of them. That may not fit 64
    /// bits; without the others it is met after the last turn and after none before, since less than
    /// `2**64` lie between the first number and the last.
    fn limit(
        &mut self,
        (start, stop, step): (Register, Register, Register),
        by: Interval,
    ) -> (Register, Register) {
        let beyond = match by.constant() {
            Some(1) => Some(IntCC::SignedLessThan),
            Some(-1) => Some(IntCC::SignedGreaterThan),
            _ => None,
        };
        if let Some(beyond) = beyond {
            return (self.builder.ins().icmp(beyond, start, stop), stop);
        }
        if by.contains(0) {
            let is_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, step, 0);
            self.guard(is_zero, Guard::Domain);
        }
        let is_down = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, step, 0);
        let low = self.builder.ins().select(is_down, stop, start);
        let high = self.builder.ins().select(is_down, start, stop);
        let back = self.builder.ins().ineg(step);
        let size = self.builder.ins().select(is_down, back, step);
        let some = self.builder.ins().icmp(IntCC::SignedLessThan, low, high);
        let length = self.builder.ins().isub(high, low);
        let last = self.builder.ins().iadd_imm_s(length, -1);
        let steps = self.builder.ins().udiv(last, size);
        let turns = self.builder.ins().iadd_imm_s(steps, 1);
        let all = self.builder.ins().imul(turns, step);
        (some, self.builder.ins().iadd(start, all))
    }
}

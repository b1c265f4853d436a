//! Loops over a `range`, and how often loops look up.
//!
//! Turns are counted beforehand, and go in *stretches*: within one the code only compares with where
//! the stretch ends. A loop whose turns are brief looks up between stretches of a few hundred turns,
//! any other at each turn. So what runs is asked soon enough, and small loops don't pay for it.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, MemFlagsData, Value as Register, types};

use crate::call::WORD_OFFSET;
use crate::emit::{Emitter, Ended, Loop, Value};
use crate::guard::Guard;
use crate::interval::Interval;
use crate::ir::{Binary, Builtin, Expression, Kind, Local, Statement, Target, assigns};
use crate::ranges::{Head, of_range};
use crate::statements::Flow;

/// Brief turns between one look and the next: some microseconds.
const STRETCH: i64 = 256;

impl Emitter<'_, '_> {
    /// Looks whether somebody wants something of this thread; a Ctrl-C ends the item.
    pub(crate) fn poll(&mut self) {
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
        self.builder.ins().brif(word, self.leave, &[BlockArg::Value(word)], next, &[]);
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
        let mut bounds = Vec::new();
        for bound in range {
            let value = self.expression(bound)?;
            bounds.push((self.int_of(&value), value.range()));
        }
        let [(start, first), (stop, last), (step, by)] = bounds[..] else { return Err(Ended) };
        let head = Head::For(target, of_range([first, last, by]));
        let at_head = self.scope.at_head(&self.ranges, head, body);
        let [next, left, limit] = [(); 3].map(|()| self.builder.declare_var(types::I64));
        let [stretch, inside, out] = [(); 3].map(|()| self.builder.create_block());
        let ends = Loop { next: self.builder.create_block(), end: self.builder.create_block() };
        let before = self.bound.clone();
        let is_brief = body.iter().all(|each| self.is_brief(each));
        let (some, turns) = self.turns((start, stop, step), by);
        self.builder.def_var(next, start);
        self.builder.def_var(left, turns);
        self.builder.ins().brif(some, stretch, &[], out, &[]);
        self.builder.switch_to_block(stretch);
        let (begin, all) = (self.builder.use_var(next), self.builder.use_var(left));
        let mut count = all;
        if is_brief {
            let most = self.constant(STRETCH);
            count = self.builder.ins().umin(all, most);
        }
        let length = self.builder.ins().imul(count, step);
        let end = self.builder.ins().iadd(begin, length);
        self.builder.def_var(limit, end);
        let rest = self.builder.ins().isub(all, count);
        self.builder.def_var(left, rest);
        self.builder.ins().jump(inside, &[]);
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
        if !is_brief {
            self.poll();
        }
        let value = self.builder.use_var(next);
        let following = self.builder.ins().iadd(value, step);
        self.builder.def_var(next, following);
        let limit = self.builder.use_var(limit);
        let goes_on = self.builder.ins().icmp(IntCC::NotEqual, following, limit);
        if is_brief {
            let [between, look] = [(); 2].map(|()| self.builder.create_block());
            self.builder.ins().brif(goes_on, inside, &[], between, &[]);
            self.go_on_in(between);
            let rest = self.builder.use_var(left);
            self.builder.ins().brif(rest, look, &[], out, &[]);
            self.go_on_in(look);
            self.poll();
            self.builder.ins().jump(stretch, &[]);
        } else {
            self.builder.ins().brif(goes_on, inside, &[], out, &[]);
        }
        self.builder.seal_block(inside);
        self.builder.seal_block(stretch);
        self.bound.clone_from(&before);
        self.ranges = at_head;
        self.go_on_in(out);
        self.after_loop((otherwise, ends), end);
        self.bound = before;
        self.go_on_in(ends.end);
        Ok(())
    }

    /// Has `range(start, stop, step)` any numbers, and how many then: less than `2**64`.
    fn turns(
        &mut self,
        (start, stop, step): (Register, Register, Register),
        by: Interval,
    ) -> (Register, Register) {
        match by.constant() {
            Some(1) => {
                let some = self.builder.ins().icmp(IntCC::SignedLessThan, start, stop);
                return (some, self.builder.ins().isub(stop, start));
            }
            Some(-1) => {
                let some = self.builder.ins().icmp(IntCC::SignedGreaterThan, start, stop);
                return (some, self.builder.ins().isub(start, stop));
            }
            _ => {}
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
        (some, self.builder.ins().iadd_imm_s(steps, 1))
    }

    /// Does it take less than some microseconds, whatever the values?
    fn is_brief(&self, statement: &Statement) -> bool {
        let are_brief = |body: &[Statement]| body.iter().all(|each| self.is_brief(each));
        match statement {
            Statement::Assign { target, value } => {
                self.is_brief_target(target) && self.is_brief_value(value)
            }
            Statement::Evaluate(value) | Statement::Return(value) => self.is_brief_value(value),
            Statement::If { test, body, otherwise } => {
                self.is_brief_value(test) && are_brief(body) && are_brief(otherwise)
            }
            Statement::Append { list, value } => {
                self.is_brief_value(list) && self.is_brief_value(value)
            }
            Statement::Break | Statement::Continue | Statement::Leave => true,
            Statement::While { .. } | Statement::ForRange { .. } => false,
        }
    }

    fn is_brief_target(&self, target: &Target) -> bool {
        match target {
            Target::Local(_) => true,
            Target::Tuple(targets) => targets.iter().all(|each| self.is_brief_target(each)),
            Target::Item { list, index } => self.is_brief_value(list) && self.is_brief_value(index),
        }
    }

    fn is_brief_value(&self, value: &Expression) -> bool {
        let is_brief = match &value.kind {
            // These have loops of their own.
            Kind::Call { .. } | Kind::List(_) | Kind::Builtin { builtin: Builtin::Sum, .. } => {
                false
            }
            // So has the product of a list.
            Kind::Binary { operation: Binary::Multiply, .. } => {
                self.scope.kind(value, &self.ranges).is_some_and(|kind| kind.is_number())
            }
            _ => true,
        };
        is_brief && value.operands().into_iter().all(|each| self.is_brief_value(each))
    }
}

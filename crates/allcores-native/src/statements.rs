//! Statements in machine code.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value as Register, types};

use crate::emit::{Emitter, Ended, Loop, Value};
use crate::expressions::elements;
use crate::guard::Guard;
use crate::ir::{Expression, Local, Statement, Target, assigns};
use crate::ranges::{Head, Ranges, join_option, of_range};
use crate::types::Type;

type Flow = Result<(), Ended>;

impl Emitter<'_, '_> {
    /// All of a function's body.
    pub(crate) fn whole_body(&mut self, body: &[Statement]) {
        if self.body(body).is_ok() {
            if self.result == Type::None {
                let word = self.constant(0);
                self.builder.ins().return_(&[word]);
            } else {
                // It gives None here and something else elsewhere.
                self.leave_always(Guard::Type);
            }
        }
        self.write_guards();
    }

    pub(crate) fn body(&mut self, body: &[Statement]) -> Flow {
        body.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Flow {
        match statement {
            Statement::Assign { target, value } => {
                let value = self.expression(value)?;
                self.assign(target, &value)
            }
            Statement::Evaluate(value) => self.expression(value).map(drop),
            Statement::If { test, body, otherwise } => {
                if self.choose(test, body, otherwise)? {
                    return Ok(());
                }
                self.branch(test, body, otherwise)
            }
            Statement::While { test, body, otherwise } => self.while_true(test, body, otherwise),
            Statement::ForRange { target, range, body, otherwise } => {
                self.for_range(*target, range, body, otherwise)
            }
            Statement::Break | Statement::Continue => {
                let Some(innermost) = self.loops.last().copied() else {
                    return Err(self.leave_always(Guard::Type));
                };
                let is_break = matches!(statement, Statement::Break);
                if is_break && let Some(end) = self.ends.last_mut() {
                    join_option(end, &self.ranges);
                }
                let block = if is_break { innermost.end } else { innermost.next };
                self.builder.ins().jump(block, &[]);
                Err(Ended)
            }
            Statement::Return(value) => {
                let value = self.expression(value)?;
                if value.kind != self.result {
                    return Err(self.leave_always(Guard::Type));
                }
                let mut words = vec![self.constant(0)];
                words.extend(value.words);
                self.builder.ins().return_(&words);
                Err(Ended)
            }
            Statement::Leave => Err(self.leave_always(Guard::Raised)),
            Statement::Append { list, value } => self.append(list, value),
        }
    }

    fn assign(&mut self, target: &Target, value: &Value) -> Flow {
        match target {
            Target::Local(local) => {
                self.set_local(*local, value);
                Ok(())
            }
            Target::Item { list, index } => self.store(list, index, value),
            Target::Tuple(targets) => {
                let items = elements(value);
                if items.len() != targets.len() {
                    return Err(self.leave_always(Guard::Type));
                }
                targets.iter().zip(&items).try_for_each(|(target, item)| self.assign(target, item))
            }
        }
    }

    fn branch(&mut self, test: &Expression, body: &[Statement], otherwise: &[Statement]) -> Flow {
        let (yes, no) = (self.builder.create_block(), self.builder.create_block());
        self.test(test, yes, no);
        let before = (self.bound.clone(), self.ranges.clone());
        let mut after: Option<(Block, Vec<bool>)> = None;
        let mut ranges = None;
        for (block, part, truth) in [(yes, body, true), (no, otherwise, false)] {
            self.go_on_in(block);
            (self.bound, self.ranges) = before.clone();
            self.scope.refine(&mut self.ranges, test, truth);
            if self.body(part).is_err() {
                continue;
            }
            let (join, bound) =
                after.get_or_insert_with(|| (self.builder.create_block(), self.bound.clone()));
            for (both, this) in bound.iter_mut().zip(&self.bound) {
                *both &= this;
            }
            let join = *join;
            self.builder.ins().jump(join, &[]);
            join_option(&mut ranges, &self.ranges);
        }
        let (join, bound) = after.ok_or(Ended)?;
        self.bound = bound;
        self.ranges = ranges.unwrap_or(before.1);
        self.go_on_in(join);
        Ok(())
    }

    fn while_true(
        &mut self,
        test: &Expression,
        body: &[Statement],
        otherwise: &[Statement],
    ) -> Flow {
        let [inside, out] = [(); 2].map(|()| self.builder.create_block());
        let ends = Loop { next: self.builder.create_block(), end: self.builder.create_block() };
        let before = self.bound.clone();
        let head = Head::While(test);
        let at_head = self.scope.at_head(&self.ranges, head, body);
        self.test(test, inside, out);
        self.builder.switch_to_block(inside);
        self.bound.clone_from(&before);
        self.ranges.clone_from(&at_head);
        self.scope.enter(&mut self.ranges, head);
        self.within.clear();
        self.note_within(test);
        let end = self.loop_body(body, ends);
        self.within.clear();
        self.go_on_in(ends.next);
        self.poll();
        self.bound.clone_from(&before);
        self.ranges.clone_from(&at_head);
        self.test(test, inside, out);
        self.builder.seal_block(inside);
        self.bound.clone_from(&before);
        self.go_on_in(out);
        self.scope.leave(&mut self.ranges, head);
        self.after_loop((otherwise, ends), end);
        self.bound = before;
        self.go_on_in(ends.end);
        Ok(())
    }

    /// `target` is set from a counter that the body can't see, so that it may do with it what it likes.
    fn for_range(
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
        // By one up or down it can't go beyond `stop`; else turns are counted.
        let beyond = match by.constant() {
            Some(1) => Some(IntCC::SignedLessThan),
            Some(-1) => Some(IntCC::SignedGreaterThan),
            _ => None,
        };
        let next = self.builder.declare_var(types::I64);
        let left = self.builder.declare_var(types::I64);
        self.builder.def_var(next, start);
        let [inside, out] = [(); 2].map(|()| self.builder.create_block());
        let ends = Loop { next: self.builder.create_block(), end: self.builder.create_block() };
        let before = self.bound.clone();
        let some = if let Some(beyond) = beyond {
            self.builder.ins().icmp(beyond, start, stop)
        } else {
            let count = self.turns(start, stop, step);
            self.builder.def_var(left, count);
            count
        };
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
        let some = if let Some(beyond) = beyond {
            self.builder.ins().icmp(beyond, following, stop)
        } else {
            let still = self.builder.use_var(left);
            let fewer = self.builder.ins().iadd_imm_s(still, -1);
            self.builder.def_var(left, fewer);
            fewer
        };
        self.builder.ins().brif(some, inside, &[], out, &[]);
        self.builder.seal_block(inside);
        self.bound.clone_from(&before);
        self.ranges = at_head;
        self.go_on_in(out);
        self.after_loop((otherwise, ends), end);
        self.bound = before;
        self.go_on_in(ends.end);
        Ok(())
    }

    /// How many numbers `range(start, stop, step)` has.
    fn turns(&mut self, start: Register, stop: Register, step: Register) -> Register {
        let is_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, step, 0);
        self.guard(is_zero, Guard::Domain);
        let is_down = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, step, 0);
        let low = self.builder.ins().select(is_down, stop, start);
        let high = self.builder.ins().select(is_down, start, stop);
        let back = self.builder.ins().ineg(step);
        let size = self.builder.ins().select(is_down, back, step);
        let some = self.builder.ins().icmp(IntCC::SignedLessThan, low, high);
        let length = self.builder.ins().isub(high, low);
        let last = self.builder.ins().iadd_imm_s(length, -1);
        let steps = self.builder.ins().udiv(last, size);
        let count = self.builder.ins().iadd_imm_s(steps, 1);
        let zero = self.constant(0);
        self.builder.ins().select(some, count, zero)
    }

    /// Gives the bounds where the body breaks the loop, if it does.
    fn loop_body(&mut self, body: &[Statement], ends: Loop) -> Option<Ranges> {
        self.loops.push(ends);
        self.ends.push(None);
        if self.body(body).is_ok() {
            self.builder.ins().jump(ends.next, &[]);
        }
        self.loops.pop();
        self.ends.pop().flatten()
    }

    fn after_loop(&mut self, (otherwise, ends): (&[Statement], Loop), mut end: Option<Ranges>) {
        if self.body(otherwise).is_ok() {
            self.builder.ins().jump(ends.end, &[]);
            join_option(&mut end, &self.ranges);
        }
        // If nothing leads to the end, nothing matters there.
        if let Some(end) = end {
            self.ranges = end;
        }
    }
}

//! Statements in machine code.

use cranelift_codegen::ir::{Block, InstBuilder};

use crate::emit::{Emitter, Ended, Loop, Value};
use crate::expressions::elements;
use crate::guard::Guard;
use crate::ir::{Expression, Statement, Target};
use crate::ranges::{Head, Ranges, join_option};
use crate::types::Type;

pub(crate) type Flow = Result<(), Ended>;

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
            Statement::Assign { target: Target::Local(local), value } if value.is_empty_list() => {
                let kind = self.places[*local].kind.clone();
                let Some(kind) = kind.filter(|kind| matches!(kind, Type::List(_))) else {
                    return Err(self.leave_always(Guard::Type));
                };
                let list = self.empty_list(kind);
                self.set_local(*local, &list);
                Ok(())
            }
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
                let value = self.converted(&value, &self.result.clone())?;
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
        let looked_at = self.looked_at.len();
        let mut after: Option<(Block, Vec<bool>)> = None;
        let mut ranges = None;
        for (block, part, truth) in [(yes, body, true), (no, otherwise, false)] {
            self.go_on_in(block);
            (self.bound, self.ranges) = before.clone();
            self.scope.refine(&mut self.ranges, test, truth);
            let written = self.body(part);
            self.looked_at.truncate(looked_at);
            if written.is_err() {
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
        self.before_loops();
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
        let looked_at = self.looked_at.len();
        self.test(test, inside, out);
        self.looked_at.truncate(looked_at);
        self.builder.seal_block(inside);
        self.bound.clone_from(&before);
        self.go_on_in(out);
        self.scope.leave(&mut self.ranges, head);
        self.after_loop((otherwise, ends), end);
        self.bound = before;
        self.go_on_in(ends.end);
        Ok(())
    }

    /// Gives the bounds where the body breaks the loop, if it does.
    pub(crate) fn loop_body(&mut self, body: &[Statement], ends: Loop) -> Option<Ranges> {
        self.loops.push(ends);
        self.ends.push(None);
        let looked_at = self.looked_at.len();
        if self.body(body).is_ok() {
            self.builder.ins().jump(ends.next, &[]);
        }
        self.looked_at.truncate(looked_at);
        self.loops.pop();
        self.ends.pop().flatten()
    }

    pub(crate) fn after_loop(
        &mut self,
        (otherwise, ends): (&[Statement], Loop),
        mut end: Option<Ranges>,
    ) {
        let looked_at = self.looked_at.len();
        if self.body(otherwise).is_ok() {
            self.builder.ins().jump(ends.end, &[]);
            join_option(&mut end, &self.ranges);
        }
        self.looked_at.truncate(looked_at);
        // If nothing leads to the end, nothing matters there.
        if let Some(end) = end {
            self.ranges = end;
        }
    }
}

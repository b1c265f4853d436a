//! `allcores doctor`: what can be said of this Python and this machine, each with the next step.

use serde_json::{Value, json};

use crate::args::DoctorOptions;
use crate::error::Error;
use crate::host::{Fact, Host, State};
use crate::render::{self, table::table};
use crate::{DONE, FAILED};

/// Looks; the exit code says whether something is bad.
pub(crate) fn doctor(options: &DoctorOptions, host: &dyn Host) -> Result<u8, Error> {
    let facts = host.facts()?;
    let text = if options.json { as_json(&facts) } else { as_text(&facts) };
    let said = render::say(&text);
    let is_bad = facts.iter().any(|fact| fact.state == State::Bad);
    Ok(if said == DONE && is_bad { FAILED } else { said })
}

fn sign(state: State) -> &'static str {
    match state {
        State::Good => "ok",
        State::Note => "note",
        State::Bad => "bad",
    }
}

fn as_text(facts: &[Fact]) -> String {
    let rows: Vec<Vec<String>> = facts
        .iter()
        .map(|fact| vec![sign(fact.state).to_owned(), fact.name.clone(), fact.value.clone()])
        .collect();
    let mut text = String::new();
    for (line, fact) in table(&rows).lines().zip(facts) {
        text.push_str(line);
        text.push('\n');
        if !fact.hint.is_empty() {
            text.push_str(&format!("      hint: {}\n", fact.hint));
        }
    }
    let count = |state| facts.iter().filter(|fact| fact.state == state).count();
    match (count(State::Bad), count(State::Note)) {
        (0, 0) => text.push_str("\nnothing to mend\n"),
        (bad, notes) => text.push_str(&format!("\n{bad} to mend, {notes} worth knowing\n")),
    }
    text
}

fn as_json(facts: &[Fact]) -> String {
    let facts: Vec<Value> = facts
        .iter()
        .map(|fact| {
            json!({ "name": fact.name, "value": fact.value, "state": sign(fact.state),
                    "hint": fact.hint })
        })
        .collect();
    format!("{:#}\n", Value::Array(facts))
}

#[cfg(test)]
mod tests {
    use super::{Fact, State, as_json, as_text};

    fn facts() -> Vec<Fact> {
        let fact = |name: &str, value: &str, state, hint: &str| Fact {
            name: name.to_owned(),
            value: value.to_owned(),
            state,
            hint: hint.to_owned(),
        };
        vec![
            fact("Python", "3.11.7", State::Good, ""),
            fact("shared memory", "64 MB in `/dev/shm`", State::Bad, "start it with more"),
        ]
    }

    #[test]
    fn report_lists_each_fact_with_its_next_step() {
        insta::assert_snapshot!(as_text(&facts()), @r"
        ok   Python         3.11.7
        bad  shared memory  64 MB in `/dev/shm`
              hint: start it with more

        1 to mend, 0 worth knowing
        ");
    }

    #[test]
    fn report_as_json_holds_the_same() {
        insta::assert_snapshot!(as_json(&facts()[..1]), @r#"
        [
          {
            "hint": "",
            "name": "Python",
            "state": "ok",
            "value": "3.11.7"
          }
        ]
        "#);
    }
}

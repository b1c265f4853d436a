//! `allcores trace`: where the time of a traced run went, in words.
//!
//! A trace is Chrome's JSON: events with a beginning and a duration on lanes (`tid`). What is summed
//! up is how long each lane was at work and how it waited.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::args::TraceOptions;
use crate::error::Error;
use crate::render::{self, table::table};

/// What happened on one lane.
#[derive(Debug, Default)]
struct Lane {
    name: String,
    /// Beginning and end of each piece of work, in microseconds.
    spans: Vec<(f64, f64)>,
    items: u64,
}

/// Sums a trace up; the exit code.
pub(crate) fn trace(options: &TraceOptions) -> Result<u8, Error> {
    let path = &options.file;
    let text =
        std::fs::read(path).map_err(|source| Error::Unreadable { path: path.clone(), source })?;
    let words = sums(&text).map_err(|why| no_trace(path, why))?;
    Ok(render::say(&words))
}

fn no_trace(path: &Path, why: String) -> Error {
    Error::NoTrace { path: path.to_owned(), why }
}

fn sums(text: &[u8]) -> Result<String, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let events = value.get("traceEvents").unwrap_or(&value);
    let events = events.as_array().ok_or("it has no `traceEvents`")?;
    let lanes = lanes(events);
    let begin = lanes.iter().flat_map(|lane| &lane.spans).map(|span| span.0).reduce(f64::min);
    let end = lanes.iter().flat_map(|lane| &lane.spans).map(|span| span.1).reduce(f64::max);
    let (Some(begin), Some(end)) = (begin, end) else {
        return Err("nothing ran in it".to_owned());
    };
    Ok(words(&lanes, begin, end))
}

/// The lanes on which something ran. Spans within another of their lane are its details.
fn lanes(events: &[Value]) -> Vec<Lane> {
    let mut found: BTreeMap<(String, String), Lane> = BTreeMap::new();
    for event in events {
        let part = |name: &str| event.get(name).map(Value::to_string).unwrap_or_default();
        let lane = found.entry((part("pid"), part("tid"))).or_default();
        let number = |name: &str| event.get(name).and_then(Value::as_f64);
        // A slice that is no work: a lane that waits, or the map that all of it belongs to.
        let is_work = !matches!(event.get("cat").and_then(Value::as_str), Some("wait" | "map"));
        match (event.get("ph").and_then(Value::as_str), number("ts"), number("dur")) {
            (Some("X"), Some(begin), Some(length)) if is_work => {
                lane.spans.push((begin, begin + length));
                let count = event.pointer("/args/count").or(event.pointer("/args/items"));
                lane.items += count.and_then(Value::as_u64).unwrap_or(1);
            }
            (Some("M"), ..) if event.get("name").is_some_and(|name| name == "thread_name") => {
                let name = event.pointer("/args/name").and_then(Value::as_str);
                lane.name = name.unwrap_or_default().to_owned();
            }
            _ => {}
        }
    }
    let mut lanes: Vec<Lane> = Vec::new();
    for ((_, tid), mut lane) in found {
        if lane.spans.is_empty() {
            continue;
        }
        if lane.name.is_empty() {
            lane.name = format!("lane {}", tid.trim_matches('"'));
        }
        lane.spans.sort_by(|one, other| one.0.total_cmp(&other.0));
        lane.spans = united(&lane.spans);
        lanes.push(lane);
    }
    lanes
}

fn united(spans: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut whole: Vec<(f64, f64)> = Vec::new();
    for &(begin, end) in spans {
        match whole.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => whole.push((begin, end)),
        }
    }
    whole
}

fn words(lanes: &[Lane], begin: f64, end: f64) -> String {
    let length = (end - begin).max(1e-9);
    let share = |part: f64| format!("{:.0} %", 100.0 * part / length);
    let head = ["lane", "busy", "waited to start", "between", "at the end", "pieces", "items"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let (mut all_busy, mut all_start, mut all_end) = (0.0, 0.0, 0.0);
    for lane in lanes {
        let busy: f64 = lane.spans.iter().map(|span| span.1 - span.0).sum();
        let first = lane.spans.first().map_or(0.0, |span| span.0 - begin);
        let last = lane.spans.last().map_or(0.0, |span| end - span.1);
        (all_busy, all_start, all_end) = (all_busy + busy, all_start + first, all_end + last);
        rows.push(vec![
            lane.name.clone(),
            share(busy),
            share(first),
            share(length - busy - first - last),
            share(last),
            lane.spans.len().to_string(),
            lane.items.to_string(),
        ]);
    }
    let count = lanes.len() as f64;
    let of_all = |part: f64| 100.0 * part / (length * count);
    let mut text = format!("{:.3} s on {} lanes\n\n{}\n", length / 1e6, lanes.len(), table(&rows));
    text.push_str(&format!("the lanes were busy for {:.0} % of their time", of_all(all_busy)));
    let between = length * count - all_busy - all_start - all_end;
    let waits = [
        (
            all_start,
            "most of the rest is waiting for the first work: starting costs more than it \
                     brings, fewer workers or more items would help",
        ),
        (
            between,
            "most of the rest lies between pieces of work: they are short, or the caller \
                   does not keep up; a function that does more at once would help",
        ),
        (
            all_end,
            "most of the rest is waiting for the last piece: items last unequally long; put \
                   the longest first",
        ),
    ];
    let longest = waits.iter().max_by(|one, other| one.0.total_cmp(&other.0));
    match longest {
        Some((wait, why)) if of_all(*wait) >= 5.0 => text.push_str(&format!("; {why}\n")),
        _ => text.push('\n'),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::sums;

    #[test]
    fn sums_say_who_was_busy_and_what_the_rest_was() {
        let text = br#"{"traceEvents": [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "worker 1"}},
            {"ph": "X", "name": "f", "pid": 1, "tid": 1, "ts": 0, "dur": 500000, "args": {"count": 3}},
            {"ph": "X", "name": "f", "pid": 1, "tid": 1, "ts": 500000, "dur": 500000},
            {"ph": "X", "name": "f", "pid": 1, "tid": 2, "ts": 100000, "dur": 200000},
            {"ph": "X", "name": "wait", "cat": "wait", "pid": 1, "tid": 2, "ts": 300000, "dur": 700000},
            {"ph": "X", "name": "map f", "cat": "map", "pid": 2, "tid": 1, "ts": 0, "dur": 1000000}
        ]}"#;
        insta::assert_snapshot!(sums(text).unwrap(), @"
        1.000 s on 2 lanes

        lane      busy   waited to start  between  at the end  pieces  items
        worker 1  100 %  0 %              0 %      0 %         1       4
        lane 2    20 %   10 %             0 %      70 %        1       1

        the lanes were busy for 60 % of their time; most of the rest is waiting for the last piece: items last unequally long; put the longest first
        ");
    }

    #[test]
    fn other_json_is_no_trace() {
        insta::assert_snapshot!(sums(b"{}").unwrap_err(), @"it has no `traceEvents`");
        insta::assert_snapshot!(sums(b"[]").unwrap_err(), @"nothing ran in it");
    }
}

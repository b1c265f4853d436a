//! How far a run has come, in one line.

use std::time::Duration;

/// What is known at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Snapshot {
    /// Items that have ended, of earlier runs too.
    pub(crate) done: u64,
    /// Those of them that failed.
    pub(crate) failed: u64,
    /// Items that had ended before this run began.
    pub(crate) before: u64,
    /// How many there are, if that is known.
    pub(crate) total: Option<u64>,
    /// The share of the input that was read, if that is known; 0 to 1.
    pub(crate) share: Option<f64>,
    /// The share that had been read when this run began.
    pub(crate) share_before: f64,
    /// Since this run began.
    pub(crate) elapsed: Duration,
}

impl Snapshot {
    fn rate(&self) -> f64 {
        (self.done - self.before) as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn share_done(&self) -> Option<f64> {
        match self.total {
            Some(0) => Some(1.0),
            Some(total) => Some(self.done as f64 / total as f64),
            None => self.share,
        }
    }

    fn left(&self) -> Option<Duration> {
        let share = self.share_done()?;
        let before = match self.total {
            Some(total) => self.before as f64 / total.max(1) as f64,
            None => self.share_before,
        };
        let gained = share - before;
        (gained > 0.0).then(|| self.elapsed.mul_f64(((1.0 - share) / gained).clamp(0.0, 1e6)))
    }
}

/// `12,345 of 50,000 items · 24 % · 5,120/s · 3 failed · 0:08 left`.
pub(crate) fn line(now: &Snapshot) -> String {
    let mut parts = vec![match now.total {
        Some(total) => format!("{} of {} items", grouped(now.done), grouped(total)),
        None => format!("{} items", grouped(now.done)),
    }];
    if let Some(share) = now.share_done() {
        parts.push(format!("{:.0} %", (share * 100.0).floor()));
    }
    parts.push(format!("{}/s", rate(now.rate())));
    if now.failed > 0 {
        parts.push(format!("{} failed", grouped(now.failed)));
    }
    if let Some(left) = now.left() {
        parts.push(format!("{} left", clock(left)));
    }
    parts.join(" · ")
}

/// What is said at the end: `50,000 items in 0:10, 5,000/s, 3 failed`.
pub(crate) fn summary(now: &Snapshot) -> String {
    let items = if now.done == 1 { "item" } else { "items" };
    let mut text = format!("{} {items}", grouped(now.done));
    if now.before > 0 {
        text.push_str(&format!(", {} of them earlier", grouped(now.before)));
    }
    text.push_str(&format!(", in {}, {}/s", clock(now.elapsed), rate(now.rate())));
    if now.failed > 0 {
        text.push_str(&format!(", {} failed", grouped(now.failed)));
    }
    text
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rate(a_second: f64) -> String {
    if a_second < 10.0 { format!("{a_second:.2}") } else { grouped(a_second as u64) }
}

fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{:02}", seconds % 60)
    } else {
        format!("{minutes}:{:02}", seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Snapshot, line, summary};

    #[test]
    fn line_counts_items_and_says_what_is_left() {
        let now = Snapshot {
            done: 12_345,
            failed: 3,
            total: Some(50_000),
            elapsed: Duration::from_secs(2),
            ..Snapshot::default()
        };
        insta::assert_snapshot!(line(&now), @"12,345 of 50,000 items · 24 % · 6,172/s · 3 failed · 0:06 left");
    }

    #[test]
    fn line_without_a_total_goes_by_what_was_read() {
        let now = Snapshot {
            done: 3,
            share: Some(0.5),
            elapsed: Duration::from_secs(3600),
            ..Snapshot::default()
        };
        insta::assert_snapshot!(line(&now), @"3 items · 50 % · 0.00/s · 1:00:00 left");
    }

    #[test]
    fn summary_tells_earlier_items_from_these() {
        let now = Snapshot {
            done: 1_500,
            before: 500,
            failed: 1,
            elapsed: Duration::from_secs(10),
            ..Snapshot::default()
        };
        insta::assert_snapshot!(summary(&now), @"1,500 items, 500 of them earlier, in 0:10, 100/s, 1 failed");
    }
}

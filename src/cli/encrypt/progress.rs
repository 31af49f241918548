//! How far a run has come, on standard error: a bar on a terminal, a line now and then elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Between two lines, where they are kept; between two pictures of the bar.
const LINE: Duration = Duration::from_secs(10);
const PICTURE: Duration = Duration::from_millis(200);

/// Width of the bar, in characters.
const WIDTH: u64 = 24;

/// A run's progress. Pages say how far it is, because rows are not counted beforehand.
pub(super) struct Progress {
    name: String,
    pages: u64,
    seen: u64,
    turned: u64,
    started: Instant,
    shown: Instant,
    /// Pages a second, lately.
    speed: f64,
    /// When and where that was last measured.
    mark: (Instant, u64),
    is_terminal: bool,
    is_drawn: bool,
}

impl Progress {
    pub(super) fn new(name: String) -> Self {
        let now = Instant::now();
        Self {
            name,
            pages: 0,
            seen: 0,
            turned: 0,
            started: now,
            shown: now,
            speed: 0.0,
            mark: (now, 0),
            is_terminal: io::stderr().is_terminal(),
            is_drawn: false,
        }
    }

    /// Another round begins, over this many pages.
    pub(super) fn begin(&mut self, pages: u64) {
        self.pages = pages;
        self.seen = 0;
        self.mark = (Instant::now(), 0);
        self.speed = 0.0;
    }

    /// So many pages of the round have been looked through, and so many cells turned since.
    pub(super) fn step(&mut self, seen: u64, turned: u64) {
        self.seen = seen.min(self.pages);
        self.turned = self.turned.saturating_add(turned);
        let pause = if self.is_terminal { PICTURE } else { LINE };
        if self.shown.elapsed() < pause {
            return;
        }
        self.measure();
        self.shown = Instant::now();
        let line = self.line();
        let mut stderr = io::stderr().lock();
        let done = if self.is_terminal {
            self.is_drawn = true;
            write!(stderr, "\r\x1b[K{line}")
        } else {
            writeln!(stderr, "{line}")
        };
        done.and_then(|()| stderr.flush()).unwrap_or_default();
    }

    /// Removes the bar, so that something else can be said.
    pub(super) fn clear(&mut self) {
        if self.is_drawn {
            self.is_drawn = false;
            let mut stderr = io::stderr().lock();
            let done = write!(stderr, "\r\x1b[K");
            done.and_then(|()| stderr.flush()).unwrap_or_default();
        }
    }

    /// Cells turned in this run.
    pub(super) fn turned(&self) -> u64 {
        self.turned
    }

    /// Seconds of this run.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a speed and a fraction are shown with three digits"
    )]
    fn measure(&mut self) {
        let (at, seen) = self.mark;
        let seconds = at.elapsed().as_secs_f64();
        if seconds > 0.0 {
            let speed = self.seen.saturating_sub(seen) as f64 / seconds;
            // What was found done at the beginning goes fast, and is soon forgotten.
            self.speed = if self.speed == 0.0 {
                speed
            } else {
                0.8 * self.speed + 0.2 * speed
            };
        }
        self.mark = (Instant::now(), self.seen);
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a speed and a time are shown with three digits"
    )]
    fn line(&self) -> String {
        // 100 % is said of cells that were counted, not of pages.
        let tenths = (self.seen.saturating_mul(1_000) / self.pages.max(1)).min(999);
        let mut line = self.name.clone();
        if self.is_terminal {
            let full = tenths * WIDTH / 1_000;
            line.push_str(" [");
            for at in 0..WIDTH {
                line.push(if at < full { '#' } else { '.' });
            }
            line.push(']');
        }
        let seconds = self.elapsed().as_secs_f64().max(0.001);
        let rate = (self.turned as f64 / seconds) as u64;
        let left = self.pages.saturating_sub(self.seen) as f64;
        let eta = if self.speed > 0.0 {
            time((left / self.speed) as u64)
        } else {
            "unknown".to_owned()
        };
        write!(
            line,
            " {}.{} %, {} rows turned, {rate} rows/s, ETA {eta}",
            tenths / 10,
            tenths % 10,
            self.turned
        )
        .unwrap_or_default();
        line
    }
}

/// `0:07`, `12:03`, `1:00:00`
fn time(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, time};

    #[test]
    fn a_line_says_how_far_it_is_and_never_that_all_is_done() {
        let mut progress = Progress::new("s.t.c".to_owned());
        progress.is_terminal = false;
        progress.begin(200);
        progress.step(50, 1_000);
        assert!(
            progress
                .line()
                .starts_with("s.t.c 25.0 %, 1000 rows turned, ")
        );
        progress.step(200, 0);
        assert!(
            progress
                .line()
                .starts_with("s.t.c 99.9 %, 1000 rows turned, ")
        );
        progress.is_terminal = true;
        progress.begin(200);
        progress.step(100, 0);
        assert!(
            progress
                .line()
                .starts_with("s.t.c [############............] 50.0 %")
        );
    }

    #[test]
    fn a_time_has_the_hours_it_needs() {
        assert_eq!(
            [time(7), time(723), time(3_600)],
            ["0:07", "12:03", "1:00:00"]
        );
    }
}

//! What a search may still spend, and when to ask the caller whether time is over.

/// After so many steps the caller is asked.
const ASKED_EVERY: u64 = 1 << 18;

pub(super) struct Meter<'a> {
    over: &'a mut dyn FnMut() -> bool,
    since: u64,
    late: bool,
}

impl<'a> Meter<'a> {
    pub(super) fn new(over: &'a mut dyn FnMut() -> bool) -> Self {
        Self { over, since: 0, late: false }
    }

    /// So many steps were taken. Whether to stop.
    #[inline]
    pub(super) fn spent(&mut self, steps: u64) -> bool {
        self.since = self.since.saturating_add(steps);
        if self.since >= ASKED_EVERY { self.ask() } else { self.late }
    }

    /// Asks now. Whether to stop; once over it stays so.
    pub(super) fn ask(&mut self) -> bool {
        self.since = 0;
        self.late = self.late || (self.over)();
        self.late
    }

    pub(super) const fn is_late(&self) -> bool {
        self.late
    }
}

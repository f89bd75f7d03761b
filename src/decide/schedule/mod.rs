//! When something is to happen: intervals, times of day, cron expressions; and what became of what was missed.

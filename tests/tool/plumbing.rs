//! Verbs that scripts use: similarity, schedule, window, gate, supervise, unit, canonical, key.

mod gates;
mod keys;
mod pairs;
mod supervised;
mod times;
mod units;

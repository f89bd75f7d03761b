//! Every word of an operator's, on memory and on a file: what it does, what it refuses, and what it leaves as it was.

mod desk;
mod keep;
mod random;
mod replay;
mod review;
mod several;
mod stop;

mod identity;
mod typed;
mod written;

use std::error::Error;
use std::io::Write;
pub(crate) fn print(_out: &mut dyn Write) -> Result<(), Box<dyn Error>> { Ok(()) }

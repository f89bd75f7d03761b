//! What an error of the operating system means.

use std::io;

use super::{Class, Classify, Fault, Reached, Severity};

impl Classify for io::Error {
    fn fault(&self) -> Fault {
        of_io(self.kind())
    }
}

fn of_io(kind: io::ErrorKind) -> Fault {
    use io::ErrorKind as K;
    let maybe = |code| Fault::transient(code);
    let before = |code| Fault::transient(code).reached(Reached::No);
    let wrong = |code| Fault::permanent(code).reached(Reached::No);
    match kind {
        K::ConnectionRefused => before("io.connection_refused"),
        K::HostUnreachable => before("io.host_unreachable"),
        K::NetworkUnreachable => before("io.network_unreachable"),
        K::NetworkDown => before("io.network_down"),
        K::AddrInUse => before("io.addr_in_use"),
        K::AddrNotAvailable => before("io.addr_not_available"),
        K::NotConnected => before("io.not_connected"),
        K::ResourceBusy => before("io.resource_busy"),
        K::ExecutableFileBusy => before("io.executable_file_busy"),
        K::WouldBlock => before("io.would_block"),
        K::Deadlock => before("io.deadlock"),
        K::StaleNetworkFileHandle => before("io.stale_network_file_handle"),
        K::ConnectionReset => maybe("io.connection_reset"),
        K::ConnectionAborted => maybe("io.connection_aborted"),
        K::BrokenPipe => maybe("io.broken_pipe"),
        K::TimedOut => maybe("io.timed_out"),
        K::UnexpectedEof => maybe("io.unexpected_eof"),
        K::Interrupted => maybe("io.interrupted"),
        K::StorageFull => wrong("io.storage_full").severity(Severity::Fatal),
        K::QuotaExceeded => wrong("io.quota_exceeded").severity(Severity::Fatal),
        K::OutOfMemory => wrong("io.out_of_memory").severity(Severity::Fatal),
        K::ReadOnlyFilesystem => wrong("io.read_only_filesystem").severity(Severity::Fatal),
        K::NotFound => wrong("io.not_found"),
        K::PermissionDenied => wrong("io.permission_denied"),
        K::AlreadyExists => wrong("io.already_exists"),
        K::NotADirectory => wrong("io.not_a_directory"),
        K::IsADirectory => wrong("io.is_a_directory"),
        K::DirectoryNotEmpty => wrong("io.directory_not_empty"),
        K::InvalidInput => wrong("io.invalid_input"),
        K::InvalidData => Fault::permanent("io.invalid_data"),
        K::FileTooLarge => wrong("io.file_too_large"),
        K::InvalidFilename => wrong("io.invalid_filename"),
        K::ArgumentListTooLong => wrong("io.argument_list_too_long"),
        K::NotSeekable => wrong("io.not_seekable"),
        K::TooManyLinks => wrong("io.too_many_links"),
        K::CrossesDevices => wrong("io.crosses_devices"),
        K::Unsupported => wrong("io.unsupported"),
        K::WriteZero => maybe("io.write_zero"),
        // The enum grows with the standard library; what it will mean is not known here.
        _ => Fault::new(Class::Unknown, "io.other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_fatal_and_not_retried() {
        let fault = io::Error::from(io::ErrorKind::StorageFull).fault();
        assert_eq!((fault.class, fault.severity), (Class::Permanent, Severity::Fatal));
    }

    #[test]
    fn a_refused_connection_did_not_arrive_and_a_time_out_may_have() {
        assert_eq!(io::Error::from(io::ErrorKind::ConnectionRefused).fault().reached, Reached::No);
        assert_eq!(io::Error::from(io::ErrorKind::TimedOut).fault().reached, Reached::Maybe);
    }
}

//! How much of the machine a service can reach.

/// How much of the machine a service can reach, by systemd.exec(5). What it has to write beside its own folders is named by
/// [`Service::writes`](super::Service::writes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hardening {
    /// All that its user can.
    Off,
    /// What nearly every service bears: no new privileges, the system's own files and everybody's homes read-only, a folder for
    /// temporary files of its own, the kernel's settings out of reach, no namespaces, no raw sockets.
    #[default]
    Standard,
    /// Besides: the whole file system read-only but for its own folders, no homes, no devices, no capability, only the system
    /// calls of ordinary services, no memory that can be written and executed (which a just-in-time compiler needs).
    Strict,
}

/// What a level says, and why. All of them are known to systemd 252.
const STANDARD: [(&str, &str); 16] = [
    // No set-user-ID program gives it more than it has.
    ("NoNewPrivileges", "yes"),
    // /usr, /boot and /etc are read-only.
    ("ProtectSystem", "full"),
    // It may read homes and not write them.
    ("ProtectHome", "read-only"),
    // /tmp and /var/tmp of its own, removed when it stops.
    ("PrivateTmp", "yes"),
    // Clock, host name, kernel log, modules, tunables and control groups are not its business.
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectControlGroups", "yes"),
    // No containers of its own, no other binary formats, no real-time scheduling, no set-user-ID files.
    ("RestrictNamespaces", "yes"),
    ("LockPersonality", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    // It talks to the internet and to local sockets, and to nothing else.
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ("SystemCallArchitectures", "native"),
];

const STRICT: [(&str, &str); 11] = [
    // In place of those above.
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    // No hardware but /dev/null and its like.
    ("PrivateDevices", "yes"),
    // Only its own user and root exist.
    ("PrivateUsers", "yes"),
    // It does not see the processes of others.
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    // Not even root may do more than an ordinary user.
    ("CapabilityBoundingSet", ""),
    // No code is made at run time.
    ("MemoryDenyWriteExecute", "yes"),
    ("RemoveIPC", "yes"),
    // What else it calls fails with EPERM, so that it can be seen and does not kill.
    ("SystemCallFilter", "@system-service"),
    ("SystemCallErrorNumber", "EPERM"),
];

impl Hardening {
    pub(super) fn directives(self) -> Vec<(&'static str, &'static str)> {
        let replaced = |key: &str| STRICT.iter().any(|(name, _)| *name == key);
        match self {
            Self::Off => Vec::new(),
            Self::Standard => STANDARD.to_vec(),
            Self::Strict => {
                let kept = STANDARD.iter().filter(|(key, _)| !replaced(key));
                STRICT.iter().chain(kept).copied().collect()
            }
        }
    }
}

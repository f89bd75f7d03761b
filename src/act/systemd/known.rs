//! The directives of systemd 252, as `systemd --dump-configuration-items` of that version lists them, and newer ones with the
//! version that brought them.

/// Whether systemd 252 knows a directive in a section; `None` for a section that this list does not have.
pub(super) fn is_known(section: &str, key: &str) -> Option<bool> {
    let (_, words) = SECTIONS.iter().find(|(name, _)| *name == section)?;
    Some(words.split_ascii_whitespace().any(|word| word == key))
}

/// The version that brought a directive.
pub(super) fn since(section: &str, key: &str) -> Option<u32> {
    let newer = NEWER.iter().find(|(of, name, _)| *of == section && *name == key);
    newer.map(|(_, _, version)| *version)
}

/// Sections of other kinds of units: what stands in them is not looked at.
pub(super) const OTHERS: [&str; 8] =
    ["Socket", "Mount", "Automount", "Swap", "Path", "Slice", "Scope", "Device"];

const NEWER: [(&str, &str, u32); 14] = [
    ("Service", "OpenFile", 253),
    ("Service", "ReloadSignal", 253),
    ("Service", "MemoryZSwapMax", 253),
    ("Service", "RestartSteps", 254),
    ("Service", "RestartMaxDelaySec", 254),
    ("Service", "RestartMode", 254),
    ("Service", "FileDescriptorStorePreserve", 254),
    ("Service", "ImportCredential", 254),
    ("Service", "RootEphemeral", 254),
    ("Service", "DelegateSubgroup", 254),
    ("Service", "MemoryPressureWatch", 254),
    ("Service", "MemoryPressureThresholdSec", 254),
    ("Unit", "SurviveFinalKillSignal", 255),
    ("Timer", "DeferReactivation", 257),
];

const SECTIONS: [(&str, &str); 4] = [
    (
        "Unit",
        "\
         After AllowIsolate AssertACPower AssertArchitecture AssertCPUFeature AssertCPUPressure AssertCPUs
         AssertCapability AssertControlGroupController AssertCredential AssertDirectoryNotEmpty AssertEnvironment
         AssertFileIsExecutable AssertFileNotEmpty AssertFirstBoot AssertGroup AssertHost AssertIOPressure
         AssertKernelCommandLine AssertKernelVersion AssertMemory AssertMemoryPressure AssertNeedsUpdate
         AssertOSRelease AssertPathExists AssertPathExistsGlob AssertPathIsDirectory AssertPathIsEncrypted
         AssertPathIsMountPoint AssertPathIsReadWrite AssertPathIsSymbolicLink AssertSecurity AssertUser
         AssertVirtualization Before BindTo BindsTo CollectMode ConditionACPower ConditionArchitecture
         ConditionCPUFeature ConditionCPUPressure ConditionCPUs ConditionCapability ConditionControlGroupController
         ConditionCredential ConditionDirectoryNotEmpty ConditionEnvironment ConditionFileIsExecutable
         ConditionFileNotEmpty ConditionFirmware ConditionFirstBoot ConditionGroup ConditionHost ConditionIOPressure
         ConditionKernelCommandLine ConditionKernelVersion ConditionMemory ConditionMemoryPressure
         ConditionNeedsUpdate ConditionOSRelease ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory
         ConditionPathIsEncrypted ConditionPathIsMountPoint ConditionPathIsReadWrite ConditionPathIsSymbolicLink
         ConditionSecurity ConditionUser ConditionVirtualization Conflicts DefaultDependencies Description
         Documentation FailureAction FailureActionExitStatus IgnoreOnIsolate JobRunningTimeoutSec JobTimeoutAction
         JobTimeoutRebootArgument JobTimeoutSec JoinsNamespaceOf OnFailure OnFailureIsolate OnFailureJobMode
         OnSuccess OnSuccessJobMode PartOf PropagateReloadFrom PropagateReloadTo PropagatesReloadTo PropagatesStopTo
         RebootArgument RefuseManualStart RefuseManualStop ReloadPropagatedFrom Requires RequiresMountsFor
         RequiresOverridable Requisite RequisiteOverridable SourcePath StartLimitAction StartLimitBurst
         StartLimitInterval StartLimitIntervalSec StopPropagatedFrom StopWhenUnneeded SuccessAction
         SuccessActionExitStatus Upholds Wants",
    ),
    (
        "Service",
        "\
         AllowedCPUs AllowedMemoryNodes AmbientCapabilities AppArmorProfile BPFProgram BindPaths BindReadOnlyPaths
         BlockIOAccounting BlockIODeviceWeight BlockIOReadBandwidth BlockIOWeight BlockIOWriteBandwidth BusName
         CPUAccounting CPUAffinity CPUQuota CPUQuotaPeriodSec CPUSchedulingPolicy CPUSchedulingPriority
         CPUSchedulingResetOnFork CPUShares CPUWeight CacheDirectory CacheDirectoryMode CapabilityBoundingSet
         ConfigurationDirectory ConfigurationDirectoryMode CoredumpFilter DefaultMemoryLow DefaultMemoryMin Delegate
         DeviceAllow DevicePolicy DisableControllers DynamicUser Environment EnvironmentFile ExecCondition ExecPaths
         ExecReload ExecSearchPath ExecStart ExecStartPost ExecStartPre ExecStop ExecStopPost ExitType
         ExtensionDirectories ExtensionImages FailureAction FileDescriptorStoreMax FinalKillSignal Group GuessMainPID
         IOAccounting IODeviceLatencyTargetSec IODeviceWeight IOReadBandwidthMax IOReadIOPSMax IOSchedulingClass
         IOSchedulingPriority IOWeight IOWriteBandwidthMax IOWriteIOPSMax IPAccounting IPAddressAllow IPAddressDeny
         IPCNamespacePath IPEgressFilterPath IPIngressFilterPath IgnoreSIGPIPE InaccessibleDirectories
         InaccessiblePaths KeyringMode KillMode KillSignal LimitAS LimitCORE LimitCPU LimitDATA LimitFSIZE LimitLOCKS
         LimitMEMLOCK LimitMSGQUEUE LimitNICE LimitNOFILE LimitNPROC LimitRSS LimitRTPRIO LimitRTTIME LimitSIGPENDING
         LimitSTACK LoadCredential LoadCredentialEncrypted LockPersonality LogExtraFields LogLevelMax LogNamespace
         LogRateLimitBurst LogRateLimitIntervalSec LogsDirectory LogsDirectoryMode ManagedOOMMemoryPressure
         ManagedOOMMemoryPressureLimit ManagedOOMPreference ManagedOOMSwap MemoryAccounting MemoryDenyWriteExecute
         MemoryHigh MemoryLimit MemoryLow MemoryMax MemoryMin MemorySwapMax MountAPIVFS MountFlags MountImages
         NUMAMask NUMAPolicy NetworkNamespacePath Nice NoExecPaths NoNewPrivileges NonBlocking NotifyAccess OOMPolicy
         OOMScoreAdjust PAMName PIDFile PassEnvironment PermissionsStartOnly Personality PrivateDevices PrivateIPC
         PrivateMounts PrivateNetwork PrivateTmp PrivateUsers ProcSubset ProtectClock ProtectControlGroups
         ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc
         ProtectSystem ReadOnlyDirectories ReadOnlyPaths ReadWriteDirectories ReadWritePaths RebootArgument
         RemainAfterExit RemoveIPC Restart RestartForceExitStatus RestartKillSignal RestartPreventExitStatus
         RestartSec RestrictAddressFamilies RestrictFileSystems RestrictNamespaces RestrictNetworkInterfaces
         RestrictRealtime RestrictSUIDSGID RootDirectory RootDirectoryStartOnly RootHash RootHashSignature RootImage
         RootImageOptions RootVerity RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve RuntimeMaxSec
         RuntimeRandomizedExtraSec SELinuxContext SecureBits SendSIGHUP SendSIGKILL SetCredential
         SetCredentialEncrypted Slice SmackProcessLabel SocketBindAllow SocketBindDeny Sockets StandardError
         StandardInput StandardInputData StandardInputText StandardOutput StartLimitAction StartLimitBurst
         StartLimitInterval StartupAllowedCPUs StartupAllowedMemoryNodes StartupBlockIOWeight StartupCPUShares
         StartupCPUWeight StartupIOWeight StateDirectory StateDirectoryMode SuccessExitStatus SupplementaryGroups
         SyslogFacility SyslogIdentifier SyslogLevel SyslogLevelPrefix SystemCallArchitectures SystemCallErrorNumber
         SystemCallFilter SystemCallLog TTYColumns TTYPath TTYReset TTYRows TTYVHangup TTYVTDisallocate
         TasksAccounting TasksMax TemporaryFileSystem TimeoutAbortSec TimeoutCleanSec TimeoutSec
         TimeoutStartFailureMode TimeoutStartSec TimeoutStopFailureMode TimeoutStopSec TimerSlackNSec Type UMask
         USBFunctionDescriptors USBFunctionStrings UnsetEnvironment User UtmpIdentifier UtmpMode WatchdogSec
         WatchdogSignal WorkingDirectory",
    ),
    (
        "Timer",
        "\
         AccuracySec FixedRandomDelay OnActiveSec OnBootSec OnCalendar OnClockChange OnStartupSec OnTimezoneChange
         OnUnitActiveSec OnUnitInactiveSec Persistent RandomizedDelaySec RemainAfterElapse Unit WakeSystem",
    ),
    (
        "Install",
        "\
         Alias Also DefaultInstance RequiredBy WantedBy",
    ),
];

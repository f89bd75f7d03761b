#!/usr/bin/env bash
# What each feature costs: crates in the tree, and seconds of a first build without anything cached. Prints the README's
# table. Compile nothing else meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "| features | crates besides this one | first debug build |"
echo "|---|---|---|"
for set in "" tracing tokio store sqlite postgres postgres-tls signals testing cli http reqwest anyhow tower rate-limit tz cron globs watch lines diff backup zstd process host layout systemd log metrics webhook backoff full; do
    target=$(mktemp -d)
    crates=$(cargo tree --offline --edges normal,build --prefix none --no-default-features --features "$set" |
        sed 's/ (\*)$//' | sort -u | grep -cv '^unattended ')
    begin=$(date +%s%N)
    CARGO_TARGET_DIR="$target" cargo build --quiet --offline --lib --no-default-features --features "$set"
    end=$(date +%s%N)
    rm -rf "$target"
    printf '| %s | %d | %d s |\n' "${set:+\`$set\`}${set:-none}" "$crates" $(((end - begin + 500000000) / 1000000000))
done | sed 's/`\([a-z-]*\)`\1/`\1`/'

//! One memory setting for ingestion, and how it is shared out.
//!
//! What the process needs whatever it reads (model, metadata, index) is the rest: about 100 MB with the bundled model.

use crate::compose::cores;
use crate::config::Ingest;

/// Least that a parser can work with.
const MIN_PARSER_BYTES: u64 = 256 << 20;
/// Least budget.
pub const MIN_BUDGET: u64 = 512 << 20;
/// Most bytes of source documents that pay.
const MAX_SOURCE_BYTES: u64 = 512 << 20;
/// What a machine is taken to have that does not tell.
const UNTOLD_BYTES: u64 = 8 << 30;

/// How the budget is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Source documents in memory at a time.
    pub source_bytes: u64,
    /// Parser processes, >= 1.
    pub parsers: usize,
    /// Most memory of each.
    pub parser_bytes: u64,
}

/// Returns the shares of a configuration on this machine.
pub fn shares(ingest: &Ingest) -> Shares {
    let budget = match ingest.memory_budget {
        0 => (machine_bytes() / 4).max(MIN_BUDGET),
        chosen => chosen,
    };
    let parsers = match ingest.convert_workers {
        0 => cores(),
        chosen => chosen,
    };
    share(budget, parsers, ingest.convert_memory)
}

fn share(budget: u64, parsers: usize, parser_bytes: u64) -> Shares {
    let for_parsers = budget / 2;
    let least = parser_bytes.clamp(1, MIN_PARSER_BYTES);
    let parsers = (parsers as u64).min(for_parsers / least).max(1);
    Shares {
        source_bytes: (budget / 8).min(MAX_SOURCE_BYTES),
        parsers: parsers as usize,
        parser_bytes: parser_bytes.min(for_parsers / parsers),
    }
}

/// Returns the memory of the container or, without one, of the machine.
fn machine_bytes() -> u64 {
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max");
    let limit = limit.ok().and_then(|text| text.trim().parse::<u64>().ok());
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
    });
    limit.into_iter().chain(machine).min().unwrap_or(UNTOLD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_stay_within_the_budget() {
        const MIB: u64 = 1 << 20;
        for (budget, parsers, ceiling, expected) in [
            (512, 2, 1024, (64, 1, 256)),
            (2048, 2, 1024, (256, 2, 512)),
            (4096, 2, 1024, (512, 2, 1024)),
            (2048, 16, 1024, (256, 4, 256)),
            (16384, 4, 1024, (512, 4, 1024)),
            (512, 8, 64, (64, 4, 64)),
        ] {
            let shares = share(budget * MIB, parsers, ceiling * MIB);
            let Shares { source_bytes, parsers, parser_bytes } = shares;
            assert_eq!((source_bytes / MIB, parsers, parser_bytes / MIB), expected, "{budget}");
            assert!(source_bytes + parsers as u64 * parser_bytes <= budget * MIB * 5 / 8);
        }
        assert!(machine_bytes() > 64 * MIB);
    }
}

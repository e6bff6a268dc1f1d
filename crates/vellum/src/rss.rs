//! Peak memory of a process.

/// Returns the peak resident memory of process `pid` in MiB; 0 where the platform does not tell.
pub(crate) fn peak_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
    kib.map_or(0.0, |kib| (kib / 1024.0 * 10.0).round() / 10.0)
}

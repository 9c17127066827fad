//! What the files of a process say (proc_pid_stat(5), proc_pid_io(5), proc_pid_cgroup(5)).

use crate::sysfs::{fields, lines, number};

/// What is taken of `/proc/PID/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) name: String,
    /// Processor time of all threads, in ticks of 10 ms.
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
    pub(super) threads: u64,
    pub(super) start_ticks: u64,
    pub(super) rss_pages: u64,
}

impl Stat {
    /// The name is between the first and the last bracket, as it may hold brackets and blanks itself.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (open, close) = (memchr::memchr(b'(', text)?, memchr::memrchr(b')', text)?);
        let name = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
        // The field after the name is the third.
        let mut numbers = fields(text.get(close + 1..)?).skip(11).map(number);
        let mut next = |skipped: usize| numbers.nth(skipped).flatten();
        Some(Self {
            name,
            user_ticks: next(0)?,   // 14
            system_ticks: next(0)?, // 15
            threads: next(4)?,      // 20
            start_ticks: next(1)?,  // 22
            rss_pages: next(1)?,    // 24
        })
    }

    /// Processor time in all.
    pub(super) fn ticks(&self) -> u64 {
        self.user_ticks + self.system_ticks
    }
}

/// Bytes that were read from disks, and written to them.
pub(super) fn io(text: &[u8]) -> Option<[u64; 2]> {
    let of = |key: &[u8]| lines(text).find_map(|line| number(line.strip_prefix(key)?.trim_ascii()));
    Some([of(b"read_bytes:")?, of(b"write_bytes:")?])
}

/// The control group: of version 2 if there is one, else that of systemd.
pub(super) fn cgroup(text: &[u8]) -> Option<String> {
    let of = |key: &[u8]| lines(text).find_map(|line| line.strip_prefix(key));
    let of_systemd = || {
        lines(text).find_map(|line| {
            let named = memchr::memmem::find(line, b":name=systemd:")?;
            line.get(named + b":name=systemd:".len()..)
        })
    };
    let path = of(b"0::").or_else(of_systemd)?;
    Some(String::from_utf8_lossy(path).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let text = b"4242 (a ) S (b) R 1 4242 4242 0 -1 4194560 9 0 1 0 1234 56 7 8 20 0 12 0 98765 1234567 4321 184467 1 1 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.name, "a ) S (b");
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.ticks()), (1234, 56, 1290));
        assert_eq!((stat.threads, stat.start_ticks, stat.rss_pages), (12, 98_765, 4321));
        assert_eq!(Stat::parse(b"1 (x) R 1 2"), None);
        assert_eq!(Stat::parse(b"what?"), None);
    }

    #[test]
    fn traffic_and_group() {
        let text = b"rchar: 9\nwchar: 8\nsyscr: 7\nsyscw: 6\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n";
        assert_eq!(io(text), Some([4096, 8192]));
        assert_eq!(io(b"rchar: 9\n"), None);
        assert_eq!(cgroup(b"0::/user.slice/x.scope\n").as_deref(), Some("/user.slice/x.scope"));
        let both = b"12:cpuset:/\n1:name=systemd:/system.slice/a.service\n0::/\n";
        assert_eq!(cgroup(both).as_deref(), Some("/"));
        let old = b"12:cpuset:/\n1:name=systemd:/system.slice/a.service\n";
        assert_eq!(cgroup(old).as_deref(), Some("/system.slice/a.service"));
        assert_eq!(cgroup(b""), None);
    }
}

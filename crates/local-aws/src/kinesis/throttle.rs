//! What one shard allows a second
//! (<https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>).

const WRITE_BYTES: u64 = 1 << 20;
const WRITE_RECORDS: u64 = 1_000;
const READS: u64 = 5;
const READ_BYTES: u64 = 2 << 20;

/// What was used of the current second, and until when a large read blocks the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Throttle {
    second: u64,
    written_bytes: u64,
    written_records: u64,
    reads: u64,
    read_bytes: u64,
    blocked_until_ms: u64,
}

impl Throttle {
    /// Whether one more record of `bytes` may be written now; counts it if so.
    pub(super) fn may_write(&mut self, bytes: usize, now_ms: u64) -> bool {
        self.turn(now_ms);
        let written_bytes = self.written_bytes + bytes as u64;
        // A record larger than a second's share passes alone.
        let fits = written_bytes <= WRITE_BYTES || self.written_bytes == 0;
        if !fits || self.written_records == WRITE_RECORDS {
            return false;
        }
        self.written_bytes = written_bytes;
        self.written_records += 1;
        true
    }

    /// Whether one more read may be made now; counts it if so.
    pub(super) fn may_read(&mut self, now_ms: u64) -> bool {
        self.turn(now_ms);
        if self.reads == READS || self.read_bytes >= READ_BYTES || now_ms < self.blocked_until_ms {
            return false;
        }
        self.reads += 1;
        true
    }

    /// Counts what a read returned. More than a second's share blocks the seconds that it used up: five
    /// after 10 MB.
    pub(super) fn read(&mut self, bytes: usize, now_ms: u64) {
        self.read_bytes += bytes as u64;
        if bytes as u64 > READ_BYTES {
            self.blocked_until_ms = now_ms + bytes as u64 * 1_000 / READ_BYTES;
        }
    }

    fn turn(&mut self, now_ms: u64) {
        let second = now_ms / 1_000;
        if second != self.second {
            *self = Self { second, blocked_until_ms: self.blocked_until_ms, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_takes_a_thousand_records_and_a_mebibyte() {
        let mut shard = Throttle::default();
        let taken = (0..1_500).filter(|_| shard.may_write(10, 5_000)).count();
        assert_eq!(taken, 1_000);
        assert!(shard.may_write(10, 6_000));
        let mut shard = Throttle::default();
        let taken = (0..10).filter(|_| shard.may_write(300 << 10, 5_000)).count();
        assert_eq!(taken, 3);
        assert!(Throttle::default().may_write(10 << 20, 5_000), "a large record passes alone");
    }

    #[test]
    fn a_second_takes_five_reads_and_ten_megabytes_block_five() {
        let mut shard = Throttle::default();
        assert_eq!((0..9).filter(|_| shard.may_read(5_000)).count(), 5);
        assert!(shard.may_read(6_000));
        shard.read(10 << 20, 6_000);
        assert!(!shard.may_read(10_999));
        assert!(shard.may_read(11_000));
    }
}

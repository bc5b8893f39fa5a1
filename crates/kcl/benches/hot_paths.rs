//! Pure functions that run for every record, lease or look: `cargo bench -p kcl --bench hot_paths`.

use std::hint::black_box;

use criterion::Criterion;
use kcl::{Checkpoint, HashRange, Lease, PartitionKey, SequenceNumber};

/// As Kinesis makes them: 56 digits.
const SEQUENCE: &str = "49590338271490256608559692538361571095921575989136588898";

fn sequence_numbers(criterion: &mut Criterion) {
    criterion.bench_function("SequenceNumber::parse", |bench| {
        bench.iter(|| SequenceNumber::parse(black_box(SEQUENCE)));
    });
    let Ok(sequence) = SequenceNumber::parse(SEQUENCE) else { return };
    criterion.bench_function("SequenceNumber to text", |bench| {
        bench.iter(|| black_box(sequence).to_string());
    });
    criterion.bench_function("PartitionKey from text", |bench| {
        bench.iter(|| PartitionKey::from(black_box("customer-0001234")));
    });
}

fn leases(criterion: &mut Criterion) {
    let Ok(checkpoint) = Checkpoint::parse(SEQUENCE, 0) else { return };
    let lease = Lease {
        owner: Some("worker-1".to_owned()),
        counter: 4_711,
        hash_range: Some(HashRange { start: 0, end: u128::MAX }),
        parents: ["shardId-000000000001".to_owned()].into(),
        ..Lease::new("shardId-000000000002", checkpoint)
    };
    let row = lease.encode();
    criterion
        .bench_function("Lease::decode", |bench| bench.iter(|| Lease::decode(black_box(&row))));
    criterion.bench_function("Lease::encode", |bench| bench.iter(|| black_box(&lease).encode()));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    sequence_numbers(&mut criterion);
    leases(&mut criterion);
    criterion.final_summary();
}

use std::io;

use redb::StorageBackend;

use super::*;

/// The disk, a backend of it, and three writes of which the first is synced.
fn written(seed: u64, lying: bool) -> (SimDisk, SimBackend) {
    let disk = SimDisk::with(seed, lying);
    let backend = process(&disk);
    backend.set_len(300).unwrap();
    backend.write(0, &[1; 100]).unwrap();
    backend.sync_data().unwrap();
    backend.write(50, &[2; 100]).unwrap();
    backend.write(200, &[3; 100]).unwrap();
    (disk, backend)
}

fn process(disk: &SimDisk) -> SimBackend {
    drop(disk.backend());
    let process = disk.lock().process;
    SimBackend { disk: disk.clone(), process }
}

#[test]
fn a_process_reads_what_it_wrote() {
    let (disk, backend) = written(0, false);
    let mut out = [0; 3];
    backend.read(99, &mut out).unwrap();
    assert_eq!(out, [2; 3]);
    assert_eq!(backend.len().unwrap(), 300);
    let error = backend.read(299, &mut out).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    backend.set_len(10).unwrap();
    backend.write(20, &[4]).unwrap();
    assert_eq!(disk.image()[9..], [&[1; 1][..], &[0; 10], &[4]].concat());
    assert_eq!((disk.stats().operations, disk.stats().syncs), (7, 1));
}

#[test]
fn what_was_synced_survives_and_the_rest_meets_every_fate() {
    let (mut kept, mut dropped, mut torn) = (0, 0, 0);
    let mut images = std::collections::BTreeSet::new();
    for seed in 0..500 {
        let (disk, _backend) = written(seed, false);
        disk.crash();
        let (image, stats) = (disk.image(), disk.stats());
        assert_eq!(image.len(), 300);
        assert_eq!(image[..50], [1; 50]);
        assert!(image[50..100].iter().all(|byte| [1, 2].contains(byte)));
        assert!(image[100..150].iter().all(|byte| [0, 2].contains(byte)));
        assert!(image[150..200].iter().all(|byte| *byte == 0));
        assert!(image[200..].iter().all(|byte| [0, 3].contains(byte)));
        assert_eq!(stats.kept + stats.dropped + stats.torn, 2);
        kept += stats.kept;
        dropped += stats.dropped;
        torn += stats.torn;
        images.insert(image);
    }
    assert!(kept > 100 && dropped > 100 && torn > 100, "{kept} {dropped} {torn}");
    assert!(images.len() > 200, "only {} different images", images.len());
}

#[test]
fn a_lying_disk_loses_what_was_synced() {
    let lost = (0..100).filter(|seed| {
        let (disk, _backend) = written(*seed, true);
        disk.crash();
        disk.image().get(..50) != Some(&[1; 50])
    });
    assert!(lost.count() > 30);
}

#[test]
fn overlapping_writes_may_survive_in_any_order() {
    let mut found = [false; 3];
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let backend = process(&disk);
        backend.set_len(1).unwrap();
        backend.sync_data().unwrap();
        backend.write(0, &[1]).unwrap();
        backend.write(0, &[2]).unwrap();
        disk.crash();
        found[usize::from(disk.image()[0])] = true;
    }
    assert_eq!(found, [true; 3]);
}

#[test]
fn changes_of_the_length_survive_in_order() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let backend = process(&disk);
        backend.write(0, &[9; 8]).unwrap();
        backend.sync_data().unwrap();
        backend.set_len(4).unwrap();
        backend.set_len(6).unwrap();
        disk.crash();
        let image = disk.image();
        let kept = if image.len() == 6 { 4 } else { image.len() };
        assert_eq!(image[..kept], [9; 8][..kept]);
        assert!(image[kept..].iter().all(|byte| *byte == 0));
        lengths.insert(image.len());
    }
    assert_eq!(lengths, [4, 6, 8].into());
}

#[test]
fn the_power_goes_in_the_midst_of_an_operation() {
    let (disk, backend) = written(1, false);
    disk.crash_after(1);
    backend.write(0, &[5; 10]).unwrap();
    backend.sync_data().unwrap_err();
    assert!(disk.is_crashed());
    assert!(backend.len().is_err() && backend.write(0, &[6]).is_err());
    assert_eq!(disk.stats().crashes, 1);
    disk.crash();
    assert_eq!(disk.stats().crashes, 1, "what is off does not crash");

    let next = process(&disk);
    assert!(next.len().is_ok() && !disk.is_crashed());
    assert!(backend.len().is_err(), "the process before is gone");
    next.write(0, &[7]).unwrap();
    assert_eq!(disk.image()[0], 7);
}

#[test]
fn a_sync_in_which_the_power_goes_promises_nothing() {
    let lost = (0..200).filter(|seed| {
        let disk = SimDisk::new(*seed);
        let backend = process(&disk);
        backend.write(0, &[1; 10]).unwrap();
        disk.crash_after(0);
        backend.sync_data().unwrap_err();
        disk.image() != [1; 10]
    });
    assert!(lost.count() > 50);
}

#[test]
fn an_operation_fails_once_and_without_effect() {
    let (disk, backend) = written(1, false);
    disk.fail_after(1, io::ErrorKind::StorageFull);
    backend.write(0, &[5]).unwrap();
    let error = backend.write(1, &[5]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.image()[..3], [5, 1, 1]);
    backend.write(2, &[5]).unwrap();
    assert_eq!(disk.image()[..3], [5, 1, 5]);
}

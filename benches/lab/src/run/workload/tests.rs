use super::*;

#[test]
fn every_name_is_a_workload_and_possible() {
    for name in Workload::NAMES {
        for quick in [false, true] {
            let workload = Workload::named(name, quick).expect("it is known").check().expect("it is possible");
            assert_eq!(workload.name, name);
        }
    }
    assert!(matches!(Workload::named("other", false), Err(WorkloadError::Unknown { .. })));
}

#[test]
fn when_both_lack_something_each_lacks_it_in_logs_of_its_own() {
    let workload = Workload::named("both-ways", true).expect("it is known");
    let dataset = workload.dataset();
    let (initiator, acceptor) = workload.holdings(&dataset);
    assert_eq!(initiator.lacking(&acceptor, &dataset).count(), 250);
    assert_eq!(acceptor.lacking(&initiator, &dataset).count(), 250);
}

#[test]
fn keys_are_lacking_where_they_are_not_updated_and_who_has_none_has_no_grants() {
    let text = "name = \"x\"\nkind = \"kv\"\nservices = 4\nkeys = 25\nvalue = 10\n";
    let of = |line: &str| {
        let workload = Workload::from_toml(&format!("{text}{line}\n")).expect("it is possible");
        let dataset = workload.dataset();
        let (initiator, acceptor) = workload.holdings(&dataset);
        let lacking = [(&initiator, &acceptor), (&acceptor, &initiator)];
        lacking.map(|(here, there)| here.lacking(there, &dataset).count())
    };
    assert_eq!(of("initiator_lacks = 30\nacceptor_lacks = 7\nupdated = 5"), [35, 7]);
    assert_eq!(of("initiator_lacks = 33\nacceptor_lacks = 33\nupdated = 34"), [67, 33]);
    assert_eq!(of("updated = 100"), [100, 0]);
    assert_eq!(of("initiator_lacks = 99"), [99, 0]);
    assert_eq!(of("initiator_lacks = 100"), [104, 0]);
    assert_eq!(of("acceptor_lacks = 100"), [0, 104]);
}

#[test]
fn a_file_has_the_same_fields_in_toml_and_json() {
    for example in [include_str!("../../../examples/workload.toml"), include_str!("../../../examples/kv-workload.toml")]
    {
        let toml = Workload::from_toml(example).expect("the example is a workload");
        let json = Workload::from_json(&serde_json::to_string(&toml).expect("it can be written"));
        assert_eq!(toml, json.expect("the same"));
    }
}

#[test]
fn impossible_files_are_refused() {
    let text = |line: &str| format!("name = \"x\"\nauthors = 2\nlogs = 1\noperations = 3\nbody = 10\n{line}\n");
    assert!(Workload::from_toml(&text("")).is_ok());
    assert!(Workload::from_toml(&text("initiator_lacks = 6")).is_ok());
    for line in [
        "initiator_lacks = 7",
        "initiator_lacks = 4\nacceptor_lacks = 1",
        "speed = 3",
        "operations = 4",
        "services = 4",
        "kind = \"kv\"",
        "kind = \"tree\"",
    ] {
        assert!(Workload::from_toml(&text(line)).is_err(), "{line}");
    }
    let kv = |lines: &str| format!("name = \"x\"\nkind = \"kv\"\nservices = 2\nkeys = 5\n{lines}\n");
    assert!(Workload::from_toml(&kv("value = 1\nupdated = 3\ninitiator_lacks = 4\nacceptor_lacks = 3")).is_ok());
    for lines in ["", "value = 1048577", "value = 1\nbody = 1", "value = 1\nupdated = 6\ninitiator_lacks = 5"] {
        assert!(Workload::from_toml(&kv(lines)).is_err(), "{lines}");
    }
    let many = text("").replace("authors = 2", "authors = 9000000");
    assert!(matches!(Workload::from_toml(&many), Err(WorkloadError::Impossible { .. })));
}

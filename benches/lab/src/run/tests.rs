use super::*;
use crate::contestant::{KeyValue, Native, Original};
use crate::dataset::Kind;
use crate::progress::Silent;

fn contestants() -> Vec<Arc<dyn Contestant>> {
    vec![Arc::new(Native::log_v1()), Arc::new(Native::log_v2()), Arc::new(Original)]
}

fn kv_contestants() -> Vec<Arc<dyn Contestant>> {
    vec![Arc::new(KeyValue::whole()), Arc::new(KeyValue::below_a_prefix())]
}

fn plan(workloads: Vec<Workload>, link: &str) -> Plan {
    let link = link.parse().expect("a link");
    let contestants = match workloads.first().map(Workload::kind) {
        Some(Kind::Kv) => kv_contestants(),
        _ => contestants(),
    };
    Plan { memory: false, rtts: vec![], differences: vec![], ..Plan::new(contestants, workloads, link, true) }
}

fn small(initiator_lacks: u64, acceptor_lacks: u64) -> Workload {
    Workload { initiator_lacks, acceptor_lacks, ..Workload::cold(4, 2, 5, 100) }
}

#[test]
fn every_workload_runs_over_both_and_each_operation_comes_once() {
    for name in Workload::NAMES {
        let mut workload = Workload::named(name, true).expect("it is known");
        if let Content::Log { body, .. } = &mut workload.content {
            *body = (*body).min(10_000);
        }
        // A value that the other side has a later one of is sent in vain.
        let superseded = match workload.content {
            Content::Log { .. } => 0,
            Content::Kv { updated, .. } => updated,
        };
        let plan = plan(vec![workload], "rtt=50ms,down=10mbit,up=2mbit");
        let report = plan.run(&Silent).expect("the sessions succeed");
        assert_eq!(report.outcomes.len(), plan.contestants.len());
        for outcome in &report.outcomes {
            assert!(outcome.redundant <= superseded, "{name}: {}", outcome.redundant);
            assert!(outcome.bytes() > outcome.lacking_bytes, "{name}");
            assert!(outcome.link_s >= 0.05, "{name}");
        }
    }
}

#[test]
fn virtual_time_is_round_trips_and_bytes_over_bandwidth() {
    let sessions = |link| plan(vec![small(40, 0)], link).run(&Silent).expect("the sessions succeed").outcomes;
    for outcome in sessions("rtt=100ms,down=80kbit") {
        // 10 kB in a second, and half a round trip for each half that was found without data.
        let expected = outcome.round_trips * 0.1 + outcome.down.bytes as f64 / 10_000.0;
        assert!((outcome.link_s - expected).abs() < 0.15, "{outcome:?}");
    }
    let (near, far) = (sessions(""), sessions("rtt=1s"));
    assert!(near.iter().all(|outcome| outcome.link_s == 0.0));
    assert!(far.iter().all(|outcome| outcome.link_s == outcome.round_trips && outcome.round_trips >= 1.0));
}

#[test]
fn the_same_session_takes_the_same_time_each_time_also_when_segments_are_lost() {
    let times = |link| {
        let report = plan(vec![small(20, 20)], link).run(&Silent).expect("the sessions succeed");
        report.outcomes.iter().map(|outcome| outcome.link_s).collect::<Vec<_>>()
    };
    let clean = times("rtt=50ms,down=1mbit,up=1mbit");
    let lossy = times("rtt=50ms,down=1mbit,up=1mbit,loss=20%");
    assert_eq!(lossy, times("rtt=50ms,down=1mbit,up=1mbit,loss=20%"));
    assert!(clean.iter().zip(&lossy).all(|(clean, lossy)| lossy >= clean), "{clean:?} {lossy:?}");
    assert_ne!(clean, lossy);
}

#[test]
fn longer_round_trips_and_larger_differences_take_longer() {
    let (base, differences) = (small(0, 0), vec![0, 10, 40]);
    let rtts = [10, 100].map(Duration::from_millis).to_vec();
    let link = "down=1mbit,up=1mbit";
    let plan = Plan { rtts, differences: vec![(base, differences)], ..plan(vec![small(10, 0)], link) };
    let report = plan.run(&Silent).expect("the sessions succeed");
    for name in ["log-v1", "p2panda-0.3"] {
        let times: Vec<f64> =
            report.by_rtt.iter().filter(|point| point.protocol == name).map(|point| point.link_s).collect();
        assert!(times.len() == 2 && times[0] < times[1], "{times:?}");
        let bytes: Vec<u64> =
            report.by_difference.iter().filter(|point| point.protocol == name).map(|point| point.bytes).collect();
        assert!(bytes.len() == 3 && bytes.is_sorted(), "{bytes:?}");
    }
}

#[test]
fn keys_that_one_side_lacks_or_has_an_old_value_of_come_once_and_no_others() {
    let content = Content::Kv { services: 10, keys: 100, value: 50, updated: 30 };
    let workload = Workload { name: "mixed".into(), content, initiator_lacks: 50, acceptor_lacks: 20 };
    let report = plan(vec![workload], "rtt=10ms").run(&Silent).expect("the sessions succeed");
    for outcome in &report.outcomes {
        assert_eq!(outcome.lacking, 100);
        assert!(outcome.redundant <= 30, "{}: {}", outcome.protocol, outcome.redundant);
    }
}

#[test]
fn who_has_nothing_to_do_is_told_so() {
    let mut mixed = plan(vec![small(10, 0)], "");
    mixed.contestants.append(&mut kv_contestants());
    let error = mixed.run(&Silent).expect_err("there are no keys").to_string();
    assert!(error.starts_with("kv: "), "{error}");
    mixed.workloads.push(Workload::kv_cold(2, 10, 10));
    assert_eq!(mixed.run(&Silent).map(|report| report.outcomes.len()).ok(), Some(3 + 2));
    mixed.contestants = kv_contestants();
    let error = mixed.run(&Silent).expect_err("nobody syncs logs").to_string();
    assert!(error.starts_with("cold: "), "{error}");
}

/// A contestant that claims success and transfers nothing.
struct Idle;

impl Contestant for Idle {
    fn name(&self) -> &str {
        "idle"
    }

    fn node(&self, _: &crate::contestant::Setup<'_>) -> Arc<dyn crate::contestant::Node> {
        Arc::new(Self)
    }
}

impl crate::contestant::Node for Idle {
    fn start(
        self: Arc<Self>,
        _: crate::contestant::Stream,
        received: crate::contestant::Received,
    ) -> crate::contestant::Side {
        let application = Box::pin(async { received });
        crate::contestant::Side { session: Box::pin(async { Ok(()) }), application }
    }

    fn stored(&self) -> Tally {
        Tally::default()
    }
}

#[test]
fn a_session_that_leaves_something_out_measures_nothing() {
    let mut plan = plan(vec![small(10, 0)], "rtt=10ms");
    plan.contestants = vec![Arc::new(Idle)];
    for runs in [0, 1] {
        plan.loopback_runs = runs;
        let error = plan.run(&Silent).expect_err("nothing was transferred").to_string();
        assert!(error.starts_with("idle: ") && error.contains("10 operations"), "{error}");
    }
}
